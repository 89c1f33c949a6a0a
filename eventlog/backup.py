"""
Backup: a verified copy of the acknowledged history, taken beside running writers.

A backup is a registry directory that anybody can check without this program: `cd DEST && sha256sum -c SHA256SUMS`. It
holds the journal, a head for just that much, `registry.json`, and what recovery ever took out. Artifacts and the
runtime's own file are not in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256

from msgspec import Struct

from eventlog import anchors, artifacts, chain, durable, durable_directories
from eventlog.catalog import Catalog
from eventlog.engines import jsonl_head
from eventlog.engines.jsonl import HEAD, JOURNAL, JsonlJournal
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.engines.jsonl_quarantine import is_kept
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.journal import APPEND_BYTES_MAX, Journal, Subscriber
from eventlog.replay import Replay

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


def backup(
    replay: Replay,
    registry_dir: str,
    destination: str,
    *,
    subscribers: Sequence[Subscriber] = (),
    derived: Mapping[str, Callable[[Catalog], bytes]] | None = None,
) -> BackupReport:
    """
    Copy what is acknowledged, verified on the way and once more when it is written.

    Args:
        replay: fresh; of the registry in *registry_dir*.

        destination: must not exist, or be an empty directory.

        subscribers: whose anchors say what history the registry has; those of another journal do not count.

        derived: more files, by name, and what gives their bytes; so that the backup can be read like any registry.

    Raises:
        RefusedError: nothing is left under *destination*.

        JournalDamagedError: the registry is damaged, or was rewound; nothing was copied.
    """
    destination = durable.checked_path(destination, "backup directory")
    with durable.refusing(destination):
        if os.path.lexists(destination) and (not os.path.isdir(destination) or os.listdir(destination)):
            raise RefusedError(f"{destination}: expected a directory that does not exist or is empty, got another")
    found = [item for subscriber in subscribers for item in subscriber.anchors()]
    replay.catch_up()
    anchors.check(replay, found)
    catalog = replay.settle()
    if catalog.journal_id is None:
        raise RefusedError(f"{catalog.where}: expected a journal to copy, got none")
    if any(notice.extent_unknown for notice in replay.journal.notices()):
        raise RefusedError(f"{catalog.where}: nobody knows whether it is whole: run repair --rebuild-head")
    with durable.refusing(destination):
        partial = durable_directories.create_sibling(destination)
        try:
            files = _copy(replay.journal, catalog.size, registry_dir, partial)
            files |= {name: _put(partial, name, render(catalog)) for name, render in (derived or {}).items()}
            _put(partial, SUMS, "".join(f"{digest}  {name}\n" for name, digest in files.items()).encode())
            _check(partial, catalog.size, catalog.hash)
            durable_directories.put_directory(partial, destination)
        except BaseException:
            with suppress(OSError):
                durable_directories.remove_directory(partial)
            raise
    size_bytes = os.path.getsize(os.path.join(destination, JOURNAL))
    return BackupReport(destination, catalog.journal_id, catalog.size, catalog.hash, size_bytes, files)


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
    for name in sorted(filter(is_kept, os.listdir(kept))) if os.path.isdir(kept) else ():
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
    copied = verified_source(directory).catalog
    if (copied.size, copied.hash) != (size, newest):
        raise RefusedError(
            f"{directory}: expected {size} entries up to {newest}, got {copied.size} up to {copied.hash}"
        )


def verified_source(source: str) -> Replay:
    """Return the folded journal of a backup, or of any copy. Raises RefusedError where it is unsound. Reads only."""
    source = durable.checked_path(source, "backup")
    with durable.refusing(source):
        if not os.path.isdir(source):
            raise RefusedError(f"{source}: expected the directory of a backup, got none")
        _check_sums(source)
    original = Replay(JsonlJournal(source), tell=lambda _notice: None, whole=True)
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
    for line in listing.decode("utf-8", "replace").removesuffix("\n").split("\n"):
        match = _SUM.fullmatch(line)
        if match is None or ".." in match[2].split("/"):
            raise RefusedError(f"{source}/{SUMS}: expected lines as sha256sum writes them, got {line!r:.200}")
        digest = artifacts.hash_artifact(os.path.join(source, match[2])).sha256
        if digest != match[1]:
            raise RefusedError(
                f"{source}/{match[2]}: expected sha256 {match[1]} as in {SUMS}, got {digest}: "
                f"take another backup; if this copy was written to since it was made, remove its {SUMS}"
            )
