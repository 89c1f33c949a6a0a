"""What a disk holds and what a history means, said a second time and as plainly as can be: not the program's fold."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulated_disk import Disk

from eventlog import chain
from eventlog.engines import jsonl_head

REGISTRY = "/var/models"
RUNTIME = "/var/runtime"
JOURNAL = f"{REGISTRY}/journal.jsonl"
HEAD = f"{REGISTRY}/journal.head"
REGISTRY_JSON = f"{REGISTRY}/registry.json"
STATE_JSON = f"{RUNTIME}/state.json"
QUARANTINE = f"{REGISTRY}/quarantine"


@dataclass(frozen=True)
class Meaning:
    """What is true after some events: the models in the order of publication, which is active, which was before it."""

    published: tuple[str, ...] = ()
    active: str | None = None
    before: str | None = None


@lru_cache(maxsize=4096)
def event_of(entry: bytes) -> dict[str, Any]:
    """Return what an entry says."""
    event: dict[str, Any] = json.loads(entry)
    return event


def meanings_of(entries: list[bytes]) -> list[Meaning]:
    """Return what is true before the first entry and after each."""
    meanings = [Meaning()]
    for entry in entries:
        event, now = event_of(entry), meanings[-1]
        if event["type"] == "model.published.v1":
            now = Meaning((*now.published, event["subject"]), event["subject"], now.active)
        elif event["type"] == "model.rolled_back.v1":
            now = Meaning(now.published, event["subject"], now.active)
        meanings.append(now)
    return meanings


def acknowledged(disk: Disk) -> list[bytes]:
    """Return the entries that the head acknowledges on a disk as a running system shows it."""
    head = jsonl_head.parse(disk.content(HEAD) or b"").newest
    if head is None:
        return []
    journal = disk.content(JOURNAL) or b""
    entries = journal[: head.end_bytes].split(b"\n")[:-1]
    assert len(entries) == head.size, f"the head acknowledges {head.size} entries, the journal has {len(entries)}"
    return entries


def lines(disk: Disk) -> list[bytes]:
    """Return the lines of the journal that follow one another from the first on, acknowledged or not."""
    found: list[bytes] = []
    prev = chain.GENESIS
    for line in (disk.content(JOURNAL) or b"").split(b"\n")[:-1]:
        try:
            prev = chain.verify([line], prev)
        except chain.ChainError:
            break
        found.append(line)
    return found


def applied_sizes(disk: Disk) -> tuple[int, int]:
    """Return how many entries `registry.json` and the runtime's active model have applied."""
    registry, state = disk.content(REGISTRY_JSON), disk.content(STATE_JSON)
    first = json.loads(registry)["journal"]["applied_size"] if registry else 0
    active = (json.loads(state)["metadata"] or {}).get("active_model") if state else None
    return first, active["journal"]["size"] if active else 0
