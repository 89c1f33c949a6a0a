"""A real cluster of three nodes on loopback, and what can happen to one: kill, pause, start again, lose a disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

NODES = 3
READY_SECONDS = 30.0
ADDRESSES_BYTES = 8 << 30
SERVER = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def wait_for(what: str, condition: Callable[[], Any], seconds: float = READY_SECONDS) -> Any:
    """Return what *condition* gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"within {seconds} s: {what}"
        time.sleep(0.02)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


class NatsCluster:
    """
    Three nodes.

    Args:
        directory: where configurations, logs and stores are.

        extra: more lines for every configuration, such as TLS and accounts.

        sync_interval: when a node syncs; anything but `always` can lose what was acknowledged.

        stores: where each node keeps its stream; below *directory* by default.

        addresses, monitor_addresses: where each node listens for clients and other nodes, and for monitoring.

        prefixes: what stands before each node's command.
    """

    def __init__(
        self,
        directory: Path,
        *,
        extra: str = "",
        cluster_extra: str = "",
        sync_interval: str = "always",
        stores: list[Path] | None = None,
        addresses: Sequence[str] = ("127.0.0.1",) * NODES,
        monitor_addresses: Sequence[str] = ("127.0.0.1",) * NODES,
        prefixes: Sequence[Sequence[str]] = ((),) * NODES,
    ) -> None:
        assert SERVER is not None, "nats-server comes with the test dependencies"
        self.directory = directory
        self.stores = stores or [directory / f"store{number}" for number in range(NODES)]
        self.addresses, self.monitor_addresses, self.prefixes = addresses, monitor_addresses, prefixes
        ports = free_ports(3 * NODES)
        self.ports, self.routes, self.monitors = ports[:NODES], ports[NODES : 2 * NODES], ports[2 * NODES :]
        self.processes: list[subprocess.Popen[bytes] | None] = [None] * NODES
        routes = ", ".join(f"nats://{host}:{port}" for host, port in zip(addresses, self.routes, strict=True))
        for number in range(NODES):
            (directory / f"node{number}.conf").write_text(
                f"server_name: node{number}\n"
                f"listen: {addresses[number]}:{self.ports[number]}\n"
                f"http: {monitor_addresses[number]}:{self.monitors[number]}\n"
                f'jetstream {{ store_dir: "{self.stores[number]}", sync_interval: {sync_interval} }}\n'
                f"cluster {{ name: registry, listen: {addresses[number]}:{self.routes[number]}, routes: [{routes}]\n"
                f"{cluster_extra} }}\n{extra}\n"
            )

    @property
    def hosts(self) -> str:
        """The nodes, as a URL has them."""
        return ",".join(f"{host}:{port}" for host, port in zip(self.addresses, self.ports, strict=True))

    def url(self, name: str, parameters: str = "") -> str:
        """Return the URL of a registry's journal."""
        return f"nats://{self.hosts}/{name}{parameters}"

    def start(self, *numbers: int, healthy: bool = True) -> None:
        """Start nodes, all by default, and wait until the cluster can store; or only until they say how they are."""
        for number in numbers or range(NODES):
            with (self.directory / f"node{number}.log").open("ab") as log:
                bounded = ["prlimit", f"--as={ADDRESSES_BYTES}", str(SERVER)]  # damaged blocks made one take 21 GB
                command = [*self.prefixes[number], *bounded, "-c", str(self.directory / f"node{number}.conf")]
                self.processes[number] = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        for number in numbers or range(NODES):
            if healthy:
                wait_for(f"node {number} is healthy", lambda number=number: self.is_healthy(number))
            else:
                wait_for(f"node {number} answers", lambda number=number: self.answers(number))
        if healthy:
            wait_for("the nodes know that the others are up", self._is_complete)

    def stop(self) -> None:
        """End all nodes."""
        for number in range(NODES):
            self.kill(number)

    def kill(self, number: int, how: signal.Signals = signal.SIGKILL, *, go_on: bool = True) -> None:
        """End a node at once; one that hangs may *go_on* before."""
        process = self.processes[number]
        if process is not None:
            with suppress(ProcessLookupError):
                if go_on:
                    process.send_signal(signal.SIGCONT)
                process.send_signal(how)
            process.wait(20)
            self.processes[number] = None

    def pause(self, number: int) -> None:
        """Let a node hang."""
        process = self.processes[number]
        assert process is not None, "it runs"
        process.send_signal(signal.SIGSTOP)

    def resume(self, number: int) -> None:
        """Let it go on."""
        process = self.processes[number]
        assert process is not None, "it runs"
        process.send_signal(signal.SIGCONT)

    def wipe(self, number: int) -> None:
        """Lose the disk of a node that is not running."""
        shutil.rmtree(self.stores[number], ignore_errors=True)

    def is_healthy(self, number: int) -> bool:
        """Say whether a node has caught up."""
        with suppress(OSError, ValueError):
            return bool(self.page(number, "healthz").get("status") == "ok")
        return False

    def answers(self, number: int) -> bool:
        """Say whether a node answers at all."""
        with suppress(OSError, ValueError):
            return bool(self.page(number, "varz"))
        return False

    def _is_complete(self) -> bool:
        """Say whether the node that places streams takes all that run for nodes that are up."""
        running = {f"node{number}" for number in range(NODES) if self.processes[number] is not None}
        for number in range(NODES):
            with suppress(OSError, ValueError):
                said = self.page(number, "jsz").get("meta_cluster", {})
                up = {node["name"] for node in said.get("replicas", ()) if node["current"] and not node.get("offline")}
                if said.get("leader") == f"node{number}" and running <= up | {f"node{number}"}:
                    return True
        return False

    def page(self, number: int, name: str) -> dict[str, Any]:
        """Return a monitoring page."""
        where = f"{self.monitor_addresses[number]}:{self.monitors[number]}"
        with closing(urllib.request.urlopen(f"http://{where}/{name}", timeout=2)) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def streams(self, number: int) -> dict[str, dict[str, Any]]:
        """Return what a node says of its streams."""
        found = self.page(number, "jsz?streams=true&config=true")
        accounts = found.get("account_details", ())
        return {stream["name"]: stream for account in accounts for stream in account["stream_detail"]}

    def leader(self, stream: str) -> int | None:
        """Return the number of the node that leads a stream, as the others say."""
        for number in range(NODES):
            with suppress(OSError, ValueError, KeyError):
                said = self.streams(number)[stream]["cluster"].get("leader", "")
                if said and self.processes[int(said[-1])] is not None:
                    return int(said[-1])
        return None

    def wait_for_leader(self, stream: str) -> int:
        """Return the number of the node that leads a stream, once there is one."""
        found = wait_for(
            f"{stream} has a leader", lambda: [self.leader(stream)] if self.leader(stream) is not None else []
        )
        return int(found[0])


@contextmanager
def running(directory: Path, **settings: Any) -> Iterator[NatsCluster]:
    """Give a cluster that runs meanwhile."""
    cluster = NatsCluster(directory, **settings)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
