"""The groups in order, and a whole run of them: what `python -m scripts.bench` does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import appends
import as_of
import chart
import cold
import concurrency
import copies
import growth
import hashing
import machine
import msgspec
import replays
import report
import rivals
import venvs
from measure import CannotRunError
from place import Place, Settings
from report import Group, Report

GROUPS: dict[str, Callable[[Place], Group]] = {
    "cold": cold.run,
    "append": appends.run,
    "concurrency": concurrency.run,
    "replay": replays.run,
    "as-of": as_of.run,
    "hashing": hashing.run,
    "copies": copies.run,
    "peers": rivals.run,
    "growth": growth.run,
}


def run(
    directory: Path,
    source: Path,
    *,
    only: Sequence[str] = (),
    interpreter: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
    **settings: Any,
) -> Report:
    """
    Measure, and keep what was found after each group; return it.

    Args:
        directory: where everything is kept; it must lie on the disk that is to be measured.

        source: the checkout whose packages are measured.

        only: the groups; all of them by default.

        interpreter: measure what is installed in this one, instead of in an environment of the run's own.

        settings: see `place.Settings`.
    """
    unknown = sorted(set(only) - set(GROUPS))
    if unknown:
        raise CannotRunError(f"--only: expected some of {', '.join(GROUPS)}, got {', '.join(unknown)}")
    if not chart.can_draw():
        say("there will be no picture without matplotlib: pip install '.[bench]'")
    place = Place(directory, source, Settings(**settings), say, interpreter)
    try:
        found = Report(
            date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            machine=machine.describe(place.root),
            versions={"source": _commit(source), **_versions(place)},
            settings=msgspec.to_builtins(place.settings),
        )
        for name, measure in GROUPS.items():
            if name in only or not only:
                found.groups.append(_group(name, measure, place))
                keep(found, place.root / "results")
    finally:
        place.close()
    return found


def _group(name: str, measure: Callable[[Place], Group], place: Place) -> Group:
    """Run one group; one that cannot run says so and does not stop the others."""
    try:
        return measure(place)
    except CannotRunError as error:
        return Group(name, "cannot run", notes=[str(error)])
    finally:
        place.close_workers()


def keep(found: Report, directory: Path) -> None:
    """Write table, JSON and picture into *directory*."""
    (directory / "bench.json").write_bytes(report.encode(found))
    (directory / "bench.txt").write_text(report.table(found), encoding="utf-8")
    if chart.can_draw():
        chart.draw(found, directory / "bench")


def again(file: Path, directory: Path) -> Report:
    """Write table and picture of an earlier run anew; return it."""
    found = report.load(file)
    keep(found, directory)
    return found


def _versions(place: Place) -> Mapping[str, str]:
    """Return the versions of what is measured, by name; of a peer that cannot run, that it cannot."""
    found: dict[str, str] = {}
    floors, ours = place.floors(), place.ours()
    for worker in (ours, floors):
        found.update({name: str(value) for name, value in worker.call("versions").items()})
    for name in venvs.PEERS if place.settings.peers else ():
        try:
            worker = place.peer(name, str(place.scratch("versions")))
            found.update(worker.call("versions"))
        except CannotRunError as error:
            found[name] = str(error)
    place.close_workers()
    return found


def _commit(source: Path) -> str:
    """Return the commit of a checkout, with a plus where something was changed since; else the hash of its files."""
    words = ["git", "describe", "--always", "--dirty=+", "--abbrev=9"]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False)
    inside = done.returncode == 0 and (source / ".git").exists()
    return done.stdout.strip() if inside else venvs.fingerprint(source)
