"""Repairs: what can be proven is mended, byte for byte; everything else is refused, and then nothing has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Clock, Place, Randomness, fill, flip, heads_of, outcome_of, reseal

from eventlog.errors import JournalDamagedError, OutcomeUnknownError, RefusedError
from eventlog.events import JournalRecovered, JournalRepaired, JournalRewound
from eventlog.repair import RepairReport
from projections import backup_registry, repair_registry, verify_registry

SIZE = 8


def repair(place: Place, action: Any, **terms: Any) -> RepairReport:
    terms = {"actor": "ana", "now": Clock(), "random_bytes": Randomness("repair"), "lock_timeout_seconds": 5.0, **terms}
    return repair_registry(action, place.registry_dir, place.state_dir, **terms)


def refused(place: Place, action: Any, **terms: Any) -> str:
    """Return the message of a repair that must be refused, with nothing changed on disk."""
    before = place.files()
    error = outcome_of(lambda: repair(place, action, **terms))
    assert type(error) is RefusedError, error
    assert place.files() == before
    return str(error)


def intact(place: Place) -> bool:
    return verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def events(place: Place, start: int) -> list[Any]:
    size = place.open().catalog().size
    return [place.event(position) for position in range(start, size)]


@pytest.fixture
def truth(place: Place) -> bytes:
    """The journal's bytes after some events; a backup of the first five is in `copy`, one of all in `whole`."""
    history = fill(place, SIZE)
    files = place.files()
    place.put(history[5])
    backup_registry(place.root / "copy", place.registry_dir)
    place.put(files)
    backup_registry(place.root / "whole", place.registry_dir)
    return files["m/journal.jsonl"]


# --discard-tail


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


# --rebuild-head


@pytest.mark.parametrize("head", [None, b"", b"\0" * 256, b"x" * 100])
@pytest.mark.parametrize("kept", ["m/registry.json", "s/state.json"])
def test_head_that_is_lost(place: Place, truth: bytes, head: bytes | None, kept: str) -> None:
    """With any one anchor that agrees, the head is written anew; the old one is kept, and the history says so."""
    for name in {"m/registry.json", "s/state.json"} - {kept}:
        (place.root / name).unlink()
    place.head.unlink()
    if head is not None:
        place.head.write_bytes(head)

    report = repair(place, "rebuild-head", dry_run=True)
    assert not report.done
    report = repair(place, "rebuild-head")

    recovered, repaired = events(place, SIZE)
    assert (recovered.data.reason, recovered.data.size_bytes) == ("head", len(head or b""))
    assert (place.registry_dir / recovered.data.kept_as).read_bytes() == (head or b"")
    assert [item.where for item in repaired.data.witnesses] == [str(place.root / kept)]
    assert report.done
    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_head_without_any_anchor(place: Place, truth: bytes) -> None:
    """Nothing says how long the journal was: that cannot be proven; a rewind with a reason is the way on."""
    for path in (place.head, place.registry_json, place.state_json):
        path.unlink()

    assert "expected an anchor" in refused(place, "rebuild-head")
    report = repair(place, "accept-rewind", reason="everything else is gone")

    assert report.size == SIZE + 2
    assert [type(event.data) for event in events(place, SIZE)] == [JournalRecovered, JournalRewound]
    assert intact(place)


@pytest.mark.parametrize("rest", [b"garbage\n", b"torn"])
def test_head_lost_and_bytes_behind(place: Place, truth: bytes, rest: bytes) -> None:
    """Without a head, bytes behind the last entry may have been acknowledged: not for `rebuild-head`."""
    place.head.unlink()
    place.journal.write_bytes(truth + rest)

    assert "may have been acknowledged" in refused(place, "rebuild-head")


