"""
Restore: bring a registry up to a backup, never over newer or other history.

What is missing is appended through the same code as any other append, after an anchor of the whole has been written. So
a restore that is cut short leaves a journal that every command calls rewound until it is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from eventlog.backup import verified_source
from eventlog.catalog import Catalog
from eventlog.engines import checks
from eventlog.errors import JournalDamagedError, OutcomeUnknownError, ProjectionLagError, RefusedError
from eventlog.journal import FoundAnchor, Subscriber
from eventlog.replay import Replay, catch_up_all


class RestoreReport(Struct, frozen=True):
    """What was restored: the registry went from *size_before* to *size* entries, the last with *hash*."""

    source: str
    journal_id: str
    size_before: int
    size: int
    hash: str
    done: bool


def restore(
    source: str,
    target: Replay,
    subscribers: Sequence[Subscriber],
    *,
    dry_run: bool = False,
    announce: Callable[[Catalog], None] = lambda catalog: None,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> RestoreReport:
    """
    Bring a registry up to a backup: an empty one, or one whose history the backup continues.

    Args:
        source: the backup, or any other copy of a registry directory; verified before anything is written.

        target: fresh; of the registry to be restored.

        subscribers: whose anchors say what history the registry had; they are brought up to date afterwards.

        dry_run: only verify and compare.

        announce: writes an anchor of the state that is to be reached, before the first entry is appended: so a restore
            that is cut short does not look like a whole history.

        point_of_no_return: called when from now on something will have been written.

    Raises:
        RefusedError: the source is foreign, older, forked or unsound; nothing was changed.

        JournalDamagedError: the target is damaged: `repair --from` is for that; nothing was changed.

        OutcomeUnknownError: a part may have been restored; ask again.

        ProjectionLagError: restored; a derived file is behind.
    """
    original = verified_source(source)
    theirs = original.catalog
    assert theirs.journal_id is not None, "a verified source has a first entry"
    found = [item for subscriber in subscribers for item in subscriber.anchors()]
    mine = _sound_target(target, source)
    if mine.journal_id not in (None, theirs.journal_id):
        raise RefusedError(f"{source}: foreign: expected a copy of journal {mine.journal_id}, got {theirs.journal_id}")
    for item in found:
        if not theirs.covers(item.anchor) and not theirs.gave_up(item.anchor):
            _check_witness(source, original, item)
    _check_prefix(source, original, target)
    report = RestoreReport(source, theirs.journal_id, mine.size, theirs.size, theirs.hash, done=not dry_run)
    if dry_run or mine.size == theirs.size:
        return report
    point_of_no_return()
    _append(original, target, source, announce)
    if failures := catch_up_all(subscribers):
        raise ProjectionLagError(f"restored, but a derived file is behind: {'; '.join(failures)}: run rebuild")
    return report


def _sound_target(target: Replay, source: str) -> Catalog:
    """Return the state of the registry that is to be restored."""
    try:
        return target.catch_up()
    except JournalDamagedError as error:
        raise JournalDamagedError(
            f"{error}: restore only continues a sound journal; for this one, run repair --from {source}",
            position=error.position,
            offset_bytes=error.offset_bytes,
        ) from error


def _check_witness(source: str, original: Replay, item: FoundAnchor) -> None:
    """Refuse a source that is not what an anchor remembers of the registry that is to be restored."""
    theirs, anchor = original.catalog, item.anchor
    if anchor.journal_id != theirs.journal_id:
        raise RefusedError(
            f"{source}: foreign: expected a copy of journal {anchor.journal_id}, which {item.where} follows, "
            f"got {theirs.journal_id}"
        )
    if anchor.size > theirs.size:
        raise RefusedError(
            f"{source}: older: expected {anchor.size} entries or more, as {item.where} remembers, got {theirs.size}: "
            f"restore a newer backup; where there is none, repair --accept-rewind --from {source} --reason …"
        )
    if original.hash_at(anchor.size) != anchor.hash:
        raise RefusedError(
            f"{source}: forked: expected hash {anchor.hash} of entry {anchor.size - 1}, as {item.where} remembers, "
            f"got {original.hash_at(anchor.size)}"
        )


def _check_prefix(source: str, original: Replay, target: Replay) -> None:
    """Refuse where the registry is newer than the source, or went on differently."""
    mine, theirs = target.catalog, original.catalog
    if mine.size > theirs.size:
        raise RefusedError(
            f"{source}: older: expected {mine.size} entries or more, as {mine.where} has, got {theirs.size}: "
            "nothing there that is not here"
        )
    if mine.size and original.hash_at(mine.size) != mine.hash:
        raise RefusedError(
            f"{source}: forked: expected hash {mine.hash} of entry {mine.size - 1}, as {mine.where} has, "
            f"got {original.hash_at(mine.size)}"
        )


def _append(original: Replay, target: Replay, source: str, announce: Callable[[Catalog], None]) -> None:
    """Append what is missing, in batches, with other writers kept out."""
    with target.journal.exclusive():
        mine = target.catch_up()
        _check_prefix(source, original, target)
        announce(original.catalog)
        size = mine.size
        try:
            for piece in checks.pieces(original.journal.read(size, original.catalog.size)):
                size = target.journal.append(piece, expected_size=size).size
        except RefusedError as error:
            raise OutcomeUnknownError(
                f"{error}: {size} of {original.catalog.size} entries are restored: mend that, then restore again"
            ) from error
    target.catch_up()
