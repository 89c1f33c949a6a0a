"""
Backup: a verified copy of the acknowledged history, taken beside running writers; and the way back from it.

A backup is a registry directory that anybody can check without this program: `cd DEST && sha256sum -c SHA256SUMS`. It
holds the journal, a head for just that much, `registry.json`, and what recovery ever took out. Artifacts and the
runtime's own file are not in it.

A restore appends what is missing through the same code as any other append, so a restore that is cut short leaves a
shorter, sound journal, and can be asked for again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import islice

from msgspec import Struct

from eventlog import artifacts, chain, durable
from eventlog.catalog import Catalog
from eventlog.engines import jsonl_head
from eventlog.engines.jsonl import HEAD, JOURNAL, JsonlJournal
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.errors import JournalDamagedError, ProjectionLagError, RefusedError
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, FoundAnchor, Journal, Subscriber
from eventlog.replay import Replay, catch_up_all

SUMS = "SHA256SUMS"
"""The list of a backup's files, as `sha256sum` writes and checks it."""

_SUMS_BYTES_MAX = 64 << 20
_SUM = re.compile(r"([0-9a-f]{64})  ([^/\0\n]+(?:/[^/\0\n]+)?)")


class BackupReport(Struct, frozen=True):
    """What was copied: *size* entries, the last with *hash*, and each file with its SHA-256 (64 hex)."""

    destination: str
    journal_id: str
    size: int
    hash: str
    size_bytes: int
    files: dict[str, str]


class RestoreReport(Struct, frozen=True):
    """What was restored: the registry went from *size_before* to *size* entries, the last with *hash*."""

    source: str
    journal_id: str
    size_before: int
    size: int
    hash: str
    done: bool


def backup(
    replay: Replay,
    registry_dir: str,
    destination: str,
    *,
    derived: Mapping[str, Callable[[Catalog], bytes]] | None = None,
) -> BackupReport:
    """
    Copy what is acknowledged, verified on the way and once more when it is written.

    Args:
        replay: fresh; of the registry in *registry_dir*.

        destination: must not exist, or be an empty directory.

        derived: more files, by name, and what gives their bytes; so that the backup can be read like any registry.

    Raises:
        RefusedError: nothing is left under *destination*.

        JournalDamagedError: the registry is damaged; nothing was copied.
    """
    destination = durable.checked_path(destination, "backup directory")
    with durable.refusing(destination):
        if os.path.lexists(destination) and (not os.path.isdir(destination) or os.listdir(destination)):
            raise RefusedError(f"{destination}: expected a directory that does not exist or is empty, got another")
    replay.catch_up()
    catalog = replay.settle()
    if catalog.journal_id is None:
        raise RefusedError(f"{catalog.where}: expected a journal to copy, got none")
    if any(notice.extent_unknown for notice in replay.journal.notices()):
        raise RefusedError(f"{catalog.where}: nobody knows whether it is whole: run repair --rebuild-head")
    with durable.refusing(destination):
        partial = durable.create_sibling(destination)
        try:
            files = _copy(replay.journal, catalog.size, registry_dir, partial)
            files |= {name: _put(partial, name, render(catalog)) for name, render in (derived or {}).items()}
            _put(partial, SUMS, "".join(f"{digest}  {name}\n" for name, digest in files.items()).encode())
            _check(partial, catalog.size, catalog.hash)
            durable.put_directory(partial, destination)
        except BaseException:
            durable.remove_tree(partial)
            raise
    size_bytes = os.path.getsize(os.path.join(destination, JOURNAL))
    return BackupReport(destination, catalog.journal_id, catalog.size, catalog.hash, size_bytes, files)


def restore(
    source: str,
    target: Replay,
    subscribers: Sequence[Subscriber],
    *,
    dry_run: bool = False,
    point_of_no_return: Callable[[], None] = lambda: None,
) -> RestoreReport:
    """
    Bring a registry up to a backup: an empty one, or one whose history the backup continues.

    Args:
        source: the backup, or any other copy of a registry directory; verified before anything is written.

        target: fresh; of the registry to be restored.

        subscribers: whose anchors say what history the registry had; they are brought up to date afterwards.

        dry_run: only verify and compare.

        point_of_no_return: called when from now on something will have been written.

    Raises:
        RefusedError: the source is foreign, older, forked or unsound; nothing was changed.

        JournalDamagedError: the target is damaged: `repair --from` is for that; nothing was changed.

        OutcomeUnknownError: a part may have been restored; ask again.

        ProjectionLagError: restored; a derived file is behind.
    """
    original = _verified_source(source)
    theirs = original.catalog
    assert theirs.journal_id is not None, "a verified source has a first entry"
    found = [item for subscriber in subscribers for item in subscriber.anchors()]
    try:
        mine = target.catch_up()
    except JournalDamagedError as error:
        raise JournalDamagedError(
            f"{error}: restore only continues a sound journal; for this one, run repair --from {source}",
            position=error.position,
            offset_bytes=error.offset_bytes,
        ) from error
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
    _append(original, target, source)
    if failures := catch_up_all(subscribers):
        raise ProjectionLagError(f"restored, but a derived file is behind: {'; '.join(failures)}: run rebuild")
    return report


