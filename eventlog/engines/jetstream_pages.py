"""
The monitoring pages of the nodes, all asked at once: who hangs, or says something else, is waited for once, and told.

A page is plain HTTP without a password, which anybody on the way can change; so no decision rests on one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from eventlog.engines.jetstream_api import State
from eventlog.errors import reason_of

PAGE_SECONDS = 2.0
"""How long a node may take for all its pages."""

PAGE_BYTES_MAX = 16 << 20
_PIECE_BYTES = 1 << 16
_GRACE_SECONDS = 0.25
Page = TypeVar("Page")


class Peer(Struct):
    """Another node, as the leader of a group sees it."""

    name: str = ""
    current: bool = False
    offline: bool = False


class Group(Struct):
    """Nodes that keep something together: of the whole cluster, or of one stream."""

    leader: str = ""
    replicas: list[Peer] | None = None
    cluster_size: int = 0


class Lost(Struct):
    """What a node has found to be damaged in its store."""

    msgs: list[int] | None = None


class Held(State):
    """What one node holds of a stream."""

    lost: Lost | None = None


class Detail(Struct):
    """A stream on one node."""

    name: str = ""
    cluster: Group = msgspec.field(default_factory=Group)
    config: dict[str, Any] = {}
    state: Held = msgspec.field(default_factory=Held)


class Account(Struct):
    """The streams of an account."""

    stream_detail: list[Detail] | None = None


class Stored(Struct):
    """How a node stores."""

    sync_always: bool = False


class Jsz(Struct):
    """The page about JetStream."""

    server_id: str
    disabled: bool = False
    config: Stored | None = None
    meta_cluster: Group | None = None
    account_details: list[Account] | None = None


class Routes(Struct):
    """Where a node listens for other nodes."""

    addr: str = ""
    tls_required: bool = False


class Varz(Struct):
    """The page about the server."""

    server_id: str
    server_name: str
    version: str
    now: datetime
    host: str = ""
    http_host: str = ""
    auth_required: bool = False
    tls_required: bool = False
    tls_cert_not_after: datetime | None = None
    cluster: Routes = msgspec.field(default_factory=Routes)


class Healthz(Struct):
    """The page that says whether a node has caught up."""

    status: str
    error: str = ""


class Node(Struct):
    """
    What a node says.

    Attributes:
        where: `host:port` of its pages.

        asked, answered: our time, in seconds since 1970, around the moment that it calls `now`.
    """

    where: str
    varz: Varz
    jsz: Jsz
    healthz: Healthz
    asked: float
    answered: float

    @property
    def name(self) -> str:
        """What it is called in the cluster."""
        return self.varz.server_name


class Silent(Struct):
    """A node that says nothing, or something else, and why."""

    where: str
    why: str


def look(hosts: Sequence[str]) -> tuple[list[Node], list[Silent]]:
    """Return what the nodes behind *hosts* say; takes a little more than `PAGE_SECONDS` at most."""
    deadline = time.monotonic() + PAGE_SECONDS
    late = f"no answer within {PAGE_SECONDS:g} s"
    found: list[Node | Silent] = [Silent(host, late) for host in hosts]

    def ask(number: int) -> None:
        found[number] = _asked(hosts[number], deadline, late)

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(hosts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline + _GRACE_SECONDS - time.monotonic()))
    answers = list(found)
    return [item for item in answers if isinstance(item, Node)], [item for item in answers if isinstance(item, Silent)]


def _asked(host: str, deadline: float, late: str) -> Node | Silent:
    try:
        asked = time.time()
        varz = _page(host, "/varz", Varz, deadline)
        answered = time.time()
        jsz = _page(host, "/jsz?streams=true&config=true", Jsz, deadline)
        return Node(host, varz, jsz, _page(host, "/healthz", Healthz, deadline), asked, answered)
    except TimeoutError:
        return Silent(host, late)
    except OSError as error:
        return Silent(host, reason_of(error))
    except (HTTPException, msgspec.MsgspecError, ValueError, RecursionError):
        return Silent(host, "expected the monitoring page of a nats-server, got something else")


def _page(host: str, path: str, kind: type[Page], deadline: float) -> Page:
    """Return a page; no proxy is asked and no redirection followed. Raises OSError, HTTPException, ValueError."""
    connection = HTTPConnection(host, timeout=_left(deadline))
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        with connection.getresponse() as answer:
            body = b""
            while piece := answer.read1(_PIECE_BYTES):
                body += piece
                if len(body) > PAGE_BYTES_MAX:
                    raise ValueError(f"{path}: more than {PAGE_BYTES_MAX} bytes")
                _left(deadline)
        return msgspec.json.decode(body, type=kind)
    finally:
        connection.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
