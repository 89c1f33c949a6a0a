"""Acknowledged history with a bit turned over, or cut, is refused by whoever looks, and nobody makes it worse."""

from __future__ import annotations

import os

import pytest
from specimen import SHARDS, SIZE, VERIFY_STRIDE, Specimen
from support import LONG, flip, outcome_of

from eventlog.engines import jsonl_reader
from eventlog.engines.jsonl_head import HEAD_BYTES
from eventlog.errors import JournalDamagedError, RefusedError
from projections import ModelRegistry, verify_registry

DERIVED_STRIDE = 1 if LONG else 9
"""Of the head and of derived files every so many bits are turned over; odd, so that each bit of a byte has its turn."""

shards = pytest.mark.parametrize("shard", range(SHARDS))


def _told(registry: ModelRegistry) -> tuple[object, ...]:
    """Return all that a reader can learn."""
    catalog = registry.catalog()
    return catalog.size, catalog.hash, catalog.active, catalog.published, catalog.positions


@shards
def test_every_flipped_bit_of_the_journal(specimen: Specimen, shard: int) -> None:
    """Every bit of every acknowledged byte of 20 events counts, for `list` and for `verify`."""
    bits = range(shard, len(specimen.journal) * 8, SHARDS)

    for number, bit in enumerate(bits):
        flip(specimen.place.journal, bit)
        specimen.check_noticed(f"bit {bit}", number, verify_stride=VERIFY_STRIDE)
        flip(specimen.place.journal, bit)

    specimen.finish()
    assert len(bits) * SHARDS > 8 * 500 * SIZE


@shards
def test_every_cut_of_the_journal(specimen: Specimen, shard: int) -> None:
    """A journal cut anywhere before its acknowledged end has lost something, and is not cut back or added to."""
    cuts = range(shard, len(specimen.journal), SHARDS)

    for number, size_bytes in enumerate(reversed(cuts)):
        os.truncate(specimen.place.journal, size_bytes)
        specimen.check_noticed(f"cut to {size_bytes} bytes", number)

    specimen.place.journal.write_bytes(specimen.journal)
    specimen.finish()
    assert len(cuts) * SHARDS > 500 * SIZE


@pytest.mark.parametrize("name", ["m/registry.json", "s/state.json"])
@shards
def test_every_flipped_bit_of_a_derived_file(specimen: Specimen, name: str, shard: int) -> None:
    """A damaged derived file never makes a reader show anything but the truth, and never goes by `verify` unnoticed."""
    place, expected = specimen.place, _told(specimen.place.open())
    bits = range(shard * DERIVED_STRIDE, len(specimen.truth[name]) * 8, SHARDS * DERIVED_STRIDE)
    outcomes = {"shown": 0, "refused": 0}

    for bit in bits:
        flip(place.root / name, bit)
        told: list[object] = []
        error = outcome_of(lambda: told.append(_told(place.open())))  # noqa: B023 - called at once
        report = verify_registry(place.registry_dir, place.state_dir)
        flip(place.root / name, bit)

        assert told == ([expected] if error is None else []), bit
        assert error is None or type(error) in (JournalDamagedError, RefusedError), bit
        assert report.findings, bit
        outcomes["shown" if error is None else "refused"] += 1

    specimen.tried["flipped bits of derived files"] += len(bits)
    specimen.finish()
    assert outcomes["shown"] > 0  # a shard may have none but the top bits of bytes, which make any text unreadable


@shards
def test_every_flipped_bit_of_the_head(specimen: Specimen, shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flipped bit of the head is survived by the other slot, and the next publish mends it."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    place, expected = specimen.place, _told(specimen.place.open())
    bits = range(shard * DERIVED_STRIDE, HEAD_BYTES * 8, SHARDS * DERIVED_STRIDE)

    for bit in bits:
        flip(place.head, bit)
        assert _told(place.open()) == expected
        assert verify_registry(place.registry_dir, place.state_dir).findings
        place.publish("a0", request_id="next")
        assert place.ids()[-1] == "next"
        assert place.journal.read_bytes().startswith(specimen.journal)
        assert jsonl_reader.jsonl_head.parse(place.head.read_bytes()).valid == 2
        specimen.restore()

    specimen.tried["flipped bits of the head"] += len(bits)
    specimen.finish()
    assert len(bits) >= HEAD_BYTES * 8 // (SHARDS * DERIVED_STRIDE)
