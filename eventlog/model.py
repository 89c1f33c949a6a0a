"""A published model as callers see it: six attributes."""

import os
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from eventlog.artifact_path import DIGEST, kept_path, located, path_from_text, path_to_text
from eventlog.dataset_metadata import copied
from eventlog.events import Event, ModelPublished


class ModelMetadata(Struct, frozen=True):
    """
    The six attributes of a published model.

    Attributes:
        model_id: `<UTC timestamp>_<first 8 hex of sha256>`.

        backend: what runs it, in the publisher's words.

        artifact_path: absolute; may hold surrogate escapes (PEP 383), so that it can be opened. Where it was published,
            or where this registry keeps the copy that was published; `path_here` says where others are on this machine.

        sha256: of the artifact when it was published, 64 hex.

        created_at: when it was published, UTC.

        dataset_metadata: JSON about the data it was trained on.
    """

    model_id: str
    backend: str
    artifact_path: str
    sha256: str
    created_at: datetime
    dataset_metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the six attributes as JSON values; `created_at` in ISO 8601, odd bytes of the path spelled out."""
        return {
            "model_id": self.model_id,
            "backend": self.backend,
            "artifact_path": path_to_text(self.artifact_path)[0],
            "sha256": self.sha256,
            "created_at": msgspec.to_builtins(self.created_at),
            "dataset_metadata": self.dataset_metadata,
        }


def published_by(event: Event, home: str | None = None) -> ModelMetadata:
    """Return the model that *event* published; *home* as in `model_of`."""
    assert isinstance(event.data, ModelPublished), "it publishes a model"
    return model_of(event.subject or "", event.data, event.time, home)


def published_here(event: Event, home: str | None = None) -> ModelMetadata:
    """Return the same with the path where whoever uses it on this machine finds it; see `path_here`."""
    assert isinstance(event.data, ModelPublished), "it publishes a model"
    return replace(published_by(event, home), artifact_path=path_here(event.data, home))


def shown(event: Event, home: str | None = None) -> ModelMetadata:
    """Return the model that *event* published as JSON has it: odd bytes of its path are spelled out."""
    data = event.data
    assert isinstance(data, ModelPublished), "it publishes a model"
    return ModelMetadata(
        event.subject or "", data.backend, path_shown(data, home), data.sha256, event.time, data.dataset_metadata
    )


def path_shown(data: ModelPublished, home: str | None = None) -> str:
    """Return the path of an artifact as text; bytes that are not UTF-8 are spelled out."""
    return path_to_text(path_of(data, home))[0]


def origin_shown(data: ModelPublished) -> str | None:
    """Return the path that was published, as text, of an artifact of which a copy is kept; None for others."""
    if data.origin_path is None:
        return None
    return path_to_text(path_from_text(data.origin_path, data.origin_path_hex))[0]


def path_of(data: ModelPublished, home: str | None) -> str:
    """Return where an artifact is on this machine, whose registry's directory is *home*; None: as it is recorded."""
    path = path_from_text(data.artifact_path, data.artifact_path_hex)
    return located(path, data.sha256, home)


def path_here(data: ModelPublished, home: str | None) -> str:
    """
    Return where whoever uses an artifact on this machine finds it; *home* as in `path_of`.

    What the registry keeps itself, also because it was fetched or came in a bundle, comes before the path that was
    published: that may be another machine's, and lead to nothing here, or to something else.
    """
    if home is not None:
        kept = os.path.join(home, kept_path(data.sha256, is_directory=data.artifact_files is not None))
        if DIGEST.fullmatch(data.sha256) and os.path.lexists(kept):
            return kept
    return path_of(data, home)


def model_of(model_id: str, data: ModelPublished, time: datetime, home: str | None = None) -> ModelMetadata:
    """
    Return the six attributes of the model that *data*, recorded at *time*, is about; the receiver's own.

    Args:
        home: as in `path_of`.
    """
    return ModelMetadata(
        model_id,
        data.backend,
        path_of(data, home),
        data.sha256,
        time,
        copied(data.dataset_metadata),
    )
