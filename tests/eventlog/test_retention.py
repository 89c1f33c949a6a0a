"""Retire, hold and gc: what is needed stays, what goes is on record, and nothing goes where something is wrong."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import START, Clock, Place, artifact_problems, outcome_of

from eventlog.errors import JournalDamagedError, ModelogError, RefusedError
from eventlog.model import ModelMetadata
from eventlog.retention_events import ArtifactRemoved
from eventlog.vault import Vault
from projections.maintenance import verify_registry


def retired(place: Place, *models: ModelMetadata, **settings: Any) -> None:
    registry = place.open(**settings)
    for model in models:
        registry.retire(model.model_id, reason="old")


def gc(place: Place, *, dry_run: bool = False, **settings: Any) -> set[str]:
    """Return the SHA-256 of what is removed, or would be."""
    found = place.open(**settings).gc(dry_run=dry_run, actor="t", reason="room")
    return {removal.sha256 for removal in found.removed}


def test_what_is_needed_stays(place: Place) -> None:
    """Neither the active model, nor the one before it, nor a held one, nor one that is not retired."""
    models = [place.copy(name) for name in ("plain", "gone", "held", "previous", "active")]
    retired(place, *models[1:4])
    place.open().hold(models[2].model_id, reason="audit")

    assert gc(place, dry_run=True) == {models[1].sha256}
    assert models[1].sha256 in place.kept()
    found = place.open().gc(reason="room")

    assert [(removal.sha256, removal.models) for removal in found.removed] == [(models[1].sha256, [models[1].model_id])]
    assert found.kept == {models[2].model_id: "held", models[3].model_id: "previous"}
    assert set(place.kept()) == {model.sha256 for model in models} - {models[1].sha256}
    event = place.event(place.open().catalog().size - 1)
    assert (event.type, event.subject) == ("artifact.removed.v1", models[1].model_id)
    assert event.data == ArtifactRemoved(models[1].sha256, 4, None, "room")
    assert verify_registry(place.registry_dir, place.state_dir, artifacts=True).artifacts == 4
    assert artifact_problems(place) == []


def test_dry_run_changes_nothing(place: Place) -> None:
    """Not one byte on disk."""
    models = [place.copy(name) for name in "abc"]
    retired(place, models[0])
    before = place.files()

    assert gc(place, dry_run=True) == {models[0].sha256}

    assert place.files() == before


def test_no_way_back_to_a_retired_model(place: Place) -> None:
    """Neither by name nor as the one before, until it is reinstated."""
    first, second = place.copy("a"), place.copy("b")
    retired(place, first)

    for model_id in (None, first.model_id):
        error = outcome_of(lambda model_id=model_id: place.open().rollback(model_id))
        assert isinstance(error, RefusedError)
        assert (error.rule, "retire --undo" in str(error)) == ("target", True)
    assert place.open().get_active_model() == second

    place.open().reinstate(first.model_id, reason="not so bad")
    assert place.open().rollback() == first


def test_the_active_model_cannot_be_retired(place: Place) -> None:
    """Nor one that nobody published; nothing is recorded."""
    model = place.copy("a")
    before = place.files()

    for model_id in (model.model_id, "20260102030405_00000000", "../x"):
        assert isinstance(outcome_of(lambda model_id=model_id: retire(place, model_id)), RefusedError)

    assert place.files() == before


def retire(place: Place, model_id: str, **terms: Any) -> object:
    return place.open().retire(model_id, reason="old", **terms)


def test_said_once(place: Place) -> None:
    """What is so already is not recorded again; a retry with its id finds its own event, another request is refused."""
    first, second = place.copy("a"), place.copy("b")
    event = place.open().retire(first.model_id, reason="old", request_id="r")

    assert place.open().retire(first.model_id, reason="old", request_id="r") == event
    assert place.open().retire(first.model_id, reason="other words") == event
    assert place.open().catalog().size == event.position + 1
    for reason, model in (("new", first), ("old", second)):
        error = outcome_of(
            lambda reason=reason, model=model: place.open().retire(model.model_id, reason=reason, request_id="r")
        )
        assert isinstance(error, RefusedError)
    assert isinstance(outcome_of(lambda: place.open().release(first.model_id, reason="x")), RefusedError)


def test_marks_behind_snapshots(place: Place) -> None:
    """They are found again however long ago they were set, by whoever begins at the newest snapshot, and by a fold."""
    models = [place.copy(name) for name in "abc"]
    retired(place, *models[:2])
    registry = place.open()
    registry.hold(models[1].model_id, reason="audit")
    for number in range(300):
        registry.review(reason=f"{number}")
    place.open().reinstate(models[0].model_id, reason="again")
    for number in range(300):
        registry.review(reason=f"{number}")

    for catalog in (place.open().catalog(), registry.catalog(), place.open().catalog(registry.catalog().size - 1)):
        assert catalog.snapshot is not None
        assert [catalog.marks.is_retired(model.model_id) for model in models] == [False, True, False]
        assert [catalog.marks.is_held(model.model_id) for model in models] == [False, True, False]
        assert catalog.marks.count == 4
    assert place.open().catalog(as_of=4).marks.is_retired(models[0].model_id)
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_retention_floor(place: Place) -> None:
    """What was active last, or not long ago, is kept, though it is retired."""
    clock = Clock(START, timedelta(hours=1))
    models = [place.open(now=clock).publish_model(place.artifact(name), backend="b", copy=True) for name in "abcde"]
    retired(place, *models[:3], now=clock)
    place.open(now=clock).change_settings(keep_last=3, keep_days=1)

    assert gc(place, now=clock) == set()
    clock.time += timedelta(days=1)
    found = place.open(now=clock).gc()
    assert [removal.sha256 for removal in found.removed] == [models[0].sha256, models[1].sha256]
    assert found.kept == {models[2].model_id: "among the last 3 that were active"}
    place.open(now=clock).change_settings(keep_last=0)
    assert gc(place, now=clock) == {models[2].sha256}


def test_equal_bytes(place: Place) -> None:
    """They stay as long as one of the models that have them needs them; their removal is told of each."""
    models = [place.copy("a", b"same"), place.copy("b"), place.copy("c", b"same"), place.copy("d"), place.copy("e")]
    retired(place, models[0])
    assert gc(place) == set()

    retired(place, models[2])
    assert gc(place) == {models[0].sha256}
    size = place.open().catalog().size
    assert [place.event(position).subject for position in (size - 2, size - 1)] == [
        models[0].model_id,
        models[2].model_id,
    ]


def test_parts_of_directories(place: Place) -> None:
    """A directory goes as a whole; files that others need stay, also where they are a model of their own."""
    registry = place.open()

    def directory(files: dict[str, bytes]) -> ModelMetadata:
        shutil.rmtree(place.root / "d", ignore_errors=True)
        return registry.publish_model(place.directory(files), backend="b", copy=True)

    first = directory({"own": b"own", "shared": b"shared", "model": b"model"})
    second = directory({"other": b"other", "x/shared": b"shared"})
    single = place.copy("model")
    place.copy("active")
    retired(place, first)

    found = place.open().gc()

    assert [(removal.sha256, removal.files, removal.size_bytes) for removal in found.removed] == [(first.sha256, 3, 14)]
    assert not Path(first.artifact_path).exists()
    assert {b"shared", b"model", b"other", b"active"} <= set(place.kept().values())
    assert b"own" not in place.kept().values()
    assert artifact_problems(place) == []
    assert place.open().rollback(second.model_id).sha256 == second.sha256
    assert place.open().rollback(single.model_id).sha256 == single.sha256


def test_what_no_model_names(place: Place) -> None:
    """What a publish that was killed has left goes, too, and that is on record."""
    model = place.copy("a")
    left = place.artifact("left", b"left behind")
    with Vault(str(place.registry_dir)).copying(left, None) as copied:
        digest = copied.keep().sha256
    with Vault(str(place.registry_dir)).copying(place.directory(), None) as copied:
        tree = copied.keep()

    assert gc(place) == {digest, tree.sha256}

    assert set(place.kept()) == {model.sha256}
    assert not Path(tree.path).exists()
    events = [place.event(position) for position in (2, 3)]
    assert {event.subject for event in events} == {None}
    sizes = {event.data.sha256: event.data.size_bytes for event in events if isinstance(event.data, ArtifactRemoved)}
    assert sizes == {digest: 11, tree.sha256: tree.size_bytes}


def test_published_again(place: Place) -> None:
    """The same bytes make an artifact that was removed what it was; removed a second time, that is told again."""
    first = place.copy("a")
    place.copy("b")
    place.copy("c")
    retired(place, first)
    assert gc(place) == {first.sha256}
    place.open().reinstate(first.model_id, reason="missed")
    assert gc(place) == set()
    assert isinstance(outcome_of(lambda: place.open().rollback(first.model_id)), RefusedError)

    again = place.copy("a")

    assert artifact_problems(place) == []
    assert place.open().rollback(first.model_id) == first
    place.copy("d")
    place.copy("e")
    retired(place, first, again)
    assert gc(place) == {first.sha256}


def test_references_stay(place: Place) -> None:
    """What is not the registry's own is never touched; nor is what tells the differences in a directory elsewhere."""
    file = place.publish("a")
    directory = place.open().publish_model(place.directory(), backend="b")
    place.publish("b")
    place.publish("c")
    retired(place, file, directory)
    before = place.files()

    assert gc(place) == set()

    assert place.files() == before


