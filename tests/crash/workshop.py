"""Where traces are made and crash states are put on disk: three directories, in memory where there is such a thing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from strace_log import TRACED, Op, Tree, parse

from projections import ModelRegistry, open_registry

MODELS = "models"
RUNTIME = "runtime"
JOURNAL = f"{MODELS}/journal.jsonl"
HEAD = f"{MODELS}/journal.head"
QUARANTINE = f"{MODELS}/quarantine"
REGISTRY_JSON = f"{MODELS}/registry.json"
STATE_JSON = f"{RUNTIME}/state.json"
_REPOSITORY = Path(__file__).resolve().parents[2]
_MEMORY = "/dev/shm"


class Workshop:
    """
    A place with `disk/` for one registry and its runtime, and `artifacts/` beside it, which no crash touches.

    Artifacts are named in the journal by absolute path, so they stay while the disk is put back and forth.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.disk = root / "disk"
        self.disk.mkdir()
        (root / "artifacts").mkdir()

    def artifact(self, name: str) -> str:
        """Return the path of an artifact whose content is its name."""
        path = self._root / "artifacts" / name
        if not path.exists():
            path.write_text(name)
        return str(path)

    def to_copy(self, name: str, *, is_directory: bool) -> str:
        """Return the path of an artifact that is published with a copy: a file, or a directory of files like others."""
        path = self.copied / name
        if path.exists():
            return str(path)
        if is_directory:
            (path / "shared").mkdir(parents=True, exist_ok=True)
            for part in ("config", "shared/vocabulary"):
                (path / part).write_text(part)
            (path / "weights").write_text(name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)
        return str(path)

    @property
    def copied(self) -> Path:
        """Where these are; a test may take it all away."""
        return self._root / "artifacts" / "copied"

    @property
    def models(self) -> Path:
        return self.disk / MODELS

    @property
    def runtime(self) -> Path:
        return self.disk / RUNTIME

    def key(self) -> str:
        """Return the path of a key that signs artifacts."""
        path = self._root / "artifacts" / "key"
        from support import artifact_key  # a program that forks has no such module, and no use for it

        path.write_text(artifact_key())
        path.chmod(0o600)
        return str(path)

    def open(self, sign_key: str | None = None) -> ModelRegistry:
        """Return the registry on the disk, as a new process would open it, with its runtime attached."""
        return open_registry(self.models, self.runtime, lock_timeout_seconds=5.0, sign_key=sign_key)

    def put(self, tree: Mapping[str, bytes | None]) -> None:
        """Make the disk hold just *tree*."""
        shutil.rmtree(self.disk)
        self.disk.mkdir()
        for path, data in sorted(tree.items()):
            if data is None:
                (self.disk / path).mkdir()
            else:
                (self.disk / path).write_bytes(data)

    def tree(self) -> Tree:
        """Return what the disk holds."""
        return read_tree(self.disk)

    def trace(self, verb: str, *words: str) -> list[Op]:
        """Run a command on the disk in a process of its own, which must succeed, and return what it did."""
        start = self.tree()
        log = self._root / "strace.log"
        calls = ",".join(f"?{call}" for call in TRACED.split(","))
        argv = ["strace", "-f", "--seccomp-bpf", "-xx", "-s", "16777216", "-y", "-o", str(log), "-e", f"trace={calls}"]
        argv += [sys.executable, "-B", "-m", "scripts.manage_models", verb]
        argv += ["--registry-dir", str(self.models), "--state-dir", str(self.runtime), *words]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "COV_"))}
        done = subprocess.run(
            argv,
            cwd=_REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{verb}: exit {done.returncode}: {done.stderr.decode(errors='replace')}"
        return parse(log.read_text("ascii"), str(self.disk), str(_REPOSITORY), start)


def read_tree(top: Path) -> Tree:
    """Return what lies below *top*; nothing where that is missing."""
    found: Tree = {}
    for directory, names, files in os.walk(top):
        for name in names:
            found[os.path.relpath(os.path.join(directory, name), top)] = None
        for name in files:
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = file.read()
    return found


@contextmanager
def open_workshop() -> Iterator[Workshop]:
    """Give a workshop that is removed afterwards."""
    usable = os.access(_MEMORY, os.W_OK)
    with tempfile.TemporaryDirectory(dir=_MEMORY if usable else None, prefix="modelog-crash-") as name:
        yield Workshop(Path(name).resolve())
