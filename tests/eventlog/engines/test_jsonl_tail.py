"""The tail rule as a function over bytes; `test_tail_table.py` has what readers and writers make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import entries, heads_of

from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_tail import judge
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX

ENTRIES = entries(6)
LINES = [entry + b"\n" for entry in ENTRIES]
HEADS = heads_of(LINES)
BEFORE = HEADS[2]


def test_nothing_behind() -> None:
    """No bytes: the head is as it was, nothing is adopted, nothing torn."""
    verdict = judge(b"", BEFORE)

    assert (verdict.head, verdict.adopted, verdict.torn, verdict.reason, verdict.refusal) == (
        BEFORE,
        b"",
        b"",
        "",
        None,
    )


@pytest.mark.parametrize("whole", [0, 1, 2, 4])
@pytest.mark.parametrize("torn", [b"", b"half", b'{"a":1}', b"\0", b"\0\n\0", b"a\nb\0"])
def test_whole_entries_are_adopted_and_the_rest_is_torn(whole: int, torn: bytes) -> None:
    """However many whole entries there are, all are kept; what is unfinished behind them is not."""
    verdict = judge(b"".join(LINES[2 : 2 + whole]) + torn, BEFORE)

    assert verdict.head == HEADS[2 + whole]
    assert verdict.adopted == b"".join(LINES[2 : 2 + whole])
    assert verdict.torn == torn
    assert verdict.reason == ("nul-bytes" if b"\0" in torn else "no-newline" if torn else "")
    assert verdict.refusal is None


@pytest.mark.parametrize("whole", [1, 2, 4])
def test_lost_newline_is_supplied(whole: int) -> None:
    """An entry that lacks only its newline is whole."""
    verdict = judge(b"".join(LINES[2 : 2 + whole])[:-1], BEFORE)

    assert verdict.head == HEADS[2 + whole]
    assert verdict.adopted == b"".join(LINES[2 : 2 + whole])
    assert verdict.torn == b""


@given(cut=st.integers(0, len(b"".join(LINES[2:]))))
def test_every_cut_of_an_append_can_be_mended(cut: int) -> None:
    """Any prefix of an append is adopted up to its last whole entry, and the rest is torn, never refused."""
    tail = b"".join(LINES[2:])[:cut]

    verdict = judge(tail, BEFORE)

    assert verdict.refusal is None
    assert b"".join(LINES[2:]).startswith(verdict.adopted)
    assert (verdict.adopted + verdict.torn).removesuffix(b"\n") == tail.removesuffix(b"\n")
    assert verdict.head in HEADS[2:]


@given(tail=st.binary(max_size=300))
def test_nothing_is_invented_or_lost(tail: bytes) -> None:
    """Whatever stands there: what is adopted and what is torn are together all of it, or it is refused."""
    verdict = judge(tail, BEFORE)

    if verdict.refusal is None:
        assert verdict.adopted + verdict.torn == tail
        assert verdict.head == BEFORE
        assert b"\n" not in verdict.torn or b"\0" in verdict.torn
    else:
        assert verdict.torn == b""
        assert b"\n" in tail


@pytest.mark.parametrize(
    "tail",
    [
        b"\n",
        b"bad\n",
        b"bad\nhalf",
        LINES[2] + b"\n",
        LINES[2] + b"bad\n" + LINES[3],
        LINES[3],
        LINES[1],
        LINES[2] + LINES[2],
        LINES[2].replace(b'"n":2', b'"n":3'),
        b"x" * (APPEND_BYTES_MAX + 1),
    ],
)
def test_riddles_are_refused(tail: bytes) -> None:
    """A finished line that does not fit is not an interrupted append; a person must look."""
    assert judge(tail, BEFORE).refusal is not None


@pytest.mark.parametrize(("count", "refused"), [(APPEND_ENTRIES_MAX, False), (APPEND_ENTRIES_MAX + 1, True)])
def test_more_than_one_append_can_leave(count: int, refused: bool) -> None:
    """As many entries as one append can hold are adopted, one more is a riddle."""
    tail = b"".join(entry + b"\n" for entry in entries(count))

    verdict = judge(tail, Head())

    assert (verdict.refusal is not None) == refused
    assert refused or verdict.head.size == count
