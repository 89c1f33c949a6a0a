"""The tail table of FORMAT.md, row by row: what was done to the files, what a reader shows, what a writer does."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from support import Place, entries, fast_place, fill, flip, outcome_of

from eventlog import chain
from eventlog.engines.jsonl_head import SLOT_BYTES, Head
from eventlog.errors import JournalDamagedError
from eventlog.events import JournalRecovered
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX
from projections import verify_registry

SIZE = 5
"""Entries that are acknowledged in every row but those of an unfinished creation; SPARE more are known."""
SPARE = 3
Damage = Callable[["Scene"], None]


class Scene(NamedTuple):
    """A place at `SIZE` acknowledged entries, the lines of its journal, those that would come next, all sizes."""

    place: Place
    lines: list[bytes]
    later: list[bytes]
    history: list[dict[str, bytes]]

    def behind(self, data: bytes) -> None:
        self.place.journal.write_bytes(self.place.journal.read_bytes() + data)

    def write(self, *lines: bytes) -> None:
        self.place.journal.write_bytes(b"".join(lines))

    def spoil_slot(self, slot: int) -> None:
        flip(self.place.head, (slot * SLOT_BYTES + 30) * 8)

    def newest_slot(self) -> int:
        return max((0, 1), key=lambda slot: self.place.head.read_bytes()[slot * SLOT_BYTES :][:20])

    def put(self, *names: str, size: int) -> None:
        """Set some files back, or forth, to what they were at another size."""
        for name in names:
            (self.place.root / name).write_bytes(self.history[size][name])

    def create_anew(self, journal: bytes, head: bool = True) -> None:
        """Leave only what a first append that was cut short can leave."""
        shutil.rmtree(self.place.registry_dir)
        shutil.rmtree(self.place.state_dir)
        self.place.registry_dir.mkdir()
        self.place.journal.write_bytes(journal)
        if head:
            self.place.set_head(Head(), Head())


class Row(NamedTuple):
    """
    One row.

    Attributes:
        shown: how many entries a reader shows, or the error that it raises.

        notice: part of what the reader says beside that; empty where it says nothing.

        written: how many entries there are after a publish, or the error that it raises.

        torn: bytes that the writer takes out, keeps and records.
    """

    name: str
    damage: Damage
    shown: int | type[Exception]
    written: int | type[Exception]
    notice: str = ""
    torn: Callable[[Scene], bytes] | None = None


def _filler(count: int) -> Damage:
    return lambda scene: scene.behind(
        b"".join(line + b"\n" for line in entries(count, chain.hash_of(scene.lines[-1][:-1])))
    )


def _edited(scene: Scene) -> None:
    scene.write(*scene.lines[:2], scene.lines[2].replace(b'"backend":"b"', b'"backend":"c"'), *scene.lines[3:])


def _same_length(scene: Scene) -> None:
    """A line is deleted, and the file is made as long as it was."""
    scene.write(*scene.lines[:2], *scene.lines[3:], b" " * (len(scene.lines[2]) - 1) + b"\n")


def _foreign(scene: Scene) -> None:
    with fast_place() as other:
        fill(other, 3)
        scene.write(*scene.lines[:2], other.lines()[2], *scene.lines[3:])


def _both_slots(scene: Scene) -> None:
    scene.spoil_slot(0)
    scene.spoil_slot(1)


def _both_slots_and_torn(scene: Scene) -> None:
    _both_slots(scene)
    scene.behind(scene.later[0][:50])


def _both_slots_and_cut(scene: Scene) -> None:
    _both_slots(scene)
    scene.write(*scene.lines[:-1])


def _newest_slot_and_torn(scene: Scene) -> None:
    scene.spoil_slot(scene.newest_slot())
    scene.behind(scene.later[0][:50])


def _rewound(*names: str) -> Damage:
    return lambda scene: scene.put("m/journal.jsonl", "m/journal.head", *names, size=SIZE - 1)


def _rewound_without_registry_json(scene: Scene) -> None:
    _rewound()(scene)
    scene.place.registry_json.unlink()


def _other_hash(name: str) -> Damage:
    def damage(scene: Scene) -> None:
        path = scene.place.root / name
        wrong = chain.hash_of(scene.lines[0][:-1]).encode()
        path.write_bytes(path.read_bytes().replace(chain.hash_of(scene.lines[-1][:-1]).encode(), wrong))

    return damage


def _leftover_of_head(scene: Scene) -> None:
    scene.create_anew(b"", head=False)
    (scene.place.registry_dir / ".journal.head.new").write_bytes(b"half")


REFUSED = JournalDamagedError
NEVER = "were never acknowledged and are not shown"
ONE_SLOT = "one of two slots is damaged"
NO_HEAD = "missing or damaged: showing the 5 entries that verify"

ROWS = [
    Row("clean", lambda scene: None, 5, 6),
    Row(
        "bytes without a newline behind the head",
        lambda s: s.behind(s.later[0][:50]),
        *(5, 7, NEVER, lambda s: s.later[0][:50]),
    ),
    Row("NULs behind the head", lambda s: s.behind(b"\0" * 99), 5, 7, NEVER, lambda s: b"\0" * 99),
    Row("NULs and newlines", lambda s: s.behind(b"a\n\0\n\0\n"), 5, 7, NEVER, lambda s: b"a\n\0\n\0\n"),
    Row("a lone newline behind the head", lambda s: s.behind(b"\n"), 5, REFUSED, NEVER),
    Row("a bad line that ends in a newline", lambda s: s.behind(b'{"no":"entry"}\n'), 5, REFUSED, NEVER),
    Row("a bad line and an unfinished one", lambda s: s.behind(b"bad\nhalf"), 5, REFUSED, NEVER),
    Row("one whole valid entry behind the head", lambda s: s.behind(s.later[0]), 5, 7, NEVER),
    Row("a batch behind the head", lambda s: s.behind(b"".join(s.later)), 5, 9, NEVER),
    Row(
        "a whole entry and an unfinished one",
        lambda s: s.behind(s.later[0] + s.later[1][:-9]),
        *(5, 8, NEVER, lambda s: s.later[1][:-9]),
    ),
    Row("a whole entry and a bad line", lambda s: s.behind(s.later[0] + b"bad\n"), 5, REFUSED, NEVER),
    Row("an entry that does not follow", lambda s: s.behind(s.later[1]), 5, REFUSED, NEVER),
    Row("the last entry once more behind the head", lambda s: s.behind(s.lines[-1]), 5, REFUSED, NEVER),
    Row("more entries than one append can leave", _filler(APPEND_ENTRIES_MAX + 1), 5, REFUSED, NEVER),
    Row("more bytes than one append can leave", lambda s: s.behind(b"x" * (APPEND_BYTES_MAX + 1)), 5, REFUSED, NEVER),
    Row("a valid entry that lacks only its newline", lambda s: s.behind(s.later[0][:-1]), 5, 7, NEVER),
    Row("a bad line before the head", _edited, REFUSED, REFUSED),
    Row(
        "the last newline is another byte", lambda s: s.write(*s.lines[:-1], s.lines[-1][:-1] + b"}"), REFUSED, REFUSED
    ),
    Row("an entry deleted", lambda s: s.write(*s.lines[:2], *s.lines[3:]), REFUSED, REFUSED),
    Row("an entry deleted, as long as before", _same_length, REFUSED, REFUSED),
    Row("an entry doubled", lambda s: s.write(*s.lines[:3], *s.lines[2:]), REFUSED, REFUSED),
    Row("two entries swapped", lambda s: s.write(*s.lines[:2], *s.lines[3:1:-1], *s.lines[4:]), REFUSED, REFUSED),
    Row("an entry of another journal slipped in", _foreign, REFUSED, REFUSED),
    Row("the file ends inside an entry", lambda s: s.write(*s.lines[:-1], s.lines[-1][:50]), REFUSED, REFUSED),
    Row("the file lacks the last newline", lambda s: s.write(b"".join(s.lines)[:-1]), REFUSED, REFUSED),
    Row("the file ends after an earlier entry", lambda s: s.write(*s.lines[:-1]), REFUSED, REFUSED),
    Row("the file is empty", lambda s: s.write(), REFUSED, REFUSED),
    Row("the file is gone", lambda s: s.place.journal.unlink(), REFUSED, REFUSED),
    Row("the newest slot is bad", lambda s: s.spoil_slot(s.newest_slot()), 5, 6, ONE_SLOT),
    Row("the older slot is bad", lambda s: s.spoil_slot(1 - s.newest_slot()), 5, 6, ONE_SLOT),
    Row("the newest slot is bad, and a torn tail", _newest_slot_and_torn, 5, 7, ONE_SLOT, lambda s: s.later[0][:50]),
    Row("both slots are bad", _both_slots, 5, REFUSED, NO_HEAD),
    Row("both slots are bad, and a torn tail", _both_slots_and_torn, 5, REFUSED, NO_HEAD),
    Row("both slots are bad, and the journal is cut", _both_slots_and_cut, REFUSED, REFUSED),
    Row("the head is gone", lambda s: s.place.head.unlink(), 5, REFUSED, NO_HEAD),
    Row("the head is empty", lambda s: s.place.head.write_bytes(b""), 5, REFUSED, NO_HEAD),
    Row("shorter than registry.json remembers", _rewound("s/state.json"), REFUSED, REFUSED),
    Row("shorter than state.json remembers", _rewound("m/registry.json"), REFUSED, REFUSED),
    Row("shorter than state.json, no registry.json", _rewound_without_registry_json, REFUSED, REFUSED),
    Row("registry.json remembers another hash", _other_hash("m/registry.json"), REFUSED, REFUSED),
    Row("state.json remembers another hash", _other_hash("s/state.json"), REFUSED, REFUSED),
    Row("creation: an empty journal", lambda s: s.create_anew(b"", head=False), 0, 2),
    Row("creation: an unfinished head", _leftover_of_head, 0, 2),
    Row("creation: an empty journal and an empty head", lambda s: s.create_anew(b""), 0, 2),
    Row(
        "creation: an unfinished first entry",
        lambda s: s.create_anew(s.lines[0][:99]),
        *(0, 3, NEVER, lambda s: s.lines[0][:99]),
    ),
    Row("creation: the first entry alone", lambda s: s.create_anew(s.lines[0]), 0, 2, NEVER),
    Row("creation: the first append whole", lambda s: s.create_anew(b"".join(s.lines[:2])), 0, 3, NEVER),
    Row(
        "the journal emptied beside an empty head",
        lambda s: s.write() or s.place.set_head(Head(), Head()),
        REFUSED,
        REFUSED,
    ),
]


@pytest.fixture(scope="module")
def written() -> Iterator[tuple[Place, list[dict[str, bytes]]]]:
    with fast_place() as place:
        history = fill(place, SIZE + SPARE)
        yield place, history


@pytest.fixture
def scene(written: tuple[Place, list[dict[str, bytes]]], tmp_path: Path) -> Scene:
    lines = written[1][-1]["m/journal.jsonl"].splitlines(keepends=True)
    place = Place(tmp_path.resolve())
    place.put(written[1][SIZE])
    return Scene(place, lines[:SIZE], lines[SIZE:], written[1])


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest, scene: Scene) -> Row:
    found: Row = request.param
    found.damage(scene)
    return found


def test_reader(row: Row, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A reader shows the acknowledged entries or refuses, says what it found, and changes nothing."""
    registry, before = scene.place.open(), scene.place.files()

    with caplog.at_level(logging.WARNING, "modelog"):
        error = outcome_of(registry.catalog)

    assert scene.place.files() == before
    if isinstance(row.shown, int):
        assert error is None
        assert registry.catalog().size == row.shown
        assert (row.notice in caplog.text) if row.notice else not caplog.records
    else:
        assert isinstance(error, row.shown)


