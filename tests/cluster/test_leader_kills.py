"""Leaders are killed under six writers and a follower: nothing acknowledged is lost, and writes go on by themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

from faults_harness import Clients, clients, pause_after
from nats_cluster import NODES, NatsCluster
from support import LONG

WRITERS = 6
IMPATIENT = 2
"""
So many of them get the outcome *unknown* early, and ask again themselves; the others leave that to the engine. What is
refused to them they give up: then it must not have been recorded.
"""

KILLS = 60 if LONG else NODES
CRASHES = 10 if LONG else 1
ANSWERS_BETWEEN = 30
STREAM = "REGISTRY_kills"


def test_killed_leaders(
    own_cluster: NatsCluster,
    tmp_path: Path,
    tally: Callable[[str, int], None],
    record_property: Callable[[str, object], None],
) -> None:
    """
    Each node in turn is killed while it leads, and started again; at last all are; six machines write meanwhile.

    What was acknowledged stands in the journal once and in order, each event displaced the model that was active, what
    was unknown is settled by asking again, and a follower has seen each position once.
    """
    pauses: list[float] = []
    with clients(tmp_path / "clients", own_cluster.url("kills")) as machines:
        _begin(machines)
        for number in range(KILLS):
            pauses.append(_kill_the_leader(own_cluster, machines, random.Random(number).random()))
        for _ in range(CRASHES):
            _kill_all(own_cluster, machines)
        machines.settle()
        verdict = machines.judge()

    for what, count in verdict.counts().items():
        tally(what, count)
    tally("cluster: leaders killed", KILLS)
    tally("cluster: all nodes killed at once", CRASHES)
    print(f"seconds until writes went on: {', '.join(f'{pause:.1f}' for pause in pauses)}")
    record_property("seconds until writes went on", [round(pause, 1) for pause in pauses])


def _begin(machines: Clients) -> None:
    writers = [f"w{number}" for number in range(WRITERS)]
    machines.write(*writers[IMPATIENT:])
    machines.write(*writers[:IMPATIENT], append_seconds=1.0, abandon=True)
    machines.wait_for_answers(WRITERS)
    machines.follow("f0")


def _kill_the_leader(cluster: NatsCluster, machines: Clients, moment_seconds: float) -> float:
    """Kill it, start it again, and return after how many seconds writes went on."""
    leader = cluster.wait_for_leader(STREAM)
    time.sleep(moment_seconds)
    cluster.kill(leader)
    killed = time.monotonic()
    machines.wait_for_answers(ANSWERS_BETWEEN, after=killed)
    pause_seconds = pause_after(machines.answers(), killed)
    cluster.start(leader)
    return pause_seconds


def _kill_all(cluster: NatsCluster, machines: Clients) -> None:
    """Kill all nodes at once, and start them again."""
    cluster.stop()
    killed = time.monotonic()
    cluster.start()
    machines.wait_for_answers(ANSWERS_BETWEEN, after=killed)
