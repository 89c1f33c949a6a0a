"""
Contenders that take turns, and ratios between them: what one run on one machine can say that another run confirms.

In each round every contender of a row runs once, and the order rotates, so that none always runs behind the same other.
A ratio is taken within each round, between numbers that were measured seconds apart, and the median of those ratios is
reported: a neighbour who slows the machine down for a while slows both, and the ratio stays. The spread is the middle
half of them, from quartile to quartile.

    >>> floor, ours = Series("floor", samples=[{"seconds": 2.0}]), Series("ours", samples=[{"seconds": 3.0}])
    >>> ratio(ours, floor).median
    1.5
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

ROUNDS_OF_SLOW = 3
SLOW_SECONDS = 4.0
ROUNDS_MIN = 3

Sample = Mapping[str, float]


class CannotRunError(Exception):
    """A contender cannot run; the message says why, in one line. It is shown where its number would stand."""


class Series(Struct):
    """
    What one contender took, round by round.

    Attributes:
        samples: one for each round; None where it sat out.

        failure: why it stopped, or empty.
    """

    name: str
    samples: list[dict[str, float] | None] = field(default_factory=list)
    failure: str = ""

    def values(self, key: str) -> list[float]:
        """Return one figure of each round in which it ran."""
        return [sample[key] for sample in self.samples if sample is not None]

    def median(self, key: str = "seconds") -> float | None:
        """Return the median of a figure; None where it never ran."""
        values = self.values(key)
        return statistics.median(values) if values else None


class Spread(Struct, frozen=True):
    """A median with the quartiles around it, and how many values there were."""

    median: float
    low: float
    high: float
    rounds: int


class Limits(Struct, frozen=True):
    """
    How long contenders may go on.

    Attributes:
        rounds: how often each runs, beside one round before that is not counted.

        seconds_max: no round is started after so long, but for the first `ROUNDS_MIN`.

        may_sit_out: those that run in only `ROUNDS_OF_SLOW` rounds where one takes more than `SLOW_SECONDS`.
    """

    rounds: int
    seconds_max: float = 300.0
    may_sit_out: frozenset[str] = frozenset()


def order(names: Sequence[str], turn: int) -> list[str]:
    """Return the names in the order of a round: each round begins with the next one."""
    start = turn % len(names)
    return [*names[start:], *names[:start]]


def interleave(
    contenders: Mapping[str, Callable[[], Sample]],
    limits: Limits,
    say: Callable[[str], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Series]:
    """Let all run in turn, round after round, and return what each took. The first round warms up and is not kept."""
    found = {name: Series(name) for name in contenders}
    slow: set[str] = set()
    start = clock()
    for turn in range(-1, limits.rounds):
        if turn >= ROUNDS_MIN and clock() - start > limits.seconds_max:
            break
        say(f"round {turn + 1} of {limits.rounds}")
        for name in order(list(contenders), turn + 1):
            series = found[name]
            if series.failure or (name in slow and turn >= ROUNDS_OF_SLOW):
                sample = None
            else:
                began = clock()
                sample = _run(contenders[name], series)
                if name in limits.may_sit_out and clock() - began > SLOW_SECONDS:
                    slow.add(name)
            if turn >= 0:
                series.samples.append(sample)
    return found


def _run(contender: Callable[[], Sample], series: Series) -> dict[str, float] | None:
    try:
        return {key: value for key, value in contender().items() if isinstance(value, int | float)}
    except CannotRunError as error:
        series.failure = str(error)
        return None


def spread(values: Sequence[float]) -> Spread | None:
    """Return median and quartiles; None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high, len(values))


def ratio(upper: Series, lower: Series, key: str = "seconds") -> Spread | None:
    """Return how many times as much *upper* took as *lower*, over the rounds in which both ran."""
    pairs = zip(upper.samples, lower.samples, strict=True)
    return spread([over[key] / under[key] for over, under in pairs if over is not None and under is not None])
