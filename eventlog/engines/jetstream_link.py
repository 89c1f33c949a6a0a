"""
A connection to the cluster: one node at a time, and the next one as soon as that one does not answer.

The client library is asynchronous; its event loop runs in a thread of our own. It does not reconnect by itself: what it
had buffered would be sent a second time behind our back. Whoever calls decides what is tried again.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, MaxPayloadError, NoRespondersError

from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_api import NoReplyError
from eventlog.engines.jetstream_client import CONNECT_SECONDS, closed, connected
from eventlog.engines.jetstream_url import Address
from eventlog.errors import OutcomeUnknownError, RefusedError, UnreachableError, reason_of
from eventlog.journal import ENTRY_BYTES_MAX

REPLY_SECONDS = 2.0
_RETRY_SECONDS = 0.5
Answer = TypeVar("Answer")


class Link:
    """
    See the module. Its coroutines run inside `call` only.

    Threads may share one. A process that was forked has no such thread: it begins anew, with a connection of its own.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._servers = list(address.servers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._beginning = threading.Lock()
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._lost = asyncio.Event()
        self._denied: dict[str, str] = {}
        self._news = asyncio.Event()
        self._failed: tuple[float, UnreachableError] | None = None

    def call(
        self,
        work: Coroutine[Any, Any, Answer],
        closed_meanwhile: type[UnreachableError | OutcomeUnknownError] = UnreachableError,
    ) -> Answer:
        """
        Do *work* in the thread of the event loop, and wait for it; an interrupt ends both.

        Args:
            closed_meanwhile: raised where another thread has called `close`.
        """
        if self._pid != os.getpid():
            self._beginning, self._loop, self._pid = threading.Lock(), None, os.getpid()
        with self._beginning:
            future = asyncio.run_coroutine_threadsafe(work, self._begun())
        try:
            return future.result()
        except CancelledError:
            raise closed_meanwhile(f"{self.address.where}: closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Let the connection and the thread go; the next call begins anew."""
        if self._loop is None or self._pid != os.getpid():
            return
        with self._beginning:
            loop, self._loop = self._loop, None
            if loop is not None:
                asyncio.run_coroutine_threadsafe(self._wind_up(), loop).result()
                loop.call_soon_threadsafe(loop.stop)
                self._thread.join()
                loop.close()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """
        Return what is answered.

        Raises:
            NoReplyError: nothing was; the next request goes to another node.

            RefusedError: this principal may not ask that, or the nodes do not take messages as large as this.
        """
        client = await self.client()
        asked = client.request(subject, payload, timeout=REPLY_SECONDS, headers=_copied(headers))
        return (await self._awaited(asked, subject)).data

    async def next(self, answers: asyncio.Queue[Answer], subject: str) -> Answer:
        """Return the next of the *answers* to something that was said under *subject*. Raises as `request`."""
        return await self._awaited(asyncio.wait_for(answers.get(), REPLY_SECONDS), subject)

    async def subscribe(self, on_message: Callable[[Msg], Coroutine[Any, Any, None]]) -> tuple[Subscription, str]:
        """Return a subscription, whose messages *on_message* gets one by one, and the subject that it is to."""
        client = await self.client()
        inbox = client.new_inbox()
        try:
            found = await client.subscribe(inbox, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
        except (Error, OSError) as error:
            raise NoReplyError(str(error), sent=False) from error
        return found, inbox

    async def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription, also one of a connection that was lost."""
        with suppress(Error, OSError):
            await subscription.unsubscribe()

    async def publish(
        self, subject: str, payload: bytes, headers: Mapping[str, str] | None = None, reply: str = ""
    ) -> None:
        """
        Say something and do not wait.

        Raises:
            NoReplyError: the connection was lost.
        """
        client = await self.client()
        self._refuse_denied(subject)
        try:
            await client.publish(subject, payload, reply=reply, headers=_copied(headers))
        except MaxPayloadError:
            raise self._too_large() from None
        except (Error, OSError) as error:
            raise NoReplyError(str(error), sent=True) from error

    async def client(self) -> Client:
        """
        Return a client that is connected.

        Raises:
            UnreachableError: no node can be reached. Just after that, nobody tries again.

            RefusedError: a node does not let us in, or speaks without TLS.
        """
        async with self._connecting:
            return await self._found()

    async def _found(self) -> Client:
        if self._client is not None and self.is_connected:
            return self._client
        now = asyncio.get_running_loop().time()
        if self._failed is not None and now < self._failed[0] + _RETRY_SECONDS:
            raise self._failed[1]
        await self.drop(self._client)
        reasons: dict[str, str] = {}
        strange: RefusedError | None = None
        for server in list(self._servers):
            try:
                self._client = await self._connected(server)
            except (Error, OSError, TimeoutError) as error:
                self._servers.append(self._servers.pop(0))
                reasons[server] = f"{server}: {_reason(error)}"
                if "authorization" in str(error).lower():
                    what = "does not let us in: check nkey=, creds= or cert= in --journal"
                    strange = RefusedError(f"nats://{server}: {what}")
                elif isinstance(error, ssl.SSLCertVerificationError):
                    what = f"its certificate is not good: {error.verify_message.lower()}: check ca= in --journal"
                    strange = RefusedError(f"nats://{server}: {what}")
                continue
            self._failed = None
            return self._client
        if strange is not None:
            raise strange
        why = "; ".join(reasons[server] for server in self.address.servers)
        failure = UnreachableError(f"{self.address.where}: cannot be reached: {why}")
        self._failed = asyncio.get_running_loop().time(), failure
        raise failure

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now."""
        return self._client is not None and self._client.is_connected

    @property
    def current(self) -> Client | None:
        """The client that is used now."""
        return self._client

    async def drop(self, client: Client | None) -> None:
        """Let the connection of *client* go, if it is still ours; the next one is made to another node."""
        if client is not None and client is self._client:
            self._client = None
            self._servers.append(self._servers.pop(0))
            await closed(client)

    async def _awaited(self, work: Coroutine[Any, Any, Answer], subject: str) -> Answer:
        """Wait for *work*, and no longer once the connection is lost, or a node says that *subject* is not for us."""
        asked, client, lost = asyncio.ensure_future(work), self._client, self._lost
        try:
            while True:
                over = [asyncio.ensure_future(lost.wait()), asyncio.ensure_future(self._news.wait())]
                try:
                    await asyncio.wait([asked, *over], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for item in over:
                        item.cancel()
                if asked.done():
                    return await asked
                self._refuse_denied(subject)
                if lost.is_set():
                    raise NoReplyError("the connection was lost", sent=True)
        except NoRespondersError:
            await self.drop(client)
            raise NoReplyError("no node leads the stream", sent=False) from None
        except MaxPayloadError:
            raise self._too_large() from None
        except (Error, OSError, TimeoutError) as error:
            await self.drop(client)
            reason = f"no answer within {REPLY_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
            raise NoReplyError(reason, sent=True) from None
        finally:
            asked.cancel()

    async def _connected(self, server: str) -> Client:
        self._lost = lost = asyncio.Event()
        self._denied.clear()

        def note(error: Exception) -> None:
            text = str(error).lower()
            if "permissions violation" in text:
                self._denied[text] = text
                self._news.set()

        return await connected(server, self.address, note, lost.set)

    async def _wind_up(self) -> None:
        """End all that is under way, a moment before the loop ends."""
        await self.drop(self._client)
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _refuse_denied(self, subject: str) -> None:
        """Raise RefusedError where a node has said meanwhile that *subject* is not for us."""
        self._news.clear()
        said = next((text for text in self._denied if f'"{subject.lower()}"' in text), None)
        if said is not None:
            self._denied.pop(said)
            raise denied(self.address.where, subject)

    def _too_large(self) -> RefusedError:
        needed = ENTRY_BYTES_MAX + api.HEADER_BYTES
        return RefusedError(f"{self.address.where}: expected max_payload of at least {needed} on its nodes, got less")

    def _begun(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs; the caller holds the lock."""
        if self._loop is not None:
            return self._loop
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="modelog-nats", daemon=True)
        thread.start()
        self._client, self._failed, self._connecting = None, None, asyncio.Lock()
        self._lost, self._news, self._denied = asyncio.Event(), asyncio.Event(), {}
        self._loop, self._thread = loop, thread
        return loop


def denied(where: str, subject: str) -> RefusedError:
    """Return what is said to whoever may not do something."""
    return RefusedError(f"{where}: permission denied for {subject}: ask who runs the cluster, or use another key")


def data_of(message: Msg) -> tuple[Mapping[str, str], bytes]:
    """Return headers and data of a message."""
    return message.headers or {}, message.data


def _copied(headers: Mapping[str, str] | None) -> dict[str, Any] | None:
    return None if headers is None else dict(headers)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}".lower()
    return reason_of(error) if isinstance(error, OSError) else str(error).removeprefix("nats: ")
