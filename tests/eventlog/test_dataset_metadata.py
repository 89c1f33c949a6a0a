"""Metadata: what goes in comes back, and what another reader could take otherwise is refused."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.dataset_metadata import DEPTH_MAX, INTEGER_MAX, INTEGER_MIN, checked, parse_pair, parse_pairs
from eventlog.errors import RefusedError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = texts.filter(bool)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


@given(metadata=st.dictionaries(keys, values, max_size=5))
def test_json_passes_unchanged(metadata: dict[str, Any]) -> None:
    """checked(m) == m, and it is what a reader of its JSON gets."""
    found = checked(metadata)

    assert found == metadata
    assert msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(found))) == msgspec.json.encode(found)


@given(metadata=st.dictionaries(keys, values, max_size=5))
def test_checked_twice_is_checked(metadata: dict[str, Any]) -> None:
    """checked(checked(m)) == checked(m)."""
    assert checked(checked(metadata)) == checked(metadata)


def test_other_containers_become_plain() -> None:
    """Tuples and other mappings become the lists and dicts that a reader gets; subclasses become their base."""

    class Text(str):
        pass

    found = checked(OrderedDict(a=(1, (2,)), b=OrderedDict(c=Text("d"))))

    assert found == {"a": [1, [2]], "b": {"c": "d"}}
    assert type(found) is type(found["b"]) is dict
    assert type(found["b"]["c"]) is str


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "finite"),
        (float("inf"), "finite"),
        (-float("inf"), "finite"),
        ([1, {"deep": float("nan")}], "finite"),
        (INTEGER_MAX + 1, "64 bit"),
        (INTEGER_MIN - 1, "64 bit"),
        (1 << 40_000, "64 bit"),
        ("\ud800", "UTF-8"),
        ({"\udfff": 1}, "UTF-8"),
        ({1: 2}, "keys"),
        ({"": 2}, "keys"),
        ({None: 2}, "keys"),
        (b"bytes", "JSON value"),
        ({1, 2}, "JSON value"),
        (object(), "JSON value"),
        (_nested(DEPTH_MAX + 1), "nesting"),
        (_nested(100_000), "nesting"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else type(value).__name__,
)
def test_what_is_not_json(value: Any, says: str) -> None:
    """Refused, and the message names the key and what was expected."""
    with pytest.raises(RefusedError, match=says) as caught:
        checked({"the key": value})

    assert "the key" in str(caught.value)


@pytest.mark.parametrize("metadata", [None, [], [("a", 1)], "a=1", 3])
def test_not_a_mapping(metadata: Any) -> None:
    """Only a mapping is metadata."""
    with pytest.raises(RefusedError, match="mapping"):
        checked(metadata)


def test_bounds_are_allowed() -> None:
    """The largest and smallest integers and the deepest nesting pass."""
    metadata = {"a": INTEGER_MAX, "b": INTEGER_MIN, "c": _nested(DEPTH_MAX)}

    assert checked(metadata) == metadata


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rows=1024", ("rows", "1024")),
        ("rows:=1024", ("rows", 1024)),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("a=:=c", ("a", ":=c")),
        ("a b=c d", ("a b", "c d")),
        ('a:={"b":[1,null,true]}', ("a", {"b": [1, None, True]})),
        ('a:="x=y"', ("a", "x=y")),
        ("a::=1", ("a:", 1)),
        ("ü=€", ("ü", "€")),
    ],
)
def test_pairs(text: str, expected: tuple[str, Any]) -> None:
    """`KEY=VALUE` is text, `KEY:=JSON` is typed; the first `=` separates."""
    assert parse_pair(text) == expected


@pytest.mark.parametrize(
    "text", ["", "rows", "=1", ":=1", "a:=", "a:=b", "a:=1,", "a:=NaN", "a:={'b':1}", "a:=" + "[" * 100_000]
)
def test_wrong_pairs(text: str) -> None:
    """No key, no `=` or no JSON: refused with the option's name."""
    with pytest.raises(RefusedError, match="--metadata"):
        parse_pair(text)


def test_each_key_once() -> None:
    """Several pairs are one mapping; the same key twice is refused, whatever its form."""
    assert parse_pairs(("a=1", "b:=1")) == {"a": "1", "b": 1}
    assert parse_pairs(()) == {}
    with pytest.raises(RefusedError, match="'a' twice"):
        parse_pairs(("a=1", "a:=1"))


def test_typed_value_with_a_key_twice_is_refused() -> None:
    """Parsers disagree on which of two equal keys counts, so none is recorded."""
    with pytest.raises(RefusedError, match="twice"):
        parse_pair('k:={"a":1,"b":{"a":1,"a":2}}')
