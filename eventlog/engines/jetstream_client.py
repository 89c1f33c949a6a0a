"""
A connection to one node: who we are to it, whom we take for it, and how long it may take.

Whoever asks for TLS says nothing to a node that does not begin with it: not who he is, and no signature either, which
somebody in between could use elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nats.aio.client import Client
from nats.errors import Error, NoServersError

from eventlog.engines.jetstream_url import Address
from eventlog.errors import RefusedError, reason_of

CONNECT_SECONDS = 1
CLOSE_SECONDS = 2.0
_NEVER_CONNECTED_SECONDS = 0.1
_PENDING_BYTES = 16 << 20
_NO_EFFECT = "returning true from eof_received() has no effect when using ssl"
logging.getLogger("asyncio").addFilter(lambda record: record.msg != _NO_EFFECT)  # told whenever a node hangs up


class _NodeClient(Client):
    """One that says who it is only under TLS, where that is demanded."""

    def _connect_command(self) -> bytes:
        if "tls" in self.options and not self._server_info.get("tls_required"):
            node = self._current_server.uri.netloc if self._current_server else "a node"
            raise RefusedError(f"nats://{node}: expected TLS, got a connection without: check ca= in --journal")
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
    except NoServersError:
        await closed(client, _NEVER_CONNECTED_SECONDS)
        raise next(iter(told), Error("cannot be reached")) from None
    except BaseException:
        await closed(client, _NEVER_CONNECTED_SECONDS)
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
        for path in filter(None, (address.ca, address.cert, address.key, address.nkey, address.creds)):
            with open(path, "rb"):
                pass
        if address.is_encrypted:
            context = ssl.create_default_context(cafile=address.ca)
            if address.cert is not None:
                context.load_cert_chain(address.cert, address.key)
            found["tls"] = context
    except OSError as error:  # also ssl.SSLError
        what = error.filename or address.ca or address.cert
        raise RefusedError(f"--journal: {what}: {reason_of(error)}") from None
    if address.nkey is not None:
        found["nkeys_seed"] = address.nkey
    if address.creds is not None:
        found["user_credentials"] = address.creds
    return found
