"""The metrics file: what stands in it, where it may be, and that it is no reason to fail."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from eventlog import locking
from eventlog.errors import RefusedError
from projections import metrics, metrics_file
from projections.metrics import Metric
from projections.metrics_file import MetricsFile


def _values(found):
    return {name: samples[0][1] for name, samples in found.items()}


def _put(file: MetricsFile, value: float) -> None:
    file.put(lambda: {"state": [Metric("m", "What.", [({}, value)])]})


def test_what_the_journal_says(exposed, place):
    """Each publish and rollback brings the file up to date, from the journal alone."""
    path = place.root / "x.prom"
    registry = place.open(metrics_file=path)
    first = registry.publish_model(place.artifact(), backend="a")
    registry.publish_model(place.artifact(), backend="b")
    registry.rollback(first.model_id)

    found = exposed(path.read_bytes())

    label = {"registry": str(place.models)}
    labels = {"model_id": first.model_id, "backend": "a", "sha256": first.sha256}
    assert found["modelog_active_model_info"] == [(label | labels, 1)]
    assert found["modelog_journal_info"] == [(label | {"journal_id": registry.catalog().journal_id}, 1)]
    (change,) = registry.history(newest_first=True, limit=1)
    assert _values(found) == {
        "modelog_journal_info": 1,
        "modelog_journal_entries": 4,
        "modelog_latest_event_timestamp_seconds": change.event.time.timestamp(),
        "modelog_models": 2,
        "modelog_active_model_info": 1,
        "modelog_active_position": 3,
        "modelog_active_since_timestamp_seconds": change.event.time.timestamp(),
        "modelog_derived_file_lag_entries": 0,
        "modelog_derived_file_behind": 0,
    }
    data = path.read_bytes()
    path.unlink()
    place.open(metrics_file=path).rebuild()
    assert path.read_bytes() == data


def test_a_derived_file_that_is_behind(exposed, place, unwritable):
    """Each says for itself how many entries it lacks; the runtime's file, which is not ours to judge, too."""
    path = place.root / "x.prom"
    place.open(metrics_file=path).publish_model(place.artifact(), backend="a")
    lagging = place.open(metrics_file=path)

    with unwritable(place.registry_json), pytest.raises(Exception, match="behind"):
        lagging.publish_model(place.artifact(), backend="b")

    def lags(name):
        found = exposed(path.read_bytes())[f"modelog_derived_file_{name}"]
        return {labels["file"]: value for labels, value in found}

    assert lags("lag_entries") == {"registry.json": 1, "state.json": 0}
    assert lags("behind") == {"registry.json": 1, "state.json": 0}
    place.registry_json.unlink()
    place.write_state(b"[]")
    projector = lagging._subscribers[0]
    assert [(Path(lag.where).name, lag.entries, lag.behind) for lag in projector.lags()] == [
        ("registry.json", 3, True),
        ("state.json", 3, True),
    ]
    place.state_json.unlink()
    place.open(metrics_file=path).rebuild()
    assert lags("lag_entries") == {"registry.json": 0, "state.json": 0}


def test_what_a_kill_leaves_is_taken_away(exposed, place):
    """Half a file under the temporary name, which no collector reads, is nobody's."""
    path = place.root / "x.prom"
    (place.root / ".x.prom.new").write_bytes(b"# modelog: sta")

    place.open(metrics_file=path).publish_model(place.artifact(), backend="a")

    assert exposed(path.read_bytes())["modelog_journal_entries"][0][1] == 2
    assert [name.name for name in place.root.iterdir() if "prom" in name.name] == ["x.prom"]


def test_nothing_new_is_not_written(place):
    """`sync` asks twice a second; a file that says it all already is left alone."""
    path = place.root / "x.prom"
    registry = place.open(metrics_file=path)
    registry.publish_model(place.artifact(), backend="a")
    before = path.stat()

    registry.sync()

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o644), (0o022, 0o644), (0o077, 0o600)])
def test_who_may_read(place, umask, mode):
    """As the umask says, nobody else may write; what a person has given a file by hand stays."""
    path = place.root / "x.prom"
    before = os.umask(umask)
    try:
        _put(MetricsFile(path, place.models), 1)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode
    path.chmod(0o640)

    _put(MetricsFile(path, place.models), 2)

    assert path.stat().st_mode & 0o777 == 0o640


