"""
Move a journal into a cluster and out of it: the same bytes, so the same hashes, tree heads and receipts.

Everything is verified before the first entry is stored. What was interrupted goes on where it was: what is there
already must be the beginning of what is to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from eventlog import anchors
from eventlog.engines import checks
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import OutcomeUnknownError, RefusedError
from eventlog.journal import Journal, Subscriber
from eventlog.replay import Replay


class ReplicatedJournal(Journal, Protocol):
    """A journal that others hold for us; what is read is a mirror of it."""

    @property
    def stream(self) -> str:
        """The name under which it is held."""
        ...

    def create(self) -> None:
        """Make it, unless it is there. Raises RefusedError: it is not."""
        ...

    def stored_size(self) -> int | None:
        """Return how many entries are held, whatever the mirror has; None where there is no such journal."""
        ...

    def stored_entry(self, position: int) -> bytes | None:
        """Return the entry that is held at *position*, or None. Not verified."""
        ...

    def store(self, entries: Sequence[bytes], expected_size: int) -> None:
        """Append to what is held alone, up to 1,000 entries, all or none; the caller looks after the mirror."""
        ...


class Transfer(Struct, frozen=True):
    """
    What was moved.

    Attributes:
        source, target: from where to where.

        size_before: how many entries were there already.

        size, hash: how many are there now, and the hash of the last.
    """

    source: str
    target: str
    journal_id: str
    size_before: int
    size: int
    hash: str
    done: bool


def import_journal(
    local: JsonlJournal, cluster: ReplicatedJournal, subscribers: Sequence[Subscriber] = (), *, dry_run: bool = False
) -> Transfer:
    """
    Store a local journal on a cluster; afterwards its directory is the mirror, and is only written through the cluster.

    Local writers are kept out meanwhile, so nothing is left behind. What is a mirror already stays one.

    Args:
        subscribers: whose anchors say what history the registry has; those of another journal do not count.

    Raises:
        RefusedError: there is no journal, or the cluster holds another one, or more of it, or does not take it.

        JournalDamagedError: the local journal is damaged, or was rewound. Nothing was changed.

        OutcomeUnknownError, UnreachableError: the cluster does not answer. Whenever that happens, a beginning may be
            stored there, and the local journal is as it was: go on with the same command.
    """
    if local.stream == cluster.stream:
        with cluster.exclusive():
            mirrored = Replay(cluster, whole=True).catch_up()
        size, journal_id = mirrored.size, mirrored.journal_id or ""
        return Transfer(local.where, cluster.where, journal_id, size, size, mirrored.hash, done=not dry_run)
    with local.exclusive():
        found = [item for subscriber in subscribers for item in subscriber.anchors()]
        replay = Replay(local, whole=True)
        catalog = replay.catch_up()
        anchors.check(replay, found)
        if catalog.journal_id is None:
            raise RefusedError(
                f"{local.where}: expected a journal to import, got none: publish creates one on a cluster"
            )
        before = cluster.stored_size() or 0
        if before > catalog.size:
            raise RefusedError(
                f"{cluster.where}: expected at most the {catalog.size} entries of {local.where}, got {before}: "
                "it holds another journal, or has gone on: check NAME in --journal"
            )
        if before:
            _compare(cluster.where, before, cluster.stored_entry(before - 1), local)
        if not dry_run:
            cluster.create()
            start = before
            for unit in checks.pieces(local.read(before, catalog.size)):
                cluster.store(unit, start)
                start += len(unit)
            local.become_mirror(cluster.stream)
        return Transfer(
            local.where, cluster.where, catalog.journal_id, before, catalog.size, catalog.hash, done=not dry_run
        )


def export_journal(cluster: Journal, local: JsonlJournal, *, dry_run: bool = False) -> Transfer:
    """
    Copy the journal of a cluster into a directory, as a journal of its own; the cluster keeps what it has.

    Args:
        local: an empty journal, or the beginning of the cluster's.

    Raises:
        RefusedError: the cluster cannot be reached, or holds nothing, or *local* is another journal, or goes further.
            Nothing was changed.

        JournalDamagedError: what the cluster holds does not verify. Nothing was changed.

        OutcomeUnknownError: the disk does not take all of it; go on with the same command.
    """
    with cluster.exclusive():
        catalog = Replay(cluster, whole=True).catch_up()
        if catalog.journal_id is None:
            raise RefusedError(f"{cluster.where}: expected a journal to export, got none: check NAME in --journal")
        before = local.tail().size
        if before > catalog.size:
            raise RefusedError(
                f"{local.where}: expected at most the {catalog.size} entries of {cluster.where}, got {before}: "
                "it is another journal, or has gone on"
            )
        if before:
            _compare(local.where, before, next(iter(local.read(before - 1, before))), cluster)
        if not dry_run:
            with local.exclusive():
                start = before
                try:
                    for unit in checks.pieces(cluster.read(before, catalog.size)):
                        start = local.append(unit, expected_size=start).size
                except RefusedError as error:
                    if start == before:
                        raise
                    raise OutcomeUnknownError(
                        f"{error}: {start} of {catalog.size} entries are there: mend that, then export again"
                    ) from error
        return Transfer(
            cluster.where, local.where, catalog.journal_id, before, catalog.size, catalog.hash, done=not dry_run
        )


def _compare(where: str, size: int, last: bytes | None, source: Journal) -> None:
    """Raise RefusedError unless *last* of *size* entries is what *source* has there; its hash covers all before it."""
    if last != next(iter(source.read(size - 1, size))):
        raise RefusedError(
            f"{where}: expected the first {size} entries of {source.where}, got others: it is another journal: "
            "nothing was changed"
        )
