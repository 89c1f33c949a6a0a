"""
Changes to JSON that know its structure, and ones to bytes that do not; every choice comes from the caller's randomness.

A document is kept as it was spelled, with the order of its keys and also with keys that stand twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

DEPTHS = (1, 31, 32, 33, 200, 3_000, 20_000)
"""Levels of nesting that are tried: around our own limit, below Python's, and far behind it."""

_NUMBERS = (
    "0 -0 -1 1.0 -0.0 1e5 1E5 0.1 1e999 -1e999 5e-324 1e-400 1.7976931348623157e308 9007199254740993 4294967296 "
    "18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 NaN Infinity 00 +1 .5 1. 0x1"
)
NUMBERS = tuple(_NUMBERS.split())
_ESCAPES = r'"\u0000" "\u001b[31m" "\n" "a\tb" "\u2028" "\ud800" "\ud83d\ude00" "\u0061" "\/"'
_RAW = '"" "\x1b[2J" "\x7f" "\x9b" "\u202e" "\u2028" "\U0001f600" "e\u0301" "\ufeff" "../../x" "/dev/zero" "%s%n{0}"'
_MEANINGS = '"=" ":=" "a:" "a=b" "none" "*" "active" "1.0" "urn:uuid:" "journal.created.v1" "model.published.v2"'
_PLACES = '"20260102030405_01234567" "00000000000000000001" "2026-01-01T00:00:00" "0001-01-01T00:00:00Z"'
TEXTS = tuple(f"{_ESCAPES} {_RAW} {_MEANINGS} {_PLACES}".split(" "))
OTHERS = (
    *("null", "true", "false", "[]", "{}", '{"":1}', '{"a":1,"a":2}'),
    *("[1,", "{", "", " 1", '{"a": 1}', "\0", "nul"),
)


class Verbatim(str):
    """Text that stands in a document as it is, JSON or not."""

    __slots__ = ()


class Members(list[Any]):
    """An object: a list of `Member`."""


class Member(list[Any]):
    """Key and value."""


def parse(text: str) -> Any:
    """Return a document in which numbers keep their spelling. Raises ValueError, RecursionError."""
    return json.loads(
        text, object_pairs_hook=_members, parse_int=Verbatim, parse_float=Verbatim, parse_constant=Verbatim
    )


def _members(pairs: list[tuple[str, Any]]) -> Members:
    return Members(Member(pair) for pair in pairs)


def dump(value: Any) -> str:
    """Return the text of a document, as compact as the project writes it."""
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, Members):
        return "{" + ",".join(f"{dump(key)}:{dump(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def odd_value(random: Random) -> Verbatim:
    """Return a value that somebody may have forgotten."""
    kind = random.randrange(8)
    if kind == 0:
        depth = random.choice(DEPTHS)
        opening, closing = random.choice((("[", "]"), ('{"a":', "}")))
        return Verbatim(opening * depth + ("1" if closing == "}" else "") + closing * depth)
    if kind == 1:
        return Verbatim(
            random.choice(('"{}"', "{}", '{{"{}":1}}')).format("9" * random.choice((20, 310, 5_000, 70_000)))
        )
    return Verbatim(random.choice((NUMBERS, TEXTS, TEXTS, TEXTS, OTHERS)[kind % 5]))


def mutated(data: bytes, random: Random) -> bytes:
    """Return a JSON document with one to three changes; other bytes, and some documents too, as `mutated_bytes`."""
    if random.randrange(4):
        try:
            holder = [parse(data.decode())]
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                random.choice(_CHANGES)(holder, random)
            return dump(holder[0]).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError):
            pass
    return mutated_bytes(data, random)


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Return *data* with one change to its bytes."""
    start = random.randrange(len(data) + 1)
    stop = min(len(data), start + random.choice((0, 1, 1, 1, 2, 8, 64)))
    kind = random.randrange(6)
    if kind == 0 and start < len(data):
        middle, stop = bytes([data[start] ^ 1 << random.randrange(8)]), start + 1
    elif kind == 1:
        middle = data[start:stop] * 2
    elif kind == 2:
        middle = random.choice(
            (b"\0", b"\xff", b"\r", b"\x1b[31m", b"\xed\xa0\x80", b"\xc0\xaf", b" ", b'"', b",", b"}")
        )
    elif kind == 3:
        middle = b""
    elif kind == 4:
        middle = random.randbytes(stop - start)
    else:
        other = random.randrange(len(data) + 1)
        middle = data[other : other + 16]
    return data[:start] + middle + data[stop:]


def _places(value: Any) -> Iterator[tuple[list[Any], int]]:
    """Yield every place in a document: a list of any kind, and an index in it."""
    if isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from _places(value[index])


def _any_value(holder: list[Any], random: Random) -> tuple[list[Any], int]:
    """Choose the place of a value or a key."""
    return random.choice([found for found in _places(holder) if not isinstance(found[0], Members)])


def _any_item(holder: list[Any], random: Random) -> tuple[list[Any], int]:
    """Choose the place of a member of an object or an item of an array; the document itself where there is none."""
    found = [found for found in _places(holder) if not isinstance(found[0], Member) and found[0] is not holder]
    return random.choice(found or [(holder, 0)])


def _replace(holder: list[Any], random: Random) -> None:
    place, index = _any_value(holder, random)
    place[index] = odd_value(random)


def _remove(holder: list[Any], random: Random) -> None:
    place, index = _any_item(holder, random)
    if place is not holder:
        del place[index]


def _repeat(holder: list[Any], random: Random) -> None:
    place, index = _any_item(holder, random)
    if place is not holder:
        place.insert(random.randrange(len(place) + 1), deepcopy(place[index]))


def _exchange(holder: list[Any], random: Random) -> None:
    (one, first), (other, second) = _any_value(holder, random), _any_value(holder, random)
    left, right = Verbatim(dump(one[first])), Verbatim(dump(other[second]))
    one[first], other[second] = right, left


def _reorder(holder: list[Any], random: Random) -> None:
    place, _ = _any_item(holder, random)
    random.shuffle(place)


def _wrap(holder: list[Any], random: Random) -> None:
    place, index = _any_value(holder, random)
    place[index] = random.choice(([place[index]], Members([Member(("a", place[index]))])))


def _edit_text(holder: list[Any], random: Random) -> None:
    texts = [(place, index) for place, index in _places(holder) if isinstance(place[index], str)]
    if not texts:
        return
    place, index = random.choice(texts)
    edited = mutated_bytes(place[index].encode("utf-8", "surrogatepass"), random).decode("utf-8", "replace")
    place[index] = Verbatim(edited) if isinstance(place[index], Verbatim) else edited


_CHANGES: tuple[Callable[[list[Any], Random], None], ...] = (
    *(_replace, _replace, _replace, _remove, _repeat, _exchange, _reorder, _wrap, _edit_text, _edit_text),
)
