"""
What was asked of one registry and what it answered, and so what must be in its journal.

Nothing acknowledged is lost, doubled, reordered or invented.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from eventlog.batch import RECOVERY_ID_START


@dataclass
class Request:
    """
    A publish or a rollback as somebody asked for it, perhaps several times.

    Attributes:
        started: when it was asked for first.

        acknowledged: when its answer had first arrived; infinite as long as none has.

        model_id: what was answered.
    """

    id: str
    argv: tuple[str, ...]
    started: float
    acknowledged: float = inf
    model_id: str | None = None

    def answer(self, line: bytes, moment: float) -> None:
        """Note an answer, which must always be the same."""
        model_id = json.loads(line)["model_id"]
        assert self.model_id in (None, model_id), f"{self.id}: answered {self.model_id}, and then {model_id}"
        self.model_id = model_id
        self.acknowledged = min(self.acknowledged, moment)


@dataclass
class History:
    """All requests to one registry, and what a reader saw of it last."""

    requests: dict[str, Request] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def acknowledged(self) -> list[Request]:
        """Return the requests that were answered."""
        return [request for request in self.requests.values() if request.model_id is not None]

    def unsettled(self) -> list[Request]:
        """Return the requests that were killed before they answered."""
        return [request for request in self.requests.values() if request.model_id is None]

    def check(self, ids: list[str], promised: Sequence[Request]) -> None:
        """
        Hold what a reader sees to what was promised.

        Args:
            ids: of all events in order, read by a fresh object, which has verified the chain.

            promised: what was acknowledged before it began to read.
        """
        assert len(set(ids)) == len(ids), f"{len(ids)} entries, but {len(set(ids))} ids"
        assert ids[: len(self.seen)] == self.seen, f"what was shown has changed: {self.seen}, then {ids}"
        self.seen = ids
        invented = [id for id in ids[1:] if id not in self.requests and not id.startswith(RECOVERY_ID_START)]
        assert invented == [], f"nobody asked for {invented}"
        assert not ids or ids[0] not in self.requests, "the first entry must be the journal's creation"
        lost = [request.id for request in promised if request.id not in ids]
        assert lost == [], f"acknowledged and lost: {lost} of {ids}"
        self._check_order(ids)

    def _check_order(self, ids: Sequence[str]) -> None:
        """What had been acknowledged before another request was made stands before it."""
        earliest, who = inf, ""
        for id in reversed(ids):
            request = self.requests.get(id)
            if request is not None:
                assert request.started <= earliest, f"{who} was acknowledged before {id} was asked for, and follows it"
                if request.acknowledged < earliest:
                    earliest, who = request.acknowledged, id

    def check_settled(self, subjects: Sequence[tuple[str, str | None]]) -> None:
        """Hold the whole journal, as pairs of id and subject, to the answers: all requests, each once."""
        found = [pair for pair in subjects if pair[0] in self.requests]
        assert sorted(found) == sorted((request.id, request.model_id) for request in self.requests.values())
