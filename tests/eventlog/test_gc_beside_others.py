"""gc in company: publishes, changes of mind and kills at the worst moment."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import Place, artifact_problems, outcome_of

from eventlog.errors import ModelogError
from eventlog.model import ModelMetadata
from eventlog.retention import Retention
from eventlog.vault import Vault
from projections.maintenance import verify_registry


def test_a_publish_that_comes_between(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody keeps, and has not recorded yet, is not taken for nobody's."""
    place.copy("a")
    kept, go_on = threading.Event(), threading.Event()
    real = Vault.in_use
    registry = place.open()
    publish = registry._carry_out  # type: ignore[attr-defined]

    def slow(*arguments: Any, **settings: Any) -> Any:
        kept.set()
        assert go_on.wait(10)
        return publish(*arguments, **settings)

    monkeypatch.setattr(registry, "_carry_out", slow)

    def waiting(self: Vault, *, alone: bool = False) -> Any:
        if alone:
            threading.Timer(0.2, go_on.set).start()
        return real(self, alone=alone)

    monkeypatch.setattr(Vault, "in_use", waiting)
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(lambda: registry.publish_model(place.artifact("b"), backend="b", copy=True, actor="t"))
        assert kept.wait(10)
        assert place.gc(unnamed=True) == set()
        model = future.result()

    assert model.sha256 in place.kept()
    assert artifact_problems(place) == []


def test_a_mind_that_changes_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held, or reinstated, after it was found to be removable is kept."""
    models = [place.copy(name) for name in "abcde"]
    place.retire(*models[:3])
    real = Vault.in_use

    def late(self: Vault, *, alone: bool = False) -> Any:
        if alone:
            monkeypatch.setattr(Vault, "in_use", real)
            place.open().hold(models[0].model_id, reason="wait")
            place.open().reinstate(models[1].model_id, reason="wait")
        return real(self, alone=alone)

    monkeypatch.setattr(Vault, "in_use", late)

    assert place.gc() == {models[2].sha256}
    assert {model.sha256 for model in models[:2]} <= set(place.kept())


def test_a_change_between_two_removals(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each removal is decided on the newest state; settings that were changed meanwhile end it."""
    models = [place.copy(name) for name in "abcde"]
    place.retire(*models[:3])
    real, done = Vault.remove_files, []

    def remove(self: Vault, digests: Any) -> None:
        real(self, digests)
        if not done:
            done.append(place.open().change_settings(keep_days=30))

    monkeypatch.setattr(Vault, "remove_files", remove)

    assert place.gc() == {models[0].sha256}
    assert len(place.kept()) == 4


@pytest.mark.parametrize("step", ["tree", "files"])
def test_killed_between_the_event_and_the_removal(place: Place, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """What is said to be removed, and is still there, goes the next time."""
    model = place.open().publish_model(place.directory(), backend="b", copy=True)
    place.copy("a")
    place.copy("b")
    place.retire(model)

    def die(self: Vault, *_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Vault, f"remove_{step}", die)
        with pytest.raises(KeyboardInterrupt):
            place.gc()
    size = place.open().catalog().size

    assert place.gc() == {model.sha256}

    assert len(place.kept()) == 2
    assert place.open().catalog().size == size + 1
    assert verify_registry(place.registry_dir, place.state_dir, artifacts=True).verdict == "intact"


def test_cannot_be_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; the next time it is tried again."""
    models = [place.copy(name) for name in "abc"]
    place.retire(models[0])

    def denied(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", denied)
        error = outcome_of(place.gc)

    assert isinstance(error, ModelogError)
    assert "operation not permitted" in str(error)
    assert place.gc() == {models[0].sha256}


def test_beside_publishers(place: Place) -> None:
    """While others publish, roll back and retire, gc takes nothing that a rollback could want."""
    place.copy("first")
    stop = threading.Event()

    def publish(number: int) -> list[ModelMetadata]:
        registry, found = place.open(), []
        for step in range(12):
            path = place.artifact(f"{number}-{step if step % 3 == 1 else step % 5}")
            found.append(registry.publish_model(path, backend="b", copy=True, actor="t"))
            if step % 3 == 2:
                outcome_of(lambda found=found: registry.retire(found[-2].model_id, reason="r"))
        return found

    def collect() -> int:
        count = 0
        while not stop.is_set():
            count += len(place.open().gc().removed)
        return count

    with ThreadPoolExecutor(4) as threads:
        collecting = threads.submit(collect)
        publishing = [threads.submit(publish, number) for number in range(3)]
        models = [model for future in publishing for model in future.result()]
        stop.set()
        removed = collecting.result() + len(place.open().gc().removed)

    assert removed > 0

    registry = place.open()
    catalog = registry.catalog()
    wanted = [model for model in models if not catalog.marks.is_retired(model.model_id)]
    for model in wanted:
        assert registry.rollback(model.model_id) == model
    assert artifact_problems(place) == []


def test_a_mind_that_changes_about_one_of_two(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of models with the same bytes either all are told to have lost them, or none."""
    models = [place.copy("a", b"same"), place.copy("b", b"same"), place.copy("c"), place.copy("e")]
    place.retire(*models[:2])
    real = Retention._record_removal

    def late(self: Any, *arguments: Any) -> None:
        place.open().reinstate(models[1].model_id, reason="wait")
        real(self, *arguments)

    monkeypatch.setattr(Retention, "_record_removal", late)

    assert place.gc() == set()
    assert "artifact.removed.v1" not in {change.event.type for change in place.open().history()}
    assert models[0].sha256 in place.kept()


def test_unbundled_while_it_looks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the vault was looked through is not taken for nobody's, whoever names it by then."""
    models = [place.copy(name) for name in "abc"]
    place.retire(models[0])
    real = Vault.stored

    def late(self: Vault) -> tuple[set[str], set[str]]:
        monkeypatch.setattr(Vault, "stored", real)
        found = real(self)
        late_model = place.publish("late")
        with self.copying(place.root / "late", None) as copied:
            copied.keep()  # as an unbundle or a fetch does for a model that was published by its path
        assert late_model.sha256 in real(self)[0]
        return found

    monkeypatch.setattr(Vault, "stored", late)

    assert place.gc(unnamed=True) == {models[0].sha256}
    assert b"late" in place.kept().values()


def test_links_to_a_file_that_is_hashed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a kept file gets another name meanwhile is no change."""
    model = place.open().publish_model(place.directory(), backend="b", copy=True)
    path = Path(model.artifact_path) / "config.json"
    real, names = os.fstat, []

    def linking(descriptor: int) -> os.stat_result:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(path) and len(names) < 2:
            names.append(f"{place.root}/{len(names)}")
            time.sleep(0.02)
            os.link(path, names[-1])
        return real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", linking)
        assert artifact_problems(place) == []
        assert len(names) == 2
        names = []
        for name in "01":
            os.unlink(place.root / name)
        assert place.open().load(model.model_id, full=True).path == model.artifact_path


def test_what_a_killed_removal_leaves(place: Place) -> None:
    """Half of a directory that was about to go is gone with the next gc, also where nothing else is to be removed."""
    place.copy("a")
    left = place.registry_dir / "artifacts" / "incoming" / "0" / "removed"
    left.mkdir(parents=True)
    (left / "weights").write_bytes(b"half")

    assert place.gc() == set()

    assert not left.parent.exists()
