"""
Everything that a person should know of a registry at once, each with its remedy. Reads only; guesses nothing.

A finding is a *problem* (a command refuses, or would show or lose something), or a *risk* (all is well as long as
nothing happens). An examination without findings is clean.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import starmap
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from eventlog import locking, permissions, surroundings
from eventlog.engines.jsonl import JOURNAL, JsonlJournal
from eventlog.engines.jsonl_quarantine import DIRECTORY as QUARANTINE
from eventlog.errors import MEND_LINES, ModelogError
from eventlog.replay import Replay
from eventlog.symptom import Symptom
from eventlog.verify import Report

if TYPE_CHECKING:
    from eventlog.engines.jetstream_doctor import Look

FREE_BYTES_MIN = 64 << 20
FREE_NAMES_MIN = 64
STEADY_SECONDS = 1.0
"""A lock that is held, or a temporary file that stays, for so long, is nobody's who is at work."""

PYTHON_MIN = (3, 11)
SETTING_START = "MODELOG_"
_NEXT_STEP = re.compile(r": ((?:run|check|restore|upgrade|try|move|if|the next publish) [^:]*)$")


_NEXT_PUBLISH = "nothing: the next publish or rollback deals with it"
_TEMPORARY = {
    ".registry.json.new": _NEXT_PUBLISH,
    ".state.json.new": _NEXT_PUBLISH,
    ".journal.jsonl.new": "ask for the same repair again, or remove it: it never came into use",
    ".journal.head.new": "ask for the same repair again, or remove it: it never came into use",
    ".journal.mirror.new": "remove it: it never came into use",
    ".tree_head.note.new": "remove it: it never came into use",
}
_PENDING = ".pending"
_REMEDIES = {
    "damage": MEND_LINES,
    "unreadable": "make it readable, or run as somebody who may read it",
    "artifact": "put the published file back",
    "derived": "run rebuild",
    "notice": "nothing: it does no harm",
}


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
    cluster: Look | None = None,
    packages: Collection[str] = (),
    settings: Collection[str] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Examination:
    """
    Look at everything around a registry.

    Args:
        registry_dir, state_path: the registry's directory, and the runtime checkpoint's path or None.

        verification: what `eventlog.verify` said.

        cluster: a look at the cluster that the journal is on, from before the verification.

        packages: import names of ours and of what we need, to see whether something else hides them.

        settings: the environment variables that mean something; none are looked at where this is empty.

        now: the clock; aware UTC times.
    """
    directories = [registry_dir] if state_path is None else [registry_dir, os.path.dirname(state_path)]
    checks: dict[str, Iterator[Symptom]] = {
        "history": _history(verification),
        "permissions": permissions.symptoms(directories, registry_dir, state_path),
        "file system": _file_systems(directories),
        "free space": _free_space(directories),
        "clock": _clock(registry_dir, now),
        "lock": _lock([os.path.join(registry_dir, JOURNAL), *directories]),
        "leftovers": _leftovers(directories, registry_dir),
        "packages": _packages(packages),
        "environment": _environment(settings),
    }
    if cluster is not None:
        found_there = cluster.checks(verification.size, verification.hash)
        checks |= {name: starmap(Symptom, rows) for name, rows in found_there.items()}
    return Examination(list(checks), [symptom for found in checks.values() for symptom in found], verification)


def _history(report: Report) -> Iterator[Symptom]:
    """What the audit found; a message of ours ends in its next step."""
    for finding in report.findings:
        kind: Literal["problem", "risk"] = "risk" if finding.kind == "notice" else "problem"
        about = "derived files" if finding.kind == "derived" else "history"
        step = _NEXT_STEP.search(finding.what)
        remedy = (step[1] if step else _REMEDIES[finding.kind]).replace("run doctor", "do what is said of the nodes")
        yield Symptom(kind, about, finding.what[: step.start()] if step else finding.what, remedy)


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