def test_head_that_is_too_old(place: Place, truth: bytes) -> None:
    """A head that was set back is moved on to what the lines and an anchor agree on."""
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[3], heads[2])
    assert type(outcome_of(lambda: place.open().catalog())) is JournalDamagedError

    repair(place, "rebuild-head")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_good_head_is_left_alone(place: Place, truth: bytes) -> None:
    """Nothing is rebuilt that is good."""
    before = place.files()

    assert not repair(place, "rebuild-head").done
    assert place.files() == before


# --from COPY


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 3]


def _swapped(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([lines[0], lines[2], lines[1], *lines[3:]])


def _fused(data: bytes) -> bytes:
    """Two lines without the newline between them."""
    return data.replace(b"\n", b"", 1)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one byte": lambda data: data[:700] + bytes([data[700] ^ 1]) + data[701:],
    "a zeroed block": lambda data: data[:512] + bytes(512) + data[1024:],
    "the start cut off": lambda data: data[1000:],
    "the end cut off": _cut,
    "emptied": lambda data: b"",
    "a line deleted": lambda data: b"".join(data.splitlines(keepends=True)[:2] + data.splitlines(keepends=True)[3:]),
    "a line doubled": lambda data: b"".join([*data.splitlines(keepends=True)[:2], *data.splitlines(keepends=True)[1:]]),
    "lines swapped": _swapped,
    "lines fused": _fused,
    "garbage slipped in": lambda data: data.replace(b"\n", b"\ngarbage\n", 2),
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_lines_come_from_a_copy(place: Place, truth: bytes, name: str) -> None:
    """Whatever happened to the journal, with a whole copy it is the same again, to the byte."""
    damaged = DAMAGE[name](truth)
    place.journal.write_bytes(damaged)

    repair(place, "from-copy", copy=place.root / "whole", reason="bad disk")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)
    kept = b"".join(path.read_bytes() for path in sorted(place.quarantine.glob("*.replaced")))
    surplus = damaged
    for line in truth.splitlines():
        surplus = surplus.replace(line, b"", 1)
    assert kept.replace(b"\n", b"") == surplus.replace(b"\n", b""), "nothing may be thrown away"
    assert isinstance(events(place, SIZE)[-1].data, JournalRepaired)
    assert events(place, SIZE)[-1].data.copy == str(place.root / "whole")


@pytest.mark.parametrize("at", range(5))
def test_an_older_copy_is_enough(place: Place, truth: bytes, at: int) -> None:
    """A copy of five entries mends any of those five; the newer ones are taken from the damaged journal itself."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([*lines[:at], b"#" * len(lines[at]), *lines[at + 1 :]]))

    repair(place, "from-copy", copy=place.root / "copy")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_both_damaged_in_different_places(place: Place, truth: bytes) -> None:
    """What is whole in either of the two is enough."""
    lines = truth.splitlines(keepends=True)
    copy = place.root / "other.jsonl"
    copy.write_bytes(b"".join(line if number % 2 else b"x" + line for number, line in enumerate(lines)))
    place.journal.write_bytes(b"".join(b"x" + line if number % 2 else line for number, line in enumerate(lines)))

    repair(place, "from-copy", copy=copy)

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_journal_that_was_deleted(place: Place, truth: bytes) -> None:
    """Head and anchors know what must be there; the copy has it."""
    place.journal.unlink()

    assert not repair(place, "from-copy", copy=place.root / "whole", dry_run=True).done
    assert not place.journal.exists()
    repair(place, "from-copy", copy=place.root / "whole")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_journal_and_head_deleted(place: Place, truth: bytes) -> None:
    """The anchors alone prove what a copy must lead to."""
    place.journal.unlink()
    place.head.unlink()

    repair(place, "from-copy", copy=place.root / "whole")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_copy_that_lacks_what_is_needed(place: Place, truth: bytes) -> None:
    """The first entry on the way back that nobody has is named."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([*lines[:6], b"#" * 500 + b"\n", lines[7]]))

    message = refused(place, "from-copy", copy=place.root / "copy")

    assert "entry 6" in message
    assert "none of the files has it" in message


