"""
One run from one seed: who acts, on what, in which weather; then the end, where nothing goes wrong any more.

A failure says how to run the seed again, and shows the last calls.
"""

from __future__ import annotations

import gc
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from random import Random

from simulated_actors import World, auditor, reader, runtime, writer
from simulated_disk import Disk
from simulated_faults import Weather
from simulated_hooks import hooked, registered
from simulated_judge import Judge
from simulated_requests import Request, drawn_requests
from simulated_scheduler import Actor, Scheduler
from simulated_system import System

CALLS_SHOWN = 60
ARTIFACTS = tuple(f"/artifacts/a{number}" for number in range(3))
_RUNS_BETWEEN_CLEARING = 50
_SIZES = (0, 0, 1, 3)


class FailedRunError(AssertionError):
    """A promise is broken in a run; says in which, and how to see it again."""


class Run:
    """
    A run, made once.

    Attributes:
        seed: as given.

        judge: knows what was tried.

    Args:
        seed: all that it depends on, beside the program.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._rng = rng = Random(seed)
        self._weather = Weather.drawn(rng)
        self._scheduler = Scheduler(rng, self._weather.switching, self._registered)
        self._system = System(_empty_disk(), self._scheduler, rng)
        self.judge = Judge(self._system)
        self._world = World(self._system, self.judge, self._weather.clock)

    def counts(self) -> Counter[str]:
        """Return how much of what was tried."""
        return self.judge.counts + self._system.faults + Counter({"run": 1, "calls": self._scheduler.turns})

    def trace(self) -> list[str]:
        """Return every call and every fault so far, in order."""
        return [" ".join(map(str, item)) for item in self._system.trace]

    def run(self) -> None:
        """
        Let it happen.

        Raises:
            FailedRunError: a promise is broken, or the program raised what it must not.
        """
        try:
            self._run()
        except Exception as error:
            raise FailedRunError(self._told(error)) from error

    def _run(self) -> None:
        rng, world, system = self._rng, self._world, self._system
        before = [Request(f"p{number}", rng.choice(ARTIFACTS)) for number in range(rng.choice(_SIZES))]
        requests = drawn_requests(rng, rng.randint(2, 6), ARTIFACTS)
        self._scheduler.run([Actor("pre", writer(world, before))])
        system.set_weather(self._weather)
        self._scheduler.run(self._cast(requests))
        system.set_weather(None)
        if rng.random() < 0.5:
            system.cut_power()
        asked = [request for request in [*before, *requests] if request.bound and not request.dry]
        self._scheduler.run([Actor("end", auditor(world, asked))])
        self.judge.close()

    def _cast(self, requests: list[Request]) -> list[Actor]:
        rng, world = self._rng, self._world
        names = ("ann", "ben", "cat")[: rng.randint(1, 3)]
        actors = [Actor(name, writer(world, rng.choices(requests, k=rng.randint(1, 3)))) for name in names]
        names = ("rex", "sue")[: rng.randint(0, 2)]
        actors += [Actor(name, reader(world, rng.randint(1, 4))) for name in names]
        if rng.random() < 0.3:
            actors.append(Actor("run", runtime(world, 2)))
        return actors

    def _registered(self, actor: Actor) -> AbstractContextManager[None]:
        return registered(self._system, actor)

    def _told(self, error: Exception) -> str:
        calls = "\n".join(self.trace()[-CALLS_SHOWN:])
        raised = "".join(traceback.format_exception(error)[-12:])
        return (
            f"seed {self.seed}: {error}\n{raised}weather: {self._weather}\nthe last calls:\n{calls}\n"
            f"to see it again: MODELOG_TEST_SEED={self.seed} python -m pytest -n 0 tests/simulation -k one_seed"
        )


def runs(seeds: Iterable[int]) -> Iterator[Run]:
    """Yield a run for each seed; clears away now and then what `hooked` lets lie."""
    for count, seed in enumerate(seeds):
        if count % _RUNS_BETWEEN_CLEARING == 0:
            gc.collect()
        yield Run(seed)


def digest_of(seed: int) -> str:
    """Return the SHA-256 of what a run with *seed* does, however it ends."""
    run = Run(seed)
    with hooked(), suppress(FailedRunError):
        run.run()
    return sha256("\n".join(run.trace()).encode()).hexdigest()


def _empty_disk() -> Disk:
    """Return a disk with the artifacts on it, and nothing of the registry or the runtime."""
    disk = Disk()
    disk.make_directory("/artifacts")
    for path in ARTIFACTS:
        file = disk.create(path, 0o644)
        disk.write(file, path.encode(), 0)
        disk.sync(file)
    disk.sync(disk.node("/artifacts"))
    disk.sync(disk.root)
    return disk
