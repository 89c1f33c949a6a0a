"""`--discard-tail`: bytes behind the head that no crash leaves are taken out; what was acknowledged is not touched."""

from __future__ import annotations

import os

import pytest
from repairing import SIZE, events, intact, refused, repair
from support import Place, flip, heads_of, outcome_of

from eventlog.errors import JournalDamagedError
from eventlog.events import JournalRecovered, JournalRepaired


@pytest.mark.parametrize("garbage", [b"garbage\n", b"{}\n{}\n", b"\n", b"x" * 70_000 + b"\n", b"a\n" + b"b" * 10])
def test_garbage_behind_the_head_is_taken_out(place: Place, truth: bytes, garbage: bytes) -> None:
    """It is kept in quarantine, both that and the repair are in the history, and publishing works again."""
    with place.journal.open("ab") as file:
        file.write(garbage)
    assert type(outcome_of(lambda: place.publish("new"))) is JournalDamagedError

    report = repair(place, "discard-tail", reason="a careless editor")

    recovered, repaired = events(place, SIZE)
    assert (report.done, report.position, report.size) == (True, SIZE + 1, SIZE + 2)
    assert isinstance(recovered.data, JournalRecovered)
    assert (recovered.data.offset_bytes, recovered.data.size_bytes) == (len(truth), len(garbage))
    assert recovered.data.reason == "bad-lines"
    assert (place.registry_dir / recovered.data.kept_as).read_bytes() == garbage
    assert isinstance(repaired.data, JournalRepaired)
    assert (repaired.actor, repaired.data.action, repaired.data.reason) == ("ana", "discard-tail", "a careless editor")
    assert [item.where for item in repaired.data.witnesses] == [
        "journal.head", str(place.registry_json), str(place.state_json)
    ]  # fmt: skip
    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)
    assert place.publish("new")


def test_garbage_longer_than_one_append_is_kept_in_pieces(place: Place, truth: bytes) -> None:
    """Nine MiB go into two files, and each is an event."""
    garbage = os.urandom(9 << 20)
    with place.journal.open("ab") as file:
        file.write(garbage)

    report = repair(place, "discard-tail")

    assert [item.size_bytes for item in report.removed] == [8 << 20, 1 << 20]
    assert b"".join((place.registry_dir / item.kept_as).read_bytes() for item in report.removed) == garbage
    assert [type(event.data) for event in events(place, SIZE)] == [JournalRecovered, JournalRecovered, JournalRepaired]
    assert intact(place)


def test_whole_entries_before_the_garbage_are_kept(place: Place, truth: bytes) -> None:
    """An unacknowledged entry that verifies is adopted, not discarded."""
    lines = truth.splitlines(keepends=True)
    heads = heads_of(lines)
    place.set_head(heads[-2], heads[-3])
    for path in (place.registry_json, place.state_json):
        path.unlink()
    with place.journal.open("ab") as file:
        file.write(b"garbage\n")

    repair(place, "discard-tail")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_nothing_to_discard(place: Place, truth: bytes) -> None:
    """A sound journal, and one with a torn tail, which the next publish mends by itself, are left alone."""
    for tail in (b"", b'{"specversion":"1.0","seq'):
        place.journal.write_bytes(truth + tail)
        before = place.files()

        report = repair(place, "discard-tail")

        assert (report.done, report.steps, report.removed) == (False, [], [])
        assert place.files() == before


@pytest.mark.parametrize("action", ["discard-tail", "rebuild-head"])
def test_acknowledged_damage_is_not_for_them(place: Place, truth: bytes, action: str) -> None:
    """Where acknowledged bytes are damaged, neither a head nor a tail is what is wrong."""
    flip(place.journal, 8 * 1000)

    assert "repair --from COPY" in refused(place, action)


def test_discarding_is_not_for_what_an_anchor_remembers(place: Place, truth: bytes) -> None:
    """Where an anchor remembers more than the head, the bytes behind the head may have been acknowledged."""
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[-4], heads[-5])
    place.journal.write_bytes(truth[: heads[-2].end_bytes] + b"x" + truth[heads[-2].end_bytes + 1 :])

    assert "remembers" in refused(place, "discard-tail")
