"""
The registry in plain Python: a list of facts, and what a request means on it.

It is written from README and FORMAT alone, by scanning the list anew for every question, and shares no code with the
registry; that is what makes it worth comparing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

Contents = Mapping[str, bytes | None]
"""What each artifact's path holds; None where there is no file."""


@dataclass(frozen=True)
class Publish:
    """What a publisher chose."""

    id: str
    path: str
    backend: str
    metadata: dict[str, Any]
    reason: str | None = None
    expect_active: str | None = None


@dataclass(frozen=True)
class Rollback:
    """What somebody who goes back chose."""

    id: str
    target: str | None = None
    reason: str | None = None
    expect_active: str | None = None


Request = Publish | Rollback


@dataclass(frozen=True)
class Fact:
    """An event: its type, id (None where the registry makes one up), subject and the model that it displaced."""

    type: str
    id: str | None = None
    subject: str | None = None
    displaced: str | None = None
    time: datetime | None = None
    model: dict[str, Any] | None = None
    chosen: Any = None

    def is_told_by(self, line: bytes) -> bool:
        """Say whether *line* of a journal tells this fact."""
        try:
            told = json.loads(line)
        except ValueError:
            return False
        return (
            told["type"] == self.type
            and self.id in (None, told["id"])
            and told.get("subject") == self.subject
            and told["data"].get("displaced") == self.displaced
            and self.time in (None, datetime.fromisoformat(told["time"]))
        )


CREATED = Fact("journal.created.v1")


class RegistryModel:
    """The state after *facts*."""

    def __init__(self, facts: Sequence[Fact] = ()) -> None:
        self.facts = list(facts)

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the six attributes of each model, by id, in the order of publication."""
        return {fact.subject or "": fact.model for fact in self.facts if fact.model is not None}

    def activation(self) -> Fact | None:
        """Return the fact that made the present model active."""
        return next((fact for fact in reversed(self.facts) if fact.subject is not None), None)

    def active(self) -> str | None:
        """Return the id of the active model."""
        activation = self.activation()
        return activation.subject if activation else None

    def ids(self) -> set[str]:
        """Return the ids that are known."""
        return {fact.id for fact in self.facts if fact.id is not None}

    def decide(self, request: Request, contents: Contents, now: datetime) -> Fact | str | None:
        """Return the fact to record, or the id of the model that is the answer already, or None for a refusal."""
        if isinstance(request, Publish):
            return self._publish(request, contents.get(request.path), now)
        return self._rollback(request, contents, now)

    def _publish(self, request: Publish, content: bytes | None, now: datetime) -> Fact | str | None:
        if content is None:
            return None
        digest = sha256(content).hexdigest()
        metadata = json.dumps(request.metadata, sort_keys=True)
        chosen = ("publish", request.path, digest, request.backend, metadata, request.reason)
        for fact in self.facts:
            if fact.id == request.id:
                return fact.subject if fact.chosen == chosen else None
        if self._unexpected(request):
            return None
        model_id = self._new_id(now, digest)
        model = {
            "model_id": model_id,
            "backend": request.backend,
            "artifact_path": request.path,
            "sha256": digest,
            "created_at": iso(now),
            "dataset_metadata": request.metadata,
        }
        return Fact("model.published.v1", request.id, model_id, self.active(), now, model, chosen)

    def _rollback(self, request: Rollback, contents: Contents, now: datetime) -> Fact | str | None:
        for fact in self.facts:
            if fact.id == request.id:
                same = fact.chosen == ("rollback", request.reason) and request.target in (None, fact.subject)
                return fact.subject if same else None
        activation = self.activation()
        if self._unexpected(request) or activation is None:
            return None
        target = request.target or activation.displaced
        model = self.models().get(target or "")
        if target is None or model is None:
            return None
        content = contents.get(model["artifact_path"])
        if content is None or sha256(content).hexdigest() != model["sha256"]:
            return None
        if target == activation.subject:
            return target
        chosen = ("rollback", request.reason)
        return Fact("model.rolled_back.v1", request.id, target, activation.subject, now, None, chosen)

    def _unexpected(self, request: Request) -> bool:
        return request.expect_active not in (None, self.active() or "none")

    def _new_id(self, now: datetime, digest: str) -> str:
        taken = self.models()
        model_id = f"{now:%Y%m%d%H%M%S}_{digest[:8]}"
        while model_id in taken:
            model_id = f"{now:%Y%m%d%H%M%S%f}_{digest[:8]}"
            now += timedelta(microseconds=1)
        return model_id


def recovered(torn: bytes, offset_bytes: int) -> Fact:
    """Return the fact that *torn* was taken out at *offset_bytes*."""
    return Fact("journal.recovered.v1", f"recovered-{offset_bytes}-{sha256(torn).hexdigest()[:16]}")


def at(fact: Fact, now: datetime) -> Fact:
    """Return *fact*, recorded at *now*."""
    return replace(fact, time=now)


def iso(time: datetime) -> str:
    """Return a UTC time as JSON has it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def registry_json(model: RegistryModel, journal: dict[str, Any]) -> dict[str, Any]:
    """Return what `registry.json` says after these facts; *journal* is the anchor."""
    return {
        "format_version": 1,
        "journal": {"id": journal["id"], "applied_size": journal["size"], "hash": journal["hash"]},
        "active_model_id": model.active(),
        "models": list(model.models().values()),
    }


def active_model(model: RegistryModel, journal: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the runtime checkpoint says of the active model after these facts."""
    activation = model.activation()
    if activation is None or activation.subject is None or activation.time is None:
        return None
    return {**model.models()[activation.subject], "activated_at": iso(activation.time), "journal": journal}
