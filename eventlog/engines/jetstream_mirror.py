"""
The mirror: the journal of a stream, byte for byte, in a directory of this machine; read and verified as any journal is.

It only ever grows by entries that follow its last one, by hash; so neither a node that has lost something nor one that
lies can change what was seen once. Several processes of a machine share it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from eventlog import chain, durable
from eventlog.engines import checks, jsonl_mirror
from eventlog.engines import jetstream_api as api
from eventlog.engines.jetstream_link import Link
from eventlog.engines.jetstream_stream import READ_SECONDS, Stream
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import UnreachableError
from eventlog.journal import Tail

_BEHIND_SECONDS = 0.01
_ASKED_MIN = 3


class Mirror:
    """
    See the module.

    Attributes:
        journal: what it is to whoever reads.
    """

    def __init__(self, link: Link, stream: Stream, directory: str, lock_timeout_seconds: float) -> None:
        self._link = link
        self._stream = stream
        self._address = link.address
        self._where = link.address.where
        self._directory = directory
        self.journal = JsonlJournal(directory, lock_timeout_seconds=lock_timeout_seconds, mirror_of=link.address.stream)

    def check(self) -> None:
        """Raise RefusedError where the directory holds a journal of its own, or the mirror of another stream."""
        begun = False
        with durable.refusing(self.journal.where), suppress(FileNotFoundError):
            begun = os.stat(self.journal.where).st_size > 0
        jsonl_mirror.check(self._directory, self._address.stream, begun=begun)

    def read_on(self, start: int, pushed: Sequence[bytes], patience_seconds: float) -> None:
        """
        Put what is new on the cluster into the mirror, after a look at whether the cluster still is what it was.

        Args:
            start, pushed: what has come already, and the position of the first of it.

            patience_seconds: how long to ask nodes that can be reached, while no leader answers.

        Raises:
            JournalDamagedError: the cluster has less, or another history, or what does not belong. The mirror has what
                came before that.

            UnreachableError, RefusedError: nobody answers; or the mirror cannot be written.
        """
        tail = self.journal.tail()
        pushed = pushed[tail.size - start :] if tail.size >= start else ()  # another process may have written it
        if pushed:
            api.check_chain(self._where, pushed, tail.size, tail.hash)
            tail = self.extend(pushed, tail.size)
        for _ in range(max(_ASKED_MIN, len(self._address.servers))):
            size, subject, newest = self._link.call(self._stream.last(patience_seconds))
            if size >= tail.size:
                break
            self._link.call(self._link.drop(self._link.current))  # perhaps a node that is cut off: ask another
            time.sleep(_BEHIND_SECONDS)
        else:
            raise api.shorter(self._where, self.journal.where, tail, size or self._link.call(self._stream.size()))
        if size == tail.size + 1 and chain.is_sealed(newest) and chain.prev_of(newest) == tail.hash:
            api.check_place(self._address, size, subject, newest, tail.size)
            self.extend([newest], tail.size)
        elif size > tail.size:
            self._read_up_to(size, tail, patience_seconds)
        elif size and not _ends_in(newest, tail.hash):
            raise api.forked(self._where, self.journal.where, tail, newest)

    def _read_up_to(self, size: int, tail: Tail, patience_seconds: float) -> None:
        """Read on until the mirror has *size* entries; a node that answers may be behind the leader for a moment."""
        deadline = time.monotonic() + max(patience_seconds, READ_SECONDS)
        while tail.size < size:
            found = self._link.call(self._stream.read(max(0, tail.size - 1), patience_seconds))
            if tail.size and found and not _ends_in(found[0], tail.hash):
                raise api.forked(self._where, self.journal.where, tail, found[0])
            new = found[1:] if tail.size else found
            api.check_chain(self._where, new, tail.size, tail.hash)
            if new:
                tail = self.extend(new, tail.size)
                deadline = time.monotonic() + max(patience_seconds, READ_SECONDS)
            elif time.monotonic() > deadline:
                raise UnreachableError(f"{self._where}: cannot be read: nodes answer that are behind their leader")
            else:
                time.sleep(_BEHIND_SECONDS)

    def extend(self, entries: Sequence[bytes], start: int, *, folded: bool = False) -> Tail:
        """
        Put *entries*, which stand from *start* on, into the mirror, unless another process has; return its tail.

        A mirror that has become shorter than *start*, because somebody removed it, is left to the next look.

        Args:
            folded: whether the caller has folded them.

        Raises:
            RefusedError, OutcomeUnknownError: it cannot be written; it has what it had, or a beginning of them.
        """
        with self.journal.exclusive():
            tail = self.journal.tail()
            missing = entries[max(0, tail.size - start) :]
            if missing and tail.size >= start:
                recording = self.journal.discarded()
                for piece in checks.pieces(missing):
                    tail = self.journal.append(piece, expected_size=tail.size, recording=recording, folded=folded)
            return tail


def _ends_in(entry: bytes, entry_hash: str) -> bool:
    """Say whether an entry of which nothing is known has that hash."""
    return chain.is_sealed(entry) and chain.hash_of(entry) == entry_hash
