"""
A connection to one node: who we are to it, whom we take for it, and how long it may take.

Whoever asks for TLS says nothing to a node that does not begin with it: not who he is, and no signature either, which
somebody in between could use elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nats.aio.client import Client, RawCredentials
from nats.errors import Error, NoServersError

from eventlog.engines.jetstream_url import Address
from eventlog.errors import RefusedError, reason_of

CONNECT_SECONDS = 1
CLOSE_SECONDS = 2.0
_NEVER_CONNECTED_SECONDS = 0.1
_PENDING_BYTES = 16 << 20
_SECRET_BYTES_MAX = 64 << 10
_CREDENTIALS = re.compile(
    r"BEGIN NATS USER JWT-+\r?\n(?P<jwt>[\w.-]+)\r?\n.*BEGIN USER NKEY SEED-+\r?\n(?P<seed>\w+)\r?\n", re.DOTALL
)
_NO_EFFECT = "returning true from eof_received() has no effect when using ssl"
logging.getLogger("asyncio").addFilter(lambda record: record.msg != _NO_EFFECT)  # told whenever a node hangs up


class _NodeClient(Client):
    """One that says who it is only under TLS, where that is demanded."""

    has_certificate = False

    @property
    def asks_for_certificate(self) -> bool:
        """Whether the node has said that it lets in nobody without one."""
        return bool(self._server_info.get("tls_verify"))

    def _connect_command(self) -> bytes:
        node = self._current_server.uri.netloc if self._current_server else "a node"
        if "tls" in self.options and not self._server_info.get("tls_required"):
            raise RefusedError(f"nats://{node}: expected TLS, got a connection without: check ca= in --journal")
        if self.asks_for_certificate and not self.has_certificate:
            raise RefusedError(f"nats://{node}: expected a certificate of ours, got none: name it with cert= and key=")
        return bytes(super()._connect_command())


async def connected(
    server: str,
    address: Address,
    on_error: Callable[[Exception], object],
    on_end: Callable[[], object],
) -> Client:
    """
    Return a client that is connected to *server*, `host:port`; it never reconnects by itself.

    Args:
        on_error: told what goes wrong later, such as a permission that is denied.

        on_end: called once the connection is lost.

    Raises:
        Error, OSError, TimeoutError: the node is not there, or does not let us in.

        RefusedError: it speaks without TLS, or a file of ours cannot be read.
    """
    client, told = _NodeClient(), []
    client.has_certificate = address.cert is not None

    async def note(error: Exception) -> None:
        told.append(error)
        on_error(error)

    async def end() -> None:
        on_end()

    connecting = client.connect(
        f"nats://{server}",
        name="modelog",
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=CONNECT_SECONDS,
        pending_size=_PENDING_BYTES,
        error_cb=note,
        disconnected_cb=end,
        closed_cb=end,
        **_identity_of(address),
    )
    try:
        await asyncio.wait_for(connecting, 2 * CONNECT_SECONDS)
    except BaseException as error:
        await closed(client, _NEVER_CONNECTED_SECONDS)
        if isinstance(error, (Error, OSError)) and client.asks_for_certificate:  # under TLS 1.3 a node may only hang up
            raise Error(f"authorization by certificate failed: {error}") from error
        if isinstance(error, NoServersError):
            raise next(iter(told), Error("cannot be reached")) from None
        raise
    return client


async def closed(client: Client, seconds: float = CLOSE_SECONDS) -> None:
    """Close a client, also one that never got as far as being connected."""
    with suppress(Error, OSError, TimeoutError):
        await asyncio.wait_for(client.close(), seconds)


def _identity_of(address: Address) -> dict[str, Any]:
    """Return what the client library takes by keyword; TLS 1.2 or newer, and the host's name is compared."""
    found: dict[str, Any] = {}
    try:
        for path in filter(None, (address.ca, address.cert, address.key)):
            _read(path)  # names the file, where ssl does not
        if address.is_encrypted:
            context = ssl.create_default_context(cafile=address.ca)
            if address.cert is not None:
                context.load_cert_chain(address.cert, address.key)
            found["tls"] = context
        if address.nkey is not None:
            found["nkeys_seed_str"] = _seed_of(address.nkey, _read(address.nkey))
        if address.creds is not None:
            found["user_credentials"] = RawCredentials(_credentials_of(address.creds, _read(address.creds)))
    except ssl.SSLError as error:  # which does not say whose fault it is
        files = " with ".join(filter(None, (address.ca, address.cert, address.key)))
        reason = (error.reason or "not in PEM").replace("_", " ").lower()
        raise RefusedError(f"--journal: {files}: {reason}") from None
    except OSError as error:
        raise RefusedError(f"--journal: {error.filename}: {reason_of(error)}") from None
    return found


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(_SECRET_BYTES_MAX).decode("ascii", "replace")


def _seed_of(path: str, text: str) -> str:
    """Return the seed in *text*; the client library would stumble over another one."""
    import nkeys  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types, and few commands need it

    try:
        nkeys.from_seed(bytearray(text.strip().encode("ascii")))
    except (nkeys.NkeysError, ValueError):
        raise RefusedError(f"--journal: {path}: expected the seed of an nkey, got something else") from None
    return text.strip()


def _credentials_of(path: str, text: str) -> str:
    """Return credentials as they stand in *text*; without both parts the client library would hang, or stumble."""
    found = _CREDENTIALS.search(text)
    if found is None:
        raise RefusedError(f"--journal: {path}: expected a user's JWT and seed, as nsc writes them, got something else")
    _seed_of(path, found["seed"])
    return text
