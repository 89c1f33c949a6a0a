"""What the doctor makes of the nodes' pages: each thing that one can say, and whatever a stranger may send instead."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machines import Machine
from nats_cluster import NODES, NatsCluster
from pages_server import Pages, served, stranger

from eventlog.engines import jetstream_doctor, jetstream_pages
from eventlog.engines.jetstream_doctor import MEND_ALL, MEND_COPY, MEND_LATER, Look, Row

SIZE = 2
EVERYWHERE = range(NODES)
_NO_HTTP = "expected the monitoring page of a nats-server, got something else"


@pytest.fixture(scope="module")
def true_pages(cluster: NatsCluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pages]:
    """A function that gives the pages of a healthy cluster with a journal `pages` of two entries."""
    machine = Machine(tmp_path_factory.mktemp("m"), cluster.url("pages"))
    machine.publish()
    return lambda: Pages(cluster, "REGISTRY_pages")


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jetstream_doctor, "MOMENT_SECONDS", 0.0)
    monkeypatch.setattr(jetstream_pages, "PAGE_SECONDS", 0.5)


def _found(monitor: str, size: int = SIZE) -> list[Row]:
    """Return all that the pages tell; the copies are not read."""
    checks = Look(f"nats://127.0.0.1:1/pages{monitor}").checks(size, "")
    return [row for name, rows in checks.items() if name != "copies" for row in rows]


def _state(*numbers: int, **changes: Any) -> Callable[[Pages], None]:
    def change(pages: Pages) -> None:
        for number in numbers:
            pages.stream(number)["state"].update(changes)

    return change


def _varz(number: int, part: str | None = None, **changes: Any) -> Callable[[Pages], None]:
    def change(pages: Pages) -> None:
        page = pages.of(number, "varz")
        (page if part is None else page[part]).update(changes)

    return change


def _group(number: int, **changes: Any) -> Callable[[Pages], None]:
    return lambda pages: pages.stream(number)["cluster"].update(changes)


def _not_current(pages: Pages) -> None:
    for number in EVERYWHERE:
        pages.stream(number)["cluster"]["replicas"][0]["current"] = False


def _not_there(pages: Pages) -> None:
    pages.of(2, "jsz")["account_details"] = []


def _nowhere(pages: Pages) -> None:
    for number in EVERYWHERE:
        pages.of(number, "jsz").pop("account_details")


def test_true_pages(true_pages: Callable[[], Pages]) -> None:
    """Nothing is found where nothing is wrong."""
    with served(true_pages()) as monitor:
        assert _found(monitor) == []


@pytest.mark.parametrize(
    ("change", "kind", "about", "what", "remedy"),
    [
        (_varz(1, version="2.9.10"), "risk", "versions", "node1: expected nats-server 2.15.1 or newer, got 2.9.10", ""),
        (_varz(1, version="2.15.0-RC.1"), "risk", "versions", "2.15.0-RC.1", "one after the other"),
        (_varz(1, version="x"), "risk", "versions", "got x", "upgrade"),
        (lambda pages: pages.of(2, "jsz")["config"].update(sync_always=False), "risk", "syncing", "node2: ", "restart"),
        (_varz(0, host="0.0.0.0", auth_required=True), "risk", "encryption", "clients without TLS at 0.0.0.0", "tls {"),
        (_varz(0, host="::", tls_required=True), "risk", "encryption", "clients without a key at ::", "accounts {"),
        (_varz(0, "cluster", addr="10.0.0.1"), "risk", "encryption", "nodes without TLS at 10.0.0.1", "cluster {"),
        (_varz(0, http_host=""), "risk", "encryption", "to its monitoring page at every address", "127.0.0.1:8222"),
        (_varz(0, tls_cert_not_after="2020-01-01T00:00:00Z"), "problem", "encryption", "ends at 2020-01-01", "new one"),
        (_varz(1, now="2020-01-01T00:00:00Z", still=True), "risk", "clocks of the nodes", "got 2020-01-01", "position"),
        (
            _state(0, num_deleted=1),
            "problem",
            "stream",
            "node0: expected all of 2 entries, got 2, from 0 on",
            MEND_COPY,
        ),
        (_state(2, messages=1), "problem", "stream", "node2: expected all of 2 entries, got 1, from 0 on", MEND_COPY),
        (_state(1, messages=1, first_seq=2), "problem", "stream", "got 1, from 1 on", MEND_COPY),
        (_state(1, lost={"msgs": [1], "bytes": 9}), "problem", "stream", "node1: ", MEND_COPY),
        (_state(1, last_seq=1, messages=1), "risk", "stream", "expected 2 entries, got 1: it is behind", "restart it"),
        (_group(1, leader="node9"), "problem", "stream", "node1 says node9", "start all nodes"),
        (_group(1, leader=""), "problem", "stream", "node1 says none", "start all nodes"),
        (_not_current, "risk", "stream", "expected 3 copies that are current, got ", "wait for them"),
        (
            lambda pages: pages.of(1, "healthz").update(status="unavailable", error="why"),
            "risk",
            "stream",
            "why",
            "log",
        ),
        (_not_there, "problem", "stream", "node2: expected a copy of REGISTRY_pages, got none", MEND_COPY),
        (_nowhere, "problem", "stream", "expected REGISTRY_pages on the nodes, got none", "import-journal"),
        (
            lambda pages: pages.stream(1)["config"].update(deny_delete=False),
            *(
                "problem",
                "stream",
                "node1: the stream REGISTRY_pages cannot hold a journal: expected deny_delete",
                "NAME",
            ),
        ),
        (lambda pages: pages.of(1, "jsz").update(disabled=True), "problem", "nodes", "expected JetStream", "jetstream"),
        (lambda pages: pages.of(1, "jsz").pop("meta_cluster"), "problem", "nodes", "expected JetStream", "cluster {"),
        (_varz(1, server_name="z"), "problem", "nodes", "expected one of node0, node1, node2, got z", "check monitor="),
        (
            lambda pages: pages.of(1, "varz").update(server_id=pages.of(0, "varz")["server_id"]),
            *("risk", "nodes", "expected a node of its own, got the one at", "check monitor="),
        ),
        (
            lambda pages: pages.of(0, "jsz")["meta_cluster"].update(cluster_size=5),
            *("risk", "nodes", "expected the pages of 5 nodes, got 3", "name them all"),
        ),
    ],
)
def test_what_a_page_can_say(
    true_pages: Callable[[], Pages], change: Callable[[Pages], Any], kind: str, about: str, what: str, remedy: str
) -> None:
    """It is found, as a problem or a risk, with its remedy."""
    pages = true_pages()
    change(pages)

    with served(pages) as monitor:
        found = _found(monitor)

    assert [row for row in found if row[:2] == (kind, about) and what in row[2] and remedy in row[3]], found
    assert len(found) == 1 or {row[1] for row in found} <= {about, "stream"}, found


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (_state(0, 1, 2, num_deleted=1), MEND_ALL),
        (_state(0, 1, num_deleted=1), MEND_ALL),
        (lambda pages: (_not_there(pages), _state(0, num_deleted=1)(pages)), MEND_LATER),
    ],
)
def test_a_copy_is_wiped_only_where_a_majority_is_sound(
    true_pages: Callable[[], Pages], change: Callable[[Pages], Any], remedy: str
) -> None:
    """Otherwise the remedy keeps everything."""
    pages = true_pages()
    change(pages)

    with served(pages) as monitor:
        remedies = {row[3] for row in _found(monitor) if "expected all of" in row[2]}

    assert remedies == {remedy}


@pytest.mark.parametrize(("size", "kind", "what"), [(1, "risk", "at least 2"), (3, "problem", "at most 2")])
def test_the_mirror(true_pages: Callable[[], Pages], size: int, kind: str, what: str) -> None:
    """One that did not read on is a risk, one that has more than the nodes a problem."""
    with served(true_pages()) as monitor:
        ((*found, _),) = _found(monitor, size)

    assert found[:2] == [kind, "mirror"]
    assert what in found[2]


def test_a_node_on_its_way(true_pages: Callable[[], Pages], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is over after a moment is not told; writers that go on meanwhile are no reason to tell anything."""
    monkeypatch.setattr(jetstream_doctor, "MOMENT_SECONDS", 10.0)
    pages = true_pages()
    _state(0, 2, last_seq=9, messages=9)(pages)

    def later(pages: Pages) -> None:
        if pages.looks > 2:
            _state(1, last_seq=9, messages=9)(pages)
            _state(0, last_seq=11, messages=11)(pages)

    pages.then = later
    with served(pages) as monitor:
        assert _found(monitor, 10) == []


