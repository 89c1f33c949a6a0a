r"""
Conditions on attributes and metadata, as they are typed behind `--where`.

    condition  = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" condition ")" | name [ operator value ]
    operator   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"
    name       = word { "." word }, or text in double quotes, which is one key whatever it holds
    value      = a word, or text in double quotes as in JSON

A name alone asks whether it is there and not null. `~` asks whether a text contains another one, or a list an item. A
word that is a number is compared as one, also with text that is a number (`--metadata rows=1024` is text); `true`,
`false` and `null` are those values or that text. What stands in quotes is text. Attributes that are times are compared
with times. A comparison with what is not there is false, also `!=`; so is `<` and its like between different kinds.

    >>> condition = parse('rows >= 1000 and not (source = "lab 2" or stale)')
    >>> condition.holds(lambda name: {"rows": 1024, "source": "lab 1"}.get(name[0], MISSING))
    True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from eventlog.errors import RefusedError
from eventlog.identity import check_utf8
from eventlog.moments import parse_time

DEPTH_MAX = 50
CHARACTERS_MAX = 10_000
NUMBER_CHARACTERS_MAX = 400


class _Missing:
    """What is not there; JSON null is there."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
Find = Callable[[tuple[str, ...]], Any]
"""Returns what a name leads to, or `MISSING`."""

