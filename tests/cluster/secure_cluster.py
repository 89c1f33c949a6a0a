"""
The very configuration of `eventlog/engines/README.md`, on loopback: TLS, accounts, and a key for each principal.

Its blocks are taken out of the page, and only names, paths and ports are filled in; so page and truth cannot part.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
from nats_cluster import NODES, SERVER, NatsCluster, free_ports, wait_for

README = Path(__file__).parents[2] / "eventlog" / "engines" / "README.md"
NAME = "fraud"
PRINCIPALS = ("admin", "trainer", "releaser", "auditor")
NODE_NAMES = "abc"


def block(language: str, start: str = "") -> str:
    """Return the one block of the page that is in *language* and begins with *start*."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (text,) = [text for name, text in found if name == language and text.startswith(start)]
    return str(text)


def make_certificates(directory: Path, subject: str = "IP:127.0.0.1") -> None:
    """Make an authority and a certificate for each node, as the page says, but for the host's name."""
    directory.mkdir(exist_ok=True)
    script = block("sh", "openssl").replace("DNS:$node.example.org", subject)
    subprocess.run(["sh", "-euc", script], cwd=directory, check=True, capture_output=True, timeout=30)


def make_keys(directory: Path, *names: str) -> dict[str, str]:
    """Make a key for each of *names*, as the page says, and return the public ones."""
    command = [sys.executable, "-c", block("python", "import nkeys"), *(f"{name}.nk" for name in names)]
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=30)
    return {line.partition(".")[0]: line.split()[1] for line in done.stdout.splitlines()}


def delete_stream(cluster: SecureCluster, stream: str) -> str:
    """Delete a stream, as the page says, and return the answer."""
    words = [f"nats://127.0.0.1:{cluster.ports[0]}", "ca.pem", "admin.nk", stream]
    command = [sys.executable, "-c", block("python", "import asyncio"), *words]
    done = subprocess.run(command, cwd=cluster.directory, check=True, capture_output=True, text=True, timeout=30)
    return done.stdout


class SecureCluster(NatsCluster):
    """Three nodes that let in only whom they know, and each only to what is his."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        super().__init__(directory, **settings)
        make_certificates(directory)
        accounts = block("", "ASKED {")
        for name, public in make_keys(directory, *PRINCIPALS).items():
            accounts = accounts.replace(f"U_{name.upper()}", public)
        (directory / "accounts.conf").write_text(accounts)
        for number in range(NODES):
            (directory / f"node{number}.conf").write_text(self._configuration(number))

    def url_of(self, principal: str | None, ca: Path | None = None, parameters: str = "") -> str:
        """Return the URL with which a principal, or somebody without a key, asks for the journal."""
        key = "" if principal is None else f"&nkey={self.directory / principal}.nk"
        return self.url(NAME, f"?ca={ca or self.directory / 'ca.pem'}{key}{parameters}")

    @property
    def monitor(self) -> str:
        """The parameter that names the monitoring pages."""
        return f"&monitor={','.join(f'127.0.0.1:{port}' for port in self.monitors)}"

    def _configuration(self, number: int) -> str:
        """Return the page's configuration of the first node, with what is another node's, or here, filled in."""
        text = block("", "server_name: a")
        filled = {
            "server_name: a": f"server_name: node{number}",
            "0.0.0.0:4222": f"127.0.0.1:{self.ports[number]}",
            "0.0.0.0:6222": f"127.0.0.1:{self.routes[number]}",
            "127.0.0.1:8222": f"127.0.0.1:{self.monitors[number]}",
            "/etc/nats/a.": f"{self.directory}/{NODE_NAMES[number]}.",
            "/etc/nats/": f"{self.directory}/",
            "/var/lib/nats": str(self.stores[number]),
            **{f"{NODE_NAMES[other]}.example.org:6222": f"127.0.0.1:{self.routes[other]}" for other in range(NODES)},
        }
        for old, new in filled.items():
            assert old in text, f"{README}: expected {old!r} in the configuration"
            text = text.replace(old, new)
        return text


@contextmanager
def secured(directory: Path) -> Iterator[SecureCluster]:
    """Give such a cluster, which runs meanwhile."""
    directory.mkdir(exist_ok=True)
    cluster = SecureCluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def ask_as(cluster: SecureCluster, principal: str, what: Callable[[Any, list[str]], Awaitable[Any]]) -> Any:
    """Do something with a principal's key and a client that is not ours; *what* also gets a list of what is denied."""
    denied: list[str] = []

    async def on_error(error: Exception) -> None:
        denied.append(str(error).lower())

    async def run() -> Any:
        client = await nats.connect(
            f"nats://127.0.0.1:{cluster.ports[0]}",
            tls=ssl.create_default_context(cafile=str(cluster.directory / "ca.pem")),
            nkeys_seed=str(cluster.directory / f"{principal}.nk"),
            error_cb=on_error,
        )
        try:
            return await what(client, denied)
        finally:
            await client.close()

    return asyncio.run(run())


@contextmanager
def one_node(directory: Path, extra: str) -> Iterator[str]:
    """Give the address of a single node with these lines in its configuration."""
    (port,) = free_ports(1)
    configuration = directory / f"{port}.conf"
    configuration.write_text(f"listen: 127.0.0.1:{port}\n{extra}\n")
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen([str(SERVER), "-c", str(configuration)], stdout=log, stderr=log)
    try:
        wait_for("it listens", lambda: b"Server is ready" in (directory / f"{port}.log").read_bytes())
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(20)
