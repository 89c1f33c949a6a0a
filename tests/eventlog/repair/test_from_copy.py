"""`--from COPY`: whatever happened to the lines, those that lead to the acknowledged hash come back, to the byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from repairing import SIZE, events, intact, refused, repair
from support import Clock, Place, fill, flip, reseal

from eventlog.events import JournalRepaired
from projections import backup_registry


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


@pytest.mark.parametrize("before", [256 << 10, (256 << 10) + 1, 300_000, 1 << 20])
def test_a_line_behind_much_garbage(place: Place, truth: bytes, before: int) -> None:
    """A line that stands behind any amount of garbage, on the same line of the file, is found in the journal itself."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([*lines[:6], b"g" * before, *lines[6:]]))

    repair(place, "from-copy", copy=place.root / "copy")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)
    kept = b"".join(path.read_bytes() for path in place.quarantine.glob("*.replaced"))
    assert kept == b"g" * before


def test_many_places(place: Place, truth: bytes) -> None:
    """Damage in very many places is kept in few pieces, with what stands between, and told in one go."""
    for number in range(70):
        place.publish(f"more {number}", request_id=f"more{number}")
    backup_registry(place.root / "all", place.registry_dir)
    before = place.journal.read_bytes()
    lines = before.splitlines(keepends=True)
    damaged = b"".join([b"#" + line[1:] if number % 2 else line for number, line in enumerate(lines)])
    place.journal.write_bytes(damaged)

    repair(place, "from-copy", copy=place.root / "all")

    assert place.journal.read_bytes().startswith(before)
    assert [type(event.data).__name__ for event in events(place, len(lines))] == ["JournalRecovered", "JournalRepaired"]
    assert damaged.endswith(next(place.quarantine.glob("*.replaced")).read_bytes())
    assert intact(place)