def _clock(registry_dir: str, clock: Callable[[], datetime]) -> Iterator[Symptom]:
    """Compare our clock with the history's and with the file's."""
    replay = Replay(JsonlJournal(registry_dir), tell=lambda _notice: None, whole=True)
    try:
        latest = replay.catch_up().latest_time
    except ModelogError:
        latest = replay.catalog.latest_time
    remedy = "set the clock, if it is this one that is wrong; order is the position, whatever the time says"
    now = clock()
    if latest is not None and now < latest:
        yield Symptom("risk", "clock", f"expected a time after the latest event, {latest}, got {now}", remedy)
    try:
        changed = os.lstat(os.path.join(registry_dir, JOURNAL)).st_mtime
    except OSError:
        return
    now = clock()
    if changed > now.timestamp() + 1:
        written = datetime.fromtimestamp(changed, UTC)
        yield Symptom("risk", "clock", f"{JOURNAL} was written at {written}, which is after now, {now}", remedy)


def _lock(paths: list[str]) -> Iterator[Symptom]:
    """A lock is held for milliseconds; somebody who keeps it is stuck, or stopped."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        deadline = time.monotonic() + STEADY_SECONDS
        try:
            while (holder := locking.holder_of(descriptor)) is not None and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            os.close(descriptor)
        if holder is not None:
            command = surroundings.command_of(holder.removeprefix("process "))
            what = f"{path}: locked by {holder} ({command}) for more than {STEADY_SECONDS:g} s"
            yield Symptom("problem", "lock", what, "wait for it to end, or end it; the lock goes with it")


def _leftovers(directories: list[str], registry_dir: str) -> Iterator[Symptom]:
    """What an interrupted command of ours left; a file that is just being written does not stay what it is."""
    quarantine = os.path.join(registry_dir, QUARANTINE)
    places = [os.path.join(directory, name) for directory in directories for name in _TEMPORARY]
    with suppress(OSError):
        places += [os.path.join(quarantine, name) for name in sorted(os.listdir(quarantine)) if name.endswith(_PENDING)]
    first = {path: _identity(path) for path in places if os.path.lexists(path)}
    time.sleep(STEADY_SECONDS if first else 0)
    for path, identity in first.items():
        if identity is not None and identity == _identity(path):
            remedy = _TEMPORARY.get(os.path.basename(path), _NEXT_PUBLISH)
            yield Symptom("risk", "leftovers", f"{path}: an interrupted command left it", remedy)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_ctime_ns


def _packages(packages: Collection[str]) -> Iterator[Symptom]:
    """A module of ours, or one that we need, that another one of the same name would hide."""
    if sys.version_info < PYTHON_MIN:
        yield Symptom("problem", "packages", f"expected Python 3.11 or newer, got {sys.version}", "use a newer one")
    for package in packages:
        loaded = sys.modules.get(package)
        yield from _hidden_modules(package, list(getattr(loaded, "__path__", ())))
        places = list(getattr(loaded, "__path__", ())) or [getattr(loaded, "__file__", None) or ""]
        origin = surroundings.origin_of(package)
        if loaded is None or origin is None:
            continue
        if not any(origin == place or os.path.dirname(origin) == place for place in map(os.path.abspath, places)):
            what = f"import {package}: expected {places[0]}, got {origin}, which hides it"
            yield Symptom("problem", "packages", what, "rename it, or start Python in another directory")


def _hidden_modules(package: str, portions: list[str]) -> Iterator[Symptom]:
    """Modules of a package of ours without `__init__.py`, which another directory of that name would hide (PEP 420)."""
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), package)
    for directory, _, names in os.walk(ours) if ours in portions and len(portions) > 1 else ():
        for name in sorted(names):
            relative = os.path.relpath(os.path.join(directory, name), ours)
            origin = next(place for place in portions if os.path.exists(os.path.join(place, relative)))
            if name.endswith(".py") and origin != ours:
                what = f"{package}/{relative}: expected the one in {ours}, got the one in {origin}, which hides it"
                yield Symptom("problem", "packages", what, "rename it, or start Python in another directory")


def _environment(settings: Collection[str]) -> Iterator[Symptom]:
    for name in sorted(os.environ) if settings else ():
        if name.startswith(SETTING_START) and name not in settings:
            yield Symptom("risk", "environment", f"{name}: no such setting", "see --help for the names, or unset it")
