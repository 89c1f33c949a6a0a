"""
Unbundle: bring a registry what a bundle holds, all of it verified before the first effect. Asking twice is asking once.

    every byte → the fold of what would be → proofs → this registry's history | → artifacts → entries → derived files

Left of the bar the bundle is only read, so what is refused leaves no trace and needs no room. Right of it, whoever is
cut short asks again: the journal is the beginning of what it will be, and an entry never comes before the artifacts
that came with it.

Decision: the bundle is read twice, once to verify and once to copy, rather than copied while it is verified. Cost: a
second reading, mostly from memory. In it every artifact is hashed again and every entry still has to follow the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import chain
from operator import attrgetter

from msgspec import Struct

from eventlog import anchors, bundle_claims, objects
from eventlog.bundle_claims import Verified
from eventlog.bundle_file import BundleFile
from eventlog.engines import checks
from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError
from eventlog.file_digest import Progress
from eventlog.journal import FoundAnchor, Subscriber
from eventlog.replay import Replay, catch_up_all
from eventlog.signed_note import PublicKey
from eventlog.vault import Vault


class UnbundleReport(Struct, frozen=True):
    """What a bundle brought: the registry went from *size_before* to *size* entries, and has these *models*' bytes."""

    bundle: str
    journal_id: str
    size_before: int
    size: int
    hash: str
    models: list[str]
    signed_by_trusted: bool
    done: bool


def unbundle(
    path: str,
    target: Replay,
    subscribers: Sequence[Subscriber],
    vault: Vault,
    *,
    trusted: PublicKey | None = None,
    put_note: Callable[[bytes], None] = lambda note: None,
    dry_run: bool = False,
    progress: Progress | None = None,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> UnbundleReport:
    """
    Verify a bundle, and bring a registry what it does not have of it.

    Args:
        target, vault: of the registry that gets it, a fresh fold of a journal of this machine.

        subscribers: whose files remember the history; they are brought up to date afterwards.

        trusted: refuse unless this key, or one that it endorsed, has signed the end of the bundle's history. Without
            it, the keys of this registry's own journal must have, where it has any and the bundle brings something new.

        put_note: stores the signed tree head beside the journal.

        dry_run: only verify and compare.

        progress: called with bytes read and bytes in all.

        point_of_no_return: called when from now on something will have been recorded.

    Raises:
        RefusedError: the bundle is cut off, changed, partial, or of another history; nothing was changed. Or the disk
            does not take it: artifacts may be there that nothing names; ask again.

        EvidenceError: a receipt or signature in it does not hold; nothing was changed.

        JournalDamagedError: this registry is damaged; nothing was changed.

        OutcomeUnknownError: a part of the entries may be recorded; ask again.

        ProjectionLagError: all is recorded; a derived file is behind.
    """
    with closing(BundleFile(path)) as file:
        verified, size_before = _verified(file, target, subscribers, trusted, progress)
        table, newest = file.table, max(target.catalog, verified.replay.catalog, key=attrgetter("size"))
        if not dry_run:
            with vault.in_use():
                _keep_artifacts(verified, vault)
                point_of_no_return()
                is_recorded = _append(verified, target)
            _follow(target, subscribers, verified.note, put_note, is_recorded=is_recorded)
    is_trusted = trusted is not None
    return UnbundleReport(
        file.where, table.journal_id, size_before, newest.size, newest.hash, table.models, is_trusted, not dry_run
    )


def _verified(
    file: BundleFile,
    target: Replay,
    subscribers: Sequence[Subscriber],
    trusted: PublicKey | None,
    progress: Progress | None,
) -> tuple[Verified, int]:
    """Return the bundle, once everything in it and this registry agree; and how many entries this registry has."""
    found = [item for subscriber in subscribers for item in subscriber.anchors()]
    size = target.catch_up().size
    verified = bundle_claims.verify(file, target, trusted, progress)
    _refuse_foreign(verified, target, found)
    return verified, size


def _refuse_foreign(verified: Verified, target: Replay, found: Sequence[FoundAnchor]) -> None:
    """Refuse where another file here remembers what neither this registry nor the bundle has."""
    file, replay = verified.file, verified.replay
    if target.catalog.size >= replay.catalog.size:
        found, replay = anchors.check(target, found), target
    catalog = replay.catalog
    for item in found:
        anchor = item.anchor
        if anchor.journal_id != catalog.journal_id:
            if not catalog.covers(anchor):
                raise RefusedError(
                    f"{item.where}: follows journal {anchor.journal_id}, expected {catalog.journal_id}: "
                    "check --registry-dir and --state-dir"
                )
        elif not catalog.gave_up(anchor) and (got := replay.hash_at(anchor.size)) != anchor.hash:
            what = "forked" if got else "older"
            raise RefusedError(
                f"{file.where}: {what}: expected {anchor.size} entries up to {anchor.hash}, as {item.where} remembers, "
                f"got {got or f'{catalog.size} entries'}: nothing was changed"
            )


def _keep_artifacts(verified: Verified, vault: Vault) -> None:
    """See that the vault has all artifacts, whole and durable."""
    file, missing = verified.file, []
    for member in file.table.artifacts():
        path = objects.path_of(vault.top, member.sha256)
        if objects.is_right(path, member.sha256, member.size_bytes):
            objects.settle(path)
        else:
            missing.append(member)
    if missing:
        with vault.receiving(sum(member.size_bytes for member in missing)) as received:
            for member in missing:
                received.take(member.sha256, file.parts(member))
            file.check_unchanged()
            received.keep(file.where)
    for digest, files in verified.directories.items():
        vault.keep_tree(files, digest)


def _append(verified: Verified, target: Replay) -> bool:
    """Append what is missing, with other writers kept out, and say whether anything was."""
    file, end, is_recorded = verified.file, verified.file.table.end, False
    if target.catch_up().size >= end.size:
        return False
    with target.journal.exclusive():
        size = target.catch_up().size
        bundle_claims.refuse_fork(file, verified.segment, target)
        file.check_unchanged()
        entries = chain.from_iterable(verified.segment.runs(size)) if size < end.size else ()
        try:
            for piece in checks.pieces(entries):
                size = target.journal.append(piece, expected_size=size).size
                is_recorded = True
        except RefusedError as error:
            if not is_recorded:
                raise
            raise OutcomeUnknownError(
                f"{error}: {size} of {end.size} entries are recorded: mend that, then unbundle again"
            ) from error
    return is_recorded


def _follow(
    target: Replay,
    subscribers: Sequence[Subscriber],
    note: bytes | None,
    put_note: Callable[[bytes], None],
    *,
    is_recorded: bool,
) -> None:
    """Bring the tree head and the derived files up to what is recorded; say of those that cannot be that they lag."""
    try:
        target.settle()
        if note is not None:
            put_note(note)
    except (RefusedError, OSError) as error:
        if not is_recorded:
            raise
        failures = [str(error)]
    else:
        failures = catch_up_all(subscribers)
    if failures:
        raise ProjectionLagError(
            f"recorded, but a derived file is behind: {'; '.join(failures)}: mend that, then unbundle again"
        )