def _saying(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def _dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.05)


_OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (_saying(b""), "no answer within 0.5 s"),
        (_dripping, "no answer within 0.5 s"),
        (_saying(b'INFO {"server_id":"N"}\r\n'), _NO_HTTP),
        (_saying(_OK + b'{"server_id":1}'), "no answer within 0.5 s"),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>no</html>"), _NO_HTTP),
        (_saying(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), _NO_HTTP),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"[" * 20_000), _NO_HTTP),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + b'{"server_id":"\xff"} '), _NO_HTTP),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b" " * 9999), _NO_HTTP),
        (_saying(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500), _NO_HTTP),
    ],
)
def test_strangers(
    true_pages: Callable[[], Pages], monkeypatch: pytest.MonkeyPatch, say: Callable[[socket.socket], None], why: str
) -> None:
    """Whoever is no node is told as that, in bounded time and memory; no proxy of the environment is asked."""
    monkeypatch.setattr(jetstream_pages, "PAGE_BYTES_MAX", 5_000)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    began = time.monotonic()

    with stranger(say) as address:
        found, silent = jetstream_pages.look([address])
        took = time.monotonic() - began

    assert (found, [item.why for item in silent]) == ([], [why])
    assert took < 2


def test_what_a_page_says_reaches_no_terminal_raw(tmp_path: Path, true_pages: Callable[[], Pages]) -> None:
    """Escapes in the name of a node are spelled out."""
    pages = true_pages()
    pages.of(0, "varz")["server_name"] = "\x1b[2Jnode"
    pages.of(0, "jsz")["config"]["sync_always"] = False

    with served(pages) as monitor:
        told = Machine(tmp_path, f"nats://127.0.0.1:1/pages{monitor}").run("doctor")

    assert told.status == 2
    assert "[2Jnode" in told.out
    assert "\x1b" not in told.out + told.err
