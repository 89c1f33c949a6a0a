"""Conditions: what they mean, and that a mistake is told with its column."""

from __future__ import annotations

import operator as operator_module
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import outcome_of

from eventlog import where
from eventlog.attributes import find_in
from eventlog.errors import RefusedError
from eventlog.where import MISSING

ATTRIBUTES = {"backend": "onnx", "active": True, "position": 3, "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
METADATA: dict[str, Any] = {
    "rows": 1024,
    "text_rows": "1024",
    "lr": 0.1,
    "name": "lab 2",
    "note": "",
    "flag": "true",
    "off": False,
    "none": None,
    "tags": ["prod", 7],
    "nested": {"deep": {"x": 5}, "a.b": 6},
    "dotted.key": 8,
    "backend": "metadata's",
    "big": (1 << 63) + 1,
}


def holds(text: str) -> bool:
    return where.parse(text, ("time",)).holds(lambda path: find_in(ATTRIBUTES, METADATA, path))


@pytest.mark.parametrize(
    "text",
    [
        "rows = 1024",
        "rows=1024",
        "rows>=1000",
        "rows < 1e4",
        "rows != 5",
        "rows = 1024.0",
        "text_rows >= 1000",
        "text_rows = 1024",
        'text_rows = "1024"',
        "lr <= 0.1",
        'name = "lab 2"',
        "name ~ lab",
        'name > "lab 1"',
        "flag = true",
        "off = false",
        "none = null",
        "not none",
        "note",
        'note = ""',
        "tags ~ prod",
        "tags ~ 7",
        "nested.deep.x = 5",
        "nested.a.b = 6",
        "dotted.key = 8",
        '"dotted.key" = 8',
        "backend = onnx",
        "metadata.backend ~ metadata",
        "active = true",
        "position >= 3",
        "time >= 2026-01-02",
        "time < 2026-01-02T03:04:06Z",
        "time = 2026-01-02T04:04:05+01:00",
        "big = 9223372036854775809",
        "not missing = 1",
        "not missing",
        "rows = 1 or lr = 0.1",
        "(rows = 1 or rows = 1024) and not name ~ x",
        "NOT rows = 1 AND lr",
        "rows=1024 or rows=1 and rows=2",
    ],
)
def test_holds(text):
    """The condition is true of the example."""
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "rows = 1023",
        'rows = "1024"',
        "rows > abc",
        "name > 5",
        "missing = 1",
        "missing != 1",
        "missing",
        "none",
        "none < 5",
        "active = 1",
        "off = 0",
        "off < 5",
        "nested = 5",
        "nested.deep.y",
        "tags = prod",
        "tags ~ pro",
        "rows ~ 10",
        "backend = metadata",
        '"nested.deep"',
        "big = 9223372036854775808",
        "not rows",
        "(rows=1024 or rows=1) and rows=2",
    ],
)
def test_does_not_hold(text):
    """The condition is false of the example."""
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "column", "expected", "got"),
    [
        ("", 1, "a name, 'not' or '('", "the end"),
        ("rows >", 7, "a value", "the end"),
        ("rows > > 5", 8, "a value", "'>'"),
        (">= 5", 1, "a name", "'>='"),
        ("rows = 5 lr = 3", 10, "'and', 'or' or the end", "'lr'"),
        ("(rows = 5", 10, "')', 'and' or 'or'", "the end"),
        ("rows = 5)", 9, "'and', 'or' or the end", "')'"),
        ("rows = 5 and", 13, "a name", "the end"),
        ("and = 5", 1, "a name", "'and'"),
        ('name = "lab', 8, "text in quotes to end", repr('"lab')),
        (r'name = "\x"', 8, "text in quotes as JSON writes it", repr(r'"\x"')),
        ("rows ! 5", 6, "a name, an operator or a value", "'! 5'"),
        ("a..b = 5", 1, "parts between dots", "'a..b'"),
        ("time > yesterday", 8, "a time such as", "'yesterday'"),
        ("rows = 5 or time < 5", 20, "a time such as", "'5'"),
    ],
)
def test_a_mistake_is_told_with_its_column(text, column, expected, got):
    """One line: the condition, the column, what was expected there and what stands there."""
    with pytest.raises(RefusedError) as caught:
        where.parse(text, ("time",))

    message = str(caught.value)
    assert f"column {column}: expected " in message
    assert expected in message
    assert message.endswith(got)
    assert "\n" not in message


@pytest.mark.parametrize("text", ["(" * 60 + "a" + ")" * 60, "not " * 60 + "a", "a" * 20_000])
def test_bounds(text):
    """Depth and length are bounded, far from the interpreter's own limits."""
    with pytest.raises(RefusedError, match="at most"):
        where.parse(text)


def test_a_number_of_many_digits_is_text():
    """No number is read that would take long or cannot be read at all."""
    assert where.as_number("9" * 5_000) is MISSING
    assert where.as_number("9" * 100) == int("9" * 100)


_PYTHON = {
    "=": operator_module.eq,
    "!=": operator_module.ne,
    "<": operator_module.lt,
    "<=": operator_module.le,
    ">": operator_module.gt,
    ">=": operator_module.ge,
}
_NAMES = st.sampled_from(["a", "b", "c"])
_VALUES = st.integers(-3, 3)
_LEAVES = st.tuples(_NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), _VALUES)
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


def _spell(tree: Any) -> str:
    if tree[0] == "not":
        return f"not ({_spell(tree[1])})"
    if tree[0] in ("and", "or"):
        return f" {tree[0]} ".join(f"({_spell(item)})" for item in tree[1])
    return " ".join(map(str, tree))


def _python(tree: Any, row: dict[str, int]) -> bool:
    if tree[0] == "not":
        return not _python(tree[1], row)
    if tree[0] in ("and", "or"):
        return (all if tree[0] == "and" else any)(_python(item, row) for item in tree[1])
    name, operator, value = tree
    return name in row and _PYTHON[operator](row[name], value)


@settings(max_examples=300, deadline=None)
@given(_TREES, st.dictionaries(_NAMES, _VALUES))
def test_it_means_what_python_means(tree, row):
    """Any nesting of conditions on integers gives what Python's operators give; what is missing compares as false."""
    assert where.parse(_spell(tree)).holds(lambda path: find_in({}, row, path)) == _python(tree, row)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='ab.=<>!~()"\\ \n5-', max_size=25))
def test_whatever_is_typed(text):
    """It is understood or refused with a column; nothing else happens."""
    refused = outcome_of(lambda: where.parse(text).holds(lambda path: find_in({}, {"a": 5, "b": "x"}, path)))

    assert refused is None or (isinstance(refused, RefusedError) and "column " in str(refused))
