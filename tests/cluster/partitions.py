"""
Partitions of a cluster whose nodes and clients are machines of their own: one history comes of it, on whichever side.

Run as a program, in namespaces of its own, it prints a report.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))

from cluster_client import ARTIFACT
from faults_harness import QUIET_SECONDS, REPOSITORY, Clients, clients, leading, pause_after, read_afresh
from history_of_appends import UNKNOWN, Request
from loop_disk import mount_memory
from namespaces import Network
from nats_cluster import NODES, NatsCluster, wait_for

WAITING = Path(__file__).with_name("waiting_command.py")
NAMES = [f"node{number}" for number in range(NODES)]
HERE, THERE = "here", "there"
"""The machines of the clients: with whatever is cut off, and with the rest."""

WRITERS_HERE, WRITERS_THERE = (f"{HERE}0", f"{HERE}1"), (f"{THERE}0", f"{THERE}1")
"""The second of each is told early that an outcome is unknown, and asks again itself; what is refused it gives up."""

IMPATIENT_SECONDS = 3.0
ANSWERS = 20
EAGER = 'ping_interval: "1s", ping_max: 2, write_deadline: "2s"'
COMMAND_SECONDS_MAX = 60.0
STREAM = "REGISTRY_split"


class Partitions:
    """
    Cuts, one after the other.

    Args:
        top: where all is kept.

        network: its machines have the names above.

        cluster: its nodes run on them.

    Attributes:
        tried: how many of what.

        pauses: after how many seconds the majority's clients were answered again, for each leader that was cut off.
    """

    def __init__(self, top: Path, network: Network, cluster: NatsCluster) -> None:
        self.tried: Counter[str] = Counter()
        self.pauses: list[float] = []
        self._network = network
        self._cluster = cluster
        self._top = top

    def run(self, rounds: int, command_seconds: float) -> None:
        """Make so many rounds of each kind of cut, and hold what everybody saw to the journal; see `run`."""
        with clients(self._top / "clients", self._cluster.url("split")) as machines:
            for place, (patient, impatient) in ((HERE, WRITERS_HERE), (THERE, WRITERS_THERE)):
                machines.write(patient, prefix=self._network.on(place))
                machines.write(
                    impatient, prefix=self._network.on(place), append_seconds=IMPATIENT_SECONDS, abandon=True
                )
            machines.wait_for_answers(ANSWERS)
            for place in (HERE, THERE):
                machines.follow(f"{place}-follower", prefix=self._network.on(place))
            for _ in range(rounds):
                self._cut_off_the_leader(machines, command_seconds)
                self._cut_all(machines)
                if rounds > 1:
                    self._cut_off_a_follower(machines)
            machines.settle()
            self.tried.update(machines.judge().counts())

    def _cut_off_the_leader(self, machines: Clients, command_seconds: float) -> None:
        """
        Leave the leader alone with clients: nobody there is answered, a command ends with the status of *unknown*.

        The other two nodes elect a leader, and their clients go on. After that the command is given again.
        """
        leader, id = leading(self._cluster, STREAM), f"command-{self.tried['leaders cut off']}"
        go, words = self._top / f"{id}.go", [*self._command(leader), id]
        with self._waiting_command(go, command_seconds, words) as command:
            with machines.pausing():  # else the leader may still be busy with the request of another one
                read_afresh(machines.journal, self._top / "command" / "m")  # no other node need be asked
                cut = self._cut_off(leader)
                machines.known[id] = request = Request(id, time.monotonic())
                go.touch()
                time.sleep(QUIET_SECONDS)
            machines.wait_for_answers(ANSWERS, *WRITERS_THERE, after=cut)
            machines.wait_for_tries(1, WRITERS_HERE[1], after=cut)
            said = command.communicate(timeout=COMMAND_SECONDS_MAX)[1]
        request.tries.append((UNKNOWN, time.monotonic()))
        assert command.returncode == 4, f"expected the status of an unknown outcome, got {command.returncode}: {said}"
        nobody_was_answered(machines, cut, *WRITERS_HERE)
        self.pauses.append(round(pause_after(machines.answers(*WRITERS_THERE), cut), 1))
        self._heal(machines, "leaders cut off")
        program = [*self._network.on(HERE), sys.executable, "-m", "scripts.manage_models"]
        again = subprocess.run([*program, *words], cwd=REPOSITORY, check=False, capture_output=True)
        assert again.returncode == 0, again.stderr
        request.acknowledged, request.model_id = time.monotonic(), json.loads(again.stdout)["model_id"]
        self.tried["commands of unknown outcome, given again"] += 1

    def _cut_off_a_follower(self, machines: Clients) -> None:
        """Leave another node alone with clients: the leader stays, the others go on, and nobody there is answered."""
        leader = leading(self._cluster, STREAM)
        cut = self._cut_off((leader + 1) % NODES)
        machines.wait_for_answers(ANSWERS, *WRITERS_THERE, after=cut)
        machines.wait_for_tries(1, WRITERS_HERE[1], after=cut)
        nobody_was_answered(machines, cut, *WRITERS_HERE)
        self._heal(machines, "followers cut off")

    def _cut_all(self, machines: Clients) -> None:
        """Leave each node alone: nobody is answered anywhere."""
        first, second, third = NAMES
        self._network.split([first, THERE], [second, HERE], [third])
        cut = time.monotonic()
        for impatient in (WRITERS_HERE[1], WRITERS_THERE[1]):
            machines.wait_for_tries(1, impatient, after=cut)
        nobody_was_answered(machines, cut, *WRITERS_HERE, *WRITERS_THERE)
        self._heal(machines, "times that each node was alone")

    def _cut_off(self, number: int) -> float:
        """Cut off a node and the clients that are here; return when that was done."""
        alone = NAMES[number]
        self._network.split([*(name for name in NAMES if name != alone), THERE], [alone, HERE])
        return time.monotonic()

    def _heal(self, machines: Clients, kind: str) -> None:
        """Join all again, and wait until everybody is answered."""
        self._network.heal()
        healed = time.monotonic()
        for name in (*WRITERS_HERE, *WRITERS_THERE):
            machines.wait_for_answers(1, name, after=healed)
        wait_for("all nodes are healthy", lambda: all(self._cluster.is_healthy(number) for number in range(NODES)))
        self.tried[kind] += 1

    def _command(self, number: int) -> list[str]:
        """Return the words of a command that publishes through one node; an id is missing behind them."""
        top, journal = self._top / "command", f"nats://{self._cluster.hosts.split(',')[number]}/split"
        where = ["--registry-dir", str(top / "m"), "--state-dir", str(top / "s"), "--journal", journal]
        return ["publish", *where, "--artifact", str(self._top / "clients" / ARTIFACT), "--backend", "b", "--id"]

    @contextmanager
    def _waiting_command(self, go: Path, seconds: float, words: list[str]) -> Iterator[subprocess.Popen[str]]:
        """Give a process here that begins a command when there is a file *go*, and tries to append for so long."""
        process = subprocess.Popen(
            [*self._network.on(HERE), sys.executable, str(WAITING), str(go), str(seconds), *words],
            cwd=REPOSITORY,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            wait_for(f"{words[0]} waits", Path(f"{go}.ready").exists)
            yield process
        finally:
            process.kill()
            process.communicate()


def nobody_was_answered(machines: Clients, cut: float, *names: str) -> None:
    """Hold that of what was asked for after the cut nothing is acknowledged; earlier answers were on their way."""
    asked = [request for request in machines.requests(*names).values() if request.asked > cut]
    answered = [request.id for request in asked if request.model_id is not None]
    assert answered == [], f"acknowledged without a majority: {answered}"


def run(top: Path, *, rounds: int, eager: bool, command_seconds: float) -> dict[str, Any]:
    """
    Return a report of so many rounds.

    Args:
        eager: whether nodes find out within seconds that a connection is dead; else it takes them about as long again
            as the cut took.

        command_seconds: how long the command on the minority's side tries to append.
    """
    mount_memory(Path("/run"))
    network = Network([*NAMES, HERE, THERE])
    (top / "cluster").mkdir(parents=True)
    cluster = NatsCluster(
        top / "cluster",
        cluster_extra=EAGER if eager else "",
        addresses=[network.addresses[name] for name in NAMES],
        monitor_addresses=[network.management[name] for name in NAMES],
        prefixes=[network.on(name) for name in NAMES],
    )
    partitions = Partitions(top, network, cluster)
    try:
        cluster.start()
        partitions.run(rounds, command_seconds)
    finally:
        cluster.stop()
    return {"tried": partitions.tried, "pauses": partitions.pauses}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
