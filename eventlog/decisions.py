"""
What a request means on a given state: an event to append, or an answer that is already there. Pure.

The same function decides before the lock is taken (so that a refusal changes nothing on disk), under the lock (so that
nothing is decided on an old state), and for `--dry-run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from eventlog.artifact_path import kept_path, path_to_text
from eventlog.artifact_signature import Signature
from eventlog.artifacts import Artifact
from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.contents import Contents
from eventlog.errors import JournalDamagedError, RefusedError, refused_by
from eventlog.events import WANTED_CHARACTERS_MAX, Data, Event, ModelPublished, ModelRolledBack, RequestRefused
from eventlog.journal import Anchor
from eventlog.model import ModelMetadata, model_of
from eventlog.model_id import new_model_id
from eventlog.training_events import Training


class Terms(Struct, frozen=True):
    """
    What every request says beside its own subject.

    Attributes:
        actor: who asks.

        reason: why, or None.

        request_id: the idempotency key; a random one where the caller gave none.

        expect_active: refuse unless this model is active; `none` means that no model is; None means any.

        took_over: the other journal whose runtime checkpoint is taken over, or None.

        key: the public key that signs tree heads; a new journal begins with it.

        own_id: whether the request's id was made up here, at random, so that nothing can have it that is long past.
    """

    actor: str
    request_id: str
    reason: str | None = None
    expect_active: str | None = None
    took_over: Anchor | None = None
    key: str | None = None
    own_id: bool = False


class Decision(Struct, frozen=True):
    """
    What is to be done.

    Attributes:
        model_id: the model that the request is about; empty where it is about the journal itself.

        data: what to append, or None because the answer is there already: `position` says where, None nowhere (there
            is nothing to do).
    """

    model_id: str
    data: Data | None = None
    position: int | None = None


_CHOSEN = (
    "backend",
    "artifact_path",
    "artifact_path_hex",
    "artifact_files",
    "origin_path",
    "origin_path_hex",
    "sha256",
    "dataset_metadata",
    "reason",
)
"""What of a publication the caller chose, beside the key that signs it; the rest depends on the moment."""

Decide = Callable[[Catalog, datetime], Decision]
FindEvent = Callable[[int], Event]
"""Reads the event at a position."""


def publish(
    terms: Terms,
    artifact: Artifact,
    backend: str,
    dataset_metadata: dict[str, object],
    find_event: FindEvent,
    contents: Contents | None = None,
    training: Training | None = None,
    signature: Signature | None = None,
) -> Decide:
    """Return the function that decides a publish."""
    recorded, origin = artifact.path, artifact.origin
    if origin is not None:
        recorded = kept_path(artifact.sha256, is_directory=artifact.files is not None)
    path, path_hex = path_to_text(recorded)
    origin_path, origin_path_hex = (None, None) if origin is None else path_to_text(origin)

    def decide(catalog: Catalog, now: datetime) -> Decision:
        data = ModelPublished(
            backend=backend,
            artifact_path=path,
            artifact_size_bytes=artifact.size_bytes,
            sha256=artifact.sha256,
            dataset_metadata=dataset_metadata,
            displaced=catalog.active_id(),
            reason=terms.reason,
            took_over=terms.took_over,
            artifact_path_hex=path_hex,
            artifact_files=None if artifact.files is None else len(artifact.files),
            origin_path=origin_path,
            origin_path_hex=origin_path_hex,
            contents=contents,
            training=training,
            signature=signature,
        )
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            return _answered(earlier, _is_same_publish(earlier.data, data))
        _check_expected(terms, catalog)
        return Decision(new_model_id(now, artifact.sha256, catalog.published), data)

    return decide


def rollback(
    terms: Terms, model_id: str | None, find_event: FindEvent, verify_artifact: Callable[[Catalog, str], str]
) -> Decide:
    """
    Return the function that decides a rollback.

    Args:
        model_id: the target; None for the model that was active before the present one.

        verify_artifact: returns the target's sha256 after checking that its artifact still has it, or refuses.
    """

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            same = isinstance(earlier.data, ModelRolledBack) and earlier.data.reason == terms.reason
            return _answered(earlier, same and model_id in (None, earlier.subject))
        _check_expected(terms, catalog)
        target, active_id = _target(catalog, model_id)
        digest = verify_artifact(catalog, target)
        if target == active_id:
            return Decision(target)
        return Decision(target, ModelRolledBack(active_id, digest, terms.reason, terms.took_over))

    return decide


@refused_by("target")
def _target(catalog: Catalog, model_id: str | None) -> tuple[str, str]:
    """Return the model to roll back to, and the one that is active; *model_id* None means the one before."""
    active = catalog.active.get(ACTIVE)
    if active is None:
        raise RefusedError(f"{catalog.where}: expected a published model to roll back to, got none: publish first")
    target = model_id or active.displaced
    if target is None:
        raise RefusedError(
            f"{catalog.where}: expected a model before {active.model_id}, got none: name one with --model-id"
        )
    catalog.publication(target)
    if catalog.marks.is_retired(target):
        raise RefusedError(
            f"{catalog.where}: expected a model that is not retired, got {target}: "
            "name another one with --model-id, or run retire --undo first"
        )
    return target, active.model_id


@refused_by("key")
def check_key(catalog: Catalog, key: str) -> None:
    """Raise `RefusedError` unless *key* may sign the next tree head of the journal, or the journal begins with it."""
    standing = catalog.keys.get(key)
    if catalog.size == 0 or (standing is not None and standing.revoked is None):
        return
    if standing is None:
        raise RefusedError(f"{catalog.where}: expected a key that it knows, got {key}: run keys add")
    raise RefusedError(
        f"{catalog.where}: expected a key that may sign, got {key}, revoked at position {standing.revoked}"
    )


def refusal(
    request: str, error: RefusedError, wanted: Mapping[str, object], reason: str | None, request_id: str | None
) -> RequestRefused:
    """Return the event that says that *request* was refused by *error*; long words are cut, odd bytes spelled out."""
    return RequestRefused(
        request,
        error.rule,
        _clean(str(error)),
        {name: _clean(str(value)) for name, value in wanted.items() if value is not None},
        None if reason is None else _clean(reason),
        None if request_id is None else _clean(request_id),
    )


def preview(decision: Decision, catalog: Catalog, now: datetime) -> ModelMetadata:
    """Return the model that a decision is about, as it is or would be."""
    if isinstance(decision.data, ModelPublished):
        return model_of(decision.model_id, decision.data, now, catalog.home)
    return catalog.model(decision.model_id)


def _clean(text: str) -> str:
    return text[:WANTED_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()


def earlier_of(terms: Terms, catalog: Catalog, find_event: FindEvent) -> Event | None:
    """Return the event that has the id of a request already, or None."""
    position = catalog.positions.get(terms.request_id, older=not terms.own_id)
    return None if position is None else find_event(position)


@refused_by("id")
def checked_answer(earlier: Event, same: bool) -> Event:
    """Return the event that answers a request already. Raises RefusedError unless that was the *same* request."""
    if not same:
        raise RefusedError(
            f"--id {earlier.id!r}: expected the request of {earlier.type} at position {earlier.position}, "
            "got another one: use a new id"
        )
    return earlier


def _answered(earlier: Event, same: bool) -> Decision:
    checked_answer(earlier, same)
    if earlier.subject is None:
        raise JournalDamagedError(f"entry {earlier.position}: expected a model id as subject, got none")
    return Decision(earlier.subject, position=earlier.position)


def _is_same_publish(earlier: Data, wanted: ModelPublished) -> bool:
    """The request is what the caller chose; the rest depends on the moment. Compared as JSON: 1 is not true."""
    if not isinstance(earlier, ModelPublished) or _signed_by(earlier) != _signed_by(wanted):
        return False
    return all(
        msgspec.json.encode(getattr(earlier, name), order="deterministic")
        == msgspec.json.encode(getattr(wanted, name), order="deterministic")
        for name in _CHOSEN
    )


def _signed_by(data: ModelPublished) -> str | None:
    return None if data.signature is None else data.signature.key


@refused_by("expect-active")
def _check_expected(terms: Terms, catalog: Catalog) -> None:
    if terms.took_over is not None and terms.took_over.journal_id == catalog.journal_id:
        raise RefusedError(f"--take-over: {catalog.journal_id} is this very journal: ask again without it")
    active = catalog.active_id() or "none"
    if terms.expect_active is not None and terms.expect_active != active:
        raise RefusedError(
            f"--expect-active: expected {terms.expect_active} to be active, got {active}: see list, then decide anew"
        )
