"""
What was asked of a journal on a cluster and what was answered, and so what its one history must be.

Nothing acknowledged is lost, doubled or reordered, nothing is invented, and each event displaced what was active.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any

from eventlog import chain

UNKNOWN = "OutcomeUnknownError"
REFUSED = ("UnreachableError", "ConflictError")
OWN_TYPES = ("journal.created.v1", "journal.snapshot_taken.v1")
"""What a journal says for itself; nobody asked for it."""


@dataclass
class Request:
    """
    A publish or a rollback, asked for until it is answered.

    Attributes:
        asked: when it was asked for first, by the clock that all processes of a machine share.

        acknowledged: when its answer was there; infinite as long as there is none.

        model_id: what was answered.

        tries: what each try that was not answered ended with, and when.

        abandoned: whether it was given up after it had been refused.
    """

    id: str
    asked: float
    acknowledged: float = inf
    model_id: str | None = None
    tries: list[tuple[str, float]] = field(default_factory=list)
    abandoned: bool = False

    @property
    def was_refused(self) -> bool:
        """Whether all that was ever said of it is that nothing was recorded."""
        return self.abandoned and all(outcome in REFUSED for outcome, _ in self.tries)


def events_of(entries: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return the events of a history, after its chain was verified."""
    entries = list(entries)
    chain.verify(entries, chain.GENESIS)
    return [json.loads(entry) for entry in entries]


def check(events: Sequence[Mapping[str, Any]], requests: Mapping[str, Request]) -> None:
    """
    Hold a whole history to what was asked and answered.

    Args:
        events: all of them, in order.

        requests: everything that was asked for, by id.
    """
    _check_ids(events, requests)
    _check_answers(events, requests)
    _check_order([event["id"] for event in events], requests)
    _check_displaced(events)


def check_prefix(mirror: bytes, whole: bytes, name: str) -> None:
    """Hold the bytes of a mirror to the history: the beginning of it, up to the end of a line."""
    assert whole.startswith(mirror), f"{name}: {len(mirror)} bytes are no prefix of the {len(whole)} of the history"
    assert mirror[-1:] in (b"", b"\n"), f"{name}: ends within a line"


def outcomes(requests: Iterable[Request]) -> Counter[str]:
    """Return how often tries ended with what."""
    return Counter(outcome for request in requests for outcome, _ in request.tries)


def settled_by_asking_again(requests: Iterable[Request]) -> int:
    """Return how many requests were acknowledged after a try of unknown outcome."""
    return sum(
        request.acknowledged < inf and any(outcome == UNKNOWN for outcome, _ in request.tries) for request in requests
    )


def _check_ids(events: Sequence[Mapping[str, Any]], requests: Mapping[str, Request]) -> None:
    twice = [id for id, count in Counter(event["id"] for event in events).items() if count > 1]
    assert twice == [], f"doubled: {twice}"
    own = [event["type"] for event in events if event["id"] not in requests]
    assert set(own) <= set(OWN_TYPES), f"nobody asked for {own}"
    created = [position for position, event in enumerate(events) if event["type"] == OWN_TYPES[0]]
    assert created == ([0] if events else []), f"created at {created}, and only the first entry may be that"
    sequence = [int(event["sequence"]) for event in events]
    assert sequence == list(range(len(events))), f"positions {sequence}"


def _check_answers(events: Sequence[Mapping[str, Any]], requests: Mapping[str, Request]) -> None:
    subjects = {event["id"]: event.get("subject") for event in events}
    answered = {request.id: request.model_id for request in requests.values() if request.model_id is not None}
    lost = [id for id in answered if id not in subjects]
    assert lost == [], f"acknowledged and lost: {lost} of {len(events)}"
    refused = [request.id for request in requests.values() if request.was_refused and request.id in subjects]
    assert refused == [], f"refused, and yet recorded: {refused}"
    wrong = [id for id, model_id in answered.items() if subjects[id] != model_id]
    assert wrong == [], f"answered with another model: {wrong}"


def _check_order(ids: Sequence[str], requests: Mapping[str, Request]) -> None:
    """What had been acknowledged before another request was made stands before it."""
    earliest, who = inf, ""
    for id in reversed(ids):
        request = requests.get(id)
        if request is not None:
            assert request.asked <= earliest, f"{who} was acknowledged before {id} was asked for, and follows it"
            if request.acknowledged < earliest:
                earliest, who = request.acknowledged, id


def _check_displaced(events: Sequence[Mapping[str, Any]]) -> None:
    """Each event says which model was active before it, and each publish is of a new model."""
    active, published = None, set()
    for position, event in enumerate(events):
        if event["type"] in OWN_TYPES:
            continue
        displaced = event["data"]["displaced"]
        assert displaced == active, f"entry {position}: expected to displace {active}, got {displaced}"
        active = event["subject"]
        is_new = active not in published
        assert is_new == event["type"].startswith("model.published"), f"entry {position}: {event['type']} of {active}"
        published.add(active)
