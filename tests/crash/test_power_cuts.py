"""
Real power cuts: on loop-mounted file systems nothing acknowledged is lost, and the registry goes on without help.

Each shard is a process with mounts of its own, which go away with it however it ends. What happens when is up to the
machine; `MODELOG_TEST_SEED`, an integer, changes what is asked and how long is waited.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loop_disk import FILE_SYSTEMS
from power_cuts import EXIT_NOT_AVAILABLE, ROUNDS_OF_A_REGISTRY_MAX
from support import LONG

REPOSITORY = Path(__file__).resolve().parents[2]
SHARDS = 6 if LONG else 1
CUTS = 210 if LONG else 20
CUTS_UNTIL_FOUND_MAX = 500
SECONDS_MAX = 1800
SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
APART = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private")
APART += ("--pid", "--fork", "--kill-child")
FOUND = {
    "journal": ("ext4", "ext4-writeback", "xfs", "ext2"),
    "head": ("ext4", "ext4-writeback", "xfs", "ext2"),
    "derived files": ("ext4-writeback", "xfs", "ext2"),
    "directories": ("ext4", "xfs", "ext2"),
    "runtime's directory": ("ext2",),
    "registry's directory": ("ext2",),
    "quarantine": ("ext2",),
}
"""Which forgotten syncs are noticed where; what is not named, a file system makes good by itself."""

pytestmark = pytest.mark.usefixtures("as_root", "mounts_apart")


def not_available(what: str) -> None:
    """Skip, but never where continuous integration runs."""
    assert not os.environ.get("CI"), f"continuous integration makes real power cuts: {what}"
    pytest.skip(what)


@pytest.fixture(scope="session")
def mounts_apart() -> None:
    """Skip where no process may have mounts of its own."""
    if shutil.which(APART[0]) is None or subprocess.run([*APART, "true"], check=False).returncode != 0:
        not_available("no process may have mounts of its own here")


def run_apart(top: Path, **terms: Any) -> dict[str, Any]:
    """Run `power_cuts` as a process with mounts of its own, and return its report."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "COV_"))}
    done = subprocess.run(
        [*APART, sys.executable, "-B", Path(__file__).with_name("power_cuts.py"), top, json.dumps(terms)],
        cwd=REPOSITORY,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    if done.returncode == EXIT_NOT_AVAILABLE:
        not_available(done.stderr)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("file_system", FILE_SYSTEMS)
def test_power_cuts(file_system: str, shard: int, tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """After each of many cuts in a row all promises hold, and the next cut strikes what follows from the last."""
    report = run_apart(tmp_path / "top", file_system=file_system, cuts=CUTS, seed=f"{SEED} {shard}")

    tried = report["tried"]
    tally(f"power cuts on {file_system}", tried.pop("power cuts"))
    for what, count in tried.items():
        tally(f"power cuts: {what}", count)
    assert report["broken"] == "", f"seed {SEED}: {report['broken']}"
    assert tried["registries"] >= CUTS / ROUNDS_OF_A_REGISTRY_MAX
    assert tried["acknowledged before one, and there after it"] >= CUTS / 3
    assert tried["requests under way, asked again"] >= CUTS / 3
    if LONG:  # in a few cuts these are left to chance
        assert tried["that left a registry without an event"] > 0
        assert tried["that left an unfinished append"] > 0


@pytest.mark.parametrize(("forgotten", "file_system"), [(sync, name) for sync in FOUND for name in FOUND[sync]])
def test_a_forgotten_sync_is_found(
    forgotten: str, file_system: str, tmp_path: Path, tally: Callable[[str, int], None]
) -> None:
    """A registry that leaves out one kind of sync breaks a promise within a few cuts."""
    terms = {"file_system": file_system, "cuts": CUTS_UNTIL_FOUND_MAX, "seed": str(SEED), "forgotten": forgotten}

    report = run_apart(tmp_path / "top", **terms)

    tally("power cuts until a forgotten sync was found", report["tried"]["power cuts"])
    assert report["broken"] != "", f"seed {SEED}: {report['tried']}"