def _copy(journal: Journal, size: int, registry_dir: str, partial: str) -> dict[str, str]:
    """Write the files of a backup into the directory *partial*; return their SHA-256, by relative path."""
    digest = sha256()
    newest = Head()

    def entries() -> Iterator[bytes]:
        nonlocal newest
        for entry in journal.read(0, size):
            line = entry + b"\n"
            digest.update(line)
            newest = Head(newest.size + 1, newest.end_bytes + len(line), chain.hash_of(entry))
            yield line

    durable.create_file(os.path.join(partial, JOURNAL), entries())
    sums = {JOURNAL: digest.hexdigest(), HEAD: _put(partial, HEAD, jsonl_head.format_slot(newest) * 2)}
    kept = os.path.join(registry_dir, QUARANTINE)
    for name in sorted(os.listdir(kept)) if os.path.isdir(kept) else ():
        with suppress(FileNotFoundError):  # a pending one is renamed when it is recorded
            data = durable.read_file(os.path.join(kept, name), bytes_max=APPEND_BYTES_MAX)
            durable.create_directory(os.path.join(partial, QUARANTINE))
            sums[f"{QUARANTINE}/{name}"] = _put(partial, f"{QUARANTINE}/{name}", data)
    return sums


def _put(partial: str, name: str, data: bytes) -> str:
    """Write one file of a backup and return its SHA-256."""
    durable.create_file(os.path.join(partial, name), data)
    return sha256(data).hexdigest()


def _check(directory: str, size: int, newest: str) -> None:
    """Read a backup as anybody would, and raise unless it is what was to be copied."""
    copied = _verified_source(directory).catalog
    if (copied.size, copied.hash) != (size, newest):
        raise RefusedError(
            f"{directory}: expected {size} entries up to {newest}, got {copied.size} up to {copied.hash}"
        )


def _verified_source(source: str) -> Replay:
    """Return the folded journal of a source. Raises RefusedError where it is unsound."""
    source = durable.checked_path(source, "backup")
    with durable.refusing(source):
        if not os.path.isdir(source):
            raise RefusedError(f"{source}: expected the directory of a backup, got none")
        _check_sums(source)
    original = Replay(JsonlJournal(source), tell=lambda _notice: None)
    try:
        size = original.catch_up().size
    except JournalDamagedError as error:
        raise RefusedError(f"{source}: damaged, so nothing is taken from it: {error}") from error
    if size == 0 or any(notice.extent_unknown for notice in original.journal.notices()):
        raise RefusedError(f"{source}: expected a whole journal with its head, got none, or no head")
    return original


def _check_sums(source: str) -> None:
    """Compare the files of a backup with its own list; a copy without a list is judged by its chain alone."""
    try:
        listing = durable.read_file(os.path.join(source, SUMS), bytes_max=_SUMS_BYTES_MAX)
    except FileNotFoundError:
        return
    for line in listing.decode("utf-8", "replace").splitlines():
        match = _SUM.fullmatch(line)
        if match is None or ".." in match[2].split("/"):
            raise RefusedError(f"{source}/{SUMS}: expected lines as sha256sum writes them, got {line!r:.200}")
        digest = artifacts.hash_artifact(os.path.join(source, match[2])).sha256
        if digest != match[1]:
            raise RefusedError(f"{source}/{match[2]}: expected sha256 {match[1]} as in {SUMS}, got {digest}")


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
    if _hash_at(original, anchor.size) != anchor.hash:
        raise RefusedError(
            f"{source}: forked: expected hash {anchor.hash} of entry {anchor.size - 1}, as {item.where} remembers, "
            f"got {_hash_at(original, anchor.size)}"
        )


def _check_prefix(source: str, original: Replay, target: Replay) -> None:
    """Refuse where the registry is newer than the source, or went on differently."""
    mine, theirs = target.catalog, original.catalog
    if mine.size > theirs.size:
        raise RefusedError(
            f"{source}: older: expected {mine.size} entries or more, as {mine.where} has, got {theirs.size}: "
            "nothing there that is not here"
        )
    if mine.size and _hash_at(original, mine.size) != mine.hash:
        raise RefusedError(
            f"{source}: forked: expected hash {mine.hash} of entry {mine.size - 1}, as {mine.where} has, "
            f"got {_hash_at(original, mine.size)}"
        )


def _hash_at(replay: Replay, size: int) -> str:
    """Return the hash that the journal had after *size* entries."""
    if size == 0:
        return chain.GENESIS
    (entry,) = replay.journal.read(size - 1, size)
    return chain.hash_of(entry)


def _append(original: Replay, target: Replay, source: str) -> None:
    """Append what is missing, in batches, with other writers kept out."""
    with target.journal.exclusive():
        mine = target.catch_up()
        _check_prefix(source, original, target)
        entries = original.journal.read(mine.size, original.catalog.size)
        size = mine.size
        while batch := list(islice(entries, APPEND_ENTRIES_MAX)):
            for part in _bounded(batch):
                size = target.journal.append(part, expected_size=size).size
    target.catch_up()


def _bounded(entries: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield *entries* in parts that one append may have."""
    part: list[bytes] = []
    total = 0
    for entry in entries:
        if part and total + len(entry) + 1 > APPEND_BYTES_MAX:
            yield part
            part, total = [], 0
        part.append(entry)
        total += len(entry) + 1
    if part:
        yield part
