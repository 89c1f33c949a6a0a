"""Partitions, each node and client on a machine of its own: without a majority nothing is acknowledged, or lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from apart import run_apart
from support import LONG

ROUNDS = 8 if LONG else 1
COMMAND_SECONDS = 20.0 if LONG else 6.0


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("eager", [True, False] if LONG else [True], ids=lambda eager: "eager" if eager else "default")
def test_partitions(
    eager: bool, tmp_path: Path, tally: Callable[[str, int], None], record_property: Callable[[str, object], None]
) -> None:
    """
    The leader is cut off with some clients, then all from one another, then a follower; each time it is healed again.

    Nobody is answered without a majority, a command there ends with status 4, and asking again with the same id
    settles it. The others go on. All of them have the same history in the end, with each event once.
    """
    rounds = ROUNDS if eager else (ROUNDS + 1) // 2
    terms = {"rounds": rounds, "eager": eager, "command_seconds": COMMAND_SECONDS}

    report = run_apart(Path(__file__).with_name("partitions.py"), tmp_path / "top", "ip", **terms)

    for what, count in report["tried"].items():
        tally(f"cluster: {what.removeprefix('cluster: ')}", count)
    print(f"seconds until writes went on beside a leader cut off: {report['pauses']}")
    record_property("seconds until writes went on beside a leader cut off", report["pauses"])
    assert report["tried"]["commands of unknown outcome, given again"] == rounds
