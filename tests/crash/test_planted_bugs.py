"""The simulator bites: each known way to get durability wrong, planted in a trace, leads to a state that it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from check_state import ViolationError, check
from scenarios import Scenarios, Trace
from strace_log import Kind, Op
from workshop import HEAD, JOURNAL, MODELS, QUARANTINE, RUNTIME, Workshop

STRIDE_BYTES = 64
ARTIFACTS = f"{MODELS}/artifacts"


def without(kind: Kind, *starts: str) -> Callable[[list[Op]], list[Op]]:
    """Return what drops the operations of a kind on paths that start so."""
    return lambda ops: [op for op in ops if not (op.kind == kind and op.path.startswith(starts))]


def acknowledged_before(kind: Kind, path: str) -> Callable[[list[Op]], list[Op]]:
    """Return what moves the acknowledgement before the last operation of a kind on *path*."""

    def move(ops: list[Op]) -> list[Op]:
        rest = [op for op in ops if op.kind != "ack"]
        place = max(place for place, op in enumerate(rest) if op.kind == kind and op.path == path)
        return [*rest[:place], *(op for op in ops if op.kind == "ack"), *rest[place:]]

    return move


def swapped(first: str, second: str) -> Callable[[list[Op]], list[Op]]:
    """Return what moves the write and sync of the file *second* before those of the file *first*."""

    def swap(ops: list[Op]) -> list[Op]:
        moved = [op for op in ops if op.path == second]
        rest = [op for op in ops if op.path != second]
        place = next(place for place, op in enumerate(rest) if op.kind == "write" and op.path == first)
        return [*rest[:place], *moved, *rest[place:]]

    return swap


def first(kind: Kind, start: str) -> Callable[[list[Op]], list[Op]]:
    """Return what moves the operations of a kind on paths that start so before all others."""

    def move(ops: list[Op]) -> list[Op]:
        moved = [op for op in ops if op.kind == kind and op.path.startswith(start)]
        return [*moved, *(op for op in ops if op not in moved)]

    return move


PLANTS: dict[str, tuple[str, Callable[[list[Op]], list[Op]]]] = {
    "journal not synced": ("second", without("sync", JOURNAL)),
    "head not synced": ("second", without("sync", HEAD)),
    "no directory synced": ("first", without("sync_dir", "")),
    "registry's directory not synced": ("first", without("sync_dir", MODELS)),
    "registry.json renamed before its sync": ("second", without("sync", f"{MODELS}/.registry.json.new")),
    "state.json renamed before its sync": ("second", without("sync", f"{RUNTIME}/.state.json.new")),
    "runtime's directory not synced": ("second", without("sync_dir", RUNTIME)),
    "acknowledged before the head is synced": ("second", acknowledged_before("sync", HEAD)),
    "acknowledged before the head is written": ("rollback", acknowledged_before("write", HEAD)),
    "acknowledged before the journal is synced": ("second", acknowledged_before("sync", JOURNAL)),
    "head written before the journal": ("second", swapped(JOURNAL, HEAD)),
    "quarantine not synced": ("torn-tail", without("sync", QUARANTINE)),
    "quarantine's directory not synced": ("torn-tail", without("sync_dir", QUARANTINE)),
    "adopted entry not synced": ("unacknowledged-entry", without("sync", HEAD, JOURNAL)),
    "copy not synced": ("copy", without("sync", f"{ARTIFACTS}/incoming/", f"{ARTIFACTS}/sha256/")),
    "copy's name not synced": ("copy", without("sync_dir", f"{ARTIFACTS}/sha256/")),
    "copied directory not synced": ("copied-directory", without("sync_dir", f"{ARTIFACTS}/incoming/")),
    "removed before the event is synced": ("gc", without("sync", HEAD, JOURNAL)),
    "removed before the event is written": ("gc", first("unlink", f"{ARTIFACTS}/sha256/")),
}


def first_violation(sound: Trace, planted: Trace, workshop: Workshop) -> str | None:
    """Return the first broken promise that is new with the plant, looking where most is promised first."""
    before = sound.states(STRIDE_BYTES)
    for state, count in sorted(planted.states(STRIDE_BYTES).items(), key=lambda item: -item[1]):
        expected = planted.expected(count)
        if state in before and sound.expected(before[state]).acknowledged >= expected.acknowledged:
            continue
        try:
            check(dict(state), expected, workshop)
        except ViolationError as error:
            return str(error)
    return None


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str, scenarios: Scenarios, workshop: Workshop) -> None:
    """A trace with one sync missing or one operation too early leads to a broken promise."""
    name, change = PLANTS[plant]
    sound = scenarios.get(name)
    planted = replace(sound, name=plant, ops=change(sound.ops))

    found = first_violation(sound, planted, workshop)

    assert planted.ops != sound.ops, "the plant must change something"
    assert found is not None
