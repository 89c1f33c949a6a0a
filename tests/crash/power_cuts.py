"""
Power cuts, one after the other, on a disk of their own, while several processes change a registry on it.

Each round starts writers, cuts the power at a random moment, mounts the disk again and holds what it finds to the
promises: `check_state` is given a copy in memory, and the disk itself goes into the next round as the cut left it. So
recovery and retries of what was under way are cut as well; every so often a new registry begins in a new directory.

Run as a program it makes its rounds below a given directory, over which it mounts a file system in memory, and prints a
report. It expects a mount namespace of its own, which takes all mounts and loop devices with it.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import forgotten_syncs
from check_state import Request, ViolationError
from disk_writers import Writer, wait_for_news
from known_history import KnownHistory, unfinished
from loop_disk import LoopDisk, NotAvailableError, mount_memory
from workshop import JOURNAL, Workshop

EXIT_NOT_AVAILABLE = 77
WRITERS_MAX = 3
REQUESTS_MAX = 40
ROUNDS_OF_A_REGISTRY_MAX = 12
SECONDS_MAX = 60.0
MOMENT_SECONDS = 0.001
STATUSES_AFTER_A_CUT = ([2], [4], [5])


class PowerCuts:
    """
    The rounds on one disk.

    Args:
        disk: nobody else uses it.

        workshop: where copies are checked and artifacts lie; not on the disk.

        seed: of all that is left to chance but the clock.

    Attributes:
        tried: how many of what.

        history: of the registry that is in use.
    """

    def __init__(self, disk: LoopDisk, workshop: Workshop, seed: str) -> None:
        self.tried: Counter[str] = Counter()
        self._disk = disk
        self._workshop = workshop
        self._chance = random.Random(seed)
        self._answer_seconds = 0.02
        self._requests = 0
        self.history = self._new_registry()

    def cut_once(self) -> None:
        """
        Make one round.

        Raises:
            ViolationError: a promise is broken.
        """
        self._rounds_left -= 1
        if self._rounds_left < 0:
            self.history = self._new_registry()
        writers: list[Writer] = []
        try:
            self._start(writers)
            self._wait_for_the_moment(writers)
            seen = [len(writer.answers) for writer in writers]
            self._disk.cut()
            self.tried["power cuts"] += 1
            for writer in writers:
                writer.finish()
        finally:
            for writer in writers:
                writer.end()
        self._disk.revive()
        if not all(writer.is_sound or writer.statuses[-1:] in STATUSES_AFTER_A_CUT for writer in writers):
            raise _violation(writers, "after the cut: expected an exit status that tells of it, and no traceback")
        self.history.note(writers, seen)
        state = self.history.judge(self._workshop)
        self.tried["that left an unfinished append"] += unfinished(state)
        self.tried["that left a registry without an event"] += not self.history.shown
        self.tried["acknowledged before one, and there after it"] += sum(seen)
        self.tried["requests under way, asked again"] += len(self.history.open)

    def _new_registry(self) -> KnownHistory:
        self.tried["registries"] += 1
        self._rounds_left = self._chance.randrange(ROUNDS_OF_A_REGISTRY_MAX)
        return KnownHistory(self._disk.root / f"team {self.tried['registries']}" / "registry")

    def _start(self, writers: list[Writer]) -> None:
        """Start some writers; what is open is asked again first."""
        count = self._chance.randint(1, WRITERS_MAX)
        published = sum(b'"type":"model.published.v1"' in entry for entry in self.history.shown)
        for number in range(count):
            requests = self.history.open[number::count]
            requests += [self._request(may_roll_back=published >= 2) for _ in range(REQUESTS_MAX)]
            writers.append(Writer(self.history.top, requests, self._workshop.disk.parent / f"log{number}"))

    def _request(self, *, may_roll_back: bool) -> Request:
        self._requests += 1
        if may_roll_back and self._chance.random() < 0.3:
            return Request(f"rollback {self._requests}", None, "")
        artifact = self._workshop.artifact(f"weights {self._chance.randrange(5)}")
        return Request(f"publish {self._requests}", artifact, "b" * self._chance.choice((1, 256)))

    def _wait_for_the_moment(self, writers: list[Writer]) -> None:
        """Wait for a few answers, then for as long as one or two more may take, and perhaps for the next append."""
        began = time.monotonic()
        wanted = self._chance.choice((0, 0, 1, 2, 3, 5) if self.history.shown else (0, 0, 0, 1))
        while (answers := sum(len(writer.answers) for writer in writers)) < wanted:
            if time.monotonic() - began > SECONDS_MAX:
                raise _violation(writers, f"{answers} answers in {SECONDS_MAX:g} s")
            _go_on(writers, SECONDS_MAX)
        if answers:
            self._answer_seconds += 0.1 * ((time.monotonic() - began) / answers - self._answer_seconds)
        disturbance, moment = (2 * self._answer_seconds * self._chance.random() for _ in range(2))
        began = time.monotonic()
        if disturbance < moment:
            _go_on_until(writers, began + disturbance)
            self._disk.disturb()
        _go_on_until(writers, began + moment)
        if self._chance.random() < 0.5:
            self._wait_for_an_append(writers)

    def _wait_for_an_append(self, writers: list[Writer]) -> None:
        """Look until bytes come to the journal, and then a moment longer: there the promises are hardest to keep."""
        journal = self.history.top / JOURNAL
        began, size = time.monotonic(), _size_of(journal)
        while _size_of(journal) == size and time.monotonic() - began < 5 * self._answer_seconds:
            pass
        end = time.monotonic() + MOMENT_SECONDS * self._chance.random()
        while time.monotonic() < end:
            pass
        _go_on(writers, 0)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _go_on_until(writers: list[Writer], end: float) -> None:
    while (left := end - time.monotonic()) > 0:
        _go_on(writers, left)
    _go_on(writers, 0)


def _go_on(writers: list[Writer], seconds: float) -> None:
    """Let them work until there is news; on a sound disk nothing fails."""
    wait_for_news(writers, seconds)
    if not all(writer.is_sound for writer in writers):
        raise _violation(writers, "a request failed before the cut")


def _violation(writers: list[Writer], what: str) -> ViolationError:
    told = (f"\n  statuses {writer.statuses}, said at last: {writer.last_words()}" for writer in writers)
    return ViolationError(f"broken: {what}{''.join(told)}")


def run(top: Path, *, file_system: str, cuts: int, seed: str, forgotten: str = "") -> dict[str, Any]:
    """
    Make so many rounds below *top*, fewer where a promise is broken, and return a report.

    Args:
        forgotten: which of `forgotten_syncs.FORGOTTEN` is planted.
    """
    memory, evidence = top / "memory", top / "evidence"
    memory.mkdir(parents=True)
    mount_memory(memory)
    rounds = PowerCuts(LoopDisk(file_system, memory / "image", memory / "root"), Workshop(memory), seed)
    if forgotten:
        forgotten_syncs.plant(forgotten)
    broken = ""
    try:
        for _ in range(cuts):
            rounds.cut_once()
    except ViolationError as error:
        broken = f"{error}; what the cut left is in {evidence}"
        if rounds.history.top.exists():
            shutil.copytree(rounds.history.top, evidence, symlinks=True)
    return {"tried": rounds.tried, "broken": broken}


if __name__ == "__main__":
    try:
        print(json.dumps(run(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
    except NotAvailableError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_NOT_AVAILABLE)
