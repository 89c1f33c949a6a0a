"""
Where a model's file is: at the path that was published, or in a store that machines share, from where it is fetched.

A fetched file lies in the registry's directory under its hash, so no machine needs the paths of another one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from eventlog import artifacts
from eventlog.artifacts import Artifact, Progress
from eventlog.errors import RefusedError
from eventlog.model import ModelMetadata

if TYPE_CHECKING:
    from eventlog.artifact_store import ArtifactStore

DIRECTORY = "artifacts"
"""Where fetched files are, below the registry's directory: `artifacts/sha256/<2 hex>/<64 hex>`."""


class ArtifactPlaces:
    """
    See the module.

    Args:
        directory: the registry's; None where nothing can be fetched.

        store_url: of the store, as `eventlog.artifact_store.open_store` takes it; None for none.
    """

    def __init__(self, directory: str | None = None, store_url: str | None = None) -> None:
        self._directory = directory
        self._store_url = store_url
        self._opened: ArtifactStore | None = None

    def take(self, path: str | os.PathLike[str], progress: Progress | None, *, share: bool) -> Artifact:
        """Return a file that was hashed and, if *share*, is in the store. Raises as `hash_artifact` and `share`."""
        artifact = artifacts.hash_artifact(path, progress)
        if share:
            self.share(artifact)
        return artifact

    def share(self, artifact: Artifact) -> None:
        """
        See that the store has an artifact, whole and right; does nothing where there is no store.

        Raises RefusedError: it does not take it, or does not give it back as it was.
        """
        if self._store_url is not None:
            self._store().put(artifact)

    def locate(self, model: ModelMetadata, progress: Progress | None = None) -> Artifact:
        """
        Return a file on this machine that has just been hashed and is *model*'s.

        Where the one at the published path is missing or another, and there is a store, it is fetched.

        Raises:
            RefusedError: there is none, or it has other bytes.
        """
        try:
            return self._published(model, progress)
        except RefusedError:
            if self._store_url is None or self._directory is None:
                raise
        return self.fetch(model, progress)

    def fetch(self, model: ModelMetadata, progress: Progress | None = None) -> Artifact:
        """
        Return this registry's own copy of *model*'s file, fetched where it is not there yet, and just hashed.

        Without a store it is the published file.

        Raises as `locate`.
        """
        if self._store_url is None or self._directory is None:
            return self._published(model, progress)
        fetched = self._store().fetch(model.sha256, None, os.path.join(self._directory, DIRECTORY))
        return artifacts.hash_artifact(fetched, progress)

    def holds(self, path: str) -> bool:
        """Say whether *path* is that of a fetched file."""
        return self._directory is not None and path.startswith(
            os.path.join(os.path.realpath(self._directory), DIRECTORY, "")
        )

    def _published(self, model: ModelMetadata, progress: Progress | None) -> Artifact:
        found = artifacts.hash_artifact(model.artifact_path, progress)
        if found.sha256 != model.sha256:
            raise RefusedError(
                f"artifact {found.path}: expected sha256 {model.sha256} of {model.model_id}, got {found.sha256}: "
                "put the published file back, or roll back to another model"
            )
        return found

    def _store(self) -> ArtifactStore:
        from eventlog.artifact_store import open_store  # noqa: PLC0415 - few share their artifacts

        if self._opened is None:
            self._opened = open_store(self._store_url or "")
        return self._opened
