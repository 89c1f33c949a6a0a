"""A desk to work at: a registry, a runtime and artifacts in one directory, and the command line on them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from eventlog import chain
from eventlog.engines.jsonl_head import Head, format_slot
from scripts.manage_models import main

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended; `json` decodes stdout."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """A directory with `models`, `runtime` and artifacts; `run` calls `main` here, `spawn` starts a real process."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.models = root / "models"
        self.runtime = root / "runtime"
        self.journal = self.models / "journal.jsonl"
        self.head = self.models / "journal.head"
        self.registry_json = self.models / "registry.json"
        self.state_json = self.runtime / "state.json"
        self.capsys = capsys

    def artifact(self, name: str = "model.bin", data: bytes = b"weights") -> str:
        """Write an artifact and return its path."""
        path = self.root / name
        path.write_bytes(data)
        return str(path)

    def argv(self, verb: str, *words: str) -> list[str]:
        """Return *verb* with both directories named, and then *words*."""
        return [verb, "--registry-dir", str(self.models), "--state-dir", str(self.runtime), *words]

    def call(self, *argv: str) -> Result:
        """Call `main` with just these words."""
        self.capsys.readouterr()
        status = main(list(argv))
        captured = self.capsys.readouterr()
        return Result(status, captured.out, captured.err)

    def run(self, verb: str, *words: str) -> Result:
        """Call `main` with *verb* on this desk's directories."""
        return self.call(*self.argv(verb, *words))

    def publish(self, backend: str = "reference", *words: str, data: bytes = b"weights") -> Any:
        """Publish an artifact, which must work, and return the model as the command printed it."""
        name = f"model-{data[:32].hex()}.bin"
        result = self.run("publish", "--artifact", self.artifact(name, data), "--backend", backend, *words)
        assert result.status == 0, result.err
        return result.json

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment for a real process, free of our own variables but for *changes*."""
        ours = ("MODELOG_", "LC_", "PYTHON")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**clean, "PYTHONPATH": str(REPOSITORY), **changes}

    def spawn(self, *argv: str, env: Mapping[str, str] | None = None, **settings: Any) -> Any:
        """Run a real process with just these words; stdout and stderr are captured unless *settings* redirect them."""
        words = [sys.executable, "-m", "scripts.manage_models", *argv]
        defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        environment = self.environment(**(env or {}))
        return subprocess.run(
            words, cwd=self.root, env=environment, timeout=50, check=False, **{**defaults, **settings}
        )

    def shell(self, script: str, *words: str, env: Mapping[str, str] | None = None) -> Any:
        """Run a bash script in which `$MODELOG` is the command; *words* are its `$1`, `$2`, …."""
        environment = self.environment(MODELOG=f"{sys.executable} -m scripts.manage_models", **(env or {}))
        command = ["bash", "-c", script, "bash", *words]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, timeout=50, check=False)

    def snapshot(self) -> dict[str, tuple[int, bytes]]:
        """Return mode and content of every file, link, FIFO and directory under this desk."""
        found = {}
        for directory, names, files in os.walk(self.root):
            for name in [*names, *files]:
                path = os.path.join(directory, name)
                mode = os.lstat(path).st_mode
                found[path] = (mode, _content(path, mode))
        return found

    def bodies(self) -> list[bytes]:
        """Return the entries of the journal without their links."""
        return [chain.body_of(line) for line in self.journal.read_bytes().splitlines()]

    def reseal(self, bodies: list[bytes]) -> None:
        """Make a journal of *bodies* whose hashes and head are right, as somebody with write access can."""
        entries, prev = [], chain.GENESIS
        for body in bodies:
            entries.append(chain.seal(body, prev))
            prev = chain.hash_of(entries[-1])
        data = b"".join(entry + b"\n" for entry in entries)
        self.models.mkdir(exist_ok=True)
        self.journal.write_bytes(data)
        self.head.write_bytes(format_slot(Head(len(entries), len(data), prev)) * 2)
        self.registry_json.unlink(missing_ok=True)
        self.state_json.unlink(missing_ok=True)

    def forge(self, old: bytes, new: bytes) -> None:
        """Replace *old* by *new* in every entry of the journal and seal it again."""
        assert any(old in body for body in self.bodies()), "the forgery must change something"
        self.reseal([body.replace(old, new) for body in self.bodies()])

    def events(self) -> list[Any]:
        """Return the entries of the journal as JSON objects."""
        return [json.loads(line) for line in self.journal.read_bytes().split(b"\n")[:-1]]


def _content(path: str, mode: int) -> bytes:
    if stat.S_ISREG(mode):
        with open(path, "rb") as file:
            return file.read()
    return os.fsencode(os.readlink(path)) if stat.S_ISLNK(mode) else b""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MODELOG_") or name == "NO_COLOR"]:
        monkeypatch.delenv(name)


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capsys)


@pytest.fixture
def refused(desk: Desk) -> Callable[..., str]:
    """Return a function that runs a command, requires one clear line and status 2, and that no byte has changed."""

    def check(*argv: str, status: int = 2) -> str:
        before = desk.snapshot()

        result = desk.call(*argv)

        errors = result.err.splitlines()
        assert (result.status, result.out) == (status, ""), result
        assert [line for line in errors if line.startswith("error: ")] == errors[-1:], f"expected one error in {errors}"
        assert "Traceback" not in result.err
        assert desk.snapshot() == before
        return errors[-1]

    return check


@pytest.fixture
def pseudo_terminal() -> Iterator[Any]:
    """Give a text file that is a terminal, and `shown()`, which returns what was written to it."""
    import pty

    controller, terminal = pty.openpty()

    class Terminal:
        file = os.fdopen(terminal, "w", encoding="utf-8", buffering=1)

        def shown(self) -> str:
            """Return all output so far; closes the terminal."""
            self.file.close()
            parts = []
            try:
                while part := os.read(controller, 1 << 16):
                    parts.append(part)
            except OSError:  # how Linux says that the other side is closed
                pass
            return b"".join(parts).decode()

    opened = Terminal()
    yield opened
    if not opened.file.closed:
        opened.file.close()
    os.close(controller)


@pytest.fixture
def as_nobody(desk: Desk) -> Callable[..., Any]:
    """Return a function that runs a command without privileges, inside the desk's directory and by relative paths."""
    script = """
import os, sys
from importlib import import_module
from scripts.manage_models import VERBS, main, module_of
for verb in VERBS:
    import_module(module_of(verb))
with open(os.devnull, "w") as sys.stdout:
    main(["list", "--registry-dir", "warm up every lazy import"])
sys.stdout = sys.__stdout__
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""

    def run(*argv: str) -> Any:
        command = [sys.executable, "-c", script, *argv]
        done = subprocess.run(
            command, cwd=desk.root, env=desk.environment(), capture_output=True, text=True, timeout=50, check=False
        )
        lines = [line for line in done.stderr.splitlines(keepends=True) if "warm up every" not in line]
        return Result(done.returncode, done.stdout, "".join(lines))

    return run
