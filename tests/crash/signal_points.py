"""
The moments at which a signal may come to a command: on entering each of its system calls, as a clean trace counts them.

The calls that manage memory are left out: their number depends on where the kernel puts things, they touch no file, and
a signal that comes there is a signal at the next call. So is the very last call, from which nothing returns, and the
one just before the end that has SIGINT ignored, where the kernel drops one that is pending. So are those of the
interpreter before the command has said what Ctrl-C means to it: nothing of ours runs there. What is left falls into two
parts. At the start modules are imported and words are parsed; the work begins with the first call that names the place
of the registry or the artifact.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

_REPOSITORY = Path(__file__).resolve().parents[2]
_LEFT_OUT = "brk,mmap,munmap,mremap,mprotect,madvise,exit_group"
_CALL = re.compile(r"\d+ +(\w+)\(")
_OURS = "rt_sigaction(SIGINT, {sa_handler=SIG_DFL"
"""The first thing that a command does of its own, in `interrupts.let_kill`."""

_DROPS = "rt_sigaction(SIGINT, {sa_handler=SIG_IGN"


@dataclass(frozen=True)
class Point:
    """A system call: the one with this *number*, from 1, of all with this name; and how the trace shows it."""

    call: str
    number: int
    shown: str


class TooFewCallsError(Exception):
    """
    The command has ended before it came to a point, because `/proc/locks` took fewer reads than in the clean trace.

    It is as long as there are locks in the whole system.

    Attributes:
        last: the last call of the kind that it did make.
    """

    def __init__(self, last: Point) -> None:
        super().__init__()
        self.last = last


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative for a signal that killed it) and what it said."""

    status: int
    out: bytes
    err: str


class TracedCommand:
    """
    Runs one command in a process of its own under strace, over and over.

    Not with `--seccomp-bpf`, which would be faster: with it strace 6.1 sends no signal.

    Args:
        argv: the words behind the program's name; a path below *place* is among them.

        place: where all is that the command works on.

        modules: a directory for compiled modules, so that only the first start compiles them.
    """

    def __init__(self, argv: Sequence[str], place: Path, modules: Path) -> None:
        self._place = place
        self._program = [sys.executable, "-X", f"pycache_prefix={modules}", "-m", "scripts.manage_models", *argv]
        ours = ("MODELOG_", "PYTHON", "COV_", "LC_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment = {**kept, "PYTHONHASHSEED": "0"}

    def points(self) -> tuple[list[Point], list[Point]]:
        """Run the command undisturbed; return its calls at the start and those of its work, in order."""
        ended, lines = self._run("-y", "-e", f"trace=!{_LEFT_OUT}")
        assert ended.status == 0, ended
        assert len({line.split()[0] for line in lines}) == 1, "expected one process with one thread"
        begun = next(number for number, line in enumerate(lines) if _OURS in line) + 1
        at_work = next(number for number, line in enumerate(lines) if number >= begun and str(self._place) in line)
        counts: Counter[str] = Counter()
        points = []
        for line in lines:
            if match := _CALL.match(line):
                counts[match[1]] += 1
                points.append(Point(match[1], counts[match[1]], line))
        return points[begun:at_work], [point for point in points[at_work:] if _DROPS not in point.shown]

    def signalled(self, number: signal.Signals, point: Point) -> Ended:
        """
        Run the command and send it a signal as it enters the call *point*; require that this took place.

        Raises:
            TooFewCallsError: the command has ended before.
        """
        injection = f"inject={point.call}:signal={number.name}:when={point.number}"
        ended, lines = self._run("-e", f"trace={point.call}", "-e", injection)
        came = [place for place, line in enumerate(lines) if f"--- {number.name} " in line or "+++ killed by" in line]
        made = sum(bool(_CALL.match(line)) for line in lines)
        if not came and point.call == "read" and made < point.number:
            raise TooFewCallsError(replace(point, number=made))
        assert came, f"{point}: no {number.name} came; the command made {made} such calls, and {ended}"
        calls = [line for line in lines[: came[0]] if _CALL.match(line)]
        assert len(calls) == point.number, f"{point}: the signal came at another call: {calls[-1:]}"
        return ended

    def _run(self, *options: str) -> tuple[Ended, list[str]]:
        with TemporaryDirectory() as name:
            log = Path(name) / "log"
            strace = ["strace", "-f", "-s", "4096", "-o", str(log), *options]
            done = subprocess.run(
                ["env", "--default-signal=HUP,INT,TERM", *strace, *self._program],
                cwd=_REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=120,
                check=False,
            )
            lines = log.read_text(errors="replace").splitlines()
        return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace")), lines
