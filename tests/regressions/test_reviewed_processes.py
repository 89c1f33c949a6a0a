"""What reviewers have found about threads and interrupts: each defect that is mended stays mended."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from interruption import interrupted
from support import Place, outcome_of

from eventlog import file_digest, incoming, locking, objects
from eventlog.artifacts import hash_artifact
from eventlog.engines import jsonl
from eventlog.errors import LockTimeoutError, RefusedError
from eventlog.transaction import Transaction
from projections.maintenance import verify_registry


def test_what_another_thread_only_intends_is_not_shown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks while another thread's append is under way, and then fails, never gets that model."""
    first = place.publish("a")
    registry, at_it, go_on = place.open(), threading.Event(), threading.Event()
    registry.list_models()
    questions: list[Callable[[], Any]] = [
        lambda: registry.open_active().model.model_id,
        lambda: registry.load(registry.open_active().model.model_id).model.model_id,
        lambda: next(registry.watch(debounce_seconds=0)).model.model_id,
        lambda: registry.settings.copy,
        lambda: [change.event.subject for change in registry.history()][-1],
    ]

    def failing(*_arguments: Any) -> None:
        at_it.set()
        assert go_on.wait(20)
        raise RefusedError("no space left")

    answers: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "_append", failing)
        writer = threading.Thread(
            target=lambda: answers.append(outcome_of(lambda: place.publish("b", registry=registry)))
        )
        writer.start()
        assert at_it.wait(20)
        asking = [threading.Thread(target=lambda ask=ask: answers.append(ask())) for ask in questions]
        for thread in asking:
            thread.start()
        go_on.set()
        for thread in [writer, *asking]:
            thread.join(20)

    assert len(answers) == len(questions) + 1
    assert [answer for answer in answers if not isinstance(answer, RefusedError | bool)] == [first.model_id] * 4


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
