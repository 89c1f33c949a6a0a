"""
Read a JSONL journal: decide how much of it is acknowledged, then yield those lines, verified. Never writes.

A reader shows what the head acknowledges and nothing behind it. The one exception: when a slot of the head is damaged,
the newest acknowledgement may have stood in it, and whole valid entries behind the other slot are shown, as a writer
would keep them. (A slot is only written after the journal's own sync, so they are durable.)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from eventlog import chain, durable, locking
from eventlog.engines import jsonl_head, jsonl_search, jsonl_stamp, jsonl_tail
from eventlog.engines.jsonl_head import HEAD_BYTES, Head, HeadFile
from eventlog.engines.jsonl_scan import Mark, Marks, read_at, salvage, scan
from eventlog.errors import MEND_LINES, JournalDamagedError
from eventlog.journal import APPEND_BYTES_MAX, Notice

_HEAD_ATTEMPTS, _HEAD_PAUSE_SECONDS = 5, 0.002
_LOOKS_MAX = 20
RESUME_ENTRIES_MIN = 256  # a shorter journal is read from zero as quickly


class JsonlReader:
    """
    Reads one journal; remembers the places that it has verified, so that reading on costs only what is new.

    Attributes:
        notices: what the last reading found beside the acknowledged lines, in words.

        passed_over: there was more, and it is not known whether somebody was still at work on it.
    """

    def __init__(self, journal_path: str, head_path: str) -> None:
        self._where = journal_path
        self._head_path = head_path
        self._marks = Marks()
        self._whole: os.stat_result | None = None
        self.notices: list[Notice] = []
        self.passed_over = False

    def acknowledged(self) -> Head:
        """Return what is acknowledged, from the head."""
        with self._looking() as (_, head):
            return head

    def read(self, start: int, stop: int | None) -> Iterator[list[bytes]]:
        """Yield the verified acknowledged lines `[start, stop)` in runs; where all are wanted, the head must fit."""
        verified = self._marks.newest()
        with self._looking() as (descriptor, head):
            before = None if descriptor is None else jsonl_stamp.look(descriptor)
            if head.size < verified.size:
                raise JournalDamagedError(
                    f"{self._where}: expected at least {verified.size} entries, as before, got {head.size}: run verify"
                )
            stop = head.size if stop is None else min(stop, head.size)
            first = mark = self._marks.before(start)
            while descriptor is not None and mark.offset_bytes < head.end_bytes:
                for lines, next_mark in self._stretch(descriptor, mark, head):
                    wanted = lines[max(0, start - mark.size) : max(0, stop - mark.size)]
                    if wanted:
                        yield wanted
                    mark = next_mark
                    if stop <= mark.size and stop < head.size:
                        return
            if (mark.size, mark.hash) != (head.size, head.hash):
                raise JournalDamagedError(
                    f"{self._where}: expected {head.size} entries up to hash {head.hash}, "
                    f"got {mark.size} up to {mark.hash}: run verify",
                    position=min(mark.size, head.size),
                    offset_bytes=mark.offset_bytes,
                    expected=head.hash,
                    actual=mark.hash,
                )
            if descriptor is not None and (first.size == 0 or self.is_whole(before)):
                self._whole = before if jsonl_stamp.is_same(before, jsonl_stamp.look(descriptor)) else None

    def _stretch(self, descriptor: int, mark: Mark, head: Head) -> Iterator[tuple[list[bytes], Mark]]:
        """
        Yield the verified lines from *mark* up to the next verified place, or to *head* where there is none.

        Where there is one, the lines must lead to it, and are held back until they do.
        """
        following = self._marks.after(mark)
        if following is None or following.offset_bytes > head.end_bytes:
            for lines, next_mark in scan(descriptor, self._where, mark, head.end_bytes):
                self._marks.add(next_mark, lines[-1])
                yield lines, next_mark
            return
        found = list(scan(descriptor, self._where, mark, following.offset_bytes))
        if found[-1][1] != following:
            raise JournalDamagedError(
                f"{self._where}: expected hash {following.hash} after {following.size} entries, as before, "
                f"got {found[-1][1].hash} after {found[-1][1].size}: run verify",
                position=min(following.size, found[-1][1].size),
            )
        for _, next_mark in found:
            self._marks.put(next_mark)
        yield from found

    def resume(self, text: bytes, stamp_path: str) -> tuple[int, Sequence[bytes]] | None:
        """
        Return where the last line that contains *text* stands, and the lines from it on, verified up to the head.

        None where there is no such line near the end, where something about journal or head is odd, or where the stamp
        does not say that nothing before them was written to since it was verified.
        """
        with self._looking() as (descriptor, head):
            if descriptor is None or self.notices or head.size < RESUME_ENTRIES_MIN:
                return None
            status = jsonl_stamp.look(descriptor)
            if not jsonl_stamp.fits(stamp_path, head, status):
                return None
            lines, offset_bytes = jsonl_search.last_lines(descriptor, head.end_bytes, text)
            mark = Mark(head.size - len(lines), offset_bytes, "" if not lines else chain.prev_of(lines[0]))
            try:
                if mark.size < 1 or chain.verify(lines, mark.hash) != head.hash:
                    return None
            except chain.ChainError:
                return None
            self._marks.put(mark)
            self._marks.put(Mark(head.size, head.end_bytes, head.hash))
            self._whole = status
            return mark.size, lines

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """Return the line at *offset_bytes*, which must have that hash; a place to read on from afterwards."""
        with self._opened() as descriptor:
            line = None if descriptor is None else jsonl_search.line_at(descriptor, offset_bytes, entry_hash)
        if line is None:
            raise JournalDamagedError(
                f"{self._where}: expected entry {position} with hash {entry_hash} at offset {offset_bytes}, "
                "got another: run verify",
                position=position,
                offset_bytes=offset_bytes,
                expected=entry_hash,
            )
        self._marks.put(Mark(position, offset_bytes, chain.prev_of(line)))
        return line

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """Return the first line near the middle that contains *text*, and where it begins; it is not verified."""
        with self._looking() as (file, head):
            return None if file is None else jsonl_search.line_behind(file, head.end_bytes // 2, text)

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands anywhere in the acknowledged bytes."""
        with self._looking() as (descriptor, head):
            return descriptor is not None and jsonl_search.mentions(descriptor, head.end_bytes, text)

    def is_whole(self, status: os.stat_result | None) -> bool:
        """Say whether all of a journal file of that *status* was verified by this object, or whoever it believes."""
        return jsonl_stamp.is_same(self._whole, status)

    def note_whole(self, status: os.stat_result | None) -> None:
        """Note that all of a journal file of that *status* is good."""
        self._whole = status

    def salvage(self) -> Iterator[bytes]:
        """Yield the lines that verify, from the first on, without asking the head."""
        with self._opened() as descriptor:
            if descriptor is not None:
                yield from salvage(descriptor)

    def read_head(self) -> HeadFile:
        """Read both slots; one that is being written right now is given a moment."""
        for _ in range(_HEAD_ATTEMPTS):
            with durable.refusing(self._head_path):
                try:
                    found = jsonl_head.parse(durable.read_start(self._head_path, HEAD_BYTES))
                except FileNotFoundError:
                    return HeadFile(None, 0, 0)
            if found.valid == 2:
                break
            time.sleep(_HEAD_PAUSE_SECONDS)
        return found

    def refuse_cut(self, head: Head, size_bytes: int) -> None:
        """Raise `JournalDamagedError` if the file has fewer bytes than *head* acknowledges."""
        if size_bytes < head.end_bytes:
            raise JournalDamagedError(
                f"{self._where}: expected {head.end_bytes} acknowledged bytes, got {size_bytes}: "
                f"acknowledged events are lost: {MEND_LINES}",
                offset_bytes=size_bytes,
                size_bytes=head.end_bytes - size_bytes,
                expected=f"{head.end_bytes} bytes",
                actual=f"{size_bytes} bytes",
            )

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open the journal; None where there is none."""
        with durable.refusing(self._where):
            try:
                descriptor = durable.open_regular(self._where, os.O_RDONLY)
            except FileNotFoundError:
                descriptor = None
            try:
                yield descriptor
            finally:
                if descriptor is not None:
                    with suppress(OSError):
                        os.close(descriptor)

    @contextmanager
    def _looking(self) -> Iterator[tuple[int | None, Head]]:
        """
        Open the journal and decide how much of it may be shown.

        The head is read before the journal's size, which only grows. Where the two do not simply fit, a writer may have
        come between the two looks (it created the journal, or mended a slot and went on), so what follows from them
        counts only if the head is still the same afterwards. A writer always changes it before new bytes stand behind
        bytes that were ever shown.
        """
        for looks_left in reversed(range(_LOOKS_MAX)):
            found = self.read_head()
            with self._opened() as descriptor:
                size_bytes = 0 if descriptor is None else os.fstat(descriptor).st_size
                end_bytes = 0 if found.newest is None else found.newest.end_bytes
                fits = found.valid != 1 and (found.valid == 2) == (descriptor is not None) and size_bytes >= end_bytes
                damage: JournalDamagedError | None = None
                head = Head()
                try:
                    head = self._acknowledged(descriptor, found, size_bytes)
                except JournalDamagedError as error:
                    damage = error
                if not fits and looks_left and self.read_head() != found:
                    continue
                if damage is not None:
                    raise damage
                yield descriptor, head
                return

    def _acknowledged(self, descriptor: int | None, found: HeadFile, size_bytes: int) -> Head:
        """Return what may be shown of a journal of *size_bytes* whose head is *found*; note what is odd about it."""
        self.notices, self.passed_over = [], False
        if found.newest is None:
            return self._without_head(descriptor, size_bytes) if descriptor is not None and size_bytes else Head()
        self.refuse_cut(found.newest, size_bytes)
        if descriptor is None or (found.valid == 2 and size_bytes == found.newest.end_bytes):
            return found.newest
        if found.valid == 2:
            self._notice_leftover(descriptor, found.newest)
            return found.newest
        verdict = judge(descriptor, found.newest, size_bytes)
        then = "the next publish or rollback mends it"
        if verdict.refusal is not None:
            then = (
                f"publish and rollback refuse because of the bytes behind offset {verdict.head.end_bytes} "
                f"({verdict.refusal}): run repair --discard-tail"
            )
        what = f"{self._head_path}: one of two slots is damaged: {then}"
        self.notices.append(Notice(what, blocks_writing=verdict.refusal is not None))
        return verdict.readable

    def _notice_leftover(self, descriptor: int, head: Head) -> None:
        """Bytes behind the head are somebody's append under way, unless the lock is free and they stay."""
        if locking.holder_of(descriptor) is not None:
            self.passed_over = True
            return
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > head.end_bytes and self.read_head().newest == head:
            refusal = judge(descriptor, head, size_bytes).refusal
            what = (
                f"{self._where}: {size_bytes - head.end_bytes} bytes at offset {head.end_bytes} "
                "were never acknowledged and are not shown: "
            )
            then = "the next publish or rollback deals with them"
            if refusal is not None:
                then = f"publish and rollback refuse because of them ({refusal}): run repair --discard-tail"
            self.notices.append(Notice(what + then, blocks_writing=refusal is not None))

    def _without_head(self, descriptor: int, size_bytes: int) -> Head:
        """Verify the whole file, because nothing says how much of it is acknowledged."""
        mark = Mark()
        for _, next_mark in scan(descriptor, self._where, mark, jsonl_search.end_of_last_line(descriptor, size_bytes)):
            mark = next_mark
        if mark.size == 0:
            raise JournalDamagedError(
                f"{self._where}: expected entries, got {size_bytes} bytes that hold none: run verify"
            )
        self.notices.append(
            Notice(
                f"{self._head_path}: missing or damaged: showing the {mark.size} entries that verify, "
                "not knowing how many there were: publish and rollback refuse: run repair --rebuild-head",
                extent_unknown=True,
                blocks_writing=True,
            )
        )
        return Head(mark.size, mark.offset_bytes, mark.hash)


def judge(descriptor: int, head: Head, size_bytes: int) -> jsonl_tail.TailVerdict:
    """Apply the tail rule to what stands behind *head* in a file of *size_bytes*; reads a bounded part of it."""
    wanted = min(size_bytes - head.end_bytes, APPEND_BYTES_MAX + 1)
    return jsonl_tail.judge(read_at(descriptor, wanted, head.end_bytes), head)
