"""
A proxy before each node that does to appends what a bad network does: lost, late, answered by silence, cut off.

It understands as much of the protocol as it takes to know one message from the next, and lets everything pass but
appends and their acknowledgements. What happens to each append, chance decides.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

PASS = "pass"
FATES = {
    "lost on the way": "the node never gets it",
    "late": "the node gets it after the writer has given up waiting",
    "acknowledgement lost": "the node gets it, the writer no answer",
    "acknowledgement late": "the writer gets the answer after it has given up waiting",
    "cut off after it": "the connection is lost as soon as the node has got it",
    "cut off before it": "the connection is lost, and the node has not got it",
}
"""What can happen to an append, and what is then true."""

_APPENDS = b"registry."
_LINE_BYTES_MAX = 1 << 20


class LossyProxy:
    """
    Proxies, one before each of *nodes*.

    Args:
        nodes: `host:port` of each.

        seed: of what is left to chance.

        chance: how likely it is that something happens to an append.

        late_seconds: how late what is late is, at most.

    Attributes:
        tried: how often what was done.

        ports: where the proxies listen, on 127.0.0.1.
    """

    def __init__(self, nodes: Sequence[str], seed: int, chance: float, late_seconds: float) -> None:
        self.tried: Counter[str] = Counter()
        self.ports: list[int] = []
        self._nodes = [node.rsplit(":", 1) for node in nodes]
        self._random = random.Random(seed)
        self._chance = chance
        self._late_seconds = late_seconds
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def hosts(self) -> str:
        """The proxies, as a URL has them."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    async def open(self) -> list[asyncio.Server]:
        """Begin to listen."""
        servers = []
        for host, port in self._nodes:

            async def serve(reader: Any, writer: Any, host: str = host, port: str = port) -> None:
                await self._connection(reader, writer, host, int(port))

            servers.append(await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LINE_BYTES_MAX))
            self.ports.append(servers[-1].sockets[0].getsockname()[1])
        return servers

    async def close(self, servers: Sequence[asyncio.Server]) -> None:
        """Cut all connections."""
        for server in servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        task = asyncio.current_task()
        assert task is not None, "it runs in one"
        self._connections.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection(host, port, limit=_LINE_BYTES_MAX)
        except OSError:
            writer.close()
            self._connections.discard(task)
            return
        pair = _Pair(self, writer, up_writer)
        down = asyncio.ensure_future(pair.down(up_reader))
        try:
            await pair.up(reader)
            await asyncio.sleep(self._late_seconds)  # what is late still reaches the node, though the writer is gone
        except asyncio.CancelledError:
            pass
        finally:
            down.cancel()
            for end in (writer, up_writer):
                end.close()
                with suppress(OSError, asyncio.CancelledError):
                    await end.wait_closed()
            self._connections.discard(task)

    def fate(self) -> str:
        """Say what happens to the next append."""
        found = self._random.choice(list(FATES)) if self._random.random() < self._chance else PASS
        self.tried[found] += 1
        return found

    def delay_seconds(self) -> float:
        """Return how late the next thing is that is late."""
        return self._late_seconds * self._random.uniform(0.3, 1.0)


class _Pair:
    """One connection: *near* leads to the writer, *far* to the node."""

    def __init__(self, proxy: LossyProxy, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._unanswered: dict[bytes, str] = {}

    async def up(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the writer says, until it or we end the connection."""
        async for line, frame in _frames(reader):
            words = line.split()
            is_append = words[0] in (b"PUB", b"HPUB") and words[1].startswith(_APPENDS)
            fate = self._proxy.fate() if is_append else PASS
            if fate in ("acknowledgement lost", "acknowledgement late") and len(words) > 3:
                self._unanswered[words[2]] = fate
            if fate == "late":
                _later(self._proxy.delay_seconds(), self._far, frame)
            elif fate not in ("lost on the way", "cut off before it"):
                self._far.write(frame)
                await self._far.drain()
            if fate.startswith("cut off"):
                self._near.close()
                return

    async def down(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the node says."""
        async for line, frame in _frames(reader):
            words = line.split()
            fate = self._unanswered.pop(words[1], PASS) if words[0] in (b"MSG", b"HMSG") else PASS
            if fate == "acknowledgement late":
                _later(self._proxy.delay_seconds(), self._near, frame)
            elif fate == PASS and not self._near.is_closing():
                self._near.write(frame)
        self._near.close()


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield the first line of each message, and all of it, until the connection ends."""
    with suppress(asyncio.IncompleteReadError, OSError):
        while True:
            line = await reader.readuntil(b"\r\n")
            has_body = line.split(None, 1)[:1] and line.split(None, 1)[0] in (b"PUB", b"HPUB", b"MSG", b"HMSG")
            body = await reader.readexactly(int(line.split()[-1]) + 2) if has_body else b""
            yield line, line + body


def _later(seconds: float, writer: asyncio.StreamWriter, frame: bytes) -> None:
    def write() -> None:
        if not writer.is_closing():
            writer.write(frame)

    asyncio.get_running_loop().call_later(seconds, write)


@contextmanager
def lossy_proxy(
    nodes: Sequence[str], *, seed: int, chance: float = 0.5, late_seconds: float = 0.5
) -> Iterator[LossyProxy]:
    """Give proxies that run in a thread of their own."""
    proxy, ready, over = LossyProxy(nodes, seed, chance, late_seconds), threading.Event(), threading.Event()

    async def run() -> None:
        servers = await proxy.open()
        ready.set()
        await asyncio.to_thread(over.wait)
        await proxy.close(servers)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="lossy-proxy")
    thread.start()
    try:
        assert ready.wait(10), "the proxies listen"
        yield proxy
    finally:
        over.set()
        thread.join(10)
