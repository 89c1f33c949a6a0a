"""Which files and directories of a registry we may not use as every command needs, or others may. Reads only."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator

from eventlog import durable, surroundings
from eventlog.engines.jsonl import HEAD, JOURNAL
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.errors import reason_of
from eventlog.symptom import Symptom

_GRANT = "run as its owner, or have its owner grant it"


def symptoms(directories: list[str], registry_dir: str, state_path: str | None) -> Iterator[Symptom]:
    """Look at *directories*, the quarantine, the files of the registry, and the runtime checkpoint."""
    quarantine = os.path.join(registry_dir, QUARANTINE)
    for directory in [*directories, *([quarantine] if os.path.lexists(quarantine) else [])]:
        place = directory if os.path.lexists(directory) else surroundings.existing(directory)
        if (found := _directory(place)) is not None:
            yield found
    files = [os.path.join(registry_dir, name) for name in (JOURNAL, HEAD, "registry.json")]
    for path in [*files, *([] if state_path is None else [state_path])]:
        if os.path.lexists(path) and (found := _file(path)) is not None:
            yield found


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
