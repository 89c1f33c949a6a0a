"""
What a verb takes, as data: said once, and read by the plain parser and by the one that is built on click.

Imports neither, so that a verb can be found and called without click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

PROGRAM = "modelog"


class UsageError(Exception):
    """The words make no sense, and nothing has happened; the message says which, and what was expected."""


class Parameter(Struct, frozen=True):
    """
    What a word on the command line means: an `Option` or an `Argument`.

    Attributes:
        name: `--an-option`, or the name of an argument.

        short: `-o`, which click understands in its place.

        dest: the keyword under which the verb's function gets the value; made of the name by default.

        help: what it is for.

        metavar: what help calls the value.

        variable: the environment variable that stands for it.

        default: the value without option and variable; a flag is then false, what may be repeated an empty tuple.

        default_shown: whether help tells the default.

        required: whether it must be given.

        flag: whether it has no value.

        multiple: whether it may be repeated; the value is then a tuple.

        whole: whether the variable of one that may be repeated is one value, and not one for each word in it.

        choices: all that it may be; anything where there are none.

        number: `int` or `float` where the value is one; an `int` lies in *least* to *greatest*.

        read: makes the value what the function gets, or raises UsageError or RefusedError; it gets None, or an empty
            tuple, where nothing was given and there is no default.

        read_first: whether it is read before all others.

        passed: whether the function gets it.

        hidden: whether help is silent about it.
    """

    name: str
    dest: str | None = None
    help: str | None = None
    metavar: str | None = None
    variable: str | None = None
    default: Any = None
    default_shown: bool = False
    required: bool = False
    flag: bool = False
    multiple: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()
    number: type[int] | type[float] | None = None
    least: int | None = None
    greatest: int | None = None
    read: Callable[[Any], Any] | None = None
    read_first: bool = False
    passed: bool = True
    hidden: bool = False
    short: str | None = None

    @property
    def key(self) -> str:
        """The keyword of the function."""
        return self.dest or self.name.removeprefix("--").replace("-", "_")


class Option(Parameter, frozen=True):
    """A word `--name`, with a value behind it unless it is a flag."""


class Argument(Parameter, frozen=True):
    """A word that stands for itself; it has no help of its own and no variable. One that repeats stands alone."""

    required: bool = True


class Verb(Struct, frozen=True):
    """A function that returns an exit status, or None for 0; what it takes; and what stands below its help."""

    function: Callable[..., int | None]
    parameters: tuple[Parameter, ...]
    epilog: str | None = None


class Group(Struct, frozen=True):
    """Verbs under a name of their own."""

    help: str
    verbs: Mapping[str, Verb]


Find = Callable[[str], Verb | Group | None]
"""Returns what has that name, or None."""


class Call(Struct, frozen=True):
    """What a command line asks for: *path* is how help is asked for it, without `--help`."""

    path: str
    function: Callable[..., int | None]
    terms: dict[str, Any]

    def __call__(self) -> int | None:
        """Do it, and return the exit status."""
        try:
            return self.function(**self.terms)
        except UsageError as error:
            raise UsageError(f"{error} (see {self.path} --help)") from None


def verb(*parameters: Parameter, epilog: str | None = None) -> Callable[[Callable[..., int | None]], Verb]:
    """Declare what a function takes, in the order of its help."""
    return lambda function: Verb(function, parameters, epilog)


def seconds_up_to(most: int) -> Callable[[float], float]:
    """Return what reads a time and refuses one that cannot be waited for; not-a-number compares as false."""

    def read(value: float) -> float:
        if not 0 <= value <= most:
            raise UsageError(f"expected 0 to {most} seconds, got {value!r}")
        return value

    return read
