"""
Command lines that are plainly right, understood without click: importing that costs more than most answers.

Plain are words like `list --output json --limit=3`: a verb's own options in full, values that do not begin with a dash,
as many arguments as there should be, no variable whose meaning has to be worked out. All else, also every mistake and
every call for help, is left to click, which decides what it means and words the error. So nothing means one thing here
and another there: `tests/scripts/test_plain.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts.declared import PROGRAM, Argument, Call, Find, Option, Parameter, UsageError, Verb

COMPLETION = f"_{PROGRAM.upper()}_COMPLETE"
"""Set when a shell asks click what may come next."""


class _NotPlainError(Exception):
    """Click has to look at it."""


def parse(words: Sequence[str], find: Find, environ: Mapping[str, str]) -> Call | None:
    """Return what plain words ask for, or None where click has to look at them."""
    path, found = [PROGRAM], None
    while not isinstance(found, Verb):
        if environ.get(COMPLETION) or len(path) > len(words):
            return None
        name = words[len(path) - 1]
        found = find(name) if found is None else found.verbs.get(name)
        if found is None:
            return None
        path.append(name)
    terms = terms_of(found.parameters, words[len(path) - 1 :], environ)
    return None if terms is None else Call(" ".join(path), found.function, terms)


def terms_of(
    parameters: Sequence[Parameter], words: Sequence[str], environ: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return the keyword arguments that plain words give a verb with such *parameters*, or None."""
    try:
        given = _given(parameters, words)
        values = {parameter.key: _value(parameter, given.get(parameter.key, ()), environ) for parameter in parameters}
        terms = {}
        for parameter in _in_order(parameters, list(given)):
            value = values[parameter.key]
            if parameter.read is not None:
                value = parameter.read(value)
            if parameter.passed:
                terms[parameter.key] = value
    except (_NotPlainError, UsageError):
        return None
    return terms


def _given(parameters: Sequence[Parameter], words: Sequence[str]) -> dict[str, list[str]]:
    """Return what stands for each key, in the order in which they first appear, arguments last."""
    options = {parameter.name: parameter for parameter in parameters if isinstance(parameter, Option)}
    arguments = [parameter for parameter in parameters if isinstance(parameter, Argument)]
    given: dict[str, list[str]] = {}
    loose = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            loose.append(word)
            continue
        name, equals, value = word.partition("=")
        option = options.get(name)
        if option is None or (option.flag and equals):
            raise _NotPlainError
        if not option.flag and not equals:
            value = next(rest, "-")
        if value.startswith("-"):
            raise _NotPlainError
        given.setdefault(option.key, []).append(value)
    if arguments and arguments[-1].multiple:
        return given | ({arguments[-1].key: loose} if loose else {})
    if len(loose) > len(arguments):
        raise _NotPlainError
    return given | {argument.key: [word] for argument, word in zip(arguments, loose, strict=False)}


def _value(parameter: Parameter, given: Sequence[str], environ: Mapping[str, str]) -> Any:
    """Return the value before it is read."""
    setting = environ.get(parameter.variable) if parameter.variable and not given else None
    if setting:
        if parameter.flag or (parameter.multiple and not parameter.whole):
            raise _NotPlainError
        given = [setting]
    if parameter.flag:
        return bool(given)
    if parameter.required and not given:
        raise _NotPlainError
    values = tuple(_converted(parameter, text) for text in given)
    if parameter.multiple:
        return values
    return values[-1] if values else parameter.default


def _converted(parameter: Parameter, text: str) -> Any:
    if parameter.choices and text not in parameter.choices:
        raise _NotPlainError
    if parameter.number is None:
        return text
    try:
        number = parameter.number(text)
    except ValueError:
        raise _NotPlainError from None
    too_small = parameter.least is not None and number < parameter.least
    too_great = parameter.greatest is not None and number > parameter.greatest
    if too_small or too_great:
        raise _NotPlainError
    return number


def _in_order(parameters: Sequence[Parameter], given: list[str]) -> list[Parameter]:
    """Return the parameters in the order in which click reads them: it decides which of two errors is told."""

    def rank(parameter: Parameter) -> tuple[bool, int]:
        return not parameter.read_first, given.index(parameter.key) if parameter.key in given else len(given)

    return sorted(parameters, key=rank)
