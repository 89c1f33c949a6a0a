"""
What every journal engine promises, and what a subscriber is; the contract suite checks each claim on each engine.

Words: an *entry* is the bytes of one event. A *position* is an entry's place, 0-based and gapless. A *size* is a count
of entries. Ranges are half-open, `[start, stop)`. `offset_bytes` is a byte address. To engines entries are opaque but
for the hash chain (`eventlog.chain`), so a journal can move from one engine to another without changing a hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from eventlog.chain import GENESIS
from eventlog.errors import ModelogError

ENTRY_BYTES_MAX = 65_535
"""The largest entry; what a C2SP tlog-tiles entry bundle can carry with its 16-bit length."""

APPEND_ENTRIES_MAX = 1_024
"""Most entries of one append, and so the most that can be found behind the acknowledged ones after a crash."""

APPEND_BYTES_MAX = 8 << 20
"""Most bytes of one append, newlines included."""


class Tail(Struct, frozen=True):
    """Where the next entry goes: how many entries there are, and the hash of the last (64 zeros before the first)."""

    size: int = 0
    hash: str = GENESIS


class Anchor(Struct, frozen=True):
    """What a file outside the journal remembers of it: that the journal *journal_id* had *size* entries ending so."""

    journal_id: str
    size: int
    hash: str


class FoundAnchor(Struct, frozen=True):
    """
    An anchor and the file it was found in.

    Attributes:
        binding: the file lies beside the journal and can belong to no other, so another journal id means that the
            journal was replaced. Elsewhere it means that the file follows another journal.

        forget: what a person does to the file where it is the file that is wrong, and not the journal.
    """

    where: str
    anchor: Anchor
    binding: bool
    forget: str = "move it away"


class Notice(Struct, frozen=True):
    """
    What a person should know about a reading: one line, what was found and what it means.

    Attributes:
        extent_unknown: nothing beside the entries themselves says how many there were.

        blocks_writing: a writer refuses until a person has dealt with it.
    """

    what: str
    extent_unknown: bool = False
    blocks_writing: bool = False


class DiscardedTail(Struct, frozen=True):
    """
    Bytes that were taken out of a journal: by recovery behind the acknowledged entries, or by a repair.

    Attributes:
        offset_bytes, size_bytes: where they stood and how many they were.

        sha256: of the bytes, 64 hex; with the offset it names this recovery for ever.

        reason: `no-newline` or `nul-bytes`, the two marks of an unfinished write; or a repair's: `bad-lines` behind
            the acknowledged entries, `replaced` by what a copy had, `rewound`, or `head` for a head file.

        kept_as: where the bytes are kept, relative to the journal's directory.
    """

    offset_bytes: int
    size_bytes: int
    sha256: str
    reason: str
    kept_as: str


class Journal(Protocol):
    """An append-only sequence of entries."""

    @property
    def where(self) -> str:
        """A path or URL, for messages."""

    def files(self) -> Sequence[str]:
        """
        Return the paths of all files that tell what is acknowledged; none where files alone do not tell it.

        As long as these look the same, nothing was appended since the last reading, and there is nothing to notice.
        """

    def notices(self) -> Sequence[Notice]:
        """Return what a person should know about the last reading."""

    def refresh(self) -> None:
        """
        Bring in what was acknowledged elsewhere, so that what follows reads it. Nothing to do where all is here.

        Where it cannot be reached, a reader goes on with what is here, and a notice says so.

        Raises:
            UnreachableError: there is nothing to go on with, or the caller holds `exclusive`.

            JournalDamagedError: it does not follow what is here. Nothing was changed.
        """

    def wait(self, seconds: float) -> None:
        """Return as soon as something new may have been acknowledged; after *seconds* at the latest."""

    def close(self) -> None:
        """Let go whatever is open; the next call opens it again."""

    def tail(self) -> Tail:
        """
        Return the acknowledged tail. Reads only the newest bytes: nothing is verified.

        Raises:
            JournalDamagedError: less is stored than was acknowledged.
        """

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """
        Yield the acknowledged entries `[start, stop)` in order, each one verified against the chain.

        What is acknowledged is decided when the first entry is asked for; *stop* defaults to it and is capped by it.
        Reading never writes, and takes no lock that a writer could wait for.

        Raises:
            JournalDamagedError: an entry does not fit, or less is stored than was acknowledged. Entries that were
                yielded before are good.
        """

    def read_runs(self, start: int = 0, stop: int | None = None) -> Iterator[Sequence[bytes]]:
        """Yield what `read` yields, in runs of one and more, as many at once as is quick; memory stays bounded."""

    def resume(self, text: bytes) -> tuple[int, Sequence[bytes]] | None:
        """
        Return the newest acknowledged entries from the last one on with *text* near its start, and its position.

        They are verified against one another and the tail. None where there is no such entry near the end, or where it
        is not certain that all entries before it are as they were when they were last verified: read from zero then.
        """

    def vouch(self, size: int) -> None:
        """
        Note that the *size* entries that there are were folded, and nothing did not fit: `resume` may begin in them.

        Nothing to do where whoever appends has done that.
        """

    def entry_at(self, position: int, offset_bytes: int, entry_hash: str) -> bytes:
        """
        Return one entry, of which another that is proven already says where it stands, and its hash.

        From then on `read` need not begin before it.

        Raises:
            JournalDamagedError: there is no such entry.
        """

    def middle(self, text: bytes) -> tuple[int, bytes] | None:
        """
        Return an entry from about the middle with *text* near its start, and the byte at which it begins; or None.

        It is not verified: neither that it follows the entries before it, nor that it is no part of another one.
        """

    def mentions(self, text: bytes) -> bool:
        """Say whether *text* stands in any acknowledged entry; quicker than reading them, and nothing is verified."""

    def confirm(self, *, mend: bool = True) -> None:
        """
        Make sure that what `read` has shown survives power loss, also where its writer died before it was sure.

        Called before anything is told or written elsewhere that rests on entries which this process did not append.

        Args:
            mend: whether an interrupted append may be mended meanwhile, as a writer would; a reader only syncs.

        Raises:
            RefusedError: the disk did not confirm it.
        """

    def salvage(self) -> Iterator[bytes]:
        """
        Yield the entries from zero for as long as they verify, whatever was acknowledged; what follows is not judged.

        For people who look at a damaged journal; nothing that is decided may rest on it.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """
        Keep other writers out, as far as the engine can, and first mend what an interrupted append left behind.

        A replicated engine cannot keep others out; there `append` raises `ConflictError` and the caller decides anew.

        Raises:
            LockTimeoutError: another writer held on for too long.

            JournalDamagedError: what is stored is not an interrupted append. Nothing was changed.
        """

    def discarded(self) -> Sequence[DiscardedTail]:
        """Return what recovery took out and no entry records yet. Only meaningful inside `exclusive`."""

    def append(self, entries: Sequence[bytes], *, expected_size: int, recording: Sequence[DiscardedTail] = ()) -> Tail:
        """
        Store *entries* durably and in order, and return the new tail.

        Returns only after they survive power loss. A batch is not a transaction: after a crash a prefix of it may be
        there, never anything else.

        Args:
            entries: 1 to `APPEND_ENTRIES_MAX`, each of 150 to `ENTRY_BYTES_MAX` bytes without a newline, linked to
                the tail and to each other.

            expected_size: how many entries the caller decided on; refused unless the journal still has just those.

            recording: the discarded tails that these entries record; `discarded` forgets them afterwards.

        Raises:
            ConflictError: the journal has grown since. Nothing was stored.

            RefusedError: an entry is too large or does not fit the chain, or the disk refused. Nothing was stored.

            OutcomeUnknownError: written, but not confirmed.

        Source: compare-and-swap on the size, as in the lock backends of transparency logs.
        """


