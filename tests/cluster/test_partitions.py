"""Partitions, each node and client on a machine of its own: a side without a majority acknowledges nothing, and catches up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apart import run_apart
from support import LONG

ROUNDS = 12 if LONG else 1


@pytest.mark.usefixtures("as_root")
def test_partitions(
    tmp_path: Path, tally: Callable[[str, int], None], record_property: Callable[[str, object], None]
) -> None:
    """
    The leader is cut off with some clients, then a follower, then all from one another; each time it is healed again.

    Nobody is answered without a majority, a command there ends with status 4, and asking again with the same id
    settles it. The others go on. All of them have the same history in the end, with each event once.
    """
    report = run_apart(Path(__file__).with_name("partitions.py"), tmp_path / "top", "ip", rounds=ROUNDS)

    for what, count in report["tried"].items():
        tally(f"cluster: {what.removeprefix('cluster: ')}", count)
    print(f"seconds until writes went on beside a leader cut off: {report['pauses']}")
    record_property("seconds until writes went on beside a leader cut off", report["pauses"])
    assert report["tried"]["commands of unknown outcome, given again"] == ROUNDS