def test_foreign_and_forged_copies_give_nothing(place: Place, truth: bytes, tmp_path: Path) -> None:
    """Lines of another journal, and lines of this one that were sealed anew, do not fit."""
    other = Place(tmp_path / "other")
    other.root.mkdir()
    fill(other, SIZE, clock=Clock(step=Clock().step * 2))
    forged = place.root / "forged.jsonl"
    forged.write_bytes(b"".join(reseal([line.replace(b'"t"', b'"u"') for line in truth.splitlines(keepends=True)])))
    flip(place.journal, 8 * 1000)

    for copy in (other.registry_dir, forged):
        assert "none of the files has it" in refused(place, "from-copy", copy=copy)


def test_sound_journal_needs_no_copy(place: Place, truth: bytes) -> None:
    """Nothing is taken where nothing is missing."""
    before = place.files()

    assert not repair(place, "from-copy", copy=place.root / "copy").done
    assert place.files() == before


@pytest.mark.parametrize("what", ["missing", "fifo", "symlink", "directory"])
def test_copy_that_is_none(place: Place, truth: bytes, what: str) -> None:
    """A copy that cannot be read as a file is refused by name."""
    flip(place.journal, 8 * 1000)
    copy = place.root / "odd"
    if what == "fifo":
        os.mkfifo(copy)
    elif what == "symlink":
        copy.symlink_to(place.root / "whole" / "journal.jsonl")
    elif what == "directory":
        copy.mkdir()

    assert str(copy) in refused(place, "from-copy", copy=copy)


# --accept-rewind


def _old_backup_in_place(place: Place) -> None:
    shutil.rmtree(place.registry_dir)
    shutil.copytree(place.root / "copy", place.registry_dir)


def test_rewind_to_an_older_backup(place: Place, truth: bytes) -> None:
    """The history says from then on what the runtime checkpoint had remembered; the runtime follows."""
    _old_backup_in_place(place)
    assert type(outcome_of(lambda: place.publish("new"))) is JournalDamagedError

    repair(place, "accept-rewind", reason="the disk died")

    (rewound,) = events(place, 5)
    assert isinstance(rewound.data, JournalRewound)
    assert rewound.data.reason == "the disk died"
    assert [(item.where, item.size) for item in rewound.data.remembered] == [(str(place.state_json), SIZE)]
    assert truth.startswith(b"".join(place.lines()[:5]))
    assert intact(place)
    assert place.publish("new")


def test_rewind_needs_a_reason(place: Place, truth: bytes) -> None:
    """Nobody gives up history without saying why."""
    _old_backup_in_place(place)

    assert "--reason" in refused(place, "accept-rewind")
    assert "--reason" in refused(place, "accept-rewind", reason="")


def test_rewind_of_a_journal_damaged_in_the_middle(place: Place, truth: bytes) -> None:
    """What follows the damage goes to quarantine, with the old head; the event says what the witnesses remembered."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([*lines[:3], b"#" * len(lines[3]), *lines[4:]]))

    report = repair(place, "accept-rewind", reason="no copy anywhere")

    *recovered, rewound = events(place, 3)
    assert sorted(event.data.reason for event in recovered) == ["head", "rewound"]
    assert [item.size for item in rewound.data.remembered] == [SIZE, SIZE, SIZE]
    assert sum(item.size_bytes for item in report.removed) == len(b"".join(lines[3:])) + 256
    assert place.journal.read_bytes().startswith(b"".join(lines[:3]))
    assert intact(place)


def test_rewind_with_a_copy_takes_the_longest_history(place: Place, truth: bytes) -> None:
    """What the journal still has is joined to what the copy has."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([b"#" * len(lines[0]), *lines[1:6], b"#" * len(lines[6]), lines[7]]))

    repair(place, "accept-rewind", copy=place.root / "copy", reason="entry 6 is gone")

    assert place.journal.read_bytes().startswith(b"".join(lines[:6]))
    assert isinstance(place.event(place.open().catalog().size - 1).data, JournalRewound)
    assert intact(place)