class Subscriber(Protocol):
    """Something derived from the journal. It knows how far it has got, so a call that was missed loses nothing."""

    def files(self) -> Sequence[str]:
        """Return the paths of the subscriber's own files, also of those that are not there yet."""

    def anchors(self, unreadable: Callable[[ModelogError], object] | None = None) -> Sequence[FoundAnchor]:
        """
        Return what the subscriber's own files remember of the journal. Reads only.

        Args:
            unreadable: told of each file that cannot be read, which is then left out; without it that is raised.

        Raises:
            RefusedError: a file cannot be read.
        """

    def catch_up(self, *, rebuild: bool = False) -> None:
        """
        Write what is new in the shared fold, or everything anew; the fold may go on meanwhile.

        Whoever calls has made sure that what is folded is durable: no other file may remember more than the journal.

        Raises:
            ModelogError, OSError: could not; whatever was applied before is still in place.
        """

    def audit(self, unreadable: Callable[[ModelogError], object] | None = None) -> Sequence[str]:
        """
        Return what in the subscriber's files is not what the journal says, one line each.

        Where writers went on meanwhile, the shared fold goes on as far as the files have got.

        Args:
            unreadable: told of each file that cannot be read; without it such a file has a line, too.

        Raises:
            JournalDamagedError: as `Journal.read`.
        """
