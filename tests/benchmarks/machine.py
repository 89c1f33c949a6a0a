"""What a number was measured on: without it no number can be read. The machine's name and paths are left out."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe(directory: Path) -> dict[str, str]:
    """Return processor, cores, memory, kernel, and the file system that *directory* lies on."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "file_system": file_system(directory),
    }


def file_system(directory: Path) -> str:
    """Return the type of the file system that a directory lies on, e.g. `ext4`."""
    found = ("", "unknown")
    for line in Path("/proc/mounts").read_text("utf-8", "replace").splitlines():
        _, mounted, kind, *_ = line.split()
        mounted = mounted.replace("\\040", " ")
        if len(mounted) >= len(found[0]) and (mounted == "/" or directory.resolve().is_relative_to(mounted)):
            found = (mounted, kind)
    return found[1]


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
