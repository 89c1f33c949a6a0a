"""The power of all nodes is cut at once: what was acknowledged is there, because every node syncs before it says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from apart import run_apart
from support import LONG

SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
ROUNDS = 40 if LONG else 1
PROGRAM = Path(__file__).with_name("cluster_power_cuts.py")
TOOLS = ("ip", "mkfs.ext4", "mount", "umount")

pytestmark = pytest.mark.usefixtures("as_root")


def test_power_cuts(tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """
    Each node has a disk of its own, four machines write, one follows, and power is cut: nothing acknowledged is lost.

    First that of all nodes; then that of the two that acknowledged while the third was hanging, and the third goes on
    with one of them.
    With `sync_interval: always` nothing acknowledged is lost, doubled or reordered, whatever was under way is settled
    by asking again, and the cluster goes on without help.
    """
    report = run_apart(PROGRAM, tmp_path / "top", *TOOLS, sync_interval="always", rounds=ROUNDS, seed=SEED)

    for what, count in report.items():
        tally(what, count)
    assert report["cluster: power cuts of all nodes"] == ROUNDS


def test_a_cluster_that_does_not_sync_loses_events(tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """With `sync_interval: 2m` acknowledged events are lost: the cuts bite, and every mirror that had them says so."""
    report = run_apart(PROGRAM, tmp_path / "top", *TOOLS, sync_interval="2m", rounds=0, seed=SEED)

    for what, count in report.items():
        tally(what, count)
    assert report.get("cluster: acknowledged and lost without a sync", 0) > 0, report
