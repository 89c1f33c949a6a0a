"""
The mark of a mirror: a file beside a journal that says that its truth is on a cluster, and on which stream.

Whoever appended to a mirror by himself would make a second history; so without the cluster it can only be read.
"""

from __future__ import annotations

import os

from eventlog import durable, durable_replacement
from eventlog.errors import RefusedError

NAME = "journal.mirror"
_BYTES_MAX = 128


def stream_of(directory: str) -> str | None:
    """Return the name of the stream that the journal in *directory* mirrors; None where it mirrors none."""
    path = os.path.join(directory, NAME)
    if not os.access(path, os.F_OK, follow_symlinks=False):  # as nearly always; asked at each append
        return None
    with durable.refusing(path):
        try:
            return durable.read_start(path, _BYTES_MAX).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None


def check(directory: str, stream: str, *, begun: bool) -> bool:
    """
    Return whether *directory* is marked as the mirror of *stream*; an empty one may become it.

    Args:
        begun: whether there is a journal in it.

    Raises:
        RefusedError: it mirrors another stream, or holds a journal of its own.
    """
    found = stream_of(directory)
    if found == stream:
        return True
    if found is not None:
        raise RefusedError(
            f"{directory}: expected a mirror of {stream}, got one of {found}: check --journal and --registry-dir"
        )
    if begun:
        raise RefusedError(
            f"{directory}: expected a mirror of {stream}, got a journal of its own: check --registry-dir, "
            "or move it into the cluster with import-journal"
        )
    return False


def mark(directory: str, stream: str) -> None:
    """Make *directory* the mirror of *stream*, durably. Raises RefusedError: it is as it was."""
    path = os.path.join(directory, NAME)
    with durable.refusing(path):
        durable.create_directory(directory)
        durable_replacement.replace_file(path, f"{stream}\n".encode())


def refuse(directory: str, *, repair: bool = False) -> None:
    """Raise RefusedError where *directory* holds a mirror: the caller would change it without the cluster."""
    stream = stream_of(directory)
    if stream is not None and repair:
        raise RefusedError(
            f"{directory}: expected a journal of its own, got the mirror of {stream}: to mend it, move journal.jsonl "
            "and journal.head away; with --journal they are read anew"
        )
    if stream is not None:
        raise RefusedError(
            f"{directory}: expected a journal of its own, got the mirror of {stream}: "
            f"pass --journal nats://HOST:PORT/{stream.removeprefix('REGISTRY_')}, or take a copy with export-journal"
        )
