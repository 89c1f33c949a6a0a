"""
Power cuts of a whole cluster whose nodes have a disk each: what a majority had synced is there, on every node.

At the cut all nodes stop in the middle of whatever they do, then their disks stop writing, and the nodes are gone. So a
sync that was under way acknowledges nothing: each answer that a writer got counts. Writers go on through it all, as
machines do that have another fuse, and the same disks go into the next round, so recovery is cut as well.

Run as a program, in namespaces of its own, it makes its rounds below a directory, over which it mounts a file system in
memory, and prints a report.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))

from apart import EXIT_NOT_AVAILABLE
from faults_harness import Clients, clients, leading, read_afresh
from loop_disk import FILE_SYSTEMS, LoopDisk, NotAvailableError, mount_memory
from nats_cluster import NODES, NatsCluster

from eventlog.engines import open_journal
from eventlog.errors import JournalDamagedError

DISK = "node"
DISK_BYTES = 256 << 20
WRITERS = [f"w{number}" for number in range(4)]
ANSWERS = 40
MOMENT_SECONDS = 0.5
ROUNDS_UNTIL_LOSS_MAX = 3


class Place:
    """A cluster, each node with a disk of its own."""

    def __init__(self, top: Path, sync_interval: str) -> None:
        FILE_SYSTEMS[DISK] = replace(FILE_SYSTEMS["ext4"], size_bytes=DISK_BYTES)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        self.top = top
        self.disks = [LoopDisk(DISK, top / f"image{number}", top / f"disk{number}") for number in range(NODES)]
        (top / "cluster").mkdir()
        self.cluster = NatsCluster(
            top / "cluster", sync_interval=sync_interval, stores=[disk.root / "store" for disk in self.disks]
        )

    def cut(self, *numbers: int) -> None:
        """Cut the power of nodes, all by default, at once; their disks then are as the cut left them."""
        numbers = numbers or tuple(range(NODES))
        for number in numbers:
            self.cluster.pause(number)
        for number in numbers:
            self.disks[number].cut()
        for number in numbers:
            self.cluster.kill(number, go_on=False)
        for number in numbers:
            self.disks[number].revive()


def cut_often(place: Place, rounds: int, seed: int) -> Counter[str]:
    """Make so many rounds of two cuts, and hold what writers were told to the journal."""
    chance = random.Random(seed)
    with clients(place.top / "clients", place.cluster.url("power")) as machines:
        machines.write(*WRITERS[1:])
        machines.write(WRITERS[0], append_seconds=1.0)
        place.cluster.start()
        machines.follow("f0")
        machines.wait_for_answers(ANSWERS)
        for _ in range(rounds):
            time.sleep(MOMENT_SECONDS * chance.random())
            _cut_all(place, machines)
            time.sleep(MOMENT_SECONDS * chance.random())
            _cut_a_majority(place, machines)
        machines.settle()
        verdict = machines.judge()
    kinds = ("power cuts of all nodes", "power cuts of a leader and the only node beside it")
    return verdict.counts() + Counter({f"cluster: {kind}": rounds for kind in kinds})


def _cut_all(place: Place, machines: Clients) -> None:
    """Cut all nodes, start them, and wait until writers are answered."""
    place.cut()
    place.cluster.start()
    machines.wait_for_answers(ANSWERS, after=time.monotonic())


def _cut_a_majority(place: Place, machines: Clients) -> None:
    """
    Let a follower hang, so that two nodes acknowledge; cut both, and go on with the follower and one of them.

    The other had a leader's knowledge, and stays away until writers are answered without it.
    """
    leader = leading(place.cluster, "REGISTRY_power")
    hanging, beside = (number for number in range(NODES) if number != leader)
    place.cluster.pause(hanging)
    machines.wait_for_answers(ANSWERS, after=time.monotonic())
    place.cut(leader, beside)
    place.cluster.resume(hanging)
    place.cluster.start(beside)
    machines.wait_for_answers(ANSWERS, after=time.monotonic())
    place.cluster.start(leader)


def cut_until_loss(place: Place) -> Counter[str]:
    """
    Cut a cluster that syncs every other minute until something acknowledged is lost, and return how much was.

    Each machine that has seen what was lost says so. Afterwards it has what it had.
    """
    tried: Counter[str] = Counter()
    for number in range(ROUNDS_UNTIL_LOSS_MAX):
        place.cluster.start()
        name = f"unsynced{number}"
        with clients(place.top / f"clients{number}", place.cluster.url(name)) as machines:
            machines.write(*WRITERS[:2])
            machines.wait_for_answers(ANSWERS)
            machines.settle()
            place.cut()
            place.cluster.start()
            tried["cluster: power cuts without a sync"] += 1
            lost = _lost(machines)
        place.cluster.stop()
        if lost:
            return tried + Counter({"cluster: acknowledged and lost without a sync": lost})
    return tried


def _lost(machines: Clients) -> int:
    """Return how many acknowledged events are no longer there; the mirrors that have them must notice."""
    entries = read_afresh(machines.journal, machines.top / "afresh")
    ids = {json.loads(entry)["id"] for entry in entries}
    lost = sum(request.id not in ids for request in machines.requests().values() if request.model_id is not None)
    for name in WRITERS[:2]:
        mirror = machines.top / name / "m" / "journal.jsonl"
        had = mirror.read_bytes()
        with closing(open_journal(machines.journal, directory=str(mirror.parent))) as journal:
            try:
                journal.refresh()
                noticed = False
            except JournalDamagedError:
                noticed = True
        assert noticed == (had.count(b"\n") > len(entries)), f"{name}: {noticed}, {had.count(10)} of {len(entries)}"
        assert mirror.read_bytes()[: len(had)] == had, f"{name}: the mirror has forgotten something"
    return lost


def run(top: Path, *, sync_interval: str, rounds: int, seed: int) -> dict[str, int]:
    """Return what was tried; `always` is cut so many *rounds*, anything else until something is lost."""
    memory = top / "memory"
    memory.mkdir(parents=True)
    mount_memory(memory)
    place = Place(memory, sync_interval)
    try:
        return dict(cut_often(place, rounds, seed) if sync_interval == "always" else cut_until_loss(place))
    finally:
        place.cluster.stop()


def main(top: Path, terms: dict[str, Any]) -> int:
    """Print a report."""
    try:
        print(json.dumps(run(top, **terms)))
    except NotAvailableError as error:
        print(error, file=sys.stderr)
        return EXIT_NOT_AVAILABLE
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