@pytest.mark.parametrize(
    "damage", ["journal", "head", "unneeded", "unneeded directory", "needed is missing", "manifest"]
)
def test_nothing_goes_where_something_is_wrong(place: Place, damage: str) -> None:
    """Damaged history, a removable artifact that is another, a needed one that is gone: refused, all as it was."""
    models = [place.copy("a" * 100), place.copy("b" * 100)]
    models.append(place.open().publish_model(place.directory(), backend="b", copy=True))
    models += [place.copy("c"), place.copy("e")]
    retired(place, models[0], *([] if damage in ("manifest", "needed is missing") else [models[2]]))
    if damage == "journal":
        data = place.journal.read_bytes()
        place.journal.write_bytes(data.replace(b'"backend":"b"', b'"backend":"c"', 1))
    elif damage == "head":
        place.head.write_bytes(b"")
    else:
        number = {"unneeded": 0, "needed is missing": 1}.get(damage, 2)
        path = Path(models[number].artifact_path)
        if damage == "unneeded directory":
            path /= "config.json"
        if damage == "manifest":
            path = place.registry_dir / "artifacts" / "sha256" / models[2].sha256[:2] / models[2].sha256
        path.chmod(0o644)
        if damage in ("needed is missing", "manifest"):
            path.unlink()
        else:
            path.write_bytes(b"x" + path.read_bytes()[1:])
    before = place.files()

    error = outcome_of(lambda: gc(place))

    assert isinstance(error, RefusedError | JournalDamagedError), error
    assert place.files() == before


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
        assert gc(place) == set()
        model = future.result()

    assert model.sha256 in place.kept()
    assert artifact_problems(place) == []


