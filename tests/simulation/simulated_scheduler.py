"""
Who runs: one actor at a time, chosen by the seed at every call to the operating system.

Actors are threads that hand one baton on. Only its holder runs, so that a run depends on nothing but its seed: time is
simulated too, and a sleep is a place where others run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

TURNS_MAX = 200_000
_TICK_SECONDS = 0.000_02


class Killed(BaseException):
    """The process of this actor has ended; no `except Exception` may keep it alive."""


class Stopped(BaseException):
    """The run has failed elsewhere: this actor does nothing more."""


class EndlessError(AssertionError):
    """A run does not come to its end."""


class Actor:
    """
    Somebody who starts processes, one after the other.

    Attributes:
        wake: when it can run again, in simulated seconds.

        process: the one that it runs now, or None; dead where it was killed.
    """

    def __init__(self, name: str, script: Callable[[Actor], None]) -> None:
        self.name = name
        self.script = script
        self.wake = 0.0
        self.process: Any = None
        self.baton = threading.Lock()
        self.baton.acquire()


class Scheduler:
    """
    Passes the baton.

    Attributes:
        now: simulated seconds since the start.

        failure: what ended the run early: nobody goes on after that.

    Args:
        rng: of the run.

        switching: how likely another actor goes on at each call.

        register: called on each actor's thread; keeps that thread known as the actor's for as long as it runs.
    """

    def __init__(self, rng: Random, switching: float, register: Callable[[Actor], Any]) -> None:
        self.now = 0.0
        self.turns = 0
        self.failure: BaseException | None = None
        self._rng = rng
        self._switching = switching
        self._register = register
        self._actors: list[Actor] = []
        self._over = threading.Lock()

    def run(self, actors: list[Actor]) -> None:
        """Let *actors* run until all are done; raise what one of them raised."""
        self._actors = list(actors)
        self._over.acquire()
        threads = [threading.Thread(target=self._live, args=(actor,), daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        self._rng.choice(actors).baton.release()
        with self._over:
            pass
        for thread in threads:
            thread.join()
        self._over = threading.Lock()
        if self.failure is not None:
            raise self.failure

    def turn(self, actor: Actor) -> None:
        """Let time go by, and perhaps others run, before *actor* goes on."""
        self.turns += 1
        self.now += _TICK_SECONDS
        if self.turns > TURNS_MAX:
            raise EndlessError(f"more than {TURNS_MAX} calls")
        if actor.wake > self.now or self._rng.random() < self._switching:
            self._pass_on(actor)
        if self.failure is not None:
            raise Stopped

    def sleep(self, actor: Actor, seconds: float) -> None:
        """Let *actor* run again no earlier than in *seconds*."""
        actor.wake = self.now + seconds

    def wake_all(self) -> None:
        """End all sleep."""
        for actor in self._actors:
            actor.wake = self.now

    def _pass_on(self, actor: Actor) -> None:
        chosen = self._choose()
        if chosen is not actor:
            chosen.baton.release()
            actor.baton.acquire()

    def _choose(self) -> Actor:
        awake = [actor for actor in self._actors if actor.wake <= self.now]
        if not awake:
            self.now = min(actor.wake for actor in self._actors)
            awake = [actor for actor in self._actors if actor.wake <= self.now]
        return self._rng.choice(awake)

    def _live(self, actor: Actor) -> None:
        actor.baton.acquire()
        try:
            with self._register(actor):
                if self.failure is None:
                    actor.script(actor)
        except Killed:
            if self.failure is None:
                self.failure = AssertionError(f"{actor.name} was not started again")
        except BaseException as error:
            self.failure = self.failure or error
        self._actors.remove(actor)
        if self._actors:
            self._choose().baton.release()
        else:
            self._over.release()
