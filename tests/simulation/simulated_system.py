"""
A simulated machine: each call to its kernel is a turn of the scheduler, a line of the trace and a place for a fault.

A process that has ended makes no more calls: whatever its code still tries while it unwinds has no effect.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from simulated_disk import Disk, Fate, File
from simulated_faults import Fault, Weather
from simulated_kernel import Kernel, Process, failure
from simulated_scheduler import Actor, Killed, Scheduler

STALL_SECONDS = 1.0
_HALF_SECONDS_MAX = 0.03


class System(Kernel):
    """
    One machine.

    Attributes:
        life: how many power cuts there were.

        stalls: how often a process stood still.

        trace: one item for each call and each fault.

        faults: how many of each kind there were.
    """

    def __init__(self, disk: Disk, scheduler: Scheduler, rng: Random) -> None:
        super().__init__(disk, rng)
        self.life = 0
        self.stalls = 0
        self.trace: list[tuple[Any, ...]] = []
        self.faults: Counter[str] = Counter()
        self.scheduler = scheduler
        self._weather: Weather | None = None

    def start(self, actor: Actor) -> None:
        """Give *actor* a new process; the one that it has ends."""
        if actor.process is not None and not actor.process.dead:
            self.end(actor.process)
        actor.process = self.started()

    def set_weather(self, weather: Weather | None) -> None:
        """Let things go wrong from now on, or no more."""
        self._weather = weather
        self.calm = weather is None

    def cut_power(self) -> None:
        """End everything and keep what a disk may have kept."""
        self.end_all()
        fate = Fate(self.rng)
        self.trace.append(("", 0, "power cut", fate.style, self.life))
        self.disk = self.disk.after_power_cut(fate)
        self.life += 1
        self.scheduler.wake_all()

    def sleep(self, actor: Actor, seconds: float) -> None:
        """Let others run for a time."""
        if actor.process.dead:
            raise Killed
        self.scheduler.sleep(actor, seconds)
        self.scheduler.turn(actor)
        if actor.process.dead:
            raise Killed

    def call(self, actor: Actor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call of the process of *actor*."""
        process: Process = actor.process
        if process.dead:
            raise Killed
        if name == "close" and self.is_orphan(args[0]):
            return None  # an object of an earlier process goes away
        self.scheduler.turn(actor)
        if process.dead:
            raise Killed
        last = args[-1]
        self.trace.append((actor.name, process.pid, name, args[0], last if isinstance(last, int | str) else ""))
        fault = self._weather.draw(name, process, self.rng) if self._weather else None
        if fault is None:
            return getattr(self, f"os_{name}")(process, *args, **kwargs)
        self.trace.append((actor.name, process.pid, fault.kind, name, fault.code))
        self.faults[fault.kind] += 1
        return self._faulty(actor, fault, name, args, kwargs)

    # Faults

    def _faulty(self, actor: Actor, fault: Fault, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        process: Process = actor.process
        work = getattr(self, f"os_{name}")
        if fault.kind in ("kill", "power cut"):
            if fault.kind == "kill":
                self.end(process)
            else:
                self.cut_power()
            raise Killed
        if fault.kind == "stall":
            self.stalls += 1
            self.sleep(actor, STALL_SECONDS)
            return work(process, *args, **kwargs)
        if fault.kind in ("short", "seen half"):
            return self._half(actor, fault, *args)
        if fault.kind == "lost unseen":
            written = work(process, *args)
            file = process.files[args[0]].node
            assert isinstance(file, File), "only files are written to"
            self.disk.lose(file, self.rng)
            file.unreported = True
            return written
        process.faults += 1
        if fault.kind == "lost pages":
            self.disk.lose(process.files[args[0]].node, self.rng)
        elif fault.kind == "late fail" or name == "close":
            result = work(process, *args, **kwargs)
            if name == "open":
                self.forget(process, result)
        raise failure(fault.code)

    def _half(self, actor: Actor, fault: Fault, descriptor: int, data: Any, offset: int) -> int:
        process: Process = actor.process
        raw = bytes(data)
        first = self.rng.randint(0 if fault.kind == "seen half" else 1, len(raw))
        written = self.os_pwrite(process, descriptor, raw[:first], offset)
        if fault.kind == "short":
            if self.rng.random() < 0.5:
                process.next_write_fails = fault.code
            return written
        if self.rng.random() < 0.3:
            self.end(process)
            raise Killed
        self.sleep(actor, self.rng.random() * _HALF_SECONDS_MAX)
        return first + self.os_pwrite(process, descriptor, raw[first:], offset + first)
