"""The registry of a directory, with its projections attached."""

from __future__ import annotations

import os
from typing import Any

from eventlog import registry as _registry
from eventlog.artifact_places import ArtifactPlaces
from eventlog.journal import Subscriber
from eventlog.locking import LOCK_TIMEOUT_SECONDS
from projections.runtime_state import RuntimeStateManager
from projections.wiring import checks, manager_of, wire


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

        sign_key: signs the tree head after each event; the text of a key file as keygen writes it.

        public_key: the text of a public key: nothing is answered or changed unless a tree head that it signed, or a key
            that it endorsed, agrees with the journal.

        metrics_file: where what the registry knows is kept for monitoring; see `projections.metrics_file`.

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
        sign_key: str | None = None,
        public_key: str | None = None,
        metrics_file: str | os.PathLike[str] | None = None,
        **settings: Any,
    ) -> None:
        signer = None
        if sign_key is not None:
            from eventlog import signed_note  # noqa: PLC0415 - few have a key

            signer = signed_note.parse_private_key(sign_key, "sign_key")
            settings["signing"] = str(signer.public)
        replay, projector = wire(
            root, state_manager, journal, lock_timeout_seconds=lock_timeout_seconds, sign_key=signer
        )
        places = ArtifactPlaces(os.path.abspath(os.fspath(root)), artifact_store)
        subscribers: list[Subscriber] = [projector]
        if metrics_file is not None:
            from projections.metrics_file import MetricsFile, StateMetrics  # noqa: PLC0415 - few are monitored

            subscribers.append(StateMetrics(MetricsFile(metrics_file, root), replay, projector))
        super().__init__(
            replay, subscribers, places=places, checks=checks(root, replay, public_key, signer), **settings
        )


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
