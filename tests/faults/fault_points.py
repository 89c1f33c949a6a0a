"""
The system calls of a command that touch its files, found in a clean strace, and how each of them may fail.

Touched files are those of the registry, the runtime and the artifact, the directories above them, and, where they are
written to, stdout and stderr. With `when=N` strace counts only the calls that its path filter (`-P`) lets through. So
the calls on these paths are numbered here, and strace is given the same paths: what Python reads while it starts is
neither counted nor failed, and "for good" means that this kind of call fails on all of the command's files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from real_command import Outcome, Program
from support import Place

_NO_ROOM = ("ENOSPC", "EDQUOT")
_NOT_ALLOWED = ("EACCES", "EPERM", "EROFS")
_NAME = ("EIO", *_NO_ROOM, *_NOT_ALLOWED)
_READ = ("EIO", "EINTR", "EBADF", "ENOMEM", "EACCES")
_WRITE = ("EIO", *_NO_ROOM, "EINTR", "EBADF", "EPERM", "EFBIG")
_SYNC = ("EIO", *_NO_ROOM, "EINTR", "EROFS")
_ASK = ("EIO", "EACCES", "ENOMEM", "EOVERFLOW")

ERRNOS: dict[str, tuple[str, ...]] = {
    "openat": (*_NAME, "EINTR", "EMFILE", "ENFILE", "ENOMEM"),
    "close": ("EIO", *_NO_ROOM, "EINTR", "EBADF"),
    "read": _READ,
    "readv": _READ,
    "pread64": _READ,
    "getdents64": ("EIO", "EACCES", "EBADF", "ENOMEM"),
    "newfstatat": _ASK,
    "statx": _ASK,
    "access": ("EIO", *_NOT_ALLOWED, "ENOMEM"),
    "faccessat2": ("EIO", *_NOT_ALLOWED, "ENOMEM"),
    "readlink": ("EIO", "EACCES", "ENOMEM"),
    "lseek": ("EIO", "EBADF"),
    "fcntl": ("EBADF",),
    "ioctl": ("EIO", "EBADF"),
    "write": (*_WRITE, "EAGAIN", "EPIPE"),
    "pwrite64": _WRITE,
    "fsync": _SYNC,
    "fdatasync": _SYNC,
    "fadvise64": ("EBADF", "EINVAL", "ESPIPE"),
    "ftruncate": ("EIO", *_NO_ROOM, "EINTR", "EPERM", "EROFS"),
    "fchmod": ("EIO", "EPERM", "EROFS"),
    "fchown": ("EIO", "EPERM", "EROFS", "EDQUOT"),
    "rename": _NAME,
    "unlink": (*_NAME, "EBUSY"),
    "link": (*_NAME, "EMLINK"),
    "mkdir": (*_NAME, "EMLINK"),
    "statfs": ("EIO", "ENOSYS"),
    "chmod": ("EIO", "EPERM", "EROFS"),
    "rmdir": (*_NAME, "EBUSY"),
    "unlinkat": (*_NAME, "EBUSY"),
    "linkat": (*_NAME, "EMLINK"),
    "flock": ("EIO", "ENOLCK", "EINTR", "EAGAIN", "EBADF", "EOPNOTSUPP"),
}
"""What each call is made to say. Not ENOENT and its like: they are answers about names, and those would be lies."""

STREAMS = ("stdout", "stderr")
QUESTIONS = {"openat", "close", "read", "readv", "pread64", "getdents64", "newfstatat", "statx", "access", "faccessat2"}
"""The calls that most often change nothing."""

MODES = ("once", "for good")
INTERRUPTIONS = 10
"""How often a call is interrupted "for good": Python asks again for ever, and in the end gets its answer."""

_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += .*")
_PATH = re.compile(r'\b\d+<([^>]*)>|"([^"]*)"')


@dataclass(frozen=True)
class Fault:
    """
    One way in which a command's calls fail.

    Attributes:
        call: its name.

        number: counting from 1 the calls of this name that touch the command's files.

        path: what it touches.
    """

    call: str
    number: int
    path: str
    code: str
    mode: str

    def __str__(self) -> str:
        return f"{self.call} {self.number} on {self.path}: {self.code} {self.mode}"

    def injection(self) -> str:
        """Return it as strace wants it."""
        when = {"once": "", "for good": "+"}[self.mode]
        if self.mode == "for good" and self.code == "EINTR":
            when = f"..{self.number + INTERRUPTIONS - 1}"
        return f"inject={self.call}:error={self.code}:when={self.number}{when}"


@dataclass(frozen=True)
class Calls:
    """
    The calls of one clean run that touch its files, in order.

    Attributes:
        touched: the name of each call, its number as in `Fault`, and what it touches.

        paths: every path that strace is to look at.
    """

    touched: tuple[tuple[str, int, str], ...]
    paths: tuple[str, ...]

    def is_last(self, fault: Fault) -> bool:
        """Say whether no later call of this name touches what this one does."""
        alike = [number for call, number, path in self.touched if (call, path) == (fault.call, fault.path)]
        return fault.number == alike[-1]

    def faults(self) -> Iterator[Fault]:
        """Yield each call failing in each way."""
        for call, number, path in self.touched:
            assert call in ERRNOS, f"say how {call} may fail, in ERRNOS"
            for code in ERRNOS[call]:
                for mode in MODES:
                    yield Fault(call, number, path, code, mode)

    def sample(self, stride: int, start: int) -> Iterator[Fault]:
        """
        Yield each call that changes, syncs or locks something failing in one way, and of the rest every *stride*th.

        The ways take turns: the first two errors of its list, once and for good.
        """
        for turn, (call, number, path) in enumerate(step for step in self.touched if step[0] not in QUESTIONS):
            chosen = start + turn
            yield Fault(call, number, path, ERRNOS[call][chosen // 2 % min(2, len(ERRNOS[call]))], MODES[chosen % 2])
        yield from [fault for fault in self.faults() if fault.call in QUESTIONS][start::stride]


def watch(program: Program, place: Place, words: Sequence[str]) -> tuple[Calls, Outcome]:
    """Run a command, which must succeed, and return its calls that touch files, and how it ended."""
    done, log = _traced(program, place, words, "-e", "trace=%file,%desc")
    assert done.status == 0, done
    lines = [match for match in map(_LINE.fullmatch, log.splitlines()) if match]
    seen = [(match[1], [opened or name for opened, name in _PATH.findall(match[2])]) for match in lines]
    artifacts = [path for path in place.root.iterdir() if path not in (place.registry_dir, place.state_dir)]
    ours = [str(path) for path in (place.registry_dir, place.state_dir, *artifacts)]
    above = {str(path) for path in place.registry_dir.parents}
    streams = {str(program.scratch / name) for name in STREAMS}

    def is_ours(path: str) -> bool:
        return any(path == top or path.startswith(f"{top}/") for top in ours)

    paths = {path for _, found in seen for path in found if is_ours(path) or path in above | streams}
    counts: Counter[str] = Counter()
    touched: list[tuple[str, int, str]] = []
    for call, found in seen:
        path = next((path for path in found if path in paths), None)
        if path is None:
            continue
        counts[call] += 1
        if is_ours(path) or (path in streams and call == "write") or (path in above and touched):
            touched.append((call, counts[call], path))
    return Calls(tuple(touched), tuple(sorted(paths))), done


def run_with(fault: Fault, calls: Calls, program: Program, place: Place, words: Sequence[str]) -> Outcome:
    """Run the command with the fault in it, and make sure that it happened where it was meant to."""
    paths = [word for path in calls.paths for word in ("-P", path)]
    done, log = _traced(program, place, words, *paths, "-e", f"trace={fault.call}", "-e", fault.injection())
    lines = [line for line in log.splitlines() if f" {fault.call}(" in line]
    hit = lines[fault.number - 1] if len(lines) >= fault.number else ""
    assert "(INJECTED)" in hit, f"the fault did not happen; the calls were {lines}"
    assert fault.path in hit, f"the fault met another call: {hit}"
    return done


def _traced(program: Program, place: Place, words: Sequence[str], *options: str) -> tuple[Outcome, str]:
    """Run the command under strace, with streams that have a path; return how it ended, and the log."""
    out, err = (program.scratch / name for name in STREAMS)
    log = program.scratch / "strace.log"
    under = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "0", "-o", str(log), *options]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        done = program.run(place, words, under=under, stdout=stdout, stderr=stderr)
    return replace(done, out=out.read_text(), err=err.read_text()), log.read_text()
