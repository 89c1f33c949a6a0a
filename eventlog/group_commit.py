"""
Group commit: requests that come while others are carried out wait, and one of their threads carries all of them out.

So many cost little more than one. Who leads such a group waits for a moment until as many have come as there were last
time: threads that ask again and again prepare the next request meanwhile, and without that they would fall apart into
two groups, each of which waits for the other.

Source: D. DeWitt et al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

GROUP_MAX = 64
"""Most requests that are carried out together."""

PATIENCE_SECONDS = 0.002
"""About what a publish takes; it is lost where fewer come than last time."""

UNWAITED = 16
"""So many groups wait for nobody after one that waited in vain."""

LOOK_SECONDS = 0.1
"""So often those who wait look themselves: whoever was to tell them may have been interrupted."""


class Request(Protocol):
    """What a thread waits for: *settled* once it is known how it ended."""

    settled: bool


Kind = TypeVar("Kind", bound=Request)


class GroupCommit(Generic[Kind]):
    """
    The requests of many threads, of which one at a time leads.

    Args:
        commit: carries out a group, and settles each of it whatever happens.

        held: is held meanwhile.

    Attributes:
        asked: the requests of all threads that are in `run`, first come first.
    """

    def __init__(self, commit: Callable[[list[Kind]], object], held: AbstractContextManager[object]) -> None:
        self.asked: list[Kind] = []
        self._commit, self._held = commit, held
        self._lock = threading.RLock()
        self._came, self._ended = threading.Condition(self._lock), threading.Condition(self._lock)
        self._leader: Kind | None = None
        self._expected = 1
        self._unwaited = 0

    def run(self, request: Kind) -> None:
        """
        Return when *request* is settled.

        Raises what *commit* raises, in the thread that leads; and what interrupts this one: a request that nobody had
        begun with by then is withdrawn, unless another interrupt comes at that very moment.
        """
        try:
            with self._lock:
                self.asked.append(request)
                if self._are_there():
                    self._came.notify()
            while self._is_to_lead(request):
                self._lead()
        finally:
            if led := self._leader is request:
                self._leader = None  # before anything that could be interrupted, or nobody would ever lead again
            with self._lock:
                if request in self.asked:
                    self.asked.remove(request)
                if led:
                    self._ended.notify_all()

    def _is_to_lead(self, request: Kind) -> bool:
        """Wait until *request* is settled, or nobody else leads and others have had time to come; say which it is."""
        with self._lock:
            while not request.settled and self._leader not in (None, request):
                self._ended.wait(LOOK_SECONDS)
            if request.settled:
                return False
            self._leader = request
            if self._unwaited:
                self._unwaited -= 1
            elif not self._came.wait_for(self._are_there, PATIENCE_SECONDS):
                self._unwaited = UNWAITED
            return True

    def _lead(self) -> None:
        """Carry a group out, and note how many may come the next time."""
        with self._held:
            with self._lock:
                group = self._waiting()[:GROUP_MAX]
            self._commit(group)
            with self._lock:
                self._expected = min(GROUP_MAX, len(group) + len(self._waiting()))

    def _waiting(self) -> list[Kind]:
        return [request for request in self.asked if not request.settled]

    def _are_there(self) -> bool:
        return len(self._waiting()) >= self._expected