def _symlink(path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(b"")
    path.symlink_to(path.parent / "elsewhere")


OBSTACLES = {
    "a directory": Path.mkdir,
    "a symbolic link": _symlink,
    "a FIFO": os.mkfifo,
    "another registry": lambda path: _put(MetricsFile(path, path.parent / "other"), 1),
    "another program": lambda path: path.write_bytes(b"# HELP node_x y\nnode_x 1\n"),
    "more than": lambda path: path.write_bytes(metrics.MARK + b"x" * metrics_file.BYTES_MAX),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_is_there_already(place, name):
    """What is none of ours is refused beforehand, as by other derived files, and left as it is."""
    path = place.root / "x.prom"
    OBSTACLES[name](path)
    before = place.snapshot()

    with pytest.raises(RefusedError, match=r"x\.prom"):
        place.open(metrics_file=path)

    assert place.snapshot() == before


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_comes_between(place, caplog, name):
    """Once an event is recorded, an obstacle is a warning; the call has done what it was asked."""
    path = place.root / "x.prom"
    registry = place.open(metrics_file=path)
    OBSTACLES[name](path)

    with caplog.at_level(logging.WARNING, "modelog"):
        model = registry.publish_model(place.artifact(), backend="a")

    assert registry.get_active_model() == model
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{path}: not written: " in caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.txt", "ends in .prom"),
        ("x", "ends in .prom"),
        ("x.prom/", "ends in .prom"),
        ("missing/x.prom", "expected a directory"),
        ("file/x.prom", "expected a directory"),
        ("", "expected the name"),
        ("a\0.prom", "expected the name"),
        ("\ud800.prom", "expected the name"),
        ("n" * 300 + ".prom", "name too long"),
    ],
)
def test_paths_that_cannot_be(place, monkeypatch, name, words):
    """One line says what is wrong with each; nothing is created."""
    monkeypatch.chdir(place.root)
    (place.root / "file").write_bytes(b"")
    before = place.snapshot()

    with pytest.raises(RefusedError, match=words) as refusal:
        MetricsFile(name, "m")

    assert "\n" not in str(refusal.value)
    assert place.snapshot() == before


def test_an_empty_file_may_be_there(exposed, place):
    """Somebody made it, so that it has the right owner and mode."""
    path = place.root / "x.prom"
    path.touch()

    _put(MetricsFile(path, place.models), 1)

    assert list(exposed(path.read_bytes())) == ["m"]


def test_a_lock_that_is_held(place, monkeypatch, caplog):
    """Somebody who keeps the directory's lock cannot keep a publisher for long."""
    monkeypatch.setattr(metrics_file, "LOCK_TIMEOUT_SECONDS", 0.01)
    file = MetricsFile(place.root / "x.prom", place.models)

    with locking.locked_directory(str(place.root), timeout_seconds=1), caplog.at_level(logging.WARNING, "modelog"):
        _put(file, 1)

    assert "not written: " in caplog.text
    assert not (place.root / "x.prom").exists()


@pytest.mark.parametrize("call", ["open", "read", "lstat", "pwrite", "fsync", "rename"])
def test_a_call_that_fails(place, monkeypatch, caplog, call):
    """The old file stays, whole, and nothing beside it; whoever wanted another one is told why."""
    file = MetricsFile(place.root / "x.prom", place.models)
    _put(file, 1)
    before = place.snapshot()

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING, "modelog"):
        monkeypatch.setattr(os, call, full)
        _put(file, 2)
        monkeypatch.undo()

    assert "not written: no space left on device" in caplog.text
    assert place.snapshot() == before


def test_it_is_no_witness(place):
    """Whatever it says, no question is answered otherwise: it may be gone, or tell of a journal that never was."""
    path = place.root / "x.prom"
    model = place.open(metrics_file=path).publish_model(place.artifact(), backend="a")
    path.write_bytes(path.read_bytes().replace(b"entries", b"lies"))

    registry = place.open(metrics_file=path)

    assert registry.get_active_model() == model
    assert registry._subscribers[1].anchors() == registry._subscribers[1].audit() == []
    assert registry._subscribers[1].files() == []
