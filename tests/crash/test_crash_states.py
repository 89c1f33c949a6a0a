"""
Every state in which a power cut may leave the disk, for each command, is held to the promises of `check_state`.

By default writes are torn at a sample of places and processes killed at the moments that matter; with
`MODELOG_TEST_LENGTH=long` in the environment at every byte and after every operation.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import get_args

import pytest
from check_state import ViolationError, check
from scenarios import BUILDERS, Scenarios, Then, Trace
from support import LONG
from workshop import HEAD, JOURNAL, QUARANTINE, REGISTRY_JSON, STATE_JSON, Workshop

STRIDE_BYTES = 1 if LONG else 32
STATES_MAX = 1_000_000 if LONG else 1_500
"""Of more states than these only some are looked at."""

STATES_MIN = 5_000 if LONG else 200
KILLED_STRIDE_BYTES = 16 if LONG else 512
KILLED_STATES_MIN = 1_000 if LONG else 20

Tally = Callable[[str, int], None]


def hold_to_promises(trace: Trace, stride: int, workshop: Workshop) -> tuple[int, list[str]]:
    """Check every crash state of *trace*; return how many there were, and one line for each that breaks a promise."""
    found = trace.states(stride)
    states = dict(islice(found.items(), 0, None, -(-len(found) // STATES_MAX)))
    broken = []
    for state, count in states.items():
        try:
            check(dict(state), trace.expected(count), workshop)
        except ViolationError as error:
            broken.append(f"{trace.name}: after {count} operations, the last {trace.ops[count - 1]}: {error}")
    return len(states), broken


def report(what: str, count: int, broken: list[str], tally: Tally) -> None:
    print(f"{what}: {count} distinct states, {len(broken)} of them break a promise")
    tally("distinct states that a power cut may leave", count)
    assert not broken, f"{what}: {len(broken)} of {count} states break a promise, the first ones:\n" + "\n".join(
        broken[:3]
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_a_power_cut(name: str, scenarios: Scenarios, workshop: Workshop, tally: Tally) -> None:
    """Whatever a power cut leaves of one command, the promises hold."""
    trace = scenarios.get(name)

    count, broken = hold_to_promises(trace, STRIDE_BYTES, workshop)

    report(trace.name, count, broken, tally)
    assert count >= STATES_MIN


@pytest.mark.parametrize("then", get_args(Then))
@pytest.mark.parametrize("name", ["first", "second", "torn-tail"])
def test_a_kill_and_then_a_power_cut(
    name: str, then: Then, scenarios: Scenarios, workshop: Workshop, tally: Tally
) -> None:
    """What a killed process had not synced is still not durable when the next command has built on it."""
    first = scenarios.get(name)
    total, all_broken = 0, []

    for moment in moments(first, then):
        trace = scenarios.killed(first, moment, then)
        count, broken = hold_to_promises(trace, KILLED_STRIDE_BYTES, workshop)
        total += count
        all_broken += broken

    report(f"{first.name}, killed, then {then}", total, all_broken, tally)
    assert total >= KILLED_STATES_MIN


def moments(trace: Trace, then: Then) -> list[int]:
    """Return after how many operations a process is killed: where something that matters is not yet synced."""
    written = max(count for count, op in enumerate(trace.ops, 1) if op.kind == "write" and op.path == HEAD)
    if then == "rebuild":  # before that there may be nothing to rebuild from
        return list(range(written, len(trace.ops))) if LONG else [written]
    if LONG:
        return list(range(1, len(trace.ops)))
    return [
        count
        for count, op in enumerate(trace.ops, 1)
        if (op.kind in ("write", "truncate") and op.path in (JOURNAL, HEAD))
        or (op.kind == "mkdir" and op.path == QUARANTINE)
        or (op.kind == "rename" and op.target in (HEAD, REGISTRY_JSON, STATE_JSON))
    ]