def test_only_the_anchors_of_that_moment_are_given_up(place: Place, truth: bytes) -> None:
    """A second runtime that remembers the lost history is refused until its own rewind is accepted."""
    second = place.root / "second"
    shutil.copytree(place.state_dir, second)
    place.publish("later")
    _old_backup_in_place(place)
    repair(place, "accept-rewind", reason="the disk died")

    report = verify_registry(place.registry_dir, second)
    assert report.verdict == "damaged"
    repair_registry("accept-rewind", place.registry_dir, second, reason="the other runtime, too")

    assert verify_registry(place.registry_dir, second).verdict == "intact"
    assert intact(place)


def test_nothing_to_rewind(place: Place, truth: bytes) -> None:
    """Where nothing acknowledged is missing, nothing is given up."""
    before = place.files()

    assert not repair(place, "accept-rewind", reason="just in case").done
    assert place.files() == before


def test_nothing_left_to_go_on_from(place: Place, truth: bytes) -> None:
    """An empty journal cannot go on: restoring is the way, or a new history elsewhere."""
    place.journal.write_bytes(b"")

    assert "restore a backup" in refused(place, "accept-rewind", reason="all gone")


def test_two_histories_are_not_mixed(place: Place, truth: bytes, tmp_path: Path) -> None:
    """A copy that went on differently is refused: a person chooses which one to follow."""
    forked = Place(tmp_path / "forked")
    forked.root.mkdir()
    shutil.copytree(place.root / "copy", forked.registry_dir)
    forked.publish("other", registry=forked.open(runtime=False))
    flip(place.journal, 8 * (len(truth) - 100))

    assert "two histories" in refused(place, "accept-rewind", copy=forked.registry_dir, reason="which one?")


# All of them


def test_repair_under_a_held_lock_waits_and_is_refused(place: Place, truth: bytes) -> None:
    """A repair is a writer: while another one has the lock it changes nothing."""
    import fcntl

    flip(place.journal, 8 * 1000)
    before = place.files()
    with place.journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = outcome_of(lambda: repair(place, "from-copy", copy=place.root / "whole", lock_timeout_seconds=0.05))

    assert isinstance(error, RefusedError)
    assert place.files() == before


def test_event_that_cannot_be_appended(place: Place, truth: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is mended, and the next publish records what was taken out."""
    from eventlog.transaction import Transaction

    flip(place.journal, 8 * 1000)

    def fail(*_: Any) -> None:
        raise RefusedError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "run", fail)
        error = outcome_of(lambda: repair(place, "from-copy", copy=place.root / "whole"))
    assert isinstance(error, OutcomeUnknownError)
    place.publish("new", request_id="next")

    assert place.journal.read_bytes().startswith(truth)
    assert [type(event.data).__name__ for event in events(place, SIZE)] == ["JournalRecovered", "ModelPublished"]
    assert intact(place)


def test_a_memory_journal_is_not_repaired() -> None:
    """Repairs are for files."""
    from eventlog.decisions import Terms
    from eventlog.engines import open_journal
    from eventlog.repair import Repairs
    from eventlog.replay import Replay

    repairs = Repairs(lambda: (Replay(open_journal("memory:")), []), now=Clock())

    with pytest.raises(RefusedError, match="in a file"):
        repairs.run("rebuild-head", terms=Terms("a", "b"))


def test_more_than_one_append_behind_an_old_head(place: Place, truth: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole entries that nobody vouches for are never thrown away; each refusal names the next thing to try."""
    from eventlog import repair_plans
    from eventlog.engines import jsonl_tail

    for module in (repair_plans, jsonl_tail):
        monkeypatch.setattr(module, "APPEND_ENTRIES_MAX", 2)
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[3], heads[2])
    place.registry_json.unlink()
    place.state_json.unlink()

    assert "--rebuild-head" in refused(place, "discard-tail")
    assert "--accept-rewind" in refused(place, "rebuild-head")
    repair(place, "accept-rewind", reason="the head is an old one")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)
