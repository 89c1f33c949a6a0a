"""The memory engine: a list of entries. It is the reference that says what the other engines must do, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eventlog import chain
from eventlog.engines.checks import check_append
from eventlog.errors import ConflictError, JournalDamagedError
from eventlog.journal import DiscardedTail, Notice, Tail

_RUN_ENTRIES = 100
_LOOK_SECONDS = 0.02


class MemoryJournal:
    """A journal that lives as long as the object. See `eventlog.journal.Journal` for what its methods promise."""

    where = "memory:"

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self._lock = threading.RLock()

    def files(self) -> Sequence[str]:
        """Return nothing: no file tells."""
        return ()

    def notices(self) -> Sequence[Notice]:
        """Return nothing: there is nothing to notice."""
        return ()

    def refresh(self) -> None:
        """Do nothing: all that is stored is here."""

    def tail(self) -> Tail:
        """Return size and hash of what is stored."""
        with self._lock:
            if not self._entries:
                return Tail()
            return Tail(len(self._entries), chain.hash_of(self._entries[-1]))

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the entries that were stored when the first was asked for."""
        yield from tuple(self._entries)[start:stop]

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        """Yield the same in runs."""
        stored = tuple(self._entries)[start:stop]
        for first in range(0, len(stored), _RUN_ENTRIES):
            yield stored[first : first + _RUN_ENTRIES]

    def resume(self, text: bytes) -> tuple[int, Sequence[bytes]] | None:
        """Return the entries from the last one on that contains *text*, and where they begin."""
        stored = tuple(self._entries)
        position = max((number for number, entry in enumerate(stored) if text in entry), default=0)
        return (position, stored[position:]) if position else None

    def vouch(self, size: int) -> None:
        """Do nothing: whoever appended is here."""

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """Return the entry at *position*, if it is the one that is meant."""
        stored = tuple(self._entries)
        begins_at = sum(map(len, stored[:position])) + position
        if position < len(stored) and begins_at == offset_bytes and chain.hash_of(stored[position]) == entry_hash:
            return stored[position]
        raise JournalDamagedError(f"{self.where}: expected entry {position} with hash {entry_hash}, got another")

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """Return the first entry of the second half that contains *text*, and where it begins."""
        stored = tuple(self._entries)
        for position in range(len(stored) // 2, len(stored)):
            if text in stored[position]:
                return sum(map(len, stored[:position])) + position, stored[position]
        return None

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands anywhere."""
        return any(text in entry for entry in tuple(self._entries))

    def confirm(self, *, mend: bool = True) -> None:
        """Do nothing: there is no disk."""

    def salvage(self) -> Iterator[bytes]:
        """Yield all entries: memory is not damaged."""
        return self.read()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other threads out."""
        with self._lock:
            yield

    def wait(self, seconds: float) -> None:
        """Let a moment pass."""
        time.sleep(min(seconds, _LOOK_SECONDS))

    def close(self) -> None:
        """Do nothing: what is stored stays as long as the object."""

    def discarded(self) -> Sequence[DiscardedTail]:
        """Return nothing: memory is never half-written."""
        return ()

    def append(self, entries: Sequence[bytes], *, expected_size: int, recording: Sequence[DiscardedTail] = ()) -> Tail:
        """Store *entries*."""
        with self._lock:
            tail = self.tail()
            if tail.size != expected_size:
                raise ConflictError(
                    f"{self.where}: expected {expected_size} entries, got {tail.size}: read and decide anew"
                )
            check_append(self.where, entries, tail.hash)
            self._entries.extend(entries)
            return self.tail()
