"""The registry of a directory, with its projections attached."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eventlog import durable
from eventlog import registry as _registry
from eventlog.artifact_places import ArtifactPlaces
from eventlog.errors import RefusedError
from eventlog.journal import Subscriber
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from projections.runtime_state import RuntimeStateManager
from projections.wiring import checks, manager_of, wire

if TYPE_CHECKING:
    from eventlog.model_signature import Signer
    from eventlog.signed_note import PrivateKey


class ModelRegistry(_registry.ModelRegistry):
    """
    The registry in a directory, with its projections attached; see `eventlog.registry.ModelRegistry` for the calls.

    Args:
        root: the registry's directory; created by the first publish.

        state_manager: of the runtime that is to follow; None for no runtime.

        journal: the URL of one on a cluster, of which *root* then holds the mirror.

        lock_timeout_seconds: how long a writer waits for another one.

        artifact_store: a directory or bucket that machines share, as `eventlog.artifact_store.open_store` takes it:
            artifacts are there before an event names them, and are fetched from there where they are missing.

        sign_key: the text of a key file as keygen writes it, or several. One for tree heads signs the tree head after
            each event, one for artifacts (PEM) each artifact that is published.

        public_key: the text of a public key: nothing is answered or changed unless a tree head that it signed, or a key
            that it endorsed, agrees with the journal.

        metrics_file: where what the registry knows is kept for monitoring; see `projections.metrics_file`.

        processes: how many may share a long journal that is read from zero, 1 or 2; the second one is forked.

        settings: `now`, `random_bytes`, `point_of_no_return` and `record_refusals`, as in
            `eventlog.requests.RegistryRequests`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "var/models",
        state_manager: RuntimeStateManager | None = None,
        *,
        journal: str | None = None,
        lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
        artifact_store: str | None = None,
        sign_key: str | Sequence[str] | None = None,
        public_key: str | None = None,
        metrics_file: str | os.PathLike[str] | None = None,
        processes: int = 1,
        **settings: Any,
    ) -> None:
        signer, artifact_signer = _signers([sign_key] if isinstance(sign_key, str) else sign_key or [])
        if signer is not None:
            settings["signing"] = str(signer.public)
        replay, projector = wire(
            root,
            state_manager,
            journal,
            lock_timeout_seconds=lock_timeout_seconds,
            sign_key=signer,
            processes=processes,
        )
        own = [*replay.journal.files(), *projector.files()]
        if metrics_file is not None:
            own.append(os.fspath(metrics_file))
        places = ArtifactPlaces(os.path.abspath(os.fspath(root)), artifact_store, artifact_signer, own)
        subscribers: list[Subscriber] = [projector]
        if metrics_file is not None:
            from projections.metrics_file import MetricsFile, StateMetrics  # noqa: PLC0415 - few are monitored

            subscribers.append(StateMetrics(MetricsFile(metrics_file, root), replay, projector))
        super().__init__(
            replay, subscribers, places=places, checks=checks(root, replay, public_key, signer), **settings
        )
        if not all(map(os.path.isabs, (os.fspath(root), state_manager.where if state_manager else "/"))):
            with durable.refusing("working directory"):
                self._opened_in = os.getcwd()


def open_registry(
    registry_dir: str | os.PathLike[str] = "var/models",
    state_dir: str | os.PathLike[str] | None = "var/runtime",
    *,
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS,
    **settings: Any,
) -> ModelRegistry:
    """Return the registry of *registry_dir*, with the runtime of *state_dir* attached unless that is None."""
    manager = manager_of(state_dir, lock_timeout_seconds)
    return ModelRegistry(registry_dir, manager, lock_timeout_seconds=lock_timeout_seconds, **settings)


def _signers(texts: Sequence[str]) -> tuple[PrivateKey | None, Signer | None]:
    """Return who signs tree heads, and who signs artifacts. Raises RefusedError where there are two of a kind."""
    if not texts:
        return None, None
    from eventlog import model_signature, signed_note  # noqa: PLC0415 - few have a key

    tree_heads = [text for text in texts if not model_signature.is_pem(text)]
    artifacts = [text for text in texts if model_signature.is_pem(text)]
    for found, what in ((tree_heads, "tree heads"), (artifacts, "artifacts")):
        if len(found) > 1:
            raise RefusedError(f"sign_key: expected at most one key that signs {what}, got {len(found)}")
    return (
        signed_note.parse_private_key(tree_heads[0], "sign_key") if tree_heads else None,
        model_signature.parse_private_key(artifacts[0], "sign_key") if artifacts else None,
    )
