"""Which artifacts are still needed: a fold over the history that asks only for what a registry keeps. Pure."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

from eventlog.events import Event, ModelPublished, ModelRolledBack
from eventlog.retention_events import ArtifactRemoved, ModelHeld, ModelReinstated, ModelReleased, ModelRetired
from eventlog.snapshot import Settings


class Claim:
    """
    What the history says of a model whose artifact is kept.

    Attributes:
        published: its publication.

        used_until: when it was published, or last displaced; the later.

        retired, held: whether it is.

        removed: its artifact was removed, and the same bytes were not published since then.
    """

    def __init__(self, event: Event) -> None:
        self.published = event
        self.used_until = event.time
        self.retired = self.held = self.removed = False


class Claims:
    """
    See the module.

    Attributes:
        size: how many events were folded.

        signatures: the SHA-256 of those files that say who signed an artifact; they are kept for good, as evidence.

        by_digest: the claims on each artifact by its SHA-256, in the order of publication.

    Args:
        digests: of the artifacts that are there, 64 hex each; those of which copies were made count in any case.

        settings: how long they are kept at least.
    """

    def __init__(self, digests: Container[str], settings: Settings) -> None:
        self.settings = settings
        self._digests = digests
        self._claims: dict[str, Claim] = {}
        self._last: dict[str, None] = {}
        self._previous: str | None = None
        self.signatures: set[str] = set()
        self.by_digest: dict[str, list[Claim]] = {}
        self.size = 0

    def apply(self, event: Event) -> None:
        """Go on by one event."""
        self.size += 1
        data, model_id = event.data, event.subject or ""
        if isinstance(data, ModelPublished) and (data.sha256 in self._digests or data.origin_path is not None):
            claims = self.by_digest.setdefault(data.sha256, [])
            for claim in claims:
                claim.removed = False
            claims.append(Claim(event))
            self._claims[model_id] = claims[-1]
        if isinstance(data, ModelPublished) and data.signature is not None:
            self.signatures.add(data.signature.sha256)
        if isinstance(data, ModelPublished | ModelRolledBack):
            self._activated(event, model_id, data.displaced)
        elif isinstance(data, ArtifactRemoved):
            for name in data.models(event.subject):
                if name in self._claims:
                    self._claims[name].removed = True
        elif (known := self._claims.get(model_id)) is not None:
            if isinstance(data, ModelRetired | ModelReinstated):
                known.retired = isinstance(data, ModelRetired)
            elif isinstance(data, ModelHeld | ModelReleased):
                known.held = isinstance(data, ModelHeld)

    def why_kept(self, digest: str, now: datetime) -> dict[str, str]:
        """Return why an artifact is to be kept, in words, by the models that say so; empty where it may be removed."""
        reasons = {claim.published.subject or "": self._reason(claim, now) for claim in self.by_digest.get(digest, ())}
        return {model_id: reason for model_id, reason in reasons.items() if reason}

    def retired_but_kept(self, now: datetime) -> dict[str, str]:
        """Return why the artifacts of models that are retired are to be kept all the same, by model id."""
        found = {}
        for digest, claims in self.by_digest.items():
            others = self.why_kept(digest, now)
            for claim in claims if others else ():
                model_id = claim.published.subject or ""
                if claim.retired and not claim.removed:
                    other, reason = next(iter(others.items()))
                    found[model_id] = others.get(model_id) or f"its bytes are those of {other}, which is {reason}"
        return found

    def _reason(self, claim: Claim, now: datetime) -> str | None:
        model_id, settings = claim.published.subject, self.settings
        unused = now - claim.used_until
        reasons = {
            "active": model_id == next(reversed(self._last), None),
            "previous": model_id == self._previous,
            "held": claim.held,
            "not retired": not claim.retired,
            f"among the last {settings.keep_last} that were active": settings.keep_last and model_id in self._last,
            f"active within the last {settings.keep_days} days": settings.keep_days
            and unused < timedelta(days=settings.keep_days),
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    def _activated(self, event: Event, model_id: str, displaced: str | None) -> None:
        self._last.pop(model_id, None)
        self._last[model_id] = None
        if len(self._last) > max(1, self.settings.keep_last):
            del self._last[next(iter(self._last))]
        self._previous = displaced
        if displaced in self._claims:
            known = self._claims[displaced]
            known.used_until = max(known.used_until, event.time)  # some clock may have gone backwards
