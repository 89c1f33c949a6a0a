"""
The whole command line on forged directories whose hashes are right, so that the checksums do not stop every input.

Another seed: `MODELOG_TEST_SEED=<integer>`. Where a law is broken, the forgery is made smaller and printed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from unittest import mock

import command_laws
import pytest
from command_desk import CommandDesk, HangError, rich_history
from forged_events import forge, steps_of
from forged_files import Files, Step
from support import LONG, fast_place

INPUTS, SHARDS = (100_000, 16) if LONG else (2_000, 2)
SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
EXPECTED = (
    *("list ended with 0", "list ended with 2", "list ended with 3", "verify ended with 0", "verify ended with 2"),
    *("verify ended with 3", "verify ended with 5", "publish ended with 0", "publish ended with 2"),
    *("publish ended with 3", "rollback ended with 0", "rollback ended with 3", "rebuild ended with 0"),
)
Tally = Callable[[str, int], None]
Steps = Sequence[tuple[Step, int]]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandDesk]:
    """A desk in memory; a head that is not valid is not waited for."""
    for name in [name for name in os.environ if name.startswith("MODELOG_")]:
        monkeypatch.delenv(name)
    with fast_place() as place, mock.patch("time.sleep"):
        yield CommandDesk(place.root)


@contextmanager
def unheard() -> Iterator[None]:
    """Keep what is logged, odd names and all, from pytest, which would hold on to it; commands still write it."""
    log = logging.getLogger("modelog")
    with mock.patch.multiple(log, propagate=False, handlers=[logging.NullHandler()]):
        yield


@pytest.mark.parametrize("shard", range(SHARDS))
def test_forged_directories(shard: int, desk: CommandDesk, tally: Tally) -> None:
    """Every command answers with a status of its own and one clear line, and refusing changes nothing."""
    base = rich_history(desk.place)
    ended: Counter[str] = Counter()
    first = (SEED * SHARDS + shard) * (INPUTS // SHARDS)
    with unheard():
        for seed in range(first, first + INPUTS // SHARDS):
            steps = steps_of(seed)
            try:
                ended += command_laws.check(desk, forge(base, steps), Random(seed))
            except (Exception, HangError) as error:
                pytest.fail(explained(desk, base, seed, smallest(desk, base, seed, steps), error))

    tally("forged directories with right hashes, each with four commands", INPUTS // SHARDS)
    for what, count in ended.items():
        tally(f"  of these, {what}", count)
    assert [what for what in EXPECTED if ended[what] < INPUTS // SHARDS // 500] == []


def broken_law(desk: CommandDesk, base: Files, seed: int, steps: Steps) -> BaseException | None:
    """Return how a forgery breaks a law, or None."""
    try:
        command_laws.check(desk, forge(base, steps), Random(seed))
    except (Exception, HangError) as error:
        return error
    return None


def smallest(desk: CommandDesk, base: Files, seed: int, steps: Steps) -> Steps:
    """Leave steps out as long as some law stays broken."""
    for number in reversed(range(len(steps))):
        fewer = [*steps[:number], *steps[number + 1 :]]
        if broken_law(desk, base, seed, fewer) is not None:
            steps = fewer
    return steps


def explained(desk: CommandDesk, base: Files, seed: int, steps: Steps, error: BaseException) -> str:
    """Say which law is broken, by which steps, and what the files that they change are then."""
    error = broken_law(desk, base, seed, steps) or error
    forged = forge(base, steps)
    changed = {name: forged.get(name) for name in sorted({*base, *forged}) if base.get(name) != forged.get(name)}
    names = [f"{step.__name__}({number})" for step, number in steps]
    shown = "\n".join(f"  {name}: {data!r:.6000}" for name, data in changed.items())
    return f"seed {seed}: {type(error).__name__}: {error}\nby the steps {names}, which change\n{shown}"
