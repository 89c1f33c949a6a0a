"""
Repair a JSONL journal while its lock is held. Carries out what somebody above has decided; decides nothing.

What is taken out goes to `quarantine/` first, as not yet recorded. The journal is written anew beside the old one, with
the entries that tell of the repair at its end, locked, and renamed over it; then the head acknowledges all of it:

    quarantine (surplus bytes, old head) → journal with the event → head

So there is no moment at which a repaired journal does not say so, and one that is cut short can be asked for again.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

from msgspec import Struct

from eventlog import chain, durable, durable_replacement, locking
from eventlog.engines import jsonl_head
from eventlog.engines.jsonl_assembly import Assembly, Line, head_of
from eventlog.engines.jsonl_head import HEAD_BYTES, Head
from eventlog.engines.jsonl_quarantine import Quarantine
from eventlog.engines.jsonl_reader import JsonlReader, judge
from eventlog.engines.jsonl_scan import salvage
from eventlog.errors import OutcomeUnknownError, reason_of
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

    def install(
        self,
        assembly: Assembly,
        lines: Sequence[Line],
        head: Head,
        reason: str,
        seal: Callable[[Sequence[DiscardedTail]], Sequence[bytes]],
    ) -> list[DiscardedTail]:
        """
        Make the journal hold *lines* and what *seal* returns, acknowledge all of it, and return what was taken out.

        Args:
            head: what a good head would have said before; another one is kept in quarantine.

            reason: what the quarantine calls bytes that go.

            seal: given what no entry records yet, returns the entries that follow *lines* and record it.

        Raises:
            RefusedError: the disk did not let us. The journal is as it was.

            OutcomeUnknownError: the journal is the new one, but its head may not be. The same can be asked again.
        """
        with ExitStack() as held:
            removed: list[DiscardedTail] = []
            known: set[str] = set()
            try:
                with durable.refusing(self._where):
                    known = self._quarantine.names()
                    for kept in self._kept(assembly, lines, head, reason):
                        removed.append(kept)
                    recording = self._quarantine.pending()
                    entries = seal(recording)
                    kept_head = head_of(lines)
                    chain.verify(entries, kept_head.hash)
                    grown = jsonl_head.advanced(kept_head, entries)
                    content = itertools.chain(assembly.entries(lines), (entry + b"\n" for entry in entries))
                    durable_replacement.replace_file(self._where, content, before_rename=lambda path: _lock(path, held))
            except BaseException as error:
                if self._is_in_place():
                    with suppress(OSError):
                        self._quarantine.take_back(removed, known)
                    raise
                raise self._unknown(error) from error
            try:
                slot = jsonl_head.format_slot(grown)
                durable_replacement.replace_file(self._head_path, slot + slot)
                durable.sync_ancestors(os.path.dirname(self._head_path))
            except BaseException as error:
                raise self._unknown(error) from error
            with suppress(OSError):
                self._quarantine.mark_recorded(recording)
            return removed

    def _kept(self, assembly: Assembly, lines: Sequence[Line], head: Head, reason: str) -> Iterator[DiscardedTail]:
        """Put what goes into quarantine: the bytes of the journal that belong to no line, and a head that was wrong."""
        for gap in assembly.surplus(lines):
            yield from self._keep(*gap, reason)
        if JsonlReader(self._where, self._head_path).read_head().newest != head:
            yield self._keep_head()

    def _is_in_place(self) -> bool:
        """Say whether the journal is still the file that was opened."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._where))
        except OSError:
            return False

    def _unknown(self, error: BaseException) -> OutcomeUnknownError:
        reason = reason_of(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        return OutcomeUnknownError(f"{self._where}: not known whether the repair is complete ({reason})")

    def _keep(self, offset_bytes: int, size_bytes: int, reason: str) -> Iterator[DiscardedTail]:
        """Put bytes of the journal into quarantine, in pieces of a bounded size."""
        end_bytes = offset_bytes + size_bytes
        while offset_bytes < end_bytes:
            piece = os.pread(self._descriptor, min(APPEND_BYTES_MAX, end_bytes - offset_bytes), offset_bytes)
            if not piece:
                break
            yield self._quarantine.keep(piece, offset_bytes, reason)
            offset_bytes += len(piece)

    def _keep_head(self) -> DiscardedTail:
        """Put the old head into quarantine, as an empty file where there is none."""
        try:
            old = durable.read_start(self._head_path, HEAD_BYTES)
        except FileNotFoundError:
            old = b""
        return self._quarantine.keep(old, 0, "head")


def _lock(path: str, held: ExitStack) -> None:
    """Lock the new journal, until *held* ends, before it has its name: no writer comes between it and its head."""
    descriptor = held.enter_context(locking.Held()).add(durable.open_regular(path, os.O_RDONLY))
    locking.acquire(descriptor, path, timeout_seconds=0)
