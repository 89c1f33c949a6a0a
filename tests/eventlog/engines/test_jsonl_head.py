"""The head: two slots in turn, so that a torn write of one never loses the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import entries

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.engines.jsonl_head import HEAD_BYTES, SLOT_BYTES, Head, HeadFile, format_slot, parse, parse_slot

heads = st.builds(
    Head,
    st.integers(0, 10**20 - 1),
    st.integers(0, 10**20 - 1),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)


@given(head=heads)
def test_slot_round_trip(head: Head) -> None:
    """parse_slot(format_slot(h)) == h, in 128 bytes that end in a newline."""
    slot = format_slot(head)

    assert parse_slot(slot) == head
    assert len(slot) == SLOT_BYTES
    assert slot.endswith(b"    \n")


def test_literal_slot() -> None:
    """The format, spelled out once."""
    assert format_slot(Head(3, 1704, "ab" * 32)) == (
        b"00000000000000000003 00000000000000001704 " + b"ab" * 32 + b" ce78753dde048702    \n"
    )


@given(head=heads, bit=st.integers(0, SLOT_BYTES * 8 - 1))
def test_any_flipped_bit_spoils_a_slot(head: Head, bit: int) -> None:
    """No slot with one bit turned over is taken for a good one."""
    slot = bytearray(format_slot(head))
    slot[bit // 8] ^= 1 << bit % 8

    assert parse_slot(bytes(slot)) is None


@pytest.mark.parametrize(
    "slot",
    [
        b"",
        b"\0" * SLOT_BYTES,
        b" " * (SLOT_BYTES - 1) + b"\n",
        format_slot(Head(1, 1, "a" * 64))[:-1],
        format_slot(Head(1, 1, "a" * 64)) + b"\n",
        format_slot(Head(1, 1, "A" * 64)),
        format_slot(Head(1, 1, "a" * 63 + "g")),
    ],
)
def test_what_is_no_slot(slot: bytes) -> None:
    """Only what `format_slot` writes is a slot."""
    assert parse_slot(slot) is None


A, B = Head(4, 400, "a" * 64), Head(6, 600, "b" * 64)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (format_slot(A) + format_slot(B), HeadFile(B, 0, 2)),
        (format_slot(B) + format_slot(A), HeadFile(B, 1, 2)),
        (format_slot(A) + format_slot(A), HeadFile(A, 1, 2)),
        (format_slot(A) + b"x" * SLOT_BYTES, HeadFile(A, 1, 1)),
        (b"x" * SLOT_BYTES + format_slot(A), HeadFile(A, 0, 1)),
        (format_slot(A), HeadFile(A, 1, 1)),
        (b"x" * HEAD_BYTES, HeadFile(None, 0, 0)),
        (b"", HeadFile(None, 0, 0)),
    ],
)
def test_newest_valid_slot_counts_and_the_other_is_spare(data: bytes, expected: HeadFile) -> None:
    """The larger size is the newest; the next write never goes to the slot that holds it."""
    assert parse(data) == expected


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_torn_write_of_a_slot_never_loses_the_other(tmp_path: Path, batch: int) -> None:
    """Slots alternate however large the appends are: any prefix of a new slot leaves the newest old one."""
    stored = entries(batch * 6)
    path = tmp_path / "journal.head"
    journal = open_journal(str(tmp_path))
    before = b""

    for start in range(0, len(stored), batch):
        journal.append(stored[start : start + batch], expected_size=start)
        after = path.read_bytes()
        changed = [
            slot
            for slot in (0, 1)
            if after[slot * SLOT_BYTES :][:SLOT_BYTES] != before[slot * SLOT_BYTES :][:SLOT_BYTES]
        ]
        if before:
            assert len(changed) == 1
            for length in range(SLOT_BYTES):
                torn = bytearray(before)
                offset = changed[0] * SLOT_BYTES
                torn[offset : offset + length] = after[offset : offset + length]
                found = parse(bytes(torn)).newest
                assert found is not None
                assert found.size in (start, start + batch)
        before = after

    assert parse(before).newest == Head(len(stored), sum(map(len, stored)) + len(stored), chain.hash_of(stored[-1]))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_slots_alternate_within_one_stretch_of_the_lock(tmp_path: Path, batch: int) -> None:
    """Several appends under one lock also go to the slot that does not hold the newest value."""
    stored = entries(batch * 6)
    path = tmp_path / "journal.head"
    journal = open_journal(str(tmp_path))

    with journal.exclusive():
        for start in range(0, len(stored), batch):
            before = parse(path.read_bytes()) if path.exists() else HeadFile(Head(), 1, 2)
            journal.append(stored[start : start + batch], expected_size=start)
            slots = [parse_slot(path.read_bytes()[offset:][:SLOT_BYTES]) for offset in (0, SLOT_BYTES)]
            assert before.newest in slots
            assert {slot.size for slot in slots if slot} == {start, start + batch}


def test_old_value_stays_whole_while_the_new_one_is_torn(tmp_path: Path) -> None:
    """With a torn newest slot a reader still shows all that was acknowledged, and the next append mends it."""
    stored = entries(8)
    path = tmp_path / "journal.head"
    journal = open_journal(str(tmp_path))
    for start in (0, 2, 4):
        journal.append(stored[start : start + 2], expected_size=start)
    before = path.read_bytes()
    journal.append(stored[6:8], expected_size=6)
    after = path.read_bytes()
    offset = 0 if before[:SLOT_BYTES] != after[:SLOT_BYTES] else SLOT_BYTES

    for length in range(SLOT_BYTES):
        path.write_bytes(before[:offset] + after[offset : offset + length] + before[offset + length :])
        shown = list(open_journal(str(tmp_path)).read())
        assert shown in (stored[:6], stored)
        assert shown == stored or length < 20 or parse(path.read_bytes()).valid == 2
        with open_journal(str(tmp_path)).exclusive():
            pass
        assert list(open_journal(str(tmp_path)).read()) == stored
        assert parse(path.read_bytes()).valid == 2


def test_surplus_bytes_do_no_harm(tmp_path: Path) -> None:
    """Bytes behind the two slots are nobody's: both slots stay good, before and after the next append."""
    stored = entries(3)
    path = tmp_path / "journal.head"
    journal = open_journal(str(tmp_path))
    journal.append(stored[:1], expected_size=0)
    journal.append(stored[1:2], expected_size=1)

    path.write_bytes(path.read_bytes() + b"\n" * (2 << 20))
    journal.append(stored[2:], expected_size=2)

    assert list(open_journal(str(tmp_path)).read()) == stored
    assert parse(path.read_bytes()).valid == 2
