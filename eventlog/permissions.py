"""Which files and directories of a registry we may not use as every command needs, or others may. Reads only."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress

from eventlog import durable, surroundings
from eventlog.artifact_path import KEPT
from eventlog.engines.jsonl import HEAD, JOURNAL
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.errors import reason_of
from eventlog.objects import ALGORITHM
from eventlog.symptom import Symptom

_KEPT_IN = [os.path.join(KEPT, name) for name in (ALGORITHM, "trees", "incoming")]
_GRANT = "run as its owner, or have its owner grant it"


def symptoms(directories: list[str], registry_dir: str, state_path: str | None) -> Iterator[Symptom]:
    """Look at *directories*, the quarantine, what is kept, the files of the registry, and the runtime checkpoint."""
    others = [os.path.join(registry_dir, name) for name in (QUARANTINE, KEPT, *_KEPT_IN)]
    for directory in [*directories, *filter(os.path.lexists, others)]:
        place = directory if os.path.lexists(directory) else surroundings.existing(directory)
        if (found := _directory(place)) is not None:
            yield found
    files = [os.path.join(registry_dir, name) for name in (JOURNAL, HEAD, "registry.json")]
    for path in [*files, *([] if state_path is None else [state_path])]:
        if os.path.lexists(path) and (found := _file(path)) is not None:
            yield found
    yield from _kept(os.path.join(registry_dir, KEPT, ALGORITHM))


def _kept(top: str) -> Iterator[Symptom]:
    """Look at the files that the registry keeps by their hash: nobody writes to one, and we must be able to read it."""
    writable, unreadable = [], []
    for directory, _, names in os.walk(top):
        for path in (os.path.join(directory, name) for name in names if not name.startswith(".")):
            with suppress(OSError):
                if stat.S_IMODE(os.lstat(path).st_mode) & 0o222:
                    writable.append(path)
                if surroundings.why_not(path, os.R_OK) is not None:
                    unreadable.append(path)
    if unreadable:
        what = f"{min(unreadable)}: expected files that we may read, got {len(unreadable)} that we may not"
        yield Symptom("problem", "permissions", what, _GRANT)
    if writable:
        what = f"{min(writable)}: expected files that nobody writes to, got {len(writable)} that may be written to"
        yield Symptom(
            "risk",
            "permissions",
            what,
            f"find {shlex.quote(top)} -type f -name '[0-9a-f]*' -exec chmod a-w {{}} +",
        )


def _directory(place: str) -> Symptom | None:
    try:
        mode = os.stat(place).st_mode
    except OSError as error:
        what = f"{place}: expected a directory, got: {reason_of(error)}"
        return Symptom("problem", "permissions", what, "mend the link, or the permissions of what is above it")
    if not stat.S_ISDIR(mode):
        return Symptom("problem", "permissions", f"{place}: expected a directory, got a file", "move it away")
    if not _is_read_only(place) and (reason := surroundings.why_not(place, os.R_OK | os.W_OK | os.X_OK)) is not None:
        what = f"{place}: expected a directory that we may write to, got: {reason}"
        return Symptom("problem", "permissions", what, _GRANT)
    return _open_to_all(place) if mode & stat.S_IWOTH and not mode & stat.S_ISVTX else None


def _file(path: str) -> Symptom | None:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        what = f"{path}: expected a regular file, got a symbolic link"
        return Symptom("problem", "permissions", what, "put the file that it leads to in its place")
    if not stat.S_ISREG(mode):
        what = f"{path}: expected a regular file, got {durable.kind_of(mode)}"
        return Symptom("problem", "permissions", what, "move it away")
    if not _is_read_only(path) and (reason := surroundings.why_not(path, os.R_OK | os.W_OK)) is not None:
        what = f"{path}: expected a file that we may read and write, got: {reason}"
        return Symptom("problem", "permissions", what, _GRANT)
    if surroundings.is_append_only(path):
        what = f"{path}: expected a file that can be written anywhere, got one that can only be appended to"
        return Symptom("problem", "permissions", what, f"chattr -a {shlex.quote(path)}")
    return _open_to_all(path) if mode & stat.S_IWOTH else None


def _open_to_all(path: str) -> Symptom:
    return Symptom("risk", "permissions", f"{path}: anybody may write to it", f"chmod o-w {shlex.quote(path)}")


def _is_read_only(path: str) -> bool:
    """Say whether the whole file system is read-only, which is a finding of its own."""
    mount = surroundings.mount_of(path)
    return mount is not None and mount.read_only
