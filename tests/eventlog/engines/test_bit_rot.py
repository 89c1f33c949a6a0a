"""Acknowledged history that changes in any way is refused by readers and writers, and nobody makes it worse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import pytest
from support import LONG, Place, fast_place, fill, flip, heads_of, outcome_of, reseal

from eventlog import chain
from eventlog.engines import jsonl_reader
from eventlog.engines.jsonl_head import HEAD_BYTES
from eventlog.errors import JournalDamagedError, RefusedError
from projections import ModelRegistry

SIZE = 12
WRITER_STEP = 1 if LONG else 8
"""A writer tries its luck on every so many flips; a reader on all."""


@pytest.fixture(scope="module")
def rotten() -> Iterator[tuple[Place, dict[str, bytes]]]:
    with fast_place() as place:
        history = fill(place, SIZE)
        yield place, history[-1]


@pytest.fixture
def truth(rotten: tuple[Place, dict[str, bytes]]) -> Iterator[dict[str, bytes]]:
    place, files = rotten
    place.put(files)
    yield files
    place.put(files)


@pytest.fixture
def place(rotten: tuple[Place, dict[str, bytes]]) -> Place:
    return rotten[0]


def _refused_by_reader(place: Place) -> None:
    assert type(outcome_of(place.open().catalog)) is JournalDamagedError


def _refused_by_writer(place: Place) -> None:
    """Publishing is refused, and no byte on disk has changed."""
    before = place.files()

    error = outcome_of(lambda: place.publish("a0"))

    assert type(error) is JournalDamagedError
    assert place.files() == before


def _told(registry: ModelRegistry) -> tuple[object, ...]:
    """Return all that a reader can learn."""
    catalog = registry.catalog()
    return catalog.size, catalog.hash, catalog.active, catalog.published, catalog.positions


def test_every_flipped_bit_of_the_journal(place: Place, truth: dict[str, bytes]) -> None:
    """Every bit of every acknowledged byte counts."""
    bits = len(truth["m/journal.jsonl"]) * 8
    flips = tries = 0

    for bit in range(bits):
        flip(place.journal, bit)
        _refused_by_reader(place)
        if bit % WRITER_STEP == (bit // 8) % WRITER_STEP:
            _refused_by_writer(place)
            tries += 1
        flip(place.journal, bit)
        flips += 1

    assert flips == bits >= 8 * 6_000
    assert tries >= bits // 8
    assert place.files() == truth
    assert place.open().catalog().size == SIZE


def test_every_cut_of_the_journal(place: Place, truth: dict[str, bytes]) -> None:
    """A journal cut anywhere before its acknowledged end has lost something, and is not cut back or added to."""
    cuts = 0

    for size_bytes in reversed(range(len(truth["m/journal.jsonl"]))):
        os.truncate(place.journal, size_bytes)
        _refused_by_reader(place)
        if size_bytes % WRITER_STEP == 0:
            _refused_by_writer(place)
        cuts += 1

    assert cuts == len(truth["m/journal.jsonl"])


def _line_edits() -> dict[str, Callable[[list[bytes]], list[bytes]]]:
    edits: dict[str, Callable[[list[bytes]], list[bytes]]] = {
        "all reversed": lambda lines: lines[::-1],
        "first behind last": lambda lines: [*lines[1:], lines[0]],
        "last before first": lambda lines: [lines[-1], *lines[:-1]],
    }
    for at in range(SIZE):
        edits[f"delete {at}"] = lambda lines, at=at: [*lines[:at], *lines[at + 1 :]]
        edits[f"double {at}"] = lambda lines, at=at: [*lines[: at + 1], *lines[at:]]
        edits[f"blank {at}"] = lambda lines, at=at: [*lines[:at], b" " * (len(lines[at]) - 1) + b"\n", *lines[at + 1 :]]
        edits[f"empty line before {at}"] = lambda lines, at=at: [*lines[:at], b"\n", *lines[at:]]
        edits[f"delete {at} and double the last"] = lambda lines, at=at: [*lines[:at], *lines[at + 1 :], lines[-1]]
        for other in range(at + 1, SIZE):
            edits[f"swap {at} and {other}"] = lambda lines, at=at, other=other: [
                *lines[:at],
                lines[other],
                *lines[at + 1 : other],
                lines[at],
                *lines[other + 1 :],
            ]
    del edits[f"delete {SIZE - 1} and double the last"]  # changes nothing
    del edits[f"double {SIZE - 1}"]  # leaves bytes behind the head, which the tail table has
    return edits


EDITS = _line_edits()


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("sealing", ["as it was", "sealed anew"])
def test_every_edit_of_lines(
    place: Place, truth: dict[str, bytes], edit: Callable[[list[bytes]], list[bytes]], sealing: str
) -> None:
    """Lines taken out, doubled, moved or blanked are refused, also where the whole chain was computed anew."""
    lines = edit(place.lines())
    if sealing == "sealed anew" and all(len(line) > 150 for line in lines):
        lines = reseal(lines)

    place.journal.write_bytes(b"".join(lines))

    _refused_by_reader(place)
    _refused_by_writer(place)


def _forged(lines: Sequence[bytes], at: int) -> bytes:
    """Return a line with another actor (of the same length, so that offsets still fit), and its own hash right."""
    body, prev = chain.body_of(lines[at][:-1]), lines[at][-141:-77].decode()
    assert b'"actor":"t"' in body
    return chain.seal(body.replace(b'"actor":"t"', b'"actor":"u"'), prev) + b"\n"


@pytest.mark.parametrize("at", range(SIZE))
def test_one_line_sealed_anew(place: Place, truth: dict[str, bytes], at: int) -> None:
    """A forged line whose own hash was computed anew breaks the link behind it, or is not what the head says."""
    lines = place.lines()

    place.journal.write_bytes(b"".join([*lines[:at], _forged(lines, at), *lines[at + 1 :]]))

    _refused_by_reader(place)
    _refused_by_writer(place)


@pytest.mark.parametrize("at", range(SIZE))
def test_whole_journal_sealed_anew(place: Place, truth: dict[str, bytes], at: int) -> None:
    """A forged line with every later hash computed anew is not what the head says."""
    lines = place.lines()

    place.journal.write_bytes(b"".join(reseal([*lines[:at], _forged(lines, at), *lines[at + 1 :]], at)))

    _refused_by_reader(place)
    _refused_by_writer(place)


@pytest.mark.parametrize("at", range(SIZE))
@pytest.mark.parametrize("kept", ["m/registry.json", "s/state.json"])
def test_journal_and_head_sealed_anew(place: Place, truth: dict[str, bytes], at: int, kept: str) -> None:
    """A forger of journal and head is found out by either of the files that remember the old hash."""
    lines = place.lines()
    lines = reseal([*lines[:at], _forged(lines, at), *lines[at + 1 :]], at)
    for name in {"m/registry.json", "s/state.json"} - {kept}:
        (place.root / name).unlink()

    place.journal.write_bytes(b"".join(lines))
    heads = heads_of(lines)
    place.set_head(heads[-2], heads[-1])

    _refused_by_reader(place)
    _refused_by_writer(place)


@pytest.mark.parametrize("name", ["m/registry.json", "s/state.json"])
def test_every_flipped_bit_of_a_derived_file(place: Place, truth: dict[str, bytes], name: str) -> None:
    """A damaged derived file never makes a reader show anything but the truth: exactly that, or an error."""
    expected = _told(place.open())
    outcomes = {"shown": 0, "refused": 0}
    bits = len(truth[name]) * 8

    for bit in range(bits):
        flip(place.root / name, bit)
        told: list[object] = []
        error = outcome_of(lambda: told.append(_told(place.open())))  # noqa: B023 - called at once
        assert told == ([expected] if error is None else [])
        assert error is None or type(error) in (JournalDamagedError, RefusedError)
        outcomes["shown" if error is None else "refused"] += 1
        flip(place.root / name, bit)

    assert sum(outcomes.values()) == bits
    assert min(outcomes.values()) > 0


def test_every_flipped_bit_of_the_head(place: Place, truth: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every flipped bit of the head is survived by the other slot, and the next publish mends it."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    expected = _told(place.open())
    flips = 0

    for bit in range(HEAD_BYTES * 8):
        flip(place.head, bit)
        assert _told(place.open()) == expected
        place.publish("a0", request_id="next")
        assert place.ids()[-1] == "next"
        assert place.journal.read_bytes().startswith(truth["m/journal.jsonl"])
        assert jsonl_reader.jsonl_head.parse(place.head.read_bytes()).valid == 2
        place.put(truth)
        flips += 1

    assert flips == 2_048
