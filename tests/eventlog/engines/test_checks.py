"""`checks`: every engine's contract refuses what it should; here, that the messages say what to do."""

from __future__ import annotations

import pytest
from support import entries

from eventlog import chain
from eventlog.engines.checks import check_append
from eventlog.errors import RefusedError
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX


def _refusal(stored: list[bytes], prev: str = chain.GENESIS) -> str:
    with pytest.raises(RefusedError) as caught:
        check_append("j", stored, prev)
    return str(caught.value)


def test_good_entries_pass() -> None:
    """What is linked to the tail and within the bounds is not refused."""
    check_append("j", entries(3), chain.GENESIS)


def test_number_of_entries() -> None:
    """The message says the bound and what came."""
    assert _refusal([]) == f"j: expected 1 to {APPEND_ENTRIES_MAX} entries in one append, got 0"
    assert f"got {APPEND_ENTRIES_MAX + 1}" in _refusal(entries(APPEND_ENTRIES_MAX + 1))


def test_size_of_an_entry() -> None:
    """The message says what to do with large data."""
    large = chain.seal(b"x" * ENTRY_BYTES_MAX, chain.GENESIS)

    assert f"at most {ENTRY_BYTES_MAX} bytes, got {len(large)}: keep large data in a file" in _refusal([large])


def test_size_of_an_append() -> None:
    """The bound on the whole counts the newlines."""
    link, stored = chain.GENESIS, []
    while sum(map(len, stored)) + len(stored) <= APPEND_BYTES_MAX:
        stored.append(chain.seal(b"x" * 65_000, link))
        link = chain.hash_of(stored[-1])

    assert f"expected at most {APPEND_BYTES_MAX} bytes in one append" in _refusal(stored)


def test_first_misfit_is_named() -> None:
    """Of several misfits the first is named, counted from zero within the append."""
    good = entries(5)

    assert "entry 1 does not follow" in _refusal([good[0], good[2], good[4]])
    assert "entry 0 does not follow" in _refusal(good, prev="1" * 64)