def test_a_mind_that_changes_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held, or reinstated, after it was found to be removable is kept."""
    models = [place.copy(name) for name in "abcde"]
    retired(place, *models[:3])
    real = Vault.in_use

    def late(self: Vault, *, alone: bool = False) -> Any:
        if alone:
            monkeypatch.setattr(Vault, "in_use", real)
            place.open().hold(models[0].model_id, reason="wait")
            place.open().reinstate(models[1].model_id, reason="wait")
        return real(self, alone=alone)

    monkeypatch.setattr(Vault, "in_use", late)

    assert gc(place) == {models[2].sha256}
    assert {model.sha256 for model in models[:2]} <= set(place.kept())


def test_a_change_between_two_removals(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each removal is decided on the newest state; settings that were changed meanwhile end it."""
    models = [place.copy(name) for name in "abcde"]
    retired(place, *models[:3])
    real, done = Vault.remove_files, []

    def remove(self: Vault, digests: Any) -> None:
        real(self, digests)
        if not done:
            done.append(place.open().change_settings(keep_days=30))

    monkeypatch.setattr(Vault, "remove_files", remove)

    assert gc(place) == {models[0].sha256}
    assert len(place.kept()) == 4


@pytest.mark.parametrize("step", ["tree", "files"])
def test_killed_between_the_event_and_the_removal(place: Place, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """What is said to be removed, and is still there, goes the next time."""
    model = place.open().publish_model(place.directory(), backend="b", copy=True)
    place.copy("a")
    place.copy("b")
    retired(place, model)

    def die(self: Vault, *_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Vault, f"remove_{step}", die)
        with pytest.raises(KeyboardInterrupt):
            gc(place)
    size = place.open().catalog().size

    assert gc(place) == {model.sha256}

    assert len(place.kept()) == 2
    assert place.open().catalog().size == size + 1
    assert verify_registry(place.registry_dir, place.state_dir, artifacts=True).verdict == "intact"


def test_cannot_be_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; the next time it is tried again."""
    models = [place.copy(name) for name in "abc"]
    retired(place, models[0])

    def denied(path: str) -> None:
        raise PermissionError(1, "Operation not permitted", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", denied)
        error = outcome_of(lambda: gc(place))

    assert isinstance(error, ModelogError)
    assert "operation not permitted" in str(error)
    assert gc(place) == {models[0].sha256}


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
