"""
Where recovery puts the bytes that it takes out of a journal; nothing here is ever deleted by us.

A file's name says all that the history must record: `<offset>-<bytes>-<sha256>.<reason>`. It ends in `.pending` until
an event in the journal records it. So the intent is durable before the journal is touched, and a crash between the two
cannot lose the fact that something was taken out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from hashlib import sha256

from eventlog import durable, durable_replacement
from eventlog.errors import RefusedError
from eventlog.journal import APPEND_BYTES_MAX, DiscardedTail

DIRECTORY = "quarantine"
PENDING_MAX = 64
"""Most that one append records; what is left stays pending for the next."""

_PENDING = ".pending"
REASONS = ("no-newline", "nul-bytes", "bad-lines", "replaced", "rewound", "head")
"""The two marks of an unfinished write; then what a person decided: `eventlog.repair` says when."""

_NAME = rf"([0-9]{{20}})-([0-9]{{1,12}})-([0-9a-f]{{64}})\.({'|'.join(REASONS)})"


def is_kept(name: str) -> bool:
    """Say whether a file of that name in the quarantine is one of ours, recorded or not."""
    return re.fullmatch(_NAME, name.removesuffix(_PENDING)) is not None


class Quarantine:
    """The directory `quarantine/` beside a journal; created when first needed."""

    def __init__(self, journal_directory: str) -> None:
        self._parent = journal_directory
        self._path = os.path.join(journal_directory, DIRECTORY)

    def keep(self, torn: bytes, offset_bytes: int, reason: str) -> DiscardedTail:
        """
        Store *torn* durably, as not yet recorded; storing the same again changes nothing.

        Raises:
            RefusedError: `quarantine` is not a directory.

            OSError: could not be stored; nothing is left half-written under the final name.
        """
        self._create()
        digest = sha256(torn).hexdigest()
        name = f"{offset_bytes:020d}-{len(torn)}-{digest}.{reason}"
        durable_replacement.replace_file(os.path.join(self._path, name) + _PENDING, torn)
        return DiscardedTail(offset_bytes, len(torn), digest, reason, f"{DIRECTORY}/{name}")

    def pending(self) -> list[DiscardedTail]:
        """
        Return what is kept and not yet recorded, oldest offset first, and at most `PENDING_MAX` of it.

        A file whose bytes are not what its name says is not ours, and is left alone. Raises RefusedError where it
        cannot look.
        """
        with durable.refusing(self._path):
            try:
                names = sorted(os.listdir(self._path))
            except FileNotFoundError:
                return []
            found = [self._described(name) for name in names if name.endswith(_PENDING)]
        return [tail for tail in found if tail is not None][:PENDING_MAX]

    def names(self) -> set[str]:
        """Return the names of all files there; empty where there is no such directory. Raises OSError."""
        try:
            return set(os.listdir(self._path))
        except FileNotFoundError:
            return set()

    def take_back(self, kept: Iterable[DiscardedTail], known: Collection[str]) -> None:
        """Remove what `keep` stored for bytes that stay in the journal after all, unless it is one of *known*."""
        for tail in kept:
            path = os.path.join(self._parent, tail.kept_as) + _PENDING
            if os.path.basename(path) not in known:
                durable.remove_file(path)

    def mark_recorded(self, discarded: Iterable[DiscardedTail]) -> None:
        """Drop `.pending` from the names; the journal has it now."""
        for tail in discarded:
            path = os.path.join(self._parent, tail.kept_as)
            durable.rename(path + _PENDING, path)

    def _described(self, name: str) -> DiscardedTail | None:
        """Return what the name of a pending file says, if it is true."""
        stem = name.removesuffix(_PENDING)
        match = re.fullmatch(_NAME, stem)
        if match is None or int(match[2]) > APPEND_BYTES_MAX:
            return None
        try:
            torn = durable.read_file(os.path.join(self._path, name), bytes_max=APPEND_BYTES_MAX)
        except RefusedError:
            return None
        if (len(torn), sha256(torn).hexdigest()) != (int(match[2]), match[3]):
            return None
        return DiscardedTail(int(match[1]), int(match[2]), match[3], match[4], f"{DIRECTORY}/{stem}")

    def _create(self) -> None:
        if os.path.islink(self._path) or (os.path.lexists(self._path) and not os.path.isdir(self._path)):
            raise RefusedError(f"{self._path}: expected a directory, got something else: move it away")
        durable.create_directory(self._path)
        durable.sync_directory(self._parent)