def test_writer(row: Row, scene: Scene) -> None:
    """A writer goes on from all that is good, or refuses and changes nothing."""
    before = scene.place.files()

    error = outcome_of(lambda: scene.place.publish("new", request_id="new"))

    if isinstance(row.written, int):
        assert error is None
        assert scene.place.open().catalog().size == row.written
        assert scene.place.journal.read_bytes().startswith(b"".join(scene.lines) if row.shown else b"")
        assert scene.place.ids()[-1] == "new"
        report = verify_registry(scene.place.registry_dir, scene.place.state_dir)
        assert (report.verdict, report.findings) == ("intact", [])
    else:
        assert isinstance(error, row.written)
        assert scene.place.files() == before


def test_discarded_bytes_are_kept_and_recorded(row: Row, scene: Scene) -> None:
    """What a writer takes out is in quarantine under its hash, and the history says so; otherwise nothing is taken."""
    outcome_of(lambda: scene.place.publish("new"))

    kept = sorted(scene.place.quarantine.iterdir()) if scene.place.quarantine.exists() else []
    if row.torn is None:
        assert kept == []
        return
    torn = row.torn(scene)
    registry = scene.place.open()
    recovered = [
        data
        for position in range(registry.catalog().size)
        if isinstance(data := registry.read_event(position).data, JournalRecovered)
    ]
    assert [path.read_bytes() for path in kept] == [torn]
    assert [(data.size_bytes, data.sha256) for data in recovered] == [(len(torn), sha256(torn).hexdigest())]
    assert recovered[0].kept_as == f"quarantine/{kept[0].name}"
    assert not kept[0].name.endswith(".pending")
