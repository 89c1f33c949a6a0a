"""What can be learned of a machine around a registry: its mounts, free space, clock and packages. Reads only."""

from __future__ import annotations

import fcntl
import os
import sys
from importlib.machinery import PathFinder
from typing import NamedTuple

from eventlog.errors import reason_of

NETWORK_FILE_SYSTEMS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "beegfs",
        "davfs",
        "virtiofs",
        "vboxsf",
        "prl_fs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.ceph-fuse",
        "fuse.davfs",
        "fuse.davfs2",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.gcsfuse",
        "fuse.vmhgfs-fuse",
    ]
)
VOLATILE_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_MOUNTS = "/proc/self/mountinfo"
_GET_FLAGS, _APPEND_ONLY = 0x80086601, 0x20  # FS_IOC_GETFLAGS and FS_APPEND_FL of linux/fs.h


class Mount(NamedTuple):
    """A mounted file system: where, of which type, and whether it may be written to."""

    where: str
    type: str
    read_only: bool


def existing(path: str) -> str:
    """Return *path*, or the nearest directory above it that exists."""
    path = os.path.realpath(path)
    while not os.path.lexists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def mount_of(path: str, *, table: str = _MOUNTS) -> Mount | None:
    """Return the mount that holds *path* (the last one, where several cover it); None where that cannot be known."""
    path = existing(path)
    found: Mount | None = None
    try:
        with open(table, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                fields, _, rest = line.partition(" - ")
                parts = fields.split(" ")
                where = _unescaped(parts[4])
                if os.path.commonpath([where, path]) == where and (found is None or len(where) >= len(found.where)):
                    options = [*parts[5].split(","), *rest.split(" ")[-1].strip().split(",")]
                    found = Mount(where, rest.split(" ")[0], "ro" in options)
    except (OSError, IndexError, ValueError):
        return None
    return found


def free_bytes(path: str) -> int | None:
    """Return how many bytes we may still write where *path* is; None where that cannot be known."""
    try:
        found = os.statvfs(existing(path))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def free_names(path: str) -> int | None:
    """Return how many more files there may be where *path* is; None where there is no such limit."""
    try:
        found = os.statvfs(existing(path))
    except OSError:
        return None
    return found.f_favail if found.f_files else None


def command_of(process: str) -> str:
    """Return the command line of a process, for messages; empty where it is not ours to see."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as line:
            return line.read(4096).replace(b"\0", b" ").decode("utf-8", "backslashreplace").strip()
    except OSError:
        return ""


def origin_of(package: str, path: list[str] | None = None) -> str | None:
    """Return where `import package` would take it from, looking through *path* (`sys.path`); None where nowhere."""
    try:
        spec = PathFinder.find_spec(package, sys.path if path is None else path)
    except (ImportError, OSError, ValueError):
        return None
    if spec is None:
        return None
    if spec.origin is not None:
        return spec.origin
    return next(iter(spec.submodule_search_locations or ()), None)


def why_not(path: str, mode: int) -> str | None:
    """Say why we may not use *path* in a way of `os.access`; None where we may."""
    try:
        os.stat(path)
    except OSError as error:
        return reason_of(error)
    return None if os.access(path, mode, effective_ids=True) else "permission denied"


def is_append_only(path: str) -> bool:
    """Say whether a file has the attribute `a` of chattr(1), which lets nobody cut or write inside it. Linux."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        flags = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return bool(int.from_bytes(flags, sys.byteorder) & _APPEND_ONLY)


def _unescaped(name: str) -> str:
    """Undo the octal escapes of the mount table."""
    for escape in ("\\040", "\\011", "\\012", "\\134"):
        name = name.replace(escape, chr(int(escape[1:], 8)))
    return name
