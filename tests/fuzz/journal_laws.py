"""
What must hold of the journal's parsers for any bytes; each law is a function of the input, and fails by an exception.

A law says whether the parser accepted the input, so that it can be counted how many got that far. In the input of
those that take several entries a line that starts with `+` is sealed: it becomes an entry that fits the chain.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from hashlib import sha256
from unittest import mock

import msgspec

from eventlog import chain, codec
from eventlog.catalog import Catalog
from eventlog.chain import GENESIS, ChainError
from eventlog.engines import jsonl_head, jsonl_scan, jsonl_tail
from eventlog.engines.jsonl_head import HEAD_BYTES, SLOT_BYTES, Head
from eventlog.engines.jsonl_scan import Mark
from eventlog.engines.jsonl_tail import TailVerdict
from eventlog.errors import JournalDamagedError, UnsupportedFormatError
from eventlog.events import EVENT_TYPES
from eventlog.journal import Anchor
from projections import registry_json, runtime_checkpoint

JOURNAL_ID = "9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7"
LINE_BYTES_MAX = 700
"""Stands in for the longest entry, so that small inputs reach it."""

_PLACE = re.compile(rb'"sequence":"([0-9]{1,20})".*?"source":"urn:uuid:([^"]*)"')
_NOT_AN_EVENT = (JournalDamagedError, UnsupportedFormatError)


def unfold(data: bytes, prev: str = GENESIS) -> bytes:
    """Return *data* with each line that starts with `+` sealed, and linked to the sealed one before it or to *prev*."""
    lines = []
    for line in data.split(b"\n"):
        if line[:1] == b"+":
            lines.append(chain.seal(line[1:], prev))
            prev = chain.hash_of(lines[-1])
        else:
            lines.append(line)
    return b"\n".join(lines)


def verified_prefix(lines: list[bytes], prev: str, bytes_max: int) -> list[bytes]:
    """Return the lines that are entries, from the first on: one at a time, as slow and simple as can be."""
    good: list[bytes] = []
    for line in lines:
        try:
            prev = chain.verify([line], prev)
        except ChainError:
            break
        if len(line) > bytes_max:
            break
        good.append(line)
    return good


def entry(data: bytes) -> bool:
    """Bytes are an event or a known error, sealed or not; what is accepted is encoded to the same bytes."""
    with suppress(ChainError):
        chain.verify([data], GENESIS)
    _decoded(data, 1, JOURNAL_ID)

    sealed = chain.seal(data, GENESIS)
    assert chain.body_of(sealed) == data
    try:
        assert chain.verify([sealed], GENESIS) == chain.hash_of(sealed)
    except ChainError:
        assert data == b"", "sealed, and yet it does not verify"
    place = _PLACE.search(data)
    position, journal_id = (int(place[1]), place[2].decode("utf-8", "replace")) if place else (1, JOURNAL_ID)
    return _decoded(sealed, position, journal_id if position else None)


def _decoded(line: bytes, position: int, journal_id: str | None) -> bool:
    try:
        event = codec.decode(line, position, journal_id, "journal")
    except _NOT_AN_EVENT:
        return False
    assert type(event.data) in EVENT_TYPES.values()
    known = journal_id or getattr(event.data, "journal_id", "")
    again = codec.encode(event, known, line[-140:-76].decode("ascii"))
    assert chain.body_of(again) == chain.body_of(line), "another spelling was accepted"
    assert codec.decode(again, position, journal_id, "journal") == event
    return True


def fold(data: bytes) -> bool:
    """Entries are folded up to one that does not fit, which changes nothing; the derived files can be read back."""
    lines = [line for line in unfold(data).split(b"\n") if len(line) > 150]
    catalog, done = _folded(lines)
    if done < len(lines):
        assert vars(_folded(lines[:done])[0]) == vars(catalog), "an event that was refused has changed the catalog"
    for model_id in catalog.published:
        model = catalog.model(model_id).to_dict()
        assert msgspec.json.decode(msgspec.json.encode(model)) == model
    anchor = catalog.anchor()
    if anchor is not None:
        start = msgspec.json.decode(registry_json.render(catalog))["journal"]
        assert Anchor(start["id"], start["applied_size"], start["hash"]) == anchor
        active = runtime_checkpoint.render(catalog)
        assert (active is None) == (catalog.active_id() is None)
        assert active is None or msgspec.json.decode(active)["model_id"] == catalog.active_id()
    return done > 0


def _folded(lines: list[bytes]) -> tuple[Catalog, int]:
    catalog = Catalog()
    for number, line in enumerate(lines):
        try:
            catalog.apply(line)
        except _NOT_AN_EVENT:
            return catalog, number
    return catalog, len(lines)


def head(data: bytes) -> bool:
    """A slot counts if it is what we write, to the letter; of two the larger counts, and the other is written next."""
    resealed = b"".join(_resealed_slot(data[start : start + SLOT_BYTES]) for start in (0, SLOT_BYTES))
    accepted = [_check_head(data), _check_head(resealed), _check_head(resealed[:SLOT_BYTES] + data[SLOT_BYTES:])]
    return any(accepted)


def _resealed_slot(slot: bytes) -> bytes:
    text = slot[:106]
    return b"%b %b    \n" % (text, sha256(text).hexdigest()[:16].encode())


def _check_head(data: bytes) -> bool:
    slots = [data[:SLOT_BYTES], data[SLOT_BYTES:HEAD_BYTES]]
    heads = [jsonl_head.parse_slot(slot) for slot in slots]
    for slot, found in zip(slots, heads, strict=True):
        assert found is None or jsonl_head.format_slot(found) == slot, "another spelling was accepted"
    file = jsonl_head.parse(data)
    sizes = [-1 if found is None else found.size for found in heads]
    assert file.valid == sum(size >= 0 for size in sizes)
    assert file.newest == (heads[1 - file.spare] if file.valid else None)
    assert not file.valid or sizes[1 - file.spare] == max(sizes)
    return file.valid > 0


def tail(data: bytes) -> bool:
    """What is kept and what is taken out are all that was there; a second look finds nothing more to do."""
    start = Head(3, 1_000, "ab" * 32)
    found = unfold(data, start.hash)
    verdict = jsonl_tail.judge(found, start)
    _check_verdict(verdict, found, start)
    if all(line[:1] == b"+" and len(line) > 1 for line in data.split(b"\n")[:-1]):
        for cut in (found.rfind(b"\n") + 1, len(data), len(found) // 2):
            whole = jsonl_tail.judge(found[:cut], start)
            assert whole.refusal is None, "an append that was cut short is refused"
            _check_verdict(whole, found[:cut], start)
            holes = jsonl_tail.judge(found[:cut] + b"\0\n\0", start)
            assert (holes.refusal, holes.reason) == (None, "nul-bytes"), "a file that grew before its bytes is refused"
    return bool(verdict.adopted)


def _check_verdict(verdict: TailVerdict, found: bytes, start: Head) -> None:
    entries = verdict.adopted.split(b"\n")[:-1]
    assert chain.verify(entries, start.hash) == verdict.head.hash
    assert verdict.head.size == start.size + len(entries)
    assert verdict.head.end_bytes == start.end_bytes + len(verdict.adopted)
    whole = min(len(verdict.adopted), found.rfind(b"\n") + 1)
    assert verdict.readable.end_bytes == start.end_bytes + whole
    if verdict.refusal is None:
        assert verdict.adopted + verdict.torn in (found, found + b"\n"), "bytes are lost or invented"
        assert bool(verdict.torn) == bool(verdict.reason)
        assert jsonl_tail.judge(verdict.adopted, start) == TailVerdict(verdict.head, verdict.head, verdict.adopted)
    else:
        assert verdict.torn == b"", "a tail that nobody may touch"
    assert jsonl_tail.judge(b"", verdict.head) == TailVerdict(verdict.head, verdict.head)


def scan(data: bytes) -> bool:
    """Reading in chunks of any size finds just the entries that a look at one line after the other finds."""
    content = unfold(data)
    lines = content.split(b"\n")[:-1]
    good = verified_prefix(lines, GENESIS, LINE_BYTES_MAX)
    linked = verified_prefix(lines, GENESIS, len(content))
    descriptor = os.memfd_create("journal")
    try:
        os.pwrite(descriptor, content, 0)
        with mock.patch.object(jsonl_scan, "ENTRY_BYTES_MAX", LINE_BYTES_MAX):
            for chunk_bytes in (LINE_BYTES_MAX + 1, 1 << 16):
                with mock.patch.object(jsonl_scan, "CHUNK_BYTES", chunk_bytes):
                    _check_scan(descriptor, content, good, linked)
                    assert list(jsonl_scan.salvage(descriptor)) == good
    finally:
        os.close(descriptor)
    return bool(good)


def _check_scan(descriptor: int, content: bytes, good: list[bytes], linked: list[bytes]) -> None:
    end_bytes = len(content)
    intact = end_bytes == _bytes_of(good)
    for surplus in (0, 5):
        yielded: list[bytes] = []
        marks = [Mark()]
        error: JournalDamagedError | None = None
        try:
            for batch, mark in jsonl_scan.scan(descriptor, "journal", marks[0], end_bytes + surplus):
                yielded += batch
                marks.append(mark)
                assert mark.size == len(yielded)
        except JournalDamagedError as caught:
            error = caught
        assert yielded == good[: len(yielded)], "lines that do not verify were shown"
        if error is None:
            assert (intact, surplus, yielded) == (True, 0, good)
            assert (marks[-1].offset_bytes, marks[-1].hash) == (end_bytes, chain.hash_of(good[-1]) if good else GENESIS)
            middle = marks[len(marks) // 2]
            rest = [line for batch, _ in jsonl_scan.scan(descriptor, "journal", middle, end_bytes) for line in batch]
            assert rest == good[middle.size :], "reading on from a mark differs from reading from the start"
        else:
            assert not intact or surplus, f"good entries were refused: {error}"
            # a line that is only too long is noticed behind one of the same chunk that does not verify
            places = [(len(lines), _bytes_of(lines)) for lines in (good, linked)]
            assert (error.position, error.offset_bytes) in places


def _bytes_of(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + len(lines)
