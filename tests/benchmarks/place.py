"""
Where a run works: the environments, the registries of each size, scratch directories, and the processes in them.

    DIRECTORY/venvs     kept: one environment for ours, one for each peer
    DIRECTORY/data      kept: registries and the large artifact
    DIRECTORY/scratch   of one run: copies that are written to, so that what is kept stays as it is
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import venvs
from measure import CannotRunError, Limits
from msgspec import Struct
from worker import Worker, environment

ARTIFACT_BYTES = 1_024
DATA_FORMAT = 5


class Settings(Struct, frozen=True):
    """
    How much is measured.

    Attributes:
        rounds: of each contender.

        seconds_max: after which a group starts no more rounds of one row, but for three.

        size_max: the most models or events of any row.

        replay_events: of the group `replay`.

        growth_max: the largest size of the group `growth`.

        publishes: of each of the eight writers of the group `concurrency`.

        artifact_bytes: of the file that the group `hashing` hashes; the group `copies` copies one of at most 1 GiB.

        peers: whether the peers run too.
    """

    rounds: int = 9
    seconds_max: float = 300.0
    size_max: int = 1_000_000
    replay_events: int = 1_000_000
    growth_max: int = 100_000
    publishes: int = 200
    artifact_bytes: int = 4 << 30
    peers: bool = True

    def target(self, text: str, *, size: int, of: int) -> str:
        """Return a target, or an empty one where something smaller is measured than what it is for."""
        return text if size >= of else ""

    def sizes(self, *wanted: int) -> list[int]:
        """Return the sizes that may be measured; at least one."""
        return sorted({min(size, self.size_max) for size in wanted})


class Place:
    """
    See the module.

    Args:
        directory: must be on the disk that is to be measured.

        source: the checkout whose packages are measured.

        interpreter: measure what is installed in this one instead, and make no environment of our own.

        say: told what is being done.
    """

    def __init__(
        self,
        directory: Path,
        source: Path,
        settings: Settings,
        say: Callable[[str], object],
        interpreter: Path | None = None,
    ) -> None:
        self.settings = settings
        self.say = say
        self._root = directory.resolve()
        for name in ("home", "data", "logs", "results", "venvs"):
            (self._root / name).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._root / "scratch", ignore_errors=True)
        (self._root / "scratch").mkdir()
        self._source = venvs.fingerprint(source)
        self._environment = environment(self._root / "home")
        self._workers: list[Worker] = []
        self._python = interpreter or venvs.ours(self._root / "venvs", source, say)
        self._launcher = self.worker([sys.executable, "-I", "-S"], "launcher.py")

    @property
    def python(self) -> str:
        """The interpreter in which ours is installed."""
        return str(self._python)

    @property
    def root(self) -> Path:
        """The directory of all this."""
        return self._root

    def limits(self, *may_sit_out: str) -> Limits:
        """Return how long contenders may go on."""
        return Limits(self.settings.rounds, self.settings.seconds_max, frozenset(may_sit_out))

    def worker(self, python: list[str], script: str, *arguments: str) -> Worker:
        """Start a process that serves a script of `contenders/`."""
        found = Worker(
            python,
            script,
            *arguments,
            environment=self._environment,
            directory=self._root / "home",
            log=self._root / "logs" / f"{script}.log",
        )
        self._workers.append(found)
        return found

    def ours(self) -> Worker:
        """Start a process with ours in it."""
        return self.worker([self.python], "ours.py")

    def floors(self) -> Worker:
        """Start a process for the floors, in the same environment."""
        return self.worker([self.python], "floors.py")

    def peer(self, name: str, *arguments: str) -> Worker:
        """
        Start a process with a peer in it.

        Raises:
            CannotRunError: it cannot be installed.
        """
        if not self.settings.peers:
            raise CannotRunError("left out by --no-peers")
        return self.worker([str(venvs.peer(self._root / "venvs", name, self.say))], f"peer_{name}.py", *arguments)

    def command(self, argv: list[str], surroundings: dict[str, str] | None = None) -> dict[str, Any]:
        """
        Run a command from a small process; return its seconds and peak memory.

        Raises:
            CannotRunError: it exits with another status than 0.
        """
        surroundings = surroundings or self._environment
        done = self._launcher.call("run", argv=argv, directory=str(self._root / "home"), environment=surroundings)
        if done["status"] != 0:
            raise CannotRunError(f"{' '.join(argv[1:4])}: exit {done['status']}")
        return done

    def launcher_peak_mib(self) -> float:
        """Return the memory of the process that starts commands, which Linux counts into theirs."""
        return float(self._launcher.call("own_peak")["peak_mib"])

    def modelog(self, directory: Path, *words: str) -> dict[str, Any]:
        """Run a command of ours on the registry below *directory*."""
        where = ["--registry-dir", str(directory / "models"), "--state-dir", str(directory / "runtime")]
        return self.command([self.python, "-m", "scripts.manage_models", *words, *where])

    def import_floor(self) -> dict[str, Any]:
        """Run the floor of every command: an interpreter that imports what ours needs, and nothing more."""
        return self.command([self.python, "-c", "import click, msgspec"])

    def registry(self, models: int) -> Path:
        """Return the directory of a registry of *models* models, which nobody may write to; made if it is not there."""
        directory = self._root / "data" / f"models-{models}"
        mark, made_of = directory / "made-of.txt", f"data {DATA_FORMAT}\n"
        derived = f"{made_of}source {self._source}\n"
        if mark.exists() and mark.read_text() == derived:
            return directory
        worker = self.ours()
        if not (mark.exists() and mark.read_text().startswith(made_of)):
            self.say(f"making a registry of {models:,} models")
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            worker.call("build", directory=str(directory), models=models)
            mark.write_text(made_of)
        self.say(f"deriving the files of {models:,} models")
        worker.call("derive", directory=str(directory))
        mark.write_text(derived)
        worker.close()
        return directory

    def copy(self, original: Path, name: str) -> Path:
        """Return a copy that may be written to and goes away with the run; it is on disk when this returns."""
        target = self.scratch(name)
        shutil.copytree(original, target, dirs_exist_ok=True)
        os.sync()
        return target

    def scratch(self, name: str) -> Path:
        """Return an empty directory that goes away with the run."""
        target = self._root / "scratch" / name
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        return target

    def artifact(self, size_bytes: int = ARTIFACT_BYTES) -> Path:
        """Return a file of that size, the same in each run."""
        path = self._root / "data" / f"artifact-{size_bytes}.bin"
        if not path.exists() or path.stat().st_size != size_bytes:
            block = os.urandom(min(size_bytes, 1 << 20))
            with path.open("wb") as file:
                for _ in range(size_bytes // len(block)):
                    file.write(block)
                file.write(block[: size_bytes % len(block)])
        return path

    def close_workers(self) -> None:
        """End every process but the launcher, as each group does at its end."""
        for worker in self._workers:
            if worker is not self._launcher:
                worker.close()
        self._workers = [self._launcher]

    def close(self) -> None:
        """End every process, and remove what is of this run alone."""
        self.close_workers()
        self._launcher.close()
        shutil.rmtree(self._root / "scratch", ignore_errors=True)
