"""The chain: what is sealed verifies, and nothing else does."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import entries

from eventlog import chain
from eventlog.chain import GENESIS, ChainError

bodies = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=6)


def _sealed(texts: list[bytes], prev: str = GENESIS) -> list[bytes]:
    result = []
    for text in texts:
        result.append(chain.seal(text, prev))
        prev = chain.hash_of(result[-1])
    return result


def test_example_in_the_module() -> None:
    """The worked example holds."""
    assert doctest.testmod(chain).failed == 0
    assert doctest.testmod(chain).attempted >= 3


@given(texts=bodies)
def test_what_is_sealed_verifies(texts: list[bytes]) -> None:
    """Any bodies, sealed in a row, verify; and each body comes back."""
    sealed = _sealed(texts)

    assert chain.verify(sealed, GENESIS) == chain.hash_of(sealed[-1])
    assert [chain.body_of(entry) for entry in sealed] == texts


@given(texts=bodies, data=st.data())
def test_any_flipped_bit_is_found(texts: list[bytes], data: st.DataObject) -> None:
    """One bit turned over in one entry, and the row does not verify; the error names that entry."""
    sealed = _sealed(texts)
    index = data.draw(st.integers(0, len(sealed) - 1))
    bit = data.draw(st.integers(0, len(sealed[index]) * 8 - 1))
    damaged = bytearray(sealed[index])
    damaged[bit // 8] ^= 1 << bit % 8
    sealed[index] = bytes(damaged)

    with pytest.raises(ChainError) as caught:
        chain.verify(sealed, GENESIS)

    assert caught.value.index == index


def test_nothing_follows_whatever_is_there() -> None:
    """No entries verify after any hash."""
    assert chain.verify([], "ab" * 32) == "ab" * 32


@pytest.mark.parametrize(
    ("edit", "index"),
    [
        (lambda row: row[1:], 0),
        (lambda row: [row[0], *row[2:]], 1),
        (lambda row: [row[0], row[0], *row[1:]], 1),
        (lambda row: [row[0], row[2], row[1]], 1),
        (lambda row: [*row[:2], row[2] + b" "], 2),
        (lambda row: [row[0], row[1][1:], row[2]], 1),
        (lambda row: [b"", *row], 0),
        (lambda row: [row[0], b"x" * 300], 1),
    ],
)
def test_first_misfit_is_named(edit, index: int) -> None:  # type: ignore[no-untyped-def]
    """Entries taken out, doubled, swapped or cut are found at the first place that does not fit."""
    with pytest.raises(ChainError) as caught:
        chain.verify(edit(entries(3)), GENESIS)

    assert caught.value.index == index


@pytest.mark.parametrize("key", [b'"prev"', b'"hash"'])
def test_frame_counts(key: bytes) -> None:
    """An entry with the right hash and link under other keys is not an entry."""
    entry = entries(1)[0]

    with pytest.raises(ChainError):
        chain.verify([entry.replace(key, key.replace(b"e", b"x").replace(b"h", b"x"))], GENESIS)


def test_shortest_entry() -> None:
    """There must be something before the link; 149 bytes of frame are not an entry."""
    frame = chain.seal(b"", GENESIS)

    assert len(frame) == 149
    with pytest.raises(ChainError):
        chain.verify([frame], GENESIS)
    assert chain.verify([chain.seal(b"x", GENESIS)], GENESIS)
