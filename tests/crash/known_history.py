"""
What is known of one registry that lives through many power cuts, and what must therefore be found after the next one.

Every answer that was seen before a cut stands in the journal once, in the order in which its asker got it, and the
derived files know it. What stood there acknowledged after one cut stands there, byte for byte, after all later ones.
Nothing stands there that nobody asked for, or that was refused. The rest is what `check_state` checks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from check_state import Expected, Request, ViolationError, check
from disk_writers import Writer
from strace_log import Tree
from workshop import HEAD, JOURNAL, REGISTRY_JSON, STATE_JSON, Workshop, read_tree

from eventlog import chain
from eventlog.engines import jsonl_head

_OWN_EVENTS = ("journal.created.v1", "journal.recovered.v1")


@dataclass
class KnownHistory:
    """
    What is known of one registry.

    Attributes:
        top: the directory on the disk that holds registry and runtime.

        shown: the entries that were acknowledged on the disk after the last cut.

        asked: the ids of all requests that anybody may have begun.

        answers: the model id of each answer that was seen before a cut, by the request's id.

        open: requests whose outcome nobody knows.

        refused: the ids of those that were new in the last round, and were refused.

        orders: for each writer of the last round the ids of its new requests that were answered, in order.
    """

    top: Path
    shown: list[bytes] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)
    open: list[Request] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    orders: list[list[str]] = field(default_factory=list)

    def note(self, writers: Sequence[Writer], seen: Sequence[int]) -> None:
        """Remember what *writers* did in a round, of whose answers so many were seen before the cut."""
        asked_before = set(self.asked)
        self.open, self.refused, self.orders = [], set(), []
        for writer, count in zip(writers, seen, strict=True):
            answered = [request.id for request in writer.requests[:count]]
            self.answers |= dict(zip(answered, writer.answers, strict=False))
            self.orders.append([request_id for request_id in answered if request_id not in asked_before])
            self.open += writer.begun[count:]
            self.asked |= {request.id for request in writer.begun}
            statuses = zip(writer.begun, writer.statuses, strict=True)
            self.refused |= {request.id for request, status in statuses if status == 2} - asked_before

    def judge(self, workshop: Workshop) -> Tree:
        """
        Hold what the disk shows after the cut to the promises, and return it.

        Raises:
            ViolationError: says which promise is broken.
        """
        state = read_tree(self.top)
        entries = _valid_entries(state.get(JOURNAL) or b"")
        _require(entries[: len(self.shown)] == self.shown, "an entry that survived a cut is gone or changed")
        needed = self._check_events([json.loads(entry) for entry in entries])
        for path in (REGISTRY_JSON, STATE_JSON):
            size = _applied_size(state, path)
            _require(size >= needed, f"{path} knows {size} entries, {needed} are acknowledged")
        acknowledged = max(len(self.shown), needed)
        check(state, Expected(entries, acknowledged, tuple(self.open)), workshop)
        head = jsonl_head.parse(state.get(HEAD) or b"").newest
        self.shown = entries[: head.size if head else 0]
        return state

    def _check_events(self, events: list[dict[str, Any]]) -> int:
        """Compare events with what was asked and answered; return how many of them the answers vouch for."""
        ids = [event["id"] for event in events]
        places = {event_id: place for place, event_id in enumerate(ids)}
        _require(len(places) == len(ids), f"recorded twice: {sorted({one for one in ids if ids.count(one) > 1})}")
        invented = [
            event["id"] for event in events if event["type"] not in _OWN_EVENTS and event["id"] not in self.asked
        ]
        _require(not invented, f"recorded, but never asked for: {invented}")
        found = {event["id"]: event.get("subject") for event in events}
        lost = [request_id for request_id, model_id in self.answers.items() if found.get(request_id) != model_id]
        _require(not lost, f"acknowledged, but gone or another model: {lost}")
        _require(not self.refused & places.keys(), f"refused, but recorded: {self.refused & places.keys()}")
        for order in self.orders:
            rising = all(places[first] < places[second] for first, second in pairwise(order))
            _require(rising, f"answered in the order {order}, recorded in another")
        return max([0, *(places[request_id] + 1 for request_id in self.answers)])


def unfinished(state: Tree) -> bool:
    """Return whether the cut left bytes behind the acknowledged ones."""
    head = jsonl_head.parse(state.get(HEAD) or b"").newest
    return len(state.get(JOURNAL) or b"") > (head.end_bytes if head else 0)


def _valid_entries(journal: bytes) -> list[bytes]:
    """Return the entries from the start that fit the chain, the last one also where only its newline is missing."""
    lines = journal.split(b"\n")
    try:
        chain.verify(lines, chain.GENESIS)
    except chain.ChainError as error:
        return lines[: error.index]
    return lines


def _applied_size(state: Tree, path: str) -> int:
    """Return how many entries a derived file has taken in; 0 where there is none."""
    try:
        content = json.loads(state.get(path) or b"{}")
    except ValueError as error:
        raise ViolationError(f"broken: {path} is not JSON: {error}") from error
    if path == REGISTRY_JSON:
        return int(content.get("journal", {}).get("applied_size", 0))
    active = content.get("metadata", {}).get("active_model") or {}
    return int(active.get("journal", {}).get("size", 0))


def _require(condition: bool, broken: str) -> None:
    if not condition:
        raise ViolationError(f"broken: {broken}")
