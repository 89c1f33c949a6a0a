"""Snapshots: whoever begins in the middle sees what whoever begins at zero sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from long_history import ENTRIES, SIZE, answers, began, state, whole, write
from support import Clock, Place, outcome_of, reseal

from eventlog import event_ids, snapshot
from eventlog.engines import jsonl_stamp, open_journal
from eventlog.errors import RefusedError
from eventlog.journal import Anchor
from eventlog.replay import Replay
from eventlog.snapshot import SnapshotTaken
from projections import registry_json, verify_registry


def test_beginning_in_the_middle_shows_what_beginning_at_zero_shows(long: Place) -> None:
    """Every question about every moment; and it was the middle."""
    assert began(long) >= SIZE - 2 * ENTRIES
    assert answers(long.open()) == answers(whole(long))
    assert verify_registry(long.registry_dir, long.state_dir).findings == []


@pytest.mark.parametrize("back", [timedelta(seconds=-1), timedelta(days=-400), timedelta(0), timedelta(microseconds=1)])
def test_whatever_the_clock_does(place: Place, back: timedelta) -> None:
    """Times that go backwards, stand still or hardly move on do not hide a model or an event."""
    clock = Clock(step=back)
    write(place, 3 * ENTRIES, clock=clock)
    clock.step = timedelta(seconds=1)
    write(place, 5 * ENTRIES, clock=clock)

    assert began(place) > 3 * ENTRIES
    catalog, from_zero = place.open().catalog(), whole(place).catalog()
    assert state(catalog) == state(from_zero)
    assert [catalog.published[model_id] for model_id in from_zero.published] == list(from_zero.published.values())
    assert [place.open().catalog(number).active_id() for number in range(catalog.size)] == [
        whole(place).catalog(number).active_id() for number in range(catalog.size)
    ]


def test_a_snapshot_comes_when_it_is_due(long: Place) -> None:
    """Every so many entries, before the event that is asked for; each names the one before."""
    events = list(whole(long).history())

    places = [change.position for change in events if isinstance(change.event.data, SnapshotTaken)]

    assert places == list(range(ENTRIES, SIZE, ENTRIES))
    for earlier, later in pairwise(places):
        data = events[later].event.data
        assert isinstance(data, SnapshotTaken)
        assert data.previous is not None
        assert (data.previous.position, data.previous.hash) == (earlier, events[earlier].hash)


def test_one_that_would_be_too_large_is_left_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing depends on it; the event that was asked for is recorded."""
    monkeypatch.setattr(snapshot, "BYTES_MAX", 100)

    write(place, 2 * ENTRIES)

    assert not any(isinstance(change.event.data, SnapshotTaken) for change in place.open().history())


def _other_rows_hash(line: bytes) -> bytes:
    start = line.index(b'"rows_hash":"') + len(b'"rows_hash":"')
    return line[:start] + (b"0" if line[start : start + 1] != b"0" else b"1") + line[start + 1 :]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "models": lambda line: line.replace(b'"models":', b'"models":1'),
    "another active model": lambda line: line.replace(b'"position":', b'"position":1', 1),
    "offset": lambda line: line.replace(b'"offset_bytes":', b'"offset_bytes":1', 1),
    "newest": lambda line: line.replace(b'"newest":["', b'"newest":["20260102030405_00000000","', 1),
    "hash of rows": _other_rows_hash,
    "time": lambda line: line.replace(b'"latest_time":"2026', b'"latest_time":"2025', 1),
    "disordered": lambda line: line.replace(b'"latest_time"', b'"latest_time"', 1).replace(
        b',"previous"', b',"disordered":true,"previous"'
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_one_that_does_not_tell_the_truth_is_damage(long: Place, wrong: str) -> None:
    """Sealed anew with all that follows it, head and stamp: whoever begins at zero says so, and so does verify."""
    lines = long.lines()
    position = max(number for number, line in enumerate(lines[:-ENTRIES]) if b"snapshot_taken" in line)
    edited = WRONG[wrong](lines[position])
    assert edited != lines[position]
    lines[position] = edited
    long.journal.write_bytes(b"".join(reseal(lines, position)))

    for name in ("registry.json", "journal.head", jsonl_stamp.NAME):
        (long.registry_dir / name).unlink()
    long.state_json.unlink()

    assert verify_registry(long.registry_dir, None).verdict == "damaged"


def test_an_id_of_long_ago_is_found_and_a_new_one_is_free(long: Place) -> None:
    """A retry with the key of an event behind the snapshots is answered and not recorded again."""
    (first,) = [change for change in long.open().history() if change.event.id == "p0"]
    size = len(long.lines())

    again = long.publish("a0", request_id="p0", actor="u0")
    other = outcome_of(lambda: long.publish("a1", request_id="p0"))

    assert again.model_id == first.event.subject
    assert isinstance(other, RefusedError)
    assert "position 1" in str(other)
    assert len(long.lines()) == size
    assert long.publish("a1", request_id="never before").model_id == long.open().catalog().active_id()


def test_two_ids_with_one_hash_are_two(long: Place) -> None:
    """Where hashes agree, the ids themselves decide."""
    replay = Replay(open_journal(str(long.registry_dir)))
    replay.catch_up()
    ids = event_ids.EventIds(replay.past)
    ids._newest, ids._in_order = {hash("another")}, [0, hash("another")]

    assert ids.get("another") is None
    ids.add("another")
    assert ids.get("another") == 2


def test_registry_json_may_lag_and_says_so(long: Place) -> None:
    """A long one is written again when a sixteenth is missing, or by rebuild; until then verify is content with it."""

    def applied() -> int:
        anchor = registry_json.RegistryJson(str(long.registry_dir)).anchor()
        assert isinstance(anchor, Anchor)
        return anchor.size

    long.open().rebuild()
    assert applied() == len(long.lines())
    lagged = []
    for number in range(2 * ENTRIES):
        model = long.publish(f"a{number % 3}")
        lagged.append(len(long.lines()) - applied())
        assert verify_registry(long.registry_dir, long.state_dir).findings == []
        assert long.open().list_models()[0] == model

    assert 0 in lagged
    assert 0 < max(lagged) < (SIZE + 2 * ENTRIES) // registry_json.LAG_DIVISOR + 2
    assert long.open().rebuild() == applied() == len(long.lines())
    long.registry_json.unlink()
    assert [finding.kind for finding in verify_registry(long.registry_dir, long.state_dir).findings] == ["derived"]
    long.open().rebuild()
    assert long.registry_json.read_bytes() == registry_json.render(whole(long).catalog())
