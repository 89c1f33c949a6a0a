"""What one node has of a stream, asked of it by JetStream's own batched direct get, while the others are down."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import nats

_BATCH = {"batch": 500, "max_bytes": 4 << 20}
_ANSWER_SECONDS = 2.0


def stored_on(host: str, stream: str) -> list[tuple[int, bytes]]:
    """Return sequence and bytes of each message; nothing where the node does not answer yet."""
    return asyncio.run(_stored_on(host, stream))


async def _stored_on(host: str, stream: str) -> list[tuple[int, bytes]]:
    client = await nats.connect(f"nats://{host}", allow_reconnect=False)
    found: list[tuple[int, bytes]] = []
    try:
        while part := await _part(client, stream, found[-1][0] + 1 if found else 1):
            found += part
    finally:
        await client.close()
    return found


async def _part(client: Any, stream: str, start: int) -> list[tuple[int, bytes]]:
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps({"seq": start, **_BATCH}).encode(), reply=inbox)
    found = []
    while True:
        message = await subscription.next_msg(_ANSWER_SECONDS)
        headers = message.headers or {}
        if "Status" in headers:
            await subscription.unsubscribe()
            return found
        found.append((int(headers["Nats-Sequence"]), message.data))
