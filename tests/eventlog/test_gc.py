"""What is needed stays, what goes is on record, and nothing goes where something is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support import Place, artifact_key, artifact_problems, outcome_of

from eventlog.artifact_store import open_store
from eventlog.artifacts import hash_artifact
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.model import ModelMetadata
from eventlog.retention_events import ArtifactRemoved
from eventlog.vault import Vault
from projections.maintenance import verify_registry


def test_what_is_needed_stays(place: Place) -> None:
    """Neither the active model, nor the one before it, nor a held one, nor one that is not retired."""
    models = [place.copy(name) for name in ("plain", "gone", "held", "previous", "active")]
    place.retire(*models[1:4])
    place.open().hold(models[2].model_id, reason="audit")

    assert place.gc(dry_run=True) == {models[1].sha256}
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
    place.retire(models[0])
    before = place.files()

    assert place.gc(dry_run=True) == {models[0].sha256}

    assert place.files() == before


def test_equal_bytes(place: Place) -> None:
    """They stay as long as one of the models that have them needs them; their removal is told of each."""
    models = [place.copy("a", b"same"), place.copy("b"), place.copy("c", b"same"), place.copy("d"), place.copy("e")]
    place.retire(models[0])
    assert place.gc() == set()

    place.retire(models[2])
    assert place.gc() == {models[0].sha256}
    event = place.event(place.open().catalog().size - 1)
    assert event.subject == models[2].model_id
    assert event.data == ArtifactRemoved(models[0].sha256, 4, None, "room", [models[0].model_id])
    assert artifact_problems(place) == []


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
    place.retire(first)

    found = place.open().gc()

    assert [(removal.sha256, removal.files, removal.size_bytes) for removal in found.removed] == [(first.sha256, 3, 14)]
    assert not Path(first.artifact_path).exists()
    assert {b"shared", b"model", b"other", b"active"} <= set(place.kept().values())
    assert b"own" not in place.kept().values()
    assert artifact_problems(place) == []
    assert place.open().rollback(second.model_id).sha256 == second.sha256
    assert place.open().rollback(single.model_id).sha256 == single.sha256


def test_what_no_model_names(place: Place) -> None:
    """What a publish that was killed has left is told, and goes where that is asked for; then it is on record."""
    model = place.copy("a")
    left = place.artifact("left", b"left behind")
    with Vault(str(place.registry_dir)).copying(left, None) as copied:
        digest = copied.keep().sha256
    with Vault(str(place.registry_dir)).copying(place.directory(), None) as copied:
        tree = copied.keep()

    before = place.files()
    found = place.open().gc()
    assert (found.removed, {removal.sha256 for removal in found.left}) == ([], {digest, tree.sha256})
    assert place.files() == before
    assert place.gc(unnamed=True) == {digest, tree.sha256}

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
    place.retire(first)
    assert place.gc() == {first.sha256}
    assert artifact_problems(place) == []
    assert place.gc() == set()
    place.open().reinstate(first.model_id, reason="missed")
    assert isinstance(outcome_of(place.gc), RefusedError)
    assert len(artifact_problems(place)) == 1
    assert isinstance(outcome_of(lambda: place.open().rollback(first.model_id)), RefusedError)

    again = place.copy("a")

    assert artifact_problems(place) == []
    assert place.open().rollback(first.model_id) == first
    place.copy("d")
    place.copy("e")
    place.retire(first, again)
    assert place.gc() == {first.sha256}


def test_references_stay(place: Place) -> None:
    """What is not the registry's own is never touched; nor is what tells the differences in a directory elsewhere."""
    file = place.publish("a")
    directory = place.open().publish_model(place.directory(), backend="b")
    place.publish("b")
    place.publish("c")
    place.retire(file, directory)
    before = place.files()

    assert place.gc() == set()

    assert place.files() == before


@pytest.mark.parametrize(
    "damage", ["journal", "head", "unneeded", "unneeded directory", "needed is missing", "manifest"]
)
def test_nothing_goes_where_something_is_wrong(place: Place, damage: str) -> None:
    """Damaged history, a removable artifact that is another, a needed one that is gone: refused, all as it was."""
    models = [place.copy("a" * 100), place.copy("b" * 100)]
    models.append(place.open().publish_model(place.directory(), backend="b", copy=True))
    models += [place.copy("c"), place.copy("e")]
    place.retire(models[0], *([] if damage in ("manifest", "needed is missing") else [models[2]]))
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

    error = outcome_of(place.gc)

    assert isinstance(error, RefusedError | JournalDamagedError), error
    assert place.files() == before


def test_signatures_stay(place: Place) -> None:
    """They are evidence, also of an artifact that is gone; and no publish that signs loses its signature to gc."""
    models = [
        place.open(sign_key=artifact_key()).publish_model(place.artifact(name), backend="b", copy=True)
        for name in "abc"
    ]
    place.retire(models[0])

    assert place.gc() == {models[0].sha256}

    assert place.open().signature_path(models[0].model_id)
    assert artifact_problems(place) == []


def test_a_retired_reference_may_go(place: Place) -> None:
    """Its file was never the registry's: once the model is retired nobody misses it; a copy is missed all the same."""
    reference, copy = place.publish("a"), place.copy("b")
    place.copy("c")
    (place.root / "a").unlink()
    assert len(artifact_problems(place)) == 1

    place.retire(reference, copy)

    assert artifact_problems(place) == []
    os.unlink(copy.artifact_path)
    assert len(artifact_problems(place)) == 1


def test_without_a_history(place: Place) -> None:
    """Nothing says what is needed: the copies of a journal that was lost wait for its backup."""
    place.copy("a")
    shutil.rmtree(place.state_dir)
    for path in place.registry_dir.iterdir():
        if path.is_file():
            path.unlink()
    before = place.files()

    assert isinstance(outcome_of(lambda: place.gc(unnamed=True)), RefusedError)

    assert place.files() == before


def test_signature_of_what_is_gone(place: Place) -> None:
    """It is missed all the same."""
    registry = place.open(sign_key=artifact_key())
    models = [registry.publish_model(place.artifact(name), backend="b", copy=True) for name in "abc"]
    place.retire(models[0])
    place.gc()
    assert artifact_problems(place) == []

    os.unlink(place.open().signature_path(models[0].model_id))

    assert len(artifact_problems(place)) == 1


def test_a_store_that_lacks_what_is_needed(place: Place) -> None:
    """A directory whose manifest is gone might be made of anything that is here; one in the store is learnt from it."""
    store = f"file://{place.root / 'store'}"
    (place.root / "store").mkdir()
    models = [place.open().publish_model(place.directory(), backend="b", copy=True), place.copy("a"), place.copy("b")]
    place.copy("c")
    place.retire(models[1])
    shutil.rmtree(models[0].artifact_path)
    manifest = place.registry_dir / "artifacts" / "sha256" / models[0].sha256[:2] / models[0].sha256
    data = manifest.read_bytes()
    manifest.unlink()
    before = place.kept()

    assert isinstance(outcome_of(lambda: place.gc(unnamed=True, artifact_store=store)), RefusedError)
    assert place.kept() == before

    open_store(store).put(hash_artifact(place.artifact("manifest", data)))
    assert place.gc(unnamed=True, artifact_store=store) == {models[1].sha256}
    assert b"{}" in place.kept().values()
