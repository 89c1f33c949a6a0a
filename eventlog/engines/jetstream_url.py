"""
Where a replicated journal is, and who asks: `nats://HOST:PORT,HOST:PORT/NAME?ca=FILE&nkey=FILE`.

A URL names files that hold secrets and never holds one: it stands in process lists, in environments and in messages.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from eventlog.errors import RefusedError

SCHEME = "nats"
PORT = 4222
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_FORM = "nats://HOST:PORT,…/NAME?ca=FILE&cert=FILE&key=FILE&nkey=FILE&creds=FILE&monitor=HOST:PORT,…"


class Address(Struct, frozen=True):
    """
    What a URL says.

    Attributes:
        servers: `host:port` of each node, at least one.

        name: of the registry; its stream is `REGISTRY_<name>`.

        ca: certificates of the authorities that may vouch for a node; with it, or with *cert*, TLS is demanded.

        cert, key: who we are, for TLS that asks.

        nkey: a file with an nkey seed.

        creds: a file with a JWT and a seed, as `nsc` writes it.

        monitor: `host:port` of the monitoring page of each node, for `doctor`.
    """

    servers: tuple[str, ...]
    name: str
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    nkey: str | None = None
    creds: str | None = None
    monitor: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """The name of the stream."""
        return f"REGISTRY_{self.name}"

    @property
    def where(self) -> str:
        """The URL without its parameters, for messages."""
        return f"{SCHEME}://{','.join(self.servers)}/{self.name}"

    @property
    def is_encrypted(self) -> bool:
        """Whether nothing may be said to a node without TLS."""
        return self.ca is not None or self.cert is not None


def parse(url: str) -> Address:
    """
    Read a URL, with or without its scheme.

    Raises:
        RefusedError: it does not make sense, or has a secret in it. Nothing was contacted.
    """
    rest = url.removeprefix(f"{SCHEME}:")
    try:
        parts = urlsplit(f"{SCHEME}:{rest}")
    except ValueError:
        raise RefusedError(f"--journal: expected {_FORM}, got something else") from None
    if "@" in parts.netloc:
        raise RefusedError(f"--journal: expected no user or password in {SCHEME}://…: name a file with nkey= or creds=")
    servers = tuple(_host(item, parts.netloc) for item in parts.netloc.split(","))
    name = parts.path.removeprefix("/")
    if not _NAME.fullmatch(name) or parts.fragment:
        raise RefusedError(
            f"--journal: expected {_FORM} with a NAME of 1 to 64 letters, digits, _ or -, got {name!r:.80}"
        )
    given: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in ("ca", "cert", "key", "nkey", "creds", "monitor") or key in given or not value or "\0" in value:
            raise RefusedError(f"--journal: expected {_FORM}, got {key!r:.40} twice, empty or not among these")
        given[key] = value
    pages = given.pop("monitor", "")
    monitor = tuple(_host(item, pages) for item in pages.split(",")) if pages else ()
    if ("cert" in given) != ("key" in given):
        raise RefusedError("--journal: expected cert=FILE and key=FILE together, got one of them")
    return Address(servers, name, monitor=monitor, **given)


def _host(text: str, whole: str) -> str:
    found = _HOST.fullmatch(text)
    if found is None or not 1 <= int(found["port"] or PORT) <= 65_535:
        raise RefusedError(f"--journal: expected HOST:PORT,HOST:PORT in {SCHEME}://…/NAME, got {whole!r:.80}")
    return f"{found['host']}:{found['port'] or PORT}"
