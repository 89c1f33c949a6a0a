"""What reviewers have found about threads and interrupts: each defect that is mended stays mended."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from interruption import interrupted
from support import Place, artifact_key, outcome_of

from eventlog import file_digest, incoming, locking, objects
from eventlog.artifacts import hash_artifact
from eventlog.engines import jsonl
from eventlog.errors import LockTimeoutError, RefusedError
from eventlog.reader import RegistryReader
from eventlog.transaction import Transaction
from projections.maintenance import verify_registry


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.open_active().model.model_id,
        lambda registry: next(registry.watch(debounce_seconds=0)).model.model_id,
        lambda registry: Path(registry.signature_path()).name,
    ],
)
def test_what_another_thread_only_intends_is_not_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Any], str]
) -> None:
    """Who asks while another thread's append is under way, and then fails, gets what was acknowledged."""
    registry = place.open(sign_key=artifact_key())
    place.publish("a", registry=registry)
    wanted, answers = ask(registry), []
    looked, at_it, go_on = threading.Event(), threading.Event(), threading.Event()
    writer = threading.Thread(target=lambda: outcome_of(lambda: place.publish("b", registry=registry)))
    real = RegistryReader.catalog

    def slow(self: RegistryReader, as_of: Any = None) -> Any:
        found = real(self, as_of)
        if threading.current_thread() is not writer:
            looked.set()
            at_it.wait(1)  # in vain, where the writer is kept out
        return found

    def failing(*_arguments: Any) -> None:
        at_it.set()
        assert go_on.wait(20)
        raise RefusedError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(RegistryReader, "catalog", slow)
        patch.setattr(Transaction, "_append", failing)
        reader = threading.Thread(target=lambda: answers.append(ask(registry)))
        reader.start()
        assert looked.wait(20)
        writer.start()
        reader.join(2)  # or it waits for the writer, as it should
        go_on.set()
        writer.join(20)
        reader.join(20)

    assert answers == [wanted]


def _locks_are_free(place: Place) -> bool:
    """Say whether another process could lock the journal and each directory now."""
    kept = place.registry_dir / "artifacts"
    guards = [*kept.rglob("*.lock"), kept / "incoming"] if kept.exists() else []
    for path in (place.journal, place.registry_dir, place.state_dir, *guards):
        with locking.Held() as held:
            if not locking.try_acquire(held.add(os.open(path, os.O_RDONLY)), str(path)):
                return False
    return True


@pytest.mark.parametrize("copy", [False, True])
def test_an_interrupt_in_a_process_that_lives_on_leaves_no_lock(place: Place, *, copy: bool) -> None:
    """At each line of the modules that take locks and hold them; and the next publish is one like any other."""
    place.copy("a") if copy else place.publish("a")
    registry = place.open(lock_timeout_seconds=0.5)
    registry.list_models()
    paths = {str(module.__file__) for module in ((incoming, objects, locking) if copy else (jsonl, locking))}

    def publish() -> Exception | None:
        return outcome_of(lambda: place.publish("a", registry=registry, copy=copy))

    at = 0
    while interrupted(publish, at := at + 1, paths):
        gc.collect()
        assert _locks_are_free(place), f"interrupted at line {at}"
        bystander = place.artifact("bystander").open("r+b")  # gets the number of whatever was closed
        try:
            assert not isinstance(publish(), LockTimeoutError), at
        finally:
            bystander.close()
        assert place.artifact("bystander").read_bytes() == b"bystander"

    assert at > 30
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_an_interrupt_at_the_start_of_reading_ahead_leaves_no_thread(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for ever would keep the interpreter from ending."""
    path = place.artifact("large", b"x" * (12 << 20))
    real = threading.Thread.start

    def started(self: threading.Thread) -> None:
        real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(file_digest.threading.Thread, "start", started)
        with pytest.raises(KeyboardInterrupt):
            hash_artifact(path)

    assert [thread.name for thread in threading.enumerate() if thread.name == "modelog-read-ahead"] == []
