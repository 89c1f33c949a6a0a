"""
A journal as a list: what is acknowledged, and what stands behind it in the file and may come to be.

It knows which entries were ever made and which one each of them follows, so it judges a tail without any hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from eventlog import chain
from eventlog.journal import DiscardedTail


class ListModel:
    """
    The model of a file journal.

    Attributes:
        entries: what is acknowledged, or was shown.

        behind: the bytes that stand behind these in the file.

        pending: what recovery took out and nothing records yet, by where it is kept.

        kept: all that recovery ever took out, by where it is kept.
    """

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.behind = b""
        self.pending: dict[str, DiscardedTail] = {}
        self.kept: dict[str, bytes] = {}
        self._follows: dict[bytes, str] = {}

    def batch(self, sizes: Sequence[int]) -> list[bytes]:
        """Make entries with bodies of about *sizes* bytes, linked to what the tail is once a writer has mended it."""
        last = [*self.entries, *self.whole()][-1:]
        prev = chain.hash_of(last[0]) if last else chain.GENESIS
        made = []
        for size in sizes:
            entry = chain.seal(b'{"n":%d,"%b":1' % (len(self._follows), b"x" * size), prev)
            self._follows[entry] = prev
            prev = chain.hash_of(entry)
            made.append(entry)
        return made

    def acknowledged_bytes(self) -> bytes:
        """Return the file up to `behind`."""
        return joined(self.entries)

    def whole(self) -> list[bytes]:
        """Return the entries that stand behind, the last of them perhaps without its newline: a writer keeps them."""
        return self._split()[0]

    def readable(self) -> list[bytes]:
        """Return those of them that have a newline."""
        whole, rest = self._split()
        return whole if joined(whole) + rest == self.behind else whole[:-1]

    def rest(self) -> bytes:
        """Return what follows them: what a writer takes out, if it does not refuse."""
        return self._split()[1]

    def writer_refuses(self) -> bool:
        """Say whether no interrupted append can have left that rest: a finished line, and no NUL."""
        rest = self.rest()
        return b"\n" in rest and b"\0" not in rest

    def show(self, count: int) -> None:
        """Take over *count* entries from behind: readers show them now."""
        shown = self.readable()[:count]
        self.entries += shown
        self.behind = self.behind[len(joined(shown)) :]

    def mend(self) -> None:
        """Do what a writer does before anything else."""
        whole, rest = self._split()
        self.entries += whole
        if rest:
            self.take_out(self.discarded(rest, len(self.acknowledged_bytes())), rest)
        self.behind = b""

    def discarded(self, torn: bytes, offset_bytes: int) -> DiscardedTail:
        """Describe *torn* as recovery describes what it takes out there."""
        digest = sha256(torn).hexdigest()
        reason = "nul-bytes" if b"\0" in torn else "no-newline"
        name = f"quarantine/{offset_bytes:020d}-{len(torn)}-{digest}.{reason}"
        return DiscardedTail(offset_bytes, len(torn), digest, reason, name)

    def take_out(self, tail: DiscardedTail, torn: bytes) -> None:
        """Note that *torn*, described by *tail*, was taken out and is not recorded."""
        self.pending[tail.kept_as] = tail
        self.kept[tail.kept_as] = torn

    def _split(self) -> tuple[list[bytes], bytes]:
        whole: list[bytes] = []
        rest = self.behind
        last = chain.hash_of(self.entries[-1]) if self.entries else chain.GENESIS
        while True:
            line, _, after = rest.partition(b"\n")
            if self._follows.get(line) != last:
                return whole, rest
            whole.append(line)
            rest, last = after, chain.hash_of(line)


def joined(entries: Sequence[bytes]) -> bytes:
    """Return *entries* as they stand in the file."""
    return b"".join(entry + b"\n" for entry in entries)
