"""
Every state in which a power cut may leave a repair, a restore, a backup, an unbundling: it can be asked again.

The same simulator as for publishing. What is finished stays finished; what is not can be finished by the same command;
and no bytes of the old journal are ever in neither the journal nor the quarantine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from disk_model import Disk, states_of
from maintenance_scenarios import Maintenance, build
from scenarios import Scenarios
from strace_log import Tree
from support import LONG
from workshop import JOURNAL, MODELS, QUARANTINE, Workshop

from projections import backup_registry, verify_registry

STRIDE_BYTES = 8 if LONG else 256
UNANNOUNCED_STRIDE = 6
"""Of what an unbundling may leave only each sixth state is looked at by default: most are artifacts half-way."""

NAMES = ["discard-tail", "rebuild-head", "from-copy", "accept-rewind", "accept-rewind, head alone"]
NAMES += ["restore", "restore onto a prefix", "unbundle", "unbundle onto a prefix"]
Tally = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def _quickly() -> Iterator[None]:
    """Nobody else writes here, so nobody waits; what is said of each state would fill the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with mock.patch("time.sleep", return_value=None):
        yield
    logging.disable(previous)


def finished(done: Maintenance, workshop: Workshop) -> None:
    """Hold what is on the disk now to what the command promises once it has ended."""
    tree = workshop.tree()
    journal = tree[JOURNAL] or b""
    report = verify_registry(workshop.models, workshop.runtime)
    assert (report.verdict, [item.what for item in report.findings]) == ("intact", [])
    assert journal.startswith(done.truth)
    types = [json.loads(line)["type"] for line in journal[len(done.truth) :].splitlines()]
    assert types == done.events
    assert not [path for path in tree if path.endswith(".pending")]
    assert done.surplus in b"".join(data or b"" for path, data in tree.items() if path.startswith(QUARANTINE))


def check(state: Tree, done: Maintenance, workshop: Workshop) -> None:
    """Ask for the same again, then publish: whatever the power cut left, the end is the promised one."""
    workshop.put(state)
    before = workshop.tree().get(JOURNAL) or b""
    kept = b"".join(data or b"" for path, data in state.items() if path.startswith(QUARANTINE))
    assert done.surplus in before or done.surplus in kept, "bytes vanished"
    if not done.announced:
        _check_beginning(before, done, workshop)
    elif before != done.start.get(JOURNAL, b"") and not before.startswith(done.truth):
        report = verify_registry(workshop.models, workshop.runtime)
        assert report.verdict == "damaged", "half a restore must not look like a whole history"

    done.again()
    workshop.open().publish_model(workshop.artifact("after the crash"), backend="check")

    tree = workshop.tree()
    journal = tree[JOURNAL] or b""
    assert journal.startswith(done.truth)
    types = [json.loads(line)["type"] for line in journal[len(done.truth) :].splitlines()]
    # a power cut may have a repair said twice, never leave it unsaid
    assert types[-1] == "model.published.v1"
    assert set(types[:-1]) <= {*done.events, "journal.recovered.v1"}
    assert set(types) >= set(done.events)
    report = verify_registry(workshop.models, workshop.runtime)
    assert (report.verdict, [item.what for item in report.findings]) == ("intact", [])
    assert not [path for path in tree if path.endswith(".pending")]
    assert done.surplus in b"".join(data or b"" for path, data in tree.items() if path.startswith(QUARANTINE))


def _check_beginning(journal: bytes, done: Maintenance, workshop: Workshop) -> None:
    """Half of an unbundling is the beginning of the history, and what it acknowledges has its artifacts."""
    acknowledged = workshop.open().catalog()
    lines = done.truth.splitlines(keepends=True)[: acknowledged.size]
    assert journal.startswith(b"".join(lines)), "what is acknowledged is no beginning"
    if acknowledged.size > len((done.start.get(JOURNAL) or b"").splitlines()):
        path = workshop.models / "artifacts" / "sha256"
        assert [item.read_bytes() for item in path.glob("*/*") if item.stat().st_size] == [b"base-3"]


@pytest.mark.parametrize("name", NAMES)
def test_a_power_cut(name: str, scenarios: Scenarios, workshop: Workshop, tally: Tally) -> None:
    """At every moment, and in every order in which the disk may have done what it was asked."""
    done = build(name, scenarios, workshop)
    states = {tuple(tree.items()): count for count, tree in states_of(done.start, done.ops, STRIDE_BYTES)}

    broken = []
    for state, count in list(states.items())[:: 1 if LONG or done.announced else UNANNOUNCED_STRIDE]:
        try:
            check(dict(state), done, workshop)
        except Exception as error:
            broken.append(f"{name}: after {count} operations, the last {done.ops[count - 1]}: {error!r}")

    looked_at = len(states) if LONG or done.announced else len(states) // UNANNOUNCED_STRIDE
    tally("distinct states that a power cut may leave of a repair, restore or backup", looked_at)
    assert broken == [], f"{len(broken)} of {len(states)} states: {broken[:3]}"
    assert len(states) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_what_has_ended_stays(name: str, scenarios: Scenarios, workshop: Workshop) -> None:
    """Once the command has ended, no power cut undoes it."""
    done = build(name, scenarios, workshop)
    disk = Disk(done.start)
    for op in done.ops:
        disk.take(op)

    for tree in disk.states(STRIDE_BYTES, newest_only=False):
        workshop.put(tree)
        finished(done, workshop)


def test_a_backup_is_whole_or_not_there(scenarios: Scenarios, workshop: Workshop, tally: Tally) -> None:
    """Under its own name there is never half a backup; and taking one changes nothing in the registry."""
    start = scenarios.base(3)
    workshop.put(start)
    ops = workshop.trace("backup", str(workshop.disk / "copy"))
    states = {tuple(tree.items()) for _, tree in states_of(start, ops, STRIDE_BYTES)}

    wholes = 0
    for state in states:
        tree = dict(state)
        workshop.put(tree)
        if "copy" in tree:
            wholes += 1
            report = verify_registry(workshop.disk / "copy", None)
            assert (report.verdict, report.findings) == ("intact", [])
            assert tree["copy/journal.jsonl"] == start[JOURNAL]
            backup_registry(workshop.disk / "copy 2", workshop.disk / "copy")
        assert {path: data for path, data in tree.items() if path.startswith(MODELS)} == {
            path: data for path, data in start.items() if path.startswith(MODELS)
        }

    tally("distinct states that a power cut may leave of a repair, restore or backup", len(states))
    assert 0 < wholes < len(states)
