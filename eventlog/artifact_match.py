"""Whether an artifact that was just hashed is the one that an event published; what is different, in words."""

from __future__ import annotations

from eventlog import manifest
from eventlog.artifact_path import path_to_text
from eventlog.artifact_signature import Signature
from eventlog.artifacts import Artifact
from eventlog.events import Event, ModelPublished
from eventlog.vault import Vault


def data_of(event: Event) -> ModelPublished:
    """Return the data of an event that published a model."""
    assert isinstance(event.data, ModelPublished), "it publishes a model"
    return event.data


def matches(found: Artifact, data: ModelPublished) -> bool:
    """Say whether *found* is what was published: a file or a directory, and the same bytes."""
    return found.sha256 == data.sha256 and (found.files is None) == (data.artifact_files is None)


def difference(event: Event, found: Artifact, vault: Vault | None) -> str:
    """Say how *found* is not what *event* published; file by file where the manifest of a directory is known."""
    data, where = data_of(event), f"artifact {path_to_text(found.path)[0]} of {event.subject}"
    if (found.files is None) != (data.artifact_files is None):
        expected, got = ("a file", "a directory") if data.artifact_files is None else ("a directory", "a file")
        return f"{where}: expected {expected}, got {got}"
    if found.files is not None and vault is not None:
        wanted = vault.manifest_of(data.sha256)
        if wanted is not None and (part := manifest.difference(wanted, found.files)) is not None:
            return f"{where}: {part}"
    return f"{where}: expected sha256 {data.sha256}, got {found.sha256}"


def remedy(data: ModelPublished, cause: BaseException | None = None) -> str:
    """Return how the bytes that were published can be had again, which *cause* kept from being read."""
    if isinstance(cause, PermissionError):
        return "let this user read it, or take another model"
    if data.origin_path is not None:
        return "publish the same bytes again with --copy, or take another model"
    return "put the published file back, or take another model"


def sign_again(signature: Signature) -> str:
    """Return how the file of a signature can be had again."""
    return f"publish the same bytes again with --sign-key and the key whose public key has sha256 {signature.key}"