_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<operator><=|>=|!=|=|<|>|~)|(?P<opening>\()|(?P<closing>\))|(?P<word>[^\s"()<>=!~]+)"""
)
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CONSTANTS = {"true": True, "false": False, "null": None}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class Condition(Protocol):
    """Something that holds or does not."""

    def holds(self, find: Find) -> bool:
        """Say whether it holds for what *find* returns."""
        ...


class Present(Struct, frozen=True):
    """A name alone."""

    name: tuple[str, ...]

    def holds(self, find: Find) -> bool:
        """Say whether there is such a thing."""
        found = find(self.name)
        return found is not MISSING and found is not None


class Comparison(Struct, frozen=True):
    """
    A name, an operator, a value.

    Attributes:
        text: the value as it was typed, without quotes.

        literal: the number or constant that it is, or `MISSING` where it is text alone.

        time: the time that it is, where the name is that of an attribute which is one.
    """

    name: tuple[str, ...]
    operator: str
    text: str
    literal: Any
    time: datetime | None = None

    def holds(self, find: Find) -> bool:
        """Say whether it holds."""
        found = find(self.name)
        if found is MISSING:
            return False
        if self.operator == "~":
            return self._contained(found)
        pair = self._comparable(found)
        if self.operator in _ORDER:
            return pair is not None and pair[0] is not None and _ORDER[self.operator](*pair)
        return (pair is not None and pair[0] == pair[1]) == (self.operator == "=")

    def _contained(self, found: Any) -> bool:
        if isinstance(found, str):
            return self.text in found
        pairs = map(self._comparable, found if isinstance(found, list) else ())
        return any(pair is not None and pair[0] == pair[1] for pair in pairs)

    def _comparable(self, found: Any) -> tuple[Any, Any] | None:
        """Return what was found and the value as things of one kind; None where they are not."""
        literal = self.literal
        numeric = isinstance(literal, int | float) and not isinstance(literal, bool)
        if isinstance(found, datetime):
            return None if self.time is None else (found, self.time)
        if isinstance(found, str):
            number = as_number(found) if numeric else MISSING
            if number is not MISSING:
                return number, literal
            return None if numeric and self.operator in _ORDER else (found, self.text)
        if isinstance(found, bool) or found is None:
            return (None, None) if literal is found else None
        return (found, literal) if numeric and isinstance(found, int | float) else None


class Not(Struct, frozen=True):
    """What holds where the inner one does not."""

    inner: Any

    def holds(self, find: Find) -> bool:
        """Say whether it holds."""
        return not self.inner.holds(find)


class Joined(Struct, frozen=True):
    """Two or more, of which *every* one must hold, or any."""

    every: bool
    inner: tuple[Any, ...]

    def holds(self, find: Find) -> bool:
        """Say whether it holds."""
        return (all if self.every else any)(item.holds(find) for item in self.inner)


def as_number(text: str) -> Any:
    """Return the number that *text* is, as in JSON but with leading zeros, or `MISSING`."""
    if len(text) > NUMBER_CHARACTERS_MAX or not _NUMBER.fullmatch(text):
        return MISSING
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def parse(text: str, times: Collection[str] = ()) -> Condition:
    """
    Return the condition that *text* spells.

    Args:
        times: the names of attributes that are times.

    Raises:
        RefusedError: names the column, from 1 on, what was expected there and what stands there.
    """
    return _Parser(check_utf8("--where", text), times).whole()


def both(conditions: tuple[Condition, ...]) -> Condition | None:
    """Return what holds where all *conditions* do; None where there are none."""
    return Joined(True, conditions) if len(conditions) > 1 else conditions[0] if conditions else None


class _Parser:
    """One token ahead; a method for each rule of the grammar."""

    def __init__(self, text: str, times: Collection[str]) -> None:
        self._text = text
        self._times = times
        self._end = 0
        self._depth = 0
        if len(text) > CHARACTERS_MAX:
            raise RefusedError(f"--where: expected at most {CHARACTERS_MAX} characters, got {len(text)}")
        self._step()

    def whole(self) -> Condition:
        found = self._joined("or", False, lambda: self._joined("and", True, self._one))
        if self._kind:
            raise self._misfit("'and', 'or' or the end")
        return found

    def _joined(self, word: str, every: bool, part: Callable[[], Condition]) -> Condition:
        inner = [part()]
        while self._is_word(word):
            self._step()
            inner.append(part())
        return inner[0] if len(inner) == 1 else Joined(every, tuple(inner))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise RefusedError(f"--where: column {self._column}: expected at most {DEPTH_MAX} levels, got more")
        try:
            if self._is_word("not"):
                self._step()
                return Not(self._one())
            if self._kind == "opening":
                self._step()
                inner = self._joined("or", False, lambda: self._joined("and", True, self._one))
                if self._kind != "closing":
                    raise self._misfit("')', 'and' or 'or'")
                self._step()
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Condition:
        if self._kind not in ("word", "quoted") or self._is_word("and") or self._is_word("or"):
            raise self._misfit("a name, 'not' or '('")
        name = (self._unquoted(),) if self._kind == "quoted" else tuple(self._token.split("."))
        if not all(name):
            raise self._misfit("a name whose parts between dots are not empty")
        self._step()
        if self._kind != "operator":
            return Present(name)
        operator = self._token
        self._step()
        if self._kind not in ("word", "quoted"):
            raise self._misfit("a value")
        text, literal, column = self._token, MISSING, self._column
        time: datetime | None = None
        if self._kind == "quoted":
            text = self._unquoted()
        else:
            literal = _CONSTANTS[text] if text in _CONSTANTS else as_number(text)
        if len(name) == 1 and name[0] in self._times and operator != "~":
            time = parse_time(text, f"--where {self._text!r:.200}: column {column}")
        self._step()
        return Comparison(name, operator, text, literal, time)

    def _unquoted(self) -> str:
        try:
            return msgspec.json.decode(self._token, type=str)
        except msgspec.MsgspecError:
            raise self._misfit("text in quotes as JSON writes it") from None

    def _is_word(self, word: str) -> bool:
        return self._kind == "word" and self._token.lower() == word

    def _step(self) -> None:
        """Go on to the next token; at the end the kind is empty."""
        space = _SPACE.match(self._text, self._end)
        start = space.end() if space else self._end
        self._column = start + 1
        self._kind, self._token = "", ""
        if start == len(self._text):
            self._end = start
            return
        match = _TOKEN.match(self._text, start)
        if match is None:
            self._token = self._text[start:]
            raise self._misfit("text in quotes to end" if self._token[0] == '"' else "a name, an operator or a value")
        self._end = match.end()
        self._kind, self._token = match.lastgroup or "", match.group()

    def _misfit(self, expected: str) -> RefusedError:
        got = repr(self._token[:80]) if self._token else "the end"
        return RefusedError(f"--where {self._text!r:.200}: column {self._column}: expected {expected}, got {got}")
