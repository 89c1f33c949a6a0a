"""A reader that stays looks at its files, and reads them only where one looks different; it never misses a change."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Place, flip, outcome_of

from eventlog import file_state
from eventlog.errors import JournalDamagedError
from projections import ModelRegistry


def _settle() -> None:
    time.sleep(file_state.SETTLED_SECONDS + 0.02)


@pytest.fixture
def reader(place: Place) -> ModelRegistry:
    """A reader that has verified everything, so long ago that it counts."""
    for number in range(4):
        place.publish(f"a{number}")
    reader = place.open()
    _settle()
    assert len(reader.list_models()) == 4
    return reader


def test_nothing_is_read_while_nothing_changes(reader: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, it opens no file."""
    expected = reader.list_models()

    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("a file was opened"))

    assert reader.list_models() == expected
    assert reader.get_active_model() == expected[0]


def test_a_new_model_is_seen_at_once(place: Place, reader: ModelRegistry) -> None:
    """Whatever was seen a moment before."""
    for number in range(20):
        model = place.publish(f"new {number}")
        assert reader.get_active_model() == model
        assert reader.list_models()[0] == model


CHANGES: dict[str, Callable[[Place], object]] = {
    "the last byte of the journal": lambda place: flip(place.journal, place.journal.stat().st_size * 8 - 3),
    "a journal that is cut": lambda place: os.truncate(place.journal, 700),
    "both slots of the head": lambda place: (flip(place.head, 5), flip(place.head, 128 * 8 + 5)),
    "an anchor": lambda place: _edit(place.registry_json, b'"hash":"', b'"hash":"0', 1),
    "the runtime's anchor": lambda place: _edit(place.state_json, b'"size": ', b'"size": 9'),
    "no journal": lambda place: place.journal.unlink(),
}


def _edit(path: Path, old: bytes, new: bytes, drop: int = 0) -> None:
    data = path.read_bytes()
    at = data.index(old)
    path.write_bytes(data[:at] + new + data[at + len(old) + drop :])


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("settled", [True, False])
def test_every_change_is_noticed(place: Place, reader: ModelRegistry, what: str, settled: bool) -> None:
    """Also one that keeps the size and comes at once after a look: it is told as a new reader would tell it."""
    if not settled:
        place.publish("just now")
        reader.list_models()

    CHANGES[what](place)
    said, new = outcome_of(reader.list_models), outcome_of(place.open().list_models)

    assert isinstance(said, JournalDamagedError) or said == new
    if isinstance(new, JournalDamagedError):
        assert isinstance(said, JournalDamagedError)


@pytest.mark.parametrize("how", ["not there", "not to be looked at", "just changed"])
def test_what_a_look_says(tmp_path: Path, how: str) -> None:
    """A file that is not there is a look, too; one that is changing, or hidden, is none."""
    path = tmp_path / "file"
    if how == "not there":
        assert file_state.settled([str(path)]) == (None,)
    elif how == "not to be looked at":
        path.write_bytes(b"")
        assert file_state.settled([str(path / "below")]) is None
    else:
        path.write_bytes(b"one")
        assert file_state.settled([str(path)]) is None
        later = time.time() + 1
        assert file_state.settled([str(path)], later) == (file_state.state_of(path.stat()),)
        os.utime(path, (1, 1))
        assert file_state.settled([str(path)]) is None


def test_what_a_caller_does_to_a_model_changes_nothing(place: Place) -> None:
    """Each caller has metadata of its own, however deep."""
    metadata = {"rows": 1, "nested": {"list": [1, {"a": [2]}]}}
    registry = place.open()
    first = registry.publish_model(
        place.artifact("a"), backend="b", dataset_metadata=metadata, request_id="r", actor="ana"
    )
    place.publish("b", registry=registry)
    ways: list[Callable[[], dict[str, object]]] = [
        lambda: (
            registry.publish_model(
                place.artifact("a"), backend="b", dataset_metadata=metadata, request_id="r", actor="ana"
            ).dataset_metadata
        ),
        lambda: registry.list_models()[-1].dataset_metadata,
        lambda: registry.list_models(limit=2)[-1].dataset_metadata,
        lambda: registry.blame(first.model_id).model.dataset_metadata,
        lambda: registry.rollback(first.model_id).dataset_metadata,
        lambda: (registry.get_active_model() or first).dataset_metadata,
    ]
    _spoil(first.dataset_metadata)

    for way in ways:
        found = way()
        assert found == metadata
        _spoil(found)

    place.registry_json.unlink()
    registry.rebuild()
    assert place.open().list_models()[-1].dataset_metadata == metadata
    assert b'{"rows":1,"nested":{"list":[1,{"a":[2]}]}}' in place.registry_json.read_bytes()


def _spoil(metadata: dict[str, object]) -> None:
    nested = metadata["nested"]
    assert isinstance(nested, dict)
    nested["list"][1]["a"].append("spoilt")
    nested["list"].append("spoilt")
    metadata["rows"] = "spoilt"


def test_an_append_that_is_left_behind_is_told(place: Place) -> None:
    """A reader that looked while the writer was still there does not think that all is well once it is gone."""
    place.publish("a")
    with open(place.journal, "ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(b'{"specversion":')
        writer.flush()
        _settle()
        reader = place.open()
        reader.list_models()
        assert reader._replay.journal.notices() == ()

    reader.list_models()

    assert "were never acknowledged" in reader._replay.journal.notices()[0].what


@pytest.mark.parametrize(("age", "told"), [(1.0, False), (2.5, True)])
def test_a_file_system_that_notes_seconds_is_given_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, told: bool
) -> None:
    """Where a time has no fraction, a second change within the same second would not show."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    state = (1, 2, 3, 1_000_000_000_000, 1_000_000_000_000)
    monkeypatch.setattr(file_state, "state_of", lambda _: state)

    assert file_state.settled([str(path)], 1_000 + age) == ((state,) if told else None)


def test_paths_are_those_of_the_file_system_everywhere(place: Place) -> None:
    """Where the file system's encoding is not UTF-8, each way to ask for a model gives a path that can be opened."""
    place.publish("m\u00e4")
    ask = (
        "import os, sys; from projections import open_registry; "
        "registry = open_registry(sys.argv[1], None); "
        "paths = [registry.list_models()[0].artifact_path, registry.get_active_model().artifact_path]; "
        "os.stat(paths[0]); print(paths[0] == paths[1], sys.getfilesystemencoding())"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask, str(place.registry_dir)],
        env={**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        cwd=Path(file_state.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True ascii\n", "")
