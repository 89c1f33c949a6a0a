"""
Everything that a person should know of a registry at once, each with its remedy. Reads only; guesses nothing.

A finding is a *problem* (a command refuses, or would show or lose something), or a *risk* (all is well as long as
nothing happens). An examination without findings is clean.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from eventlog import durable, locking, surroundings
from eventlog.engines.jsonl import HEAD, JOURNAL, JsonlJournal
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.errors import ModelogError
from eventlog.replay import Replay
from eventlog.verify import Report

FREE_BYTES_MIN = 64 << 20
FREE_NAMES_MIN = 64
LOCK_HELD_SECONDS_MAX = 1.0
PYTHON_MIN = (3, 11)
SETTING_START = "MODELOG_"
_NEXT_STEP = re.compile(r": ((?:run|check|restore|upgrade|try|move|the next publish) [^:]*)$")


class Symptom(Struct, frozen=True):
    """
    One finding.

    Attributes:
        kind: see the module.

        about: what was looked at, one word or two: `clock`, `free space`.

        what: what was found, with the path, what was expected and what was got.

        remedy: what to do.
    """

    kind: Literal["problem", "risk"]
    about: str
    what: str
    remedy: str


class Examination(Struct, frozen=True):
    """
    What was looked at and what was found.

    Attributes:
        looked_at: every check that was made, also those that found nothing.

        symptoms: what was found.

        verification: the audit of the history.
    """

    looked_at: list[str]
    symptoms: list[Symptom]
    verification: Report

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.symptoms


def examine(
    registry_dir: str,
    state_path: str | None,
    verification: Report,
    *,
    packages: Collection[str] = (),
    settings: Collection[str] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Examination:
    """
    Look at everything around a registry.

    Args:
        registry_dir, state_path: the registry's directory, and the runtime checkpoint's path or None.

        verification: what `eventlog.verify` said.

        packages: import names of ours and of what we need, to see whether something else hides them.

        settings: the environment variables that mean something; none are looked at where this is empty.

        now: the clock; aware UTC times.
    """
    directories = [registry_dir] if state_path is None else [registry_dir, os.path.dirname(state_path)]
    checks: dict[str, Iterator[Symptom]] = {
        "history": _history(verification),
        "permissions": _permissions(directories, registry_dir, state_path),
        "file system": _file_systems(directories),
        "free space": _free_space(directories),
        "clock": _clock(registry_dir, now()),
        "lock": _lock(registry_dir),
        "leftovers": _leftovers(directories, registry_dir),
        "packages": _packages(packages),
        "environment": _environment(settings),
    }
    return Examination(list(checks), [symptom for found in checks.values() for symptom in found], verification)


def _history(report: Report) -> Iterator[Symptom]:
    """What the audit found; a message of ours ends in its next step."""
    for finding in report.findings:
        kind: Literal["problem", "risk"] = "risk" if finding.kind == "notice" else "problem"
        about = "derived files" if finding.kind == "derived" else "history"
        step = _NEXT_STEP.search(finding.what)
        remedy = step[1] if step else "nothing: it does no harm" if kind == "risk" else "run verify"
        yield Symptom(kind, about, finding.what[: step.start()] if step else finding.what, remedy)


def _permissions(directories: list[str], registry_dir: str, state_path: str | None) -> Iterator[Symptom]:
    for directory in directories:
        place = directory if os.path.lexists(directory) else surroundings.existing(directory)
        if (reason := surroundings.why_not(place, os.R_OK | os.W_OK | os.X_OK)) is not None:
            yield Symptom(
                "problem",
                "permissions",
                f"{place}: expected a directory that we may write to, got: {reason}",
                "run as its owner, or have its owner grant it",
            )
        elif not os.path.isdir(place):
            yield Symptom("problem", "permissions", f"{place}: expected a directory, got a file", "move it away")
        elif os.stat(place).st_mode & stat.S_IWOTH and not os.stat(place).st_mode & stat.S_ISVTX:
            yield Symptom("risk", "permissions", f"{place}: anybody may write to it", f"chmod o-w {place}")
    files = [os.path.join(registry_dir, name) for name in (JOURNAL, HEAD, "registry.json")]
    for path in [*files, *([] if state_path is None else [state_path])]:
        if not os.path.lexists(path):
            continue
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            got = durable.kind_of(mode)
            yield Symptom("problem", "permissions", f"{path}: expected a regular file, got {got}", "move it away")
        elif (reason := surroundings.why_not(path, os.R_OK | os.W_OK)) is not None:
            what = f"{path}: expected a file that we may read and write, got: {reason}"
            yield Symptom("problem", "permissions", what, "run as its owner, or have its owner grant it")
        elif mode & stat.S_IWOTH:
            yield Symptom("risk", "permissions", f"{path}: anybody may write to it", f"chmod o-w {path}")


def _file_systems(directories: list[str]) -> Iterator[Symptom]:
    for directory in directories:
        mount = surroundings.mount_of(directory)
        if mount is None:
            continue
        where = f"{directory}: on {mount.where}, {mount.type}"
        if mount.type in surroundings.NETWORK_FILE_SYSTEMS:
            what = f"{where}: locks and syncs of a network file system depend on its server"
            yield Symptom("risk", "file system", what, "keep the registry on a local disk")
        if mount.type in surroundings.VOLATILE_FILE_SYSTEMS:
            what = f"{where}: it is memory, and does not survive a power cut"
            yield Symptom("risk", "file system", what, "keep the registry on a disk")
        if mount.read_only:
            what = f"{where}: expected a file system that can be written to, got a read-only one"
            yield Symptom("problem", "file system", what, "mount it for writing; reading works as it is")


def _free_space(directories: list[str]) -> Iterator[Symptom]:
    for directory in directories:
        free, names = surroundings.free_bytes(directory), surroundings.free_names(directory)
        if free is not None and free < FREE_BYTES_MIN:
            what = f"{directory}: expected {FREE_BYTES_MIN >> 20} MiB of free space, got {free / (1 << 20):.1f}"
            yield Symptom("risk" if free else "problem", "free space", what, "free some; reading works meanwhile")
        if names is not None and names < FREE_NAMES_MIN:
            what = f"{directory}: expected room for {FREE_NAMES_MIN} more files, got {names}"
            yield Symptom("risk" if names else "problem", "free space", what, "remove files there")


def _clock(registry_dir: str, now: datetime) -> Iterator[Symptom]:
    """Compare our clock with the history's and with the file's."""
    replay = Replay(JsonlJournal(registry_dir), tell=lambda _notice: None)
    try:
        latest = replay.catch_up().latest_time
    except ModelogError:
        latest = replay.catalog.latest_time
    remedy = "set the clock; order is the position, whatever the time says"
    if latest is not None and now < latest:
        yield Symptom("risk", "clock", f"expected a time after the latest event, {latest}, got {now}", remedy)
    try:
        changed = os.lstat(os.path.join(registry_dir, JOURNAL)).st_mtime
    except OSError:
        return
    if changed > now.timestamp() + 1:
        written = datetime.fromtimestamp(changed, UTC)
        yield Symptom("risk", "clock", f"{JOURNAL} was written at {written}, which is after now, {now}", remedy)


def _lock(registry_dir: str) -> Iterator[Symptom]:
    """A lock is held for milliseconds; somebody who keeps it is stuck, or stopped."""
    deadline = time.monotonic() + LOCK_HELD_SECONDS_MAX
    path = os.path.join(registry_dir, JOURNAL)
    try:
        descriptor = durable.open_regular(path, os.O_RDONLY)
    except (OSError, ModelogError):
        return
    try:
        while (holder := locking.holder_of(descriptor)) is not None:
            if time.monotonic() >= deadline:
                command = surroundings.command_of(holder.removeprefix("process "))
                what = f"{path}: locked by {holder} ({command}) for more than {LOCK_HELD_SECONDS_MAX:g} s"
                yield Symptom("problem", "lock", what, "wait for it to end, or end it; the lock goes with it")
                return
            time.sleep(0.02)
    finally:
        os.close(descriptor)


def _leftovers(directories: list[str], registry_dir: str) -> Iterator[Symptom]:
    """What an interrupted command left; harmless, and dealt with by the next one."""
    quarantine = os.path.join(registry_dir, QUARANTINE)
    for directory, start, end in [*((item, ".", ".new") for item in directories), (quarantine, "", ".pending")]:
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            if name.startswith(start) and name.endswith(end):
                what = f"{os.path.join(directory, name)}: an interrupted command left it"
                yield Symptom("risk", "leftovers", what, "nothing: the next publish or rollback deals with it")


def _packages(packages: Collection[str]) -> Iterator[Symptom]:
    """A module of ours, or one that we need, that another one of the same name would hide."""
    if sys.version_info < PYTHON_MIN:
        yield Symptom("problem", "packages", f"expected Python 3.11 or newer, got {sys.version}", "use a newer one")
    for package in packages:
        loaded = sys.modules.get(package)
        places = list(getattr(loaded, "__path__", ())) or [getattr(loaded, "__file__", None) or ""]
        origin = surroundings.origin_of(package)
        if loaded is None or origin is None:
            continue
        if not any(origin == place or os.path.dirname(origin) == place for place in map(os.path.abspath, places)):
            what = f"import {package}: expected {places[0]}, got {origin}, which hides it"
            yield Symptom("problem", "packages", what, "rename it, or start Python in another directory")


def _environment(settings: Collection[str]) -> Iterator[Symptom]:
    for name in sorted(os.environ) if settings else ():
        if name.startswith(SETTING_START) and name not in settings:
            yield Symptom("risk", "environment", f"{name}: no such setting", "see --help for the names, or unset it")
