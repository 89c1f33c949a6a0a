"""Machines that share a journal on a cluster: each has a registry directory, a runtime and artifacts of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
from nats_cluster import NatsCluster

from eventlog.engines import open_journal
from projections import ModelRegistry, open_registry

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Machine:
    """One machine; *journal* is what it calls the shared journal, None for one of its own."""

    def __init__(self, root: Path, journal: str | None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.url = journal
        self.registry_dir = root / "models"
        self.state_dir = root / "runtime"
        self.journal = self.registry_dir / "journal.jsonl"
        self.state_json = self.state_dir / "state.json"

    def artifact(self, name: str = "model.bin", data: bytes = b"weights") -> str:
        """Write an artifact and return its path."""
        (self.root / name).write_bytes(data)
        return str(self.root / name)

    def words(self, verb: str, *words: str) -> list[str]:
        """Return the words of a command on this machine."""
        own = ["--registry-dir", str(self.registry_dir), "--state-dir", str(self.state_dir)]
        own += [] if self.url is None else ["--journal", self.url]
        return [sys.executable, "-m", "scripts.manage_models", *verb.split(), *own, *words]

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the environment of a command."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "PYTHON"))}
        return {**clean, "PYTHONPATH": str(REPOSITORY), **changes}

    def run(self, verb: str, *words: str, **environment: str) -> Result:
        """Run a command to its end."""
        command = self.words(verb, *words)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=100, check=False, env=self.environment(**environment)
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, verb: str, *words: str, stdout: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        """Start a command."""
        command = self.words(verb, *words)
        return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=self.environment())

    def publish(self, backend: str = "b", *words: str, data: bytes = b"weights") -> Any:
        """Publish, which must work, and return the model."""
        name = f"{data[:16].hex()}.bin"
        done = self.run("publish", "--artifact", self.artifact(name, data), "--backend", backend, *words)
        assert done.status == 0, done.err
        return done.json

    def open(self, **settings: Any) -> ModelRegistry:
        """Return the registry; close it."""
        return open_registry(self.registry_dir, self.state_dir, journal=self.url, **settings)

    def files(self) -> dict[str, bytes]:
        """Return all files of the registry and the runtime."""
        found = {}
        for top in (self.registry_dir, self.state_dir):
            for path in sorted(top.rglob("*")):
                if path.is_file():
                    found[str(path.relative_to(self.root))] = path.read_bytes()
        return found

    def without_cluster(self) -> Machine:
        """Return this machine as somebody sees it who does not name the cluster."""
        return Machine(self.root, None)


def ask(cluster: NatsCluster, what: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do something with a client of the cluster that is not ours."""

    async def run() -> Any:
        client = await nats.connect([f"nats://127.0.0.1:{port}" for port in cluster.ports])
        try:
            return await what(client)
        finally:
            await client.close()

    return asyncio.run(run())


def api(cluster: NatsCluster, subject: str, body: Any = None) -> Any:
    """Ask JetStream something, and return its answer; it must not be an error."""

    async def asked(client: Any) -> Any:
        for _ in range(100):
            payload = b"" if body is None else json.dumps(body).encode()
            answer = json.loads((await client.request(f"$JS.API.{subject}", payload, timeout=5)).data)
            if answer.get("error", {}).get("code") != 503:
                return answer
            await asyncio.sleep(0.1)
        return answer

    answer = ask(cluster, asked)
    assert "error" not in answer, answer
    return answer


def fresh_mirror(url: str, directory: Path) -> bytes:
    """Return the bytes of the journal as a machine that was never there before reads them."""
    journal = open_journal(url, directory=str(directory))
    try:
        journal.refresh()
        assert not journal.notices()
    finally:
        journal.close()
    path = directory / "journal.jsonl"
    return path.read_bytes() if path.exists() else b""
