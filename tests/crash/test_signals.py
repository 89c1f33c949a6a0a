"""
A signal at every system call of a command: status and words are true of the disk, and the next command works.

Under strace each of four signals is sent on entering each call, counted in a clean trace (`signal_points`). While the
command works, by default every 12th call gets a SIGINT, every 30th a SIGKILL, and every 60th each of the others; at its
start, where nothing can have happened yet, far fewer do, in one command for all. With `MODELOG_TEST_LENGTH=long` in the
environment every call gets every signal while the command works; at the start every call gets a SIGINT, the only signal
that is handled, and every tenth the others.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from check_signal import NOTHING_RECORDED, check_signalled
from scenarios import Scenarios, Trace
from signal_points import Ended, Point, TooFewCallsError, TracedCommand
from support import LONG
from workshop import Workshop

HUP, INT, KILL, TERM = signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM
COMMANDS = ("first", "second", "rollback", "torn-tail", "unacknowledged-entry")
STRIDES = dict.fromkeys((INT, KILL, TERM, HUP), 1) if LONG else {INT: 12, KILL: 30, TERM: 60, HUP: 60}
START_STRIDES = {INT: 1, KILL: 10, TERM: 10, HUP: 10} if LONG else {INT: 300, KILL: 900, TERM: 900, HUP: 900}
START_SHARDS = 8 if LONG else 1
WORK_CALLS_MIN = 100
START_CALLS_MIN = 1_000

Tally = Callable[[str, int], None]


@dataclass(frozen=True)
class Bench:
    """
    A workshop in which one command is signalled over and over, each time from the same start.

    Attributes:
        start, work: its calls before it does anything, and those from then on.
    """

    trace: Trace
    command: TracedCommand
    workshop: Workshop
    start: list[Point]
    work: list[Point]

    def broken(self, number: signal.Signals, points: Sequence[Point]) -> Iterator[tuple[Ended, bool, str | None]]:
        """Send the signal at each of *points*; yield how it ended, whether it is recorded, and what is broken."""
        for point in points:
            ended = self._signalled(number, point)
            try:
                yield ended, check_signalled(self.trace, number, ended, self.workshop), None
            except (AssertionError, ValueError) as error:
                yield ended, False, f"{self.trace.name}: {number.name} at {point.shown[:300]}: {ended}: {error}"

    def _signalled(self, number: signal.Signals, point: Point) -> Ended:
        self.workshop.put(self.trace.start)
        try:
            return self.command.signalled(number, point)
        except TooFewCallsError as error:
            return self._signalled(number, error.last)


Benches = Callable[[str], Bench]


@pytest.fixture(scope="session")
def benches(scenarios: Scenarios, workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Benches:
    """A function that gives the bench of a scenario; its calls are counted when it is first asked for."""
    modules = tmp_path_factory.mktemp("modules")

    @cache
    def build(name: str) -> Bench:
        trace = scenarios.get(name)
        (request,) = trace.requests
        argv = ["--registry-dir", str(workshop.models), "--state-dir", str(workshop.runtime), "--id", request.id]
        if request.artifact_path is None:
            argv = ["rollback", *argv]
        else:
            argv = ["publish", *argv, "--artifact", request.artifact_path, "--backend", request.backend]
        command = TracedCommand(argv, workshop.disk.parent, modules)
        for _ in range(2):  # the first time modules are compiled
            workshop.put(trace.start)
            start, work = command.points()
        return Bench(trace, command, workshop, start, work)

    return build


@pytest.mark.parametrize("number", STRIDES, ids=lambda number: number.name)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_at_work(name: str, number: signal.Signals, benches: Benches, tally: Tally) -> None:
    """Before the point of no return, at it and after it: of a publish, the first one, a rollback and two recoveries."""
    bench, stride = benches(name), STRIDES[number]

    results = list(bench.broken(number, bench.work[COMMANDS.index(name) % stride :: stride]))

    tally(f"{number.name} at a system call", len(results))
    broken = [problem for _, _, problem in results if problem is not None]
    assert not broken, f"{len(broken)} of {len(results)} break a promise, the first ones:\n" + "\n".join(broken[:3])
    assert len(bench.work) >= WORK_CALLS_MIN
    assert {recorded for _, recorded, _ in results} == {False, True}, "some must come early, and some late"
    if number == INT:
        assert {ended.status for ended, _, _ in results} >= {130, 0}


@pytest.mark.parametrize("shard", range(START_SHARDS))
@pytest.mark.parametrize("number", START_STRIDES, ids=lambda number: number.name)
@pytest.mark.parametrize("name", ["second"])
def test_a_signal_at_the_start(name: str, number: signal.Signals, shard: int, benches: Benches, tally: Tally) -> None:
    """While modules are imported nothing is recorded, and Ctrl-C shows nobody a traceback."""
    bench = benches(name)

    results = list(bench.broken(number, bench.start[:: START_STRIDES[number]][shard::START_SHARDS]))

    tally(f"{number.name} at a system call of the start", len(results))
    broken = [problem for _, _, problem in results if problem is not None]
    assert not broken, f"{len(broken)} of {len(results)} break a promise, the first ones:\n" + "\n".join(broken[:3])
    assert len(bench.start) >= START_CALLS_MIN
    assert not any(recorded for _, recorded, _ in results)
    if number == INT:
        assert {ended.status for ended, _, _ in results} <= NOTHING_RECORDED
