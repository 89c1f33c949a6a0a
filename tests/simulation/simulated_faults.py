"""
What goes wrong, and where: drawn by the seed at each call, more often at calls that change something.

| fault       | what happens                                                                                      |
|-------------|---------------------------------------------------------------------------------------------------|
| kill        | the process ends there; what it wrote stays in the page cache, its locks are released             |
| power cut   | every process ends, and what is pending arrives or not                                            |
| fail        | the call fails and does nothing                                                                   |
| late fail   | the call does its work and fails                                                                  |
| short       | a write stops half-way; at times what is left then fails                                          |
| seen half   | others run while a write is half done                                                             |
| lost pages  | a sync fails, and its pages are never written, though they are still shown                         |
| lost unseen | the same between a write and its sync; the next sync says so, whoever asks for it                  |
| stall       | the process stands still for longer than others wait for a lock                                   |
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from random import Random
from typing import Literal

from simulated_kernel import Process

Kind = Literal["kill", "power cut", "fail", "late fail", "short", "seen half", "lost pages", "lost unseen", "stall"]

CHANGING = {
    "pwrite": (errno.EIO, errno.ENOSPC),
    "fsync": (errno.EIO, errno.ENOSPC),
    "fdatasync": (errno.EIO, errno.ENOSPC),
    "ftruncate": (errno.EIO,),
    "rename": (errno.EIO, errno.ENOSPC),
    "link": (errno.EIO, errno.ENOSPC),
    "unlink": (errno.EIO,),
    "mkdir": (errno.EIO, errno.ENOSPC),
}
READING = {
    "open": (errno.EIO, errno.EMFILE),
    "close": (errno.EIO,),
    "read": (errno.EIO,),
    "readv": (errno.EIO,),
    "pread": (errno.EIO,),
    "stat": (errno.EIO,),
    "lstat": (errno.EIO,),
    "fstat": (errno.EIO,),
    "listdir": (errno.EIO,),
    "flock": (errno.ENOLCK,),
}
_SYNCS = ("fsync", "fdatasync")
_HEART = ("pwrite", "fdatasync")
_OFTENER = 2.5
"""How much more often something goes wrong at the calls that decide."""

_UNLUCKY_RATE = 0.2
_UNLUCKY_CALLS = 4
"""Trouble seldom comes alone: how likely the next few calls of that process that change something go wrong too."""

_RARER = 0.06
"""How much less often something goes wrong at a call that changes nothing."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong; *code* where the call is told."""

    kind: Kind
    code: int = 0


@dataclass
class Weather:
    """
    How bad a run is.

    Attributes:
        switching: how likely another actor goes on at each call.

        rate: how likely something goes wrong at a call that changes something.

        left: how often each fault may still come.

        clock: `steady`, `still` or `wild`.
    """

    switching: float
    rate: float
    left: dict[Kind, int]
    clock: str

    @classmethod
    def drawn(cls, rng: Random) -> Weather:
        """Draw one; about one in ten is calm."""
        left: dict[Kind, int] = {}
        for kind, most in (("kill", 3), ("power cut", 2), ("fail", 3), ("late fail", 2), ("stall", 1)):
            left[kind] = rng.randint(0, most)
        for kind in ("short", "seen half", "lost pages", "lost unseen"):
            left[kind] = rng.randint(0, 2)
        rate = rng.choice((0.0, 0.005, 0.01, 0.02, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12))
        return cls(
            rng.choice((0.02, 0.05, 0.1, 0.2, 0.5)), rate, left, rng.choice(("steady", "steady", "still", "wild"))
        )

    def draw(self, call: str, process: Process, rng: Random) -> Fault | None:
        """Say what goes wrong at this call, if anything does."""
        codes = CHANGING.get(call)
        if rng.random() >= self._chance(call, process):
            return None
        kinds: list[Kind] = ["kill", "power cut", "stall"]
        codes = codes or READING.get(call)
        if codes:
            kinds += ["fail", "late fail"]
        if call == "pwrite":
            kinds += ["short", "short", "seen half", "seen half", "lost unseen"]
        if call in _SYNCS:
            kinds += ["lost pages", "lost pages"]
        kinds = [kind for kind in kinds if self.left[kind]]
        if not kinds:
            return None
        kind = rng.choice(kinds)
        self.left[kind] -= 1
        process.unlucky = _UNLUCKY_CALLS
        return Fault(kind, rng.choice(codes) if codes else 0)

    def _chance(self, call: str, process: Process) -> float:
        if call not in CHANGING:
            return self.rate * _RARER
        if process.unlucky and self.rate:
            process.unlucky -= 1
            return _UNLUCKY_RATE
        return self.rate * _OFTENER if call in _HEART else self.rate
