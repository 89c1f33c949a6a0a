"""Replay: each entry is folded once, and what other files remember is held against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support import Place, fill, outcome_of

from eventlog import anchors, chain
from eventlog.catalog import Catalog
from eventlog.engines import open_journal
from eventlog.errors import JournalDamagedError
from eventlog.journal import Anchor, FoundAnchor, Journal
from eventlog.replay import Replay


class _Counting:
    """A journal that counts the entries it hands out."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.count = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        for entries in self._journal.read_runs(start, stop):
            self.count += len(entries)
            yield entries


@pytest.fixture
def filled(place: Place) -> Place:
    fill(place, 5)
    return place


def _replay(place: Place) -> Replay:
    return Replay(open_journal(str(place.registry_dir)))


def test_each_entry_is_read_once(filled: Place) -> None:
    """Catching up again reads but the last entry, which must still be the same; after more was appended, that too."""
    journal = _Counting(open_journal(str(filled.registry_dir)))
    replay = Replay(journal)  # type: ignore[arg-type] - a journal by delegation
    counts = []

    for _ in range(2):
        replay.catch_up()
        counts.append(journal.count)
    filled.publish("new")
    replay.catch_up()

    assert [*counts, journal.count] == [5, 6, 8]


def _anchor(place: Place, size: int) -> Anchor:
    catalog = Catalog()
    for line in place.lines()[:size]:
        catalog.apply(line.rstrip(b"\n"))
    anchor = catalog.anchor()
    assert anchor is not None
    return anchor


@pytest.mark.parametrize("binding", [False, True])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_anchor_that_agrees(filled: Place, size: int, binding: bool) -> None:
    """Any earlier state of this journal agrees with it."""
    replay = _replay(filled)
    replay.catch_up()

    assert anchors.check(replay, [FoundAnchor("f", _anchor(filled, size), binding)]) == []


def _changed(anchor: Anchor, **changes: object) -> Anchor:
    values = {"journal_id": anchor.journal_id, "size": anchor.size, "hash": anchor.hash, **changes}
    return Anchor(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("binding", [False, True])
@pytest.mark.parametrize("changes", [{"size": 6}, {"size": 1 << 70}, {"size": 4}, {"size": 0}, {"hash": "f" * 64}])
def test_anchor_that_does_not(filled: Place, changes: dict[str, object], binding: bool) -> None:
    """More entries, or another hash at its size: the journal is not what it was."""
    replay = _replay(filled)
    replay.catch_up()
    item = FoundAnchor("the file", _changed(_anchor(filled, 5), **changes), binding)

    says = "the file remembers.*" + ("rewound" if item.anchor.size > 5 else "rewritten")
    with pytest.raises(JournalDamagedError, match=says):
        anchors.check(replay, [item])


def test_anchor_of_another_journal(filled: Place) -> None:
    """Beside the journal it means that the journal was replaced; elsewhere that the file follows another one."""
    replay = _replay(filled)
    replay.catch_up()
    other = _changed(_anchor(filled, 5), journal_id="other")

    assert anchors.check(replay, [FoundAnchor("f", other, False)]) == [FoundAnchor("f", other, False)]
    with pytest.raises(JournalDamagedError, match="expected journal other"):
        anchors.check(replay, [FoundAnchor("f", other, True)])


def test_a_notice_is_told_once(filled: Place, caplog: pytest.LogCaptureFixture) -> None:
    """However often one reads, the same finding is one warning."""
    filled.journal.write_bytes(filled.journal.read_bytes() + b"half")
    replay = _replay(filled)

    for _ in range(3):
        replay.catch_up()

    assert len(caplog.records) == 1


def test_damage_leaves_what_came_before(filled: Place) -> None:
    """The catalog holds the entries before the one that does not fit, and does not go on by itself."""
    lines = filled.lines()
    filled.journal.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"t"', b'"u"'), lines[4]]))
    replay = _replay(filled)

    errors = [outcome_of(replay.catch_up) for _ in range(2)]

    assert all(isinstance(error, JournalDamagedError) for error in errors)
    assert replay.catalog.size in (0, 3)
    assert replay.catalog.hash == ([chain.GENESIS] + [chain.hash_of(line[:-1]) for line in lines])[replay.catalog.size]


def test_nothing_there(tmp_path: Path) -> None:
    """An empty place is an empty catalog without an anchor."""
    assert Replay(open_journal(str(tmp_path))).catch_up().anchor() is None
