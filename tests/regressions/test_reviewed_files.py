"""What reviewers have found about files that others make or share: each defect that is mended stays mended."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest
from support import START, Place, outcome_of

from eventlog import durable_directories
from eventlog.artifact_store import open_store
from eventlog.engines import jsonl_stamp
from eventlog.engines.jsonl_writer import JsonlWriter
from eventlog.errors import RefusedError
from projections import open_registry
from projections.maintenance import verify_registry


def test_a_link_in_the_place_of_incoming(place: Place) -> None:
    """What it leads to is not ours: nothing is removed there, and the publish is refused."""
    place.publish("a")
    victim = place.root / "victim" / "0"
    victim.mkdir(parents=True)
    (victim / "precious").write_text("kept")
    (place.registry_dir / "artifacts").mkdir()
    (place.registry_dir / "artifacts" / "incoming").symlink_to(victim.parent)

    for attempt in (lambda: place.copy("b"), place.gc, lambda: place.gc(unnamed=True)):
        error = outcome_of(attempt)
        assert isinstance(error, RefusedError)
        assert "expected a directory, got a symbolic link" in str(error)
    assert (victim / "precious").read_text() == "kept"


def test_what_is_no_directory_of_a_copy_stays(place: Place) -> None:
    """Only what has a name that we give is removed from where copies are made."""
    place.copy("a")
    odd = place.registry_dir / "artifacts" / "incoming" / "not-ours"
    odd.mkdir(parents=True, exist_ok=True)
    (odd / "x").write_text("x")

    place.copy("b")

    assert (odd / "x").exists()


def test_a_stamp_with_another_name(place: Place) -> None:
    """A note that may be lost is never written over what else has that name."""
    place.publish("a")
    stamp, before = place.registry_dir / jsonl_stamp.NAME, place.journal.read_bytes()
    stamp.unlink()
    os.link(place.journal, stamp)

    place.publish("b")

    assert place.journal.read_bytes().startswith(before)
    assert os.stat(stamp).st_nlink == 1
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_a_memo_with_another_name(place: Place) -> None:
    """Nor over an artifact."""
    model = place.copy("a", b"weights")
    kept = place.registry_dir / "artifacts" / "sha256" / model.sha256[:2] / model.sha256
    os.utime(kept, (1, 1))
    memo = place.registry_dir / "artifacts" / "checked" / model.sha256
    memo.parent.mkdir(exist_ok=True)
    os.link(kept, memo)
    time.sleep(0.3)  # of what has just changed no memo is made

    place.open().open_active()

    assert kept.read_bytes() == b"weights"


def test_a_refused_copy_leaves_nothing(place: Place) -> None:
    """Not even directories: a registry directory that was mistyped is not made."""
    fresh = place.files()
    assert isinstance(outcome_of(lambda: place.open().publish_model("nope", backend="b", copy=True)), RefusedError)
    assert isinstance(outcome_of(lambda: place.copy("a", expect_active=f"{START:%Y%m%d%H%M%S}_00000000")), RefusedError)
    assert place.files() == fresh

    place.publish("a")
    before = place.files()
    assert isinstance(outcome_of(lambda: place.copy("b", expect_active="none")), RefusedError)
    assert place.files() == before


def test_a_dry_run_of_gc_fetches_nothing_to_stay(place: Place) -> None:
    """It looks at what only the store has, and says what a run would remove; nothing here changes."""
    (place.root / "store").mkdir()
    store = f"file://{place.root / 'store'}"
    registry = place.open(artifact_store=store)
    registry.publish_model(place.directory(), backend="b", copy=True)
    old = registry.publish_model(place.artifact("old"), backend="b", copy=True)
    registry.publish_model(place.directory(), backend="b", copy=True)
    registry.rollback(old.model_id)
    for path in sorted((place.registry_dir / "artifacts").rglob("*"), reverse=True):
        if path.is_file() and old.sha256 not in path.name:
            path.chmod(0o600)
            path.unlink()
        elif path.is_dir() and "trees" in path.parts and path.name != "trees":
            path.rmdir()
    before = place.files()

    place.gc(dry_run=True, artifact_store=store)

    assert place.files() == before
    assert open_store(store) is not None


@pytest.mark.parametrize("member", ["data.pickle", "model.joblib", "weights.PT", "a/b.pth", "data.pkl"])
def test_an_archive_with_a_pickle_is_unsafe(place: Place, member: str) -> None:
    """Whichever of the endings the pickle in it has."""
    import zipfile

    path = place.root / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"x")
    place.open().publish_model(path, backend="b")

    contents = place.event(1).data.contents  # type: ignore[union-attr]
    assert contents is not None
    assert contents.unsafe


def test_a_working_directory_that_changed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that was opened by a relative path is of one directory, not of two; nothing is written to either."""
    for name in ("one", "two"):
        (place.root / name).mkdir()
    monkeypatch.chdir(place.root / "one")
    registry = open_registry()
    monkeypatch.chdir(place.root / "two")

    error = outcome_of(lambda: registry.publish_model(place.artifact("a"), backend="b", copy=True))

    assert isinstance(error, RefusedError)
    assert "open the registry with absolute directories" in str(error)
    assert [path.name for path in (place.root / "two").iterdir()] == []
    monkeypatch.chdir(place.root / "one")
    assert [path.name for path in (place.root / "one").iterdir()] == []
    assert registry.publish_model(place.artifact("a"), backend="b", copy=True)


def test_a_directory_is_removed_and_what_it_links_to_is_not(place: Place) -> None:
    """Files, directories and links in it go; what they lead to stays, also where the name itself is a link."""
    elsewhere = place.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("kept")
    top = place.root / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").write_text("x")
    (top / "a" / "to a directory").symlink_to(elsewhere)
    (top / "to a file").symlink_to(elsewhere / "precious")
    (place.root / "link").symlink_to(top)

    with pytest.raises(OSError, match="link"):
        durable_directories.remove_directory(str(place.root / "link"))
    durable_directories.remove_directory(str(top))

    assert not top.exists()
    assert (elsewhere / "precious").read_text() == "kept"
    with pytest.raises(FileNotFoundError):
        durable_directories.remove_directory(str(top))


def test_a_registry_that_is_replaced_while_it_is_opened(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry never goes into one directory and its head into another: it is refused, and both are as they were."""
    place.publish("a")
    old, real = place.root / "old", JsonlWriter._read_head

    def swapped(self: JsonlWriter) -> Any:
        if not old.exists():
            place.registry_dir.rename(old)
            shutil.copytree(old, place.registry_dir)
        return real(self)

    before = place.files()
    with monkeypatch.context() as patch:
        patch.setattr(JsonlWriter, "_read_head", swapped)
        error = outcome_of(lambda: place.publish("b"))

    assert isinstance(error, RefusedError)
    assert "replaced while it was opened" in str(error)
    assert place.files() == before
    assert (old / "journal.jsonl").read_bytes() == place.journal.read_bytes()
