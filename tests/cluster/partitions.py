"""
Partitions of a cluster whose nodes and clients are machines of their own: both sides go on, and one history comes of it.

Run as a program, in namespaces of its own, it prints a report.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "crash"))

from cluster_client import ARTIFACT
from faults_harness import REPOSITORY, Clients, clients, pause_after
from history_of_appends import UNKNOWN, Request
from loop_disk import mount_memory
from namespaces import Network
from nats_cluster import NODES, NatsCluster, wait_for

NAMES = [f"node{number}" for number in range(NODES)]
HERE, THERE = "here", "there"
"""The machines of the clients: with whatever is cut off, and with the rest."""

IMPATIENT_SECONDS = 3.0
ANSWERS = 20
TRIES = 2
COMMAND_SECONDS_MAX = 60.0
STREAM = "REGISTRY_split"


class Partitions:
    """
    Cuts, one after the other.

    Args:
        top: where all is kept.

        network: its machines have the names above.

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

    def run(self, rounds: int) -> None:
        """Make so many rounds of each kind of cut, and hold what everybody saw to the journal."""
        with clients(self._top / "clients", self._cluster.url("split")) as machines:
            for place in (HERE, THERE):
                on = self._network.on(place)
                machines.write(f"{place}0", prefix=on)
                machines.write(f"{place}1", prefix=on, append_seconds=IMPATIENT_SECONDS)
            machines.wait_for_answers(ANSWERS)
            for place in (HERE, THERE):
                machines.follow(f"{place}-follower", prefix=self._network.on(place))
            for _ in range(rounds):
                self._cut_off_the_leader(machines)
                self._cut_off_a_follower(machines)
                self._cut_all(machines)
            machines.settle()
            self.tried.update(machines.judge().counts())

    def _cut_off_the_leader(self, machines: Clients) -> None:
        """
        Leave the leader alone with a client: nobody there is answered, a command ends with the status of *unknown*.

        The other two nodes elect a leader, and their clients go on. After that the command is given again.
        """
        leader = self._cluster.wait_for_leader(STREAM)
        self._network.split([*(name for name in NAMES if name != NAMES[leader]), THERE], [NAMES[leader], HERE])
        cut = time.monotonic()
        command = self._begin_command(machines)
        try:
            machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
            machines.wait_for_tries(TRIES, f"{HERE}1", after=cut)
            _, said = command.communicate(timeout=COMMAND_SECONDS_MAX)
        finally:
            command.kill()
            command.communicate()
        assert command.returncode == 4, f"expected the status of an unknown outcome, got {command.returncode}: {said}"
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self.pauses.append(pause_after(machines.answers(f"{THERE}0", f"{THERE}1"), cut))
        self._heal(machines, "leaders cut off")
        self._give_again(machines)

    def _cut_off_a_follower(self, machines: Clients) -> None:
        """Leave another node alone with a client: the leader stays, the others go on, and nobody there is answered."""
        leader = self._cluster.wait_for_leader(STREAM)
        alone = NAMES[(leader + 1) % NODES]
        self._network.split([*(name for name in NAMES if name != alone), THERE], [alone, HERE])
        cut = time.monotonic()
        machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
        machines.wait_for_tries(1, f"{HERE}1", after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self._heal(machines, "followers cut off")

    def _cut_all(self, machines: Clients) -> None:
        """Leave each node alone: nobody is answered anywhere."""
        first, second, third = NAMES
        self._network.split([first, THERE], [second, HERE], [third])
        cut = time.monotonic()
        for name in (f"{HERE}1", f"{THERE}1"):
            machines.wait_for_tries(1, name, after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1", f"{THERE}0", f"{THERE}1")
        self._heal(machines, "clusters with each node alone")

    def _nobody_was_answered(self, machines: Clients, cut: float, *names: str) -> None:
        """Of what was asked for after the cut; an answer may have been on its way before."""
        answered = [
            request
            for request in machines.requests(*names).values()
            if request.asked > cut and request.model_id is not None
        ]
        assert answered == [], f"answered without a majority: {answered}"

    def _heal(self, machines: Clients, kind: str) -> None:
        self._network.heal()
        healed = time.monotonic()
        for place in (HERE, THERE):
            for number in (0, 1):
                machines.wait_for_answers(1, f"{place}{number}", after=healed)
        wait_for("all nodes are healthy", lambda: all(self._cluster.is_healthy(number) for number in range(NODES)))
        self.tried[kind] += 1

    def _begin_command(self, machines: Clients) -> subprocess.Popen[str]:
        """Begin a new publish from the command line, on the machine that is cut off."""
        self._words = self._command(f"command-{self.tried['leaders cut off']}")
        request = Request(self._words[-1], time.monotonic())
        machines.known[request.id] = request
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self._words, cwd=REPOSITORY, text=True, **pipes)

    def _give_again(self, machines: Clients) -> None:
        """Give the same command again, which is now answered."""
        request = machines.known[self._words[-1]]
        request.tries.append((UNKNOWN, time.monotonic()))
        done = subprocess.run(self._words, cwd=REPOSITORY, check=True, capture_output=True, timeout=COMMAND_SECONDS_MAX)
        request.acknowledged, request.model_id = time.monotonic(), json.loads(done.stdout)["model_id"]
        self.tried["commands of unknown outcome, given again"] += 1

    def _command(self, id: str) -> list[str]:
        top = self._top / "command"
        where = ["--registry-dir", str(top / "m"), "--state-dir", str(top / "s"), "--journal", self._cluster.url("split")]
        what = ["--artifact", str(self._top / "clients" / ARTIFACT), "--backend", "b", "--id", id]
        program = [sys.executable, "-m", "scripts.manage_models", "publish"]
        return [*self._network.on(HERE), *program, *where, *what]


def run(self, rounds: int) -> None:
        """Make so many rounds of each kind of cut, and hold what everybody saw to the journal."""
        with clients(self._top / "clients", self._cluster.url("split")) as machines:
            for place in (HERE, THERE):
                on = self._network.on(place)
                machines.write(f"{place}0", prefix=on)
                machines.write(f"{place}1", prefix=on, append_seconds=IMPATIENT_SECONDS)
            machines.wait_for_answers(ANSWERS)
            for place in (HERE, THERE):
                machines.follow(f"{place}-follower", prefix=self._network.on(place))
            for _ in range(rounds):
                self._cut_off_the_leader(machines)
                self._cut_off_a_follower(machines)
                self._cut_all(machines)
            machines.settle()
            self.tried.update(machines.judge().counts())

    def _cut_off_the_leader(self, machines: Clients) -> None:
        """
        Leave the leader alone with a client: nobody there is answered, a command ends with the status of *unknown*.

        The other two nodes elect a leader, and their clients go on. After that the command is given again.
        """
        leader = self._cluster.wait_for_leader(STREAM)
        self._network.split([*(name for name in NAMES if name != NAMES[leader]), THERE], [NAMES[leader], HERE])
        cut = time.monotonic()
        command = self._begin_command(machines)
        try:
            machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
            machines.wait_for_tries(TRIES, f"{HERE}1", after=cut)
            _, said = command.communicate(timeout=COMMAND_SECONDS_MAX)
        finally:
            command.kill()
            command.communicate()
        assert command.returncode == 4, f"expected the status of an unknown outcome, got {command.returncode}: {said}"
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self.pauses.append(pause_after(machines.answers(f"{THERE}0", f"{THERE}1"), cut))
        self._heal(machines, "leaders cut off")
        self._give_again(machines)

    def _cut_off_a_follower(self, machines: Clients) -> None:
        """Leave another node alone with a client: the leader stays, the others go on, and nobody there is answered."""
        leader = self._cluster.wait_for_leader(STREAM)
        alone = NAMES[(leader + 1) % NODES]
        self._network.split([*(name for name in NAMES if name != alone), THERE], [alone, HERE])
        cut = time.monotonic()
        machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
        machines.wait_for_tries(1, f"{HERE}1", after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self._heal(machines, "followers cut off")

    def _cut_all(self, machines: Clients) -> None:
        """Leave each node alone: nobody is answered anywhere."""
        first, second, third = NAMES
        self._network.split([first, THERE], [second, HERE], [third])
        cut = time.monotonic()
        for name in (f"{HERE}1", f"{THERE}1"):
            machines.wait_for_tries(1, name, after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1", f"{THERE}0", f"{THERE}1")
        self._heal(machines, "clusters with each node alone")

    def _nobody_was_answered(self, machines: Clients, cut: float, *names: str) -> None:
        """Of what was asked for after the cut; an answer may have been on its way before."""
        answered = [
            request
            for request in machines.requests(*names).values()
            if request.asked > cut and request.model_id is not None
        ]
        assert answered == [], f"answered without a majority: {answered}"

    def _heal(self, machines: Clients, kind: str) -> None:
        self._network.heal()
        healed = time.monotonic()
        for place in (HERE, THERE):
            for number in (0, 1):
                machines.wait_for_answers(1, f"{place}{number}", after=healed)
        wait_for("all nodes are healthy", lambda: all(self._cluster.is_healthy(number) for number in range(NODES)))
        self.tried[kind] += 1

    def _command(self, id: str) -> list[str]:
        """Return the words that publish on the machine that is cut off."""
        top = self._top / "command"
        where = ["--registry-dir", str(top / "m"), "--state-dir", str(top / "s")]
        what = ["--artifact", str(self._top / "clients" / ARTIFACT), "--backend", "b", "--id", id]
        journal = ["--journal", self._cluster.url("split")]
        program = [sys.executable, "-m", "scripts.manage_models", "publish"]
        return [*self._network.on(HERE), *program, *what, *where, *journal]


def run(self, rounds: int) -> None:
        """Make so many rounds of each kind of cut, and hold what everybody saw to the journal."""
        with clients(self._top / "clients", self._cluster.url("split")) as machines:
            for place in (HERE, THERE):
                on = self._network.on(place)
                machines.write(f"{place}0", prefix=on)
                machines.write(f"{place}1", prefix=on, append_seconds=IMPATIENT_SECONDS)
            machines.wait_for_answers(ANSWERS)
            for place in (HERE, THERE):
                machines.follow(f"{place}-follower", prefix=self._network.on(place))
            for _ in range(rounds):
                self._cut_off_the_leader(machines)
                self._cut_off_a_follower(machines)
                self._cut_all(machines)
            machines.settle()
            self.tried.update(machines.judge().counts())

    def _cut_off_the_leader(self, machines: Clients) -> None:
        """
        Leave the leader alone with a client: nobody there is answered, a command ends with the status of *unknown*.

        The other two nodes elect a leader, and their clients go on. After that the command is given again.
        """
        leader = self._cluster.wait_for_leader(STREAM)
        words = self._command(f"command-{self.tried['leaders cut off']}")
        rest = [name for name in NAMES if name != NAMES[leader]]
        self._network.split([*rest, THERE], [NAMES[leader], HERE])
        cut = time.monotonic()
        command = subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        try:
            machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
            machines.wait_for_tries(TRIES, f"{HERE}1", after=cut)
            _, said = command.communicate(timeout=COMMAND_SECONDS_MAX)
        finally:
            command.kill()
            command.wait()
        assert command.returncode == 4, f"expected the status of an unknown outcome, got {command.returncode}: {said}"
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self.pauses.append(pause_after(machines.answers(f"{THERE}0", f"{THERE}1"), cut))
        self._heal(machines, "leaders cut off")
        subprocess.run(words, cwd=REPOSITORY, check=True, capture_output=True, timeout=COMMAND_SECONDS_MAX)
        self.tried["commands of unknown outcome, given again"] += 1

    def _cut_off_a_follower(self, machines: Clients) -> None:
        """Leave another node alone with a client: the leader stays, the others go on, and nobody there is answered."""
        leader = self._cluster.wait_for_leader(STREAM)
        alone = NAMES[(leader + 1) % NODES]
        self._network.split([*(name for name in NAMES if name != alone), THERE], [alone, HERE])
        cut = time.monotonic()
        machines.wait_for_answers(ANSWERS, f"{THERE}0", f"{THERE}1", after=cut)
        machines.wait_for_tries(1, f"{HERE}1", after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1")
        self._heal(machines, "followers cut off")

    def _cut_all(self, machines: Clients) -> None:
        """Leave each node alone: nobody is answered anywhere."""
        first, second, third = NAMES
        self._network.split([first, THERE], [second, HERE], [third])
        cut = time.monotonic()
        for name in (f"{HERE}1", f"{THERE}1"):
            machines.wait_for_tries(1, name, after=cut)
        self._nobody_was_answered(machines, cut, f"{HERE}0", f"{HERE}1", f"{THERE}0", f"{THERE}1")
        self._heal(machines, "clusters with each node alone")

    def _nobody_was_answered(self, machines: Clients, cut: float, *names: str) -> None:
        """Of what was asked for after the cut; an answer may have been on its way before."""
        answered = [
            request
            for request in machines.requests(*names).values()
            if request.asked > cut and request.model_id is not None
        ]
        assert answered == [], f"answered without a majority: {answered}"

    def _heal(self, machines: Clients, kind: str) -> None:
        self._network.heal()
        healed = time.monotonic()
        for place in (HERE, THERE):
            for number in (0, 1):
                machines.wait_for_answers(1, f"{place}{number}", after=healed)
        wait_for("all nodes are healthy", lambda: all(self._cluster.is_healthy(number) for number in range(NODES)))
        self.tried[kind] += 1

    def _command(self, id: str) -> list[str]:
        """Return the words that publish on the machine that is cut off."""
        top = self._top / "command"
        where = ["--registry-dir", str(top / "m"), "--state-dir", str(top / "s")]
        what = ["--artifact", str(self._top / "clients" / ARTIFACT), "--backend", "b", "--id", id]
        journal = ["--journal", self._cluster.url("split")]
        program = [sys.executable, "-m", "scripts.manage_models", "publish"]
        return [*self._network.on(HERE), *program, *what, *where, *journal]

    def _stop_all_but_the_history(self, machines: Clients) -> None:
        """Judge it, with a client of the whole network."""
        raise NotImplementedError


def run(top: Path, *, rounds: int) -> dict[str, Any]:
    """Return a report of so many rounds."""
    mount_memory(Path("/run"))
    network = Network([*NAMES, HERE, THERE])
    (top / "cluster").mkdir(parents=True)
    cluster = NatsCluster(
        top / "cluster",
        addresses=[network.addresses[name] for name in NAMES],
        monitor_addresses=[network.management[name] for name in NAMES],
        prefixes=[network.on(name) for name in NAMES],
    )
    try:
        cluster.start()
        partitions = Partitions(top, network, cluster)
        partitions.run(rounds)
    finally:
        cluster.stop()
    return {"tried": partitions.tried, "pauses": partitions.pauses}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), **json.loads(sys.argv[2]))))
