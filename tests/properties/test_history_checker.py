"""The checker of concurrent histories, tried on histories made by hand: good ones, and ones with one thing wrong."""

from __future__ import annotations

import pytest
from history_checker import Entry, Read, Write, violations

ENTRIES = [
    Entry("0", "none"),
    Entry("a", "publish", "A"),
    Entry("b", "publish", "B", "A"),
    Entry("c", "rollback", "A", "B"),
]
ACTIVE = [None, None, "A", "B", "A"]
LISTED = ["", "", "A", "BA", "BA"]
WRITES = [Write("a", "publish", 10, 20, "A"), Write("b", "publish", 30, 40, "B"), Write("c", "rollback", 35, 50, "A")]


def _found(
    *reads: Read, entries: list[Entry] | None = None, writes: list[Write] | None = None, listed: list[str] | None = None
) -> list[str]:
    states = [{"active": active, "list": models} for active, models in zip(ACTIVE, listed or LISTED, strict=True)]
    return violations(entries or ENTRIES, states, WRITES if writes is None else writes, reads)


def _active(answer: str | None, invoked: int, returned: int) -> Read:
    return Read("r", "active", answer, invoked, returned)


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [_active(None, 0, 5), _active("A", 21, 25), _active("A", 51, 60)],
        [_active(None, 11, 15), _active("A", 16, 19)],
        [_active("A", 31, 45), _active("B", 31, 45)],
        [_active("A", 36, 45), _active("B", 41, 48), _active("A", 49, 49)],
        [Read("r", "list", "A", 22, 32), Read("s", "list", "BA", 31, 33), Read("r", "active", "B", 34, 39)],
        [_active("B", 31, 60), _active("A", 32, 61)],
    ],
    ids=["none", "one after another", "a write seen early", "overlapping", "back again", "list and active", "crossed"],
)
def test_good_history_is_accepted(reads: list[Read]) -> None:
    """Every answer has a moment, between its question and its response, that fits all others."""
    assert _found(*reads) == []


@pytest.mark.parametrize(
    ("reads", "culprit"),
    [
        ([_active(None, 21, 25)], "None"),
        ([_active("B", 21, 29)], "B"),
        ([_active("B", 51, 60)], "B"),
        ([_active("C", 0, 100)], "C"),
        ([_active("A", 36, 38), _active("B", 39, 48), _active("A", 49, 49), _active("B", 50, 50)], "[50, 50]"),
        ([_active("B", 31, 33), _active("A", 34, 34)], "[34, 34]"),
        ([Read("r", "list", "BA", 31, 32), Read("s", "list", "A", 33, 60)], "s: list"),
        ([Read("r", "list", "BA", 21, 29)], "BA"),
    ],
    ids=["stale", "future", "stale in the end", "never true", "back and forth", "back", "between readers", "not begun"],
)
def test_wrong_answer_is_found(reads: list[Read], culprit: str) -> None:
    """What was over before must be seen, what nobody had begun must not, and nobody sees less than was seen before."""
    found = _found(*reads)

    assert len(found) == 1
    assert culprit in found[0]


@pytest.mark.parametrize(
    ("writes", "culprit"),
    [
        ([*WRITES, Write("d", "publish", 60, 70, "D")], "d: acknowledged"),
        (WRITES[:2], "c: nobody asked"),
        ([*WRITES[:2], Write("c", "rollback", 35, 50, "B")], "c: answered"),
        ([*WRITES[:2], Write("c", "publish", 35, 50, "A")], "c: answered"),
        ([WRITES[0], Write("b", "publish", 51, 60, "B"), WRITES[2]], "c: was over"),
        ([*WRITES, Write("a", "publish", 90, 99, "Z")], "a: answered"),
    ],
    ids=["lost", "invented", "other model", "other kind", "reordered", "retry answered otherwise"],
)
def test_wrong_write_is_found(writes: list[Write], culprit: str) -> None:
    """An acknowledged write is there as it was answered, in an order that fits the clocks."""
    found = _found(writes=writes)

    assert len(found) == 1
    assert culprit in found[0]


def test_retry_counts_from_its_first_attempt() -> None:
    """Two requests with one id are one change, begun by the first and over with the first answer."""
    retried = [*WRITES, Write("b", "publish", 60, 70, "B")]

    assert _found(_active("B", 31, 33), writes=retried) == []
    assert _found(_active("A", 41, 45), _active("B", 46, 48), writes=retried) != []


def test_wrong_entry_is_found() -> None:
    """An entry says what it displaced, and no id stands twice."""
    displaced = [*ENTRIES[:3], Entry("c", "rollback", "A", "A")]
    twice = [*ENTRIES[:3], Entry("a", "rollback", "A", "B")]

    assert _found(entries=displaced) == ["entry 3: displaced A, but B was active"]
    assert "entry 3: a stands twice" in _found(entries=twice, writes=WRITES[:2])
