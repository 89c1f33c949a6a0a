"""Whether a journal still is what other files remember of it; where it is not, what happened to it and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from eventlog.errors import JournalDamagedError
from eventlog.journal import FoundAnchor
from eventlog.replay import Replay


def check(replay: Replay, found: Iterable[FoundAnchor]) -> list[FoundAnchor]:
    """
    Compare the journal with what other files remember of it; return those that remember another journal.

    Collect the anchors *before* `Replay.catch_up`: a journal only grows, so it then holds all that they say.

    Raises:
        JournalDamagedError: the journal was cut, rewound, rewritten or replaced.
    """
    catalog = replay.catalog
    foreign: list[FoundAnchor] = []
    agreeing: list[FoundAnchor] = []
    parted: list[FoundAnchor] = []
    for item in found:
        if item.anchor.journal_id == catalog.journal_id:
            if not catalog.gave_up(item.anchor):
                (agreeing if replay.hash_at(item.anchor.size) == item.anchor.hash else parted).append(item)
        elif item.binding:
            raise lost(replay, item)
        else:
            foreign.append(item)
    if parted:
        raise _parted(replay, parted[0], agreeing)
    return foreign


def lost(replay: Replay, item: FoundAnchor) -> JournalDamagedError:
    """Return the error that says that the journal which *item* remembers is not there."""
    where = replay.journal.where
    if replay.catalog.size:
        return JournalDamagedError(replaced(where, replay.catalog.journal_id, item))
    return JournalDamagedError(
        f"{where}: expected journal {item.anchor.journal_id} of {item.anchor.size} entries or more, "
        f"as {item.where} remembers, got no entries: check --registry-dir, or restore a backup"
    )


def replaced(where: str, got: str | None, item: FoundAnchor) -> str:
    """Say that the journal *got* is not the one that a file beside it remembers, and what to do."""
    return (
        f"{where}: expected journal {item.anchor.journal_id}, as {item.where} remembers, got {got}: the journal was "
        f"replaced, or that file was changed: if it was that file, {item.forget} and run rebuild; "
        "else move journal.jsonl and journal.head away and restore a backup"
    )


def _parted(replay: Replay, item: FoundAnchor, agreeing: list[FoundAnchor]) -> JournalDamagedError:
    """Return the error that says that the journal is not what *item* remembers, and who agrees with the journal."""
    where, size, anchor = replay.journal.where, replay.catalog.size, item.anchor
    got = replay.hash_at(anchor.size)
    also = f"; {' and '.join(other.where for other in agreeing)} agrees with the journal" if agreeing else ""
    ways_on = (
        f"if it was that file, {item.forget} and run rebuild; if journal.head is an old one, run repair "
        "--rebuild-head; else restore, or repair --from COPY; where only an older copy is left, "
        "repair --accept-rewind"
    )
    if got is None:
        return JournalDamagedError(
            f"{where}: expected at least {anchor.size} entries, as {item.where} remembers, got {size}: "
            f"the journal was rewound, or that file was changed{also}: {ways_on}",
            position=size,
            expected=f"{anchor.size} entries",
            actual=f"{size} entries",
        )
    return JournalDamagedError(
        f"{where}: entry {anchor.size - 1}: expected hash {anchor.hash}, as {item.where} remembers, "
        f"got {got}: history was rewritten, or that file was changed{also}: {ways_on}",
        position=max(0, anchor.size - 1),
        expected=anchor.hash,
        actual=got,
    )
