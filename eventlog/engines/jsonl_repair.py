"""
Repair a JSONL journal while its lock is held. Carries out what somebody above has decided; decides nothing.

What is taken out goes to `quarantine/` first, as not yet recorded, so a repair that is cut short at any moment is still
told by the history, and can be asked for again:

    quarantine (surplus bytes, old head) → journal → head → the event, appended as any other

The journal is cut where only its end goes, and otherwise written anew beside the old one and renamed over it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct

from eventlog import chain, durable
from eventlog.engines import jsonl_head
from eventlog.engines.jsonl_assembly import Assembly, Line, head_of, in_place
from eventlog.engines.jsonl_head import HEAD_BYTES, Head
from eventlog.engines.jsonl_quarantine import Quarantine
from eventlog.engines.jsonl_reader import JsonlReader, judge
from eventlog.engines.jsonl_scan import salvage
from eventlog.journal import APPEND_BYTES_MAX, DiscardedTail


class Survey(Struct, frozen=True):
    """
    What stands in the files of a journal.

    Attributes:
        head: the newest valid slot, or None.

        verified: the end of the lines that verify from the first on, whatever the head says.

        size_bytes: of the whole file.

        sound: the verified lines begin with just what the head acknowledges.

        refusal: why no writer may touch what stands behind the head, or None.
    """

    head: Head | None
    verified: Head
    size_bytes: int
    sound: bool
    refusal: str | None


class JsonlRepair:
    """
    One stretch of holding the lock of a journal that may be damaged.

    Args:
        descriptor: the journal, locked and open for writing; only for reading where nothing is to be changed.
    """

    def __init__(self, descriptor: int, journal_path: str, head_path: str, quarantine: Quarantine) -> None:
        self._descriptor = descriptor
        self._where = journal_path
        self._head_path = head_path
        self._quarantine = quarantine

    def survey(self) -> Survey:
        """Read everything. Raises RefusedError where a file cannot be read."""
        with durable.refusing(self._where):
            head = JsonlReader(self._where, self._head_path).read_head().newest
            size_bytes = os.fstat(self._descriptor).st_size
            verified = Head()
            sound = head == verified
            for line in salvage(self._descriptor):
                verified = Head(verified.size + 1, verified.end_bytes + len(line) + 1, chain.hash_of(line))
                sound = sound or head == verified
            refusal = None
            if head is not None and head.end_bytes <= size_bytes:
                refusal = judge(self._descriptor, head, size_bytes).refusal
            return Survey(head, verified, size_bytes, sound, refusal)

    def assembly(self, copy: int | None = None) -> Assembly:
        """Return the whole lines of the journal and of a *copy* that is open for reading. Raises RefusedError."""
        with durable.refusing(self._where):
            return Assembly([self._descriptor] if copy is None else [self._descriptor, copy])

    def surplus(self, assembly: Assembly, lines: Sequence[Line], reason: str) -> list[DiscardedTail]:
        """Return what `install` would take out of the journal file for *lines*, without its hash; changes nothing."""
        return [
            DiscardedTail(offset_bytes, size_bytes, "", reason, "")
            for offset_bytes, size_bytes in assembly.surplus(lines)
        ]

    def install(self, assembly: Assembly, lines: Sequence[Line], head: Head, reason: str) -> list[DiscardedTail]:
        """
        Make the journal hold just *lines*, and the head say *head*; return what was taken out.

        Args:
            head: at most what *lines* are; a head file that says so already is left alone.

            reason: what the quarantine calls bytes that go.

        Raises:
            RefusedError: the disk did not let us. Every byte is still in the journal or in quarantine, and the same
                repair can be asked for again.
        """
        with durable.refusing(self._where):
            found = JsonlReader(self._where, self._head_path).read_head()
            removed = [piece for gap in assembly.surplus(lines) for piece in self._keep(*gap, reason)]
            says_so = found.newest == head
            if not says_so:
                removed.append(self._keep_head())
            end_bytes = head_of(lines).end_bytes
            if not in_place(lines) or end_bytes > os.fstat(self._descriptor).st_size:
                durable.replace_file(self._where, assembly.entries(lines))
            elif end_bytes < os.fstat(self._descriptor).st_size:
                durable.truncate(self._descriptor, end_bytes)
            else:
                durable.sync_data(self._descriptor)
            if not says_so:
                slot = jsonl_head.format_slot(head)
                durable.replace_file(self._head_path, slot + slot)
                durable.sync_ancestors(os.path.dirname(self._head_path))
            return removed

    def _keep(self, offset_bytes: int, size_bytes: int, reason: str) -> list[DiscardedTail]:
        """Put bytes of the journal into quarantine, in pieces of a bounded size."""
        kept = []
        end_bytes = offset_bytes + size_bytes
        while offset_bytes < end_bytes:
            piece = os.pread(self._descriptor, min(APPEND_BYTES_MAX, end_bytes - offset_bytes), offset_bytes)
            if not piece:
                break
            kept.append(self._quarantine.keep(piece, offset_bytes, reason))
            offset_bytes += len(piece)
        return kept

    def _keep_head(self) -> DiscardedTail:
        """Put the old head into quarantine, as an empty file where there is none."""
        try:
            old = durable.read_start(self._head_path, HEAD_BYTES)
        except FileNotFoundError:
            old = b""
        return self._quarantine.keep(old, 0, "head")
