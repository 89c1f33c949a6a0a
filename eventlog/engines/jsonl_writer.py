"""
Write a JSONL journal while its lock is held: mend what a crash left, then append. The order is the promise.

    pwrite(journal) → fdatasync(journal) → pwrite(head) → fdatasync(head) → acknowledged

The first append of a journal also creates and syncs the head and every directory name that leads to it, before the
first byte goes into the journal: a journal with bytes in it and no head has lost it.

What an error means depends on where it comes:

| fails            | then                                                     | outcome                               |
|------------------|----------------------------------------------------------|---------------------------------------|
| write of entries | cut back through a fresh descriptor, and sync            | refused; unknown if the cut fails too |
| sync of entries  | cut back, so that nobody adopts pages the disk never got | unknown                               |
| head write, sync | nothing: the slot may have reached the disk              | unknown; the next writer keeps them   |
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from eventlog import durable, durable_replacement
from eventlog.engines import jsonl_head, jsonl_stamp
from eventlog.engines.checks import check_append
from eventlog.engines.jsonl_head import HEAD_BYTES, SLOT_BYTES, Head, HeadFile
from eventlog.engines.jsonl_quarantine import Quarantine
from eventlog.engines.jsonl_reader import JsonlReader, judge
from eventlog.engines.jsonl_tail import TailVerdict
from eventlog.errors import ConflictError, JournalDamagedError, OutcomeUnknownError, RefusedError, reason_of
from eventlog.log import log


class JsonlWriter:
    """
    One stretch of holding the lock.

    Args:
        descriptor: the journal, open for reading and writing, and locked; the caller closes it.

    Attributes:
        status: of the journal's file, as this object left it; None where it cannot be told.
    """

    def __init__(self, descriptor: int, journal_path: str, head_path: str, quarantine: Quarantine) -> None:
        self._descriptor = descriptor
        self._where = journal_path
        self._head_path = head_path
        self._quarantine = quarantine
        self._spare = 1
        self._head: Head | None = None
        self._head_descriptor: int | None = None
        self.status = jsonl_stamp.look(descriptor)

    def close(self) -> None:
        """Close the head, if it is open."""
        descriptor, self._head_descriptor = self._head_descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def mend(self, reader: JsonlReader, is_synced: Callable[[Head, os.stat_result | None], bool]) -> Head:
        """
        Apply the tail rule as a writer.

        A head of which nobody knows is written again as it is and synced first, in case its writer died before its sync
        or was told that it failed: nothing must rest on a slot that the disk may not have.

        Args:
            reader: of this journal.

            is_synced: says of a head, and of the journal's status, whether it is certain that the head is durable.

        Returns the head, which is durable.

        Raises:
            JournalDamagedError: nothing was changed.

            RefusedError: the disk did not let us; nothing that was acknowledged was touched.
        """
        try:
            return self._mend(reader, is_synced)
        except OutcomeUnknownError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise error.__cause__ from None
            cause = error.__cause__
            reason = reason_of(cause) if isinstance(cause, OSError) else str(cause)
            raise RefusedError(f"{self._head_path}: cannot be brought up to date: {reason}") from error

    def _mend(self, reader: JsonlReader, is_synced: Callable[[Head, os.stat_result | None], bool]) -> Head:
        with durable.refusing(self._where):
            found = self._read_head()
            if self.status is not None and not os.path.samestat(self.status, os.lstat(self._where)):
                raise RefusedError(f"{self._where}: replaced while it was opened: try again")
            size_bytes = os.fstat(self._descriptor).st_size if self.status is None else self.status.st_size
            if found.newest is None and size_bytes > 0:
                raise JournalDamagedError(
                    f"{self._head_path}: missing or damaged, while {self._where} has {size_bytes} bytes: "
                    "run repair --rebuild-head"
                )
            head = found.newest or Head()
            reader.refuse_cut(head, size_bytes)
            verdict = judge(self._descriptor, head, size_bytes)
            if verdict.refusal is not None:
                raise JournalDamagedError(
                    f"{self._where}: behind the {head.end_bytes} acknowledged bytes: {verdict.refusal}: "
                    "run repair --discard-tail",
                    position=verdict.head.size,
                    offset_bytes=verdict.head.end_bytes,
                )
            if found.newest is not None and not is_synced(found.newest, self.status):
                self._spare = 1 - found.spare
                self._acknowledge(head)
            self._spare = found.spare
            if verdict.adopted:
                self._adopt(head, verdict)
            elif found.valid == 1:
                self._acknowledge(head)
            if verdict.torn:
                self._discard(verdict)
            if verdict.adopted or verdict.torn:
                self.status = jsonl_stamp.look(self._descriptor)
            self._head = verdict.head
            return verdict.head

    def _read_head(self) -> HeadFile:
        """Open and read the head; while the lock is held, nobody writes to it."""
        with durable.refusing(self._head_path):
            try:
                self._head_descriptor = durable.open_regular(self._head_path, os.O_RDWR)
            except FileNotFoundError:
                return jsonl_head.parse(b"")
            return jsonl_head.parse(os.pread(self._head_descriptor, HEAD_BYTES, 0))

    def append(self, entries: Sequence[bytes], expected_size: int) -> Head:
        """Store *entries* behind the head; see `eventlog.journal.Journal.append`."""
        head = self._head
        if head is None:
            raise RefusedError(f"{self._where}: an append has failed: release the lock and take it again")
        if head.size != expected_size:
            raise ConflictError(
                f"{self._where}: expected {expected_size} entries, got {head.size}: read and decide anew"
            )
        check_append(self._where, entries, head.hash)
        if head.size == 0:
            self._create_head()
        data = b"\n".join(entries) + b"\n"
        grown = jsonl_head.advanced(head, entries)
        self._head = None
        self._write_entries(data, head.end_bytes)
        self._acknowledge(grown)
        self.status = jsonl_stamp.look(self._descriptor)
        self._head = grown
        return grown

    def _adopt(self, head: Head, verdict: TailVerdict) -> None:
        """
        Acknowledge whole entries that an interrupted append left.

        They are written again in place first: if the sync of the interrupted append failed, the kernel may hold these
        pages as clean although the disk never got them, and a later sync would not write them.
        """
        if head.size == 0:  # its creator may have died before the names were durable; a valid slot is there, and stays
            durable.sync_ancestors(os.path.dirname(self._head_path))
        durable.write_at(self._descriptor, verdict.adopted, head.end_bytes)
        durable.sync_data(self._descriptor)
        self._acknowledge(verdict.head)
        log.warning("%s: kept %d entries of an interrupted append", self._where, verdict.head.size - head.size)

    def _discard(self, verdict: TailVerdict) -> None:
        """Take an unfinished rest out; its bytes and the intent to record it are durable before it goes."""
        kept = self._quarantine.keep(verdict.torn, verdict.head.end_bytes, verdict.reason)
        durable.truncate(self._descriptor, verdict.head.end_bytes)
        log.warning(
            "%s: %d bytes of an interrupted append at offset %d taken out, kept as %s",
            self._where,
            kept.size_bytes,
            kept.offset_bytes,
            kept.kept_as,
        )

    def _create_head(self) -> None:
        """Make an empty head and all names that lead to it durable; also after a creation that was cut short."""
        with durable.refusing(self._head_path):
            empty = jsonl_head.format_slot(Head())
            durable_replacement.replace_file(self._head_path, empty + empty)
            durable.sync_ancestors(os.path.dirname(self._head_path))
            self.close()
            self._head_descriptor = durable.open_regular(self._head_path, os.O_RDWR)

    def _write_entries(self, data: bytes, offset_bytes: int) -> None:
        """Write and sync, or cut back; the table at the top of the module."""
        try:
            durable.write_at(self._descriptor, data, offset_bytes)
        except OSError as error:
            if self._cut_back(offset_bytes):
                reason = reason_of(error)
                raise RefusedError(f"{self._where}: nothing was recorded: {reason}") from error
            raise self._unknown(error) from error
        except BaseException as error:
            self._cut_back(offset_bytes)
            raise self._unknown(error) from error
        try:
            durable.sync_data(self._descriptor)
        except BaseException as error:
            self._cut_back(offset_bytes)
            raise self._unknown(error) from error

    def _cut_back(self, offset_bytes: int) -> bool:
        """Remove what a failed write left, through a fresh descriptor; say whether that is durable."""
        with suppress(OSError, RefusedError):
            descriptor = durable.open_regular(self._where, os.O_RDWR)
            try:
                durable.truncate(descriptor, offset_bytes)
                return True
            finally:
                os.close(descriptor)
        return False

    def _acknowledge(self, head: Head) -> None:
        """Write and sync the spare slot. From the first byte on there is no way back, only forward."""
        assert self._head_descriptor is not None, "a journal with entries has a head"
        try:
            durable.write_at(self._head_descriptor, jsonl_head.format_slot(head), self._spare * SLOT_BYTES)
            durable.sync_data(self._head_descriptor)
        except BaseException as error:
            raise self._unknown(error) from error
        self._spare = 1 - self._spare

    def _unknown(self, error: BaseException) -> OutcomeUnknownError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return OutcomeUnknownError(f"{self._where}: not known whether the event was recorded ({reason.lower()})")
