"""
journal → `registry.json`: all models in one file that any program can read.

    {"format_version":1,"journal":{"id":…,"applied_size":N,"hash":…},"active_model_id":…,"models":[
    {"model_id":…,"backend":…,"artifact_path":…,"sha256":…,"created_at":…,"dataset_metadata":…}
    ]}

Models stand in the order of publication, one a line, so that a new one adds a line. The bytes depend on the journal
alone: written on after every event or folded once from zero, they are the same.
"""

from __future__ import annotations

import os
from logging import getLogger

import msgspec
from msgspec import Struct

from eventlog import durable, locking
from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.journal import Anchor
from projections.projector import Stored, is_due

NAME = "registry.json"
BYTES_MAX = 1 << 30
_log = getLogger("modelog")


class _Applied(Struct):
    id: str
    applied_size: int
    hash: str


class _Start(Struct):
    """The part of the file that says how far it has got."""

    journal: _Applied


class RegistryJson:
    """
    The projection into `DIRECTORY/registry.json`; see `projections.projector.Projection`.

    Args:
        directory: the registry's, where the journal is.

        lock_timeout_seconds: how long to wait for another writer of the file.
    """

    binding = True
    forget = "move it away"

    def __init__(self, directory: str, *, lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS) -> None:
        self.where = os.path.join(directory, NAME)
        self._directory = directory
        self._lock_timeout_seconds = lock_timeout_seconds

    def stored(self) -> Stored:
        """Read the file; it has no anchor where it is missing or cannot be understood."""
        data = self._read()
        return Stored(self._anchor(data), lambda catalog: data == render(catalog))

    def _anchor(self, data: bytes | None) -> Anchor | None:
        if data is None:
            return None
        try:
            journal = msgspec.json.decode(data, type=_Start).journal
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            _log.warning("%s: not understood and not used (%s): run rebuild", self.where, error)
            return None
        return Anchor(journal.id, journal.applied_size, journal.hash)

    def write(self, catalog: Catalog, *, rebuild: bool) -> None:
        """Bring the file up to *catalog*, never back behind what it holds."""
        with locking.locked_directory(self._directory, timeout_seconds=self._lock_timeout_seconds):
            if is_due(self._anchor(self._read()), catalog, rebuild=rebuild):
                durable.replace_file(self.where, render(catalog))
            else:
                durable.sync_directory(self._directory)  # whoever wrote it may have died before it did

    def _read(self) -> bytes | None:
        with durable.refusing(self.where):
            try:
                return durable.read_file(self.where, bytes_max=BYTES_MAX)
            except FileNotFoundError:
                return None


def render(catalog: Catalog) -> bytes:
    """Return the bytes of the file for *catalog*, which has at least one entry."""
    anchor = catalog.anchor()
    if anchor is None:
        raise RefusedError(f"{catalog.where}: expected a journal, got none")
    start = msgspec.json.encode(
        {
            "format_version": 1,
            "journal": {"id": anchor.journal_id, "applied_size": anchor.size, "hash": anchor.hash},
            "active_model_id": catalog.active_id(),
        }
    )
    models = [msgspec.json.encode(catalog.model(model_id).to_dict()) for model_id in catalog.published]
    return start[:-1] + b',"models":[\n' + b",\n".join(models) + b"\n]}\n"
