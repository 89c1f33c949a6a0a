"""Event ⇄ entry: the two laws, and everything that is not the one spelling of an event."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import LONG, START, event_entry

from eventlog import chain, codec
from eventlog.errors import JournalDamagedError, RefusedError, UnsupportedFormatError
from eventlog.events import (
    FORMAT_VERSION,
    Event,
    JournalCreated,
    JournalRecovered,
    ModelPublished,
    ModelRolledBack,
)
from eventlog.journal import ENTRY_BYTES_MAX, Anchor

JOURNAL_ID = "11111111-1111-4111-8111-111111111111"
MODEL = "20260102030405_0123abcd"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
model_ids = st.from_regex(r"[0-9]{14}([0-9]{6})?_[0-9a-f]{8}", fullmatch=True)
times = st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
anchors = st.none() | st.builds(Anchor, texts, st.integers(0, 1 << 40), hashes)
published = st.builds(
    ModelPublished,
    backend=texts,
    artifact_path=texts,
    artifact_size_bytes=st.integers(0, 1 << 50),
    sha256=hashes,
    dataset_metadata=st.dictionaries(texts, values, max_size=5),
    displaced=st.none() | model_ids,
    reason=st.none() | texts,
    took_over=anchors,
    artifact_path_hex=st.none() | st.just("ff"),
)
rolled_back = st.builds(ModelRolledBack, model_ids, hashes, st.none() | texts, anchors)
recovered = st.builds(JournalRecovered, st.integers(0, 1 << 60), st.integers(0, 1 << 30), hashes, texts, texts)


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from(["created", "model", "recovered"]))
    if kind == "created":
        position, subject, data = 0, None, JournalCreated(JOURNAL_ID, FORMAT_VERSION)
    elif kind == "model":
        position, subject, data = draw(st.integers(1, 10**15)), draw(model_ids), draw(published | rolled_back)
    else:
        position, subject, data = draw(st.integers(1, 10**15)), None, draw(recovered)
    return Event(position, draw(texts), draw(times), draw(texts), subject, data)


def _event(**changes: Any) -> Event:
    data = ModelPublished("b", "/a", 1, "0" * 64, {"x": 1}, None)
    fields: dict[str, Any] = {
        "position": 1,
        "id": "i",
        "time": START,
        "actor": "t",
        "subject": MODEL,
        "data": data,
        **changes,
    }
    return Event(**fields)


def _altered(old: bytes, new: bytes, event: Event | None = None) -> bytes:
    """Return the entry of *event* with *old* replaced once in its body, and its hash right again."""
    body = chain.body_of(event_entry(event or _event(), JOURNAL_ID))
    assert body.count(old) >= 1
    return chain.seal(body.replace(old, new, 1), chain.GENESIS)


def _decode(entry: bytes, position: int = 1, journal_id: str | None = JOURNAL_ID) -> Event:
    return codec.decode(entry, position, journal_id, "j")


@given(event=events(), prev=hashes)
@settings(max_examples=3_000 if LONG else 300, deadline=None)
def test_decode_inverts_encode(event: Event, prev: str) -> None:
    """decode(encode(e)) == e, and the entry is one line that the chain accepts."""
    entry = codec.encode(event, JOURNAL_ID, prev)

    assert _decode(entry, event.position) == event
    assert chain.verify([entry], prev) == chain.hash_of(entry)
    assert b"\n" not in entry


@given(event=events(), prev=hashes)
@settings(max_examples=3_000 if LONG else 300, deadline=None)
def test_encode_inverts_decode(event: Event, prev: str) -> None:
    """encode(decode(b)) == b: there is one way to write an event."""
    entry = codec.encode(event, JOURNAL_ID, prev)

    assert codec.encode(_decode(entry, event.position), JOURNAL_ID, prev) == entry


@given(event=events(), data=st.data())
@settings(max_examples=5_000 if LONG else 500, deadline=None)
def test_any_edit_is_refused_or_another_event(event: Event, data: st.DataObject) -> None:
    """A body with one byte changed, sealed anew, is refused or is, to the letter, what some other event looks like."""
    body = bytearray(chain.body_of(event_entry(event, JOURNAL_ID)))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    entry = chain.seal(bytes(body), chain.GENESIS)

    try:
        decoded = _decode(entry, event.position)
    except (JournalDamagedError, UnsupportedFormatError):
        return

    assert codec.encode(decoded, JOURNAL_ID, chain.GENESIS) == entry
    assert decoded != event


def test_literal_entry() -> None:
    """The format, spelled out once: keys, their order, no spaces, what is left out."""
    entry = event_entry(_event(), JOURNAL_ID)

    assert chain.body_of(entry).decode() == (
        '{"specversion":"1.0","sequence":"00000000000000000001","id":"i",'
        f'"source":"urn:uuid:{JOURNAL_ID}","type":"model.published.v1","subject":"{MODEL}",'
        '"time":"2026-01-02T03:04:05.678901Z","actor":"t",'
        f'"data":{{"backend":"b","artifact_path":"/a","artifact_size_bytes":1,"sha256":"{"0" * 64}",'
        '"dataset_metadata":{"x":1},"displaced":null}'
    )
    assert entry.endswith(b',"prev":"%b","hash":"%b"}' % (b"0" * 64, chain.hash_of(entry).encode()))


SPELLINGS: dict[str, tuple[bytes, bytes]] = {
    "key twice": (b'"actor":"t"', b'"actor":"t","actor":"t"'),
    "key twice with two values": (b'"id":"i"', b'"id":"h","id":"i"'),
    "key of data twice": (b'"backend":"b"', b'"backend":"b","backend":"b"'),
    "key of metadata twice": (b'{"x":1}', b'{"x":1,"x":1}'),
    "space": (b'"actor":', b'"actor": '),
    "space in data": (b'{"x":1}', b'{"x": 1}'),
    "other order": (b'"specversion":"1.0","sequence"', b'"sequence"'),
    "escaped letter": (b'"actor":"t"', b'"actor":"\\u0074"'),
    "escaped solidus": (b'"/a"', b'"\\/a"'),
    "escaped in metadata": (b'{"x":1}', b'{"\\u0078":1}'),
    "number with exponent": (b'{"x":1}', b'{"x":1e0}'),
    "number with fraction zero": (b'{"x":1}', b'{"x":1.00}'),
    "minus zero integer": (b'{"x":1}', b'{"x":-0}'),
    "integer of 10,000 digits": (b'{"x":1}', b'{"x":' + b"1" * 10_000 + b"}"),
    "size of 10,000 digits": (b'"artifact_size_bytes":1', b'"artifact_size_bytes":' + b"1" * 10_000),
    "NaN": (b'{"x":1}', b'{"x":NaN}'),
    "Infinity": (b'{"x":1}', b'{"x":-Infinity}'),
    "number too large": (b'{"x":1}', b'{"x":1e999}'),
    "unknown field": (b'"actor":"t"', b'"actor":"t","colour":"red"'),
    "unknown field of data": (b'"backend":"b"', b'"backend":"b","colour":"red"'),
    "unset field written out": (b'"displaced":null', b'"displaced":null,"reason":null'),
    "missing field": (b'"actor":"t",', b""),
    "missing field of data": (b'"backend":"b",', b""),
    "wrong type of a field": (b'"actor":"t"', b'"actor":1'),
    "other specversion": (b'"specversion":"1.0"', b'"specversion":"1.1"'),
    "null subject": (b'"subject":"%b"' % MODEL.encode(), b'"subject":null'),
    "subject that is no model id": (MODEL.encode(), b"20260102030405_0123ABCD"),
    "no subject": (b'"subject":"%b",' % MODEL.encode(), b""),
    "sequence of another place": (b"0001", b"0002"),
    "short sequence": (b'"00000000000000000001"', b'"1"'),
    "sequence as a number": (b'"00000000000000000001"', b"1"),
    "source of another journal": (b"urn:uuid:1", b"urn:uuid:2"),
    "source without scheme": (b"urn:uuid:", b""),
    "time in another zone": (b"678901Z", b"678901+01:00"),
    "time as an offset of zero": (b"678901Z", b"678901+00:00"),
    "time without zone": (b"678901Z", b"678901"),
    "time with a zero too many": (b"678901Z", b"6789010Z"),
    "time without fraction of zero": (b"05.678901Z", b"05.000000Z"),
    "time in lower case": (b"T03", b"t03"),
    "UTF-8 that is none": (b'"actor":"t"', b'"actor":"\xff"'),
    "overlong UTF-8": (b'"actor":"t"', b'"actor":"\xc1\xb4"'),
    "surrogate in UTF-8": (b'"actor":"t"', b'"actor":"\xed\xa0\x80"'),
    "surrogate escaped": (b'"actor":"t"', b'"actor":"\\ud800"'),
    "byte order mark": (b"{", b"\xef\xbb\xbf{"),
    "raw control character": (b'"actor":"t"', b'"actor":"\x01"'),
    "rest behind the object": (b'"displaced":null}', b'"displaced":null}}{'),
    "a comment": (b'"actor":"t"', b'"actor":"t"/**/'),
    "the type of a creation": (b"model.published.v1", b"journal.created.v1"),
}


@pytest.mark.parametrize(("old", "new"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_other_spellings_are_damage(old: bytes, new: bytes) -> None:
    """Bytes that say the same in another way, or say something that no event says, are refused."""
    with pytest.raises(JournalDamagedError) as caught:
        _decode(_altered(old, new))

    assert caught.value.position == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("opening", [b"[", b'{"x":'])
def test_deep_nesting(opening: bytes) -> None:
    """Nesting that would exhaust the stack is damage, not a crash."""
    with pytest.raises(JournalDamagedError):
        _decode(_altered(b'{"x":1}', opening * 10_000))
    with pytest.raises(JournalDamagedError):
        _decode(chain.seal(opening * 10_000, chain.GENESIS))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_other_encodings(encoding: str) -> None:
    """An event in another encoding than UTF-8 is damage."""
    body = chain.body_of(event_entry(_event(actor="ü"), JOURNAL_ID)).decode()

    with pytest.raises(JournalDamagedError):
        _decode(chain.seal(body.encode(encoding), chain.GENESIS))


UNKNOWN: dict[str, tuple[bytes, bytes]] = {
    "another type": (b"model.published.v1", b"model.archived.v1"),
    "a newer version": (b"model.published.v1", b"model.published.v2"),
    "a newer version with new fields": (b'"type":"model.published.v1"', b'"signature":"x","type":"model.published.v2"'),
}


@pytest.mark.parametrize(("old", "new"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_unknown_is_not_damage(old: bytes, new: bytes) -> None:
    """What a newer program wrote is told apart from damage, whatever else it put into the envelope."""
    with pytest.raises(UnsupportedFormatError, match="newer program"):
        _decode(_altered(old, new))


def test_newer_format_version_is_not_damage() -> None:
    """A journal of a newer format says so in its first entry."""
    created = Event(0, "i", START, "t", None, JournalCreated(JOURNAL_ID, FORMAT_VERSION + 1))

    with pytest.raises(UnsupportedFormatError, match="format version 2"):
        _decode(event_entry(created, JOURNAL_ID), 0, None)


def test_first_entry_creates_and_only_the_first() -> None:
    """`journal.created` stands at position 0 and nowhere else, and its source is the journal it creates."""
    created = Event(0, "i", START, "t", None, JournalCreated(JOURNAL_ID, FORMAT_VERSION))
    entry = event_entry(created, JOURNAL_ID)

    assert _decode(entry, 0, None) == created
    for wrong, position in (
        (event_entry(_event(position=0), JOURNAL_ID), 0),
        (event_entry(Event(1, "i", START, "t", None, created.data), JOURNAL_ID), 1),
        (event_entry(created, JOURNAL_ID.replace("1", "2")), 0),
    ):
        with pytest.raises(JournalDamagedError):
            _decode(wrong, position, None if position == 0 else JOURNAL_ID)


def test_time_in_another_zone_is_not_written_as_such() -> None:
    """A time of another zone would not come back the same; what is written is refused when it is read."""
    zoned = START.astimezone(timezone(timedelta(hours=1)))

    with pytest.raises(JournalDamagedError):
        _decode(event_entry(_event(time=zoned), JOURNAL_ID))


@pytest.mark.parametrize("field", ["id", "actor"])
def test_lone_surrogate_is_refused(field: str) -> None:
    """Text that has no UTF-8 is refused before anything is stored."""
    with pytest.raises(RefusedError):
        event_entry(_event(**{field: "\ud800"}), JOURNAL_ID)


def test_too_large_is_refused() -> None:
    """The largest entry is allowed, one byte more is not."""
    empty = len(event_entry(_event(actor=""), JOURNAL_ID))

    assert len(event_entry(_event(actor="x" * (ENTRY_BYTES_MAX - empty)), JOURNAL_ID)) == ENTRY_BYTES_MAX
    with pytest.raises(RefusedError, match="65535"):
        event_entry(_event(actor="x" * (ENTRY_BYTES_MAX - empty + 1)), JOURNAL_ID)


def test_nan_would_not_come_back() -> None:
    """The encoder writes NaN as null, so the registry must refuse it before; this is what it guards against."""
    data = ModelPublished("b", "/a", 1, "0" * 64, {"x": math.nan}, None)

    assert _decode(event_entry(_event(data=data), JOURNAL_ID)) != _event(data=data)
