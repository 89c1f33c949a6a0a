"""Monitoring pages that a test makes up: true ones to begin with, and whatever a stranger may send in their place."""

from __future__ import annotations

import copy
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nats_cluster import NODES, NatsCluster

PAGES = ("varz", "jsz?streams=true&config=true", "healthz")


class Pages:
    """
    What each node says: `of(number, "varz")` is a page, to be changed in place.

    Attributes:
        looks: how often the first node was asked for its last page.
    """

    def __init__(self, cluster: NatsCluster, stream: str) -> None:
        self._pages = [
            {name.partition("?")[0]: cluster.page(number, name) for name in PAGES} for number in range(NODES)
        ]
        for number in range(NODES):
            (account,) = self.of(number, "jsz")["account_details"]
            account["stream_detail"] = [item for item in account["stream_detail"] if item["name"] == stream]
        self.looks = 0
        self.then: Callable[[Pages], None] = lambda _pages: None

    def of(self, number: int, name: str) -> dict[str, Any]:
        """Return a page."""
        return self._pages[number][name]

    def stream(self, number: int) -> dict[str, Any]:
        """Return what a node says of the stream."""
        found: dict[str, Any] = self.of(number, "jsz")["account_details"][0]["stream_detail"][0]
        return found

    def answer(self, number: int, path: str) -> bytes:
        """Return the bytes of a page; its clock goes on, unless it stands `still`."""
        name = path.strip("/").partition("?")[0]
        page = copy.deepcopy(self.of(number, name))
        if name == "varz" and "still" not in page:
            page["now"] = datetime.now(UTC).isoformat()
        if (number, name) == (0, "healthz"):
            self.looks += 1
            self.then(self)
        return json.dumps(page).encode()


@contextmanager
def served(pages: Pages) -> Iterator[str]:
    """Serve pages meanwhile, and give what a URL says of them."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(pages, number)) for number in range(NODES)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield "?monitor=" + ",".join(f"127.0.0.1:{server.server_address[1]}" for server in servers)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(pages: Pages, number: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.answer(number, self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    return Handler


@contextmanager
def stranger(say: Callable[[socket.socket], None]) -> Iterator[str]:
    """Give the address of somebody who takes one connection and says what he will."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            try:
                say(connection)
                over.wait(5)
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
