"""
What artifacts looked like when they were last hashed, so that a large one need not be hashed before each use.

    artifacts/checked/<64 hex of what was hashed>   64 hex of the SHA-256 of what its files looked like, and of the boot

A note counts only on the machine and within the boot in which it was made: power loss may take bytes that were hashed
and never synced. It is no part of the history; whoever can write it can also write the journal beside it. None is made
of a file that was changed so recently that the next change might not show; see `eventlog.file_state`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from hashlib import sha256

import msgspec

from eventlog import durable, durable_replacement, objects
from eventlog.artifact_path import KEPT
from eventlog.artifacts import Artifact
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.file_state import is_settled

CHECKED = "checked"
_BYTES = 64


class Memo:
    """
    See the module.

    Args:
        directory: the registry's.
    """

    def __init__(self, directory: str) -> None:
        self._top = os.path.join(os.path.abspath(directory), KEPT, CHECKED)

    def knows(self, seen: Artifact, data: ModelPublished) -> bool:
        """Say whether what was *seen*, and not hashed, looks as it did when it was hashed as what *data* says."""
        if (seen.files is None) != (data.artifact_files is None) or not _boot():
            return False
        try:
            return durable.read_start(self._path(data.sha256), _BYTES) == _looks(seen)
        except (OSError, RefusedError):
            return False

    def note(self, hashed: Artifact) -> None:
        """Note what an artifact that was just hashed looks like, if that can be done; nothing is made durable."""
        if _boot() and is_settled([hashed.state, *hashed.inside.values()]):
            with suppress(OSError, RefusedError):
                durable.create_directory(self._top)
                durable_replacement.write_over(self._path(hashed.sha256), _looks(hashed))

    def forget(self, digest: str) -> None:
        """Forget what an artifact looked like, if that can be done."""
        with suppress(OSError):
            durable.remove_file(self._path(digest))

    def _path(self, digest: str) -> str:
        return os.path.join(self._top, objects.checked_digest(digest))


def _looks(artifact: Artifact) -> bytes:
    what = [_boot(), os.fsencode(artifact.path).hex(), artifact.state, sorted(artifact.inside.items())]
    return sha256(msgspec.json.encode(what)).hexdigest().encode()


@cache
def _boot() -> str:
    """Return what tells this boot of this machine from all others; empty where nothing does."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""
