"""
What a cluster costs beside a local file, in one run on one machine; nothing is asserted.

    python tests/cluster/measure_cluster.py [DIRECTORY]

Three nodes on loopback that sync always. A local file and the cluster take turns, so what the machine does today
cancels out in their ratio. Below DIRECTORY, by default a temporary one, is what is measured on.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

sys.path.append(str(Path(__file__).resolve().parents[2]))

from cluster_client import ARTIFACT
from faults_harness import REPOSITORY, clients, leading, pause_after
from nats_cluster import NatsCluster, running

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.journal import Journal
from projections import open_registry

APPENDS = 500
ENTRY_BYTES = 500
EVENTS = 200
COMMANDS = 15
SEEN = 500
SEEN_PAUSE_SECONDS = 0.02
KILLS = 6
ANSWERS_BETWEEN = 30


def main(top: Path) -> None:
    """Measure, and print a line for each result."""
    (top / "cluster").mkdir(parents=True)
    with running(top / "cluster") as cluster:
        _appends(top / "appends", cluster)
        _publishes_and_lists(top / "lists", cluster)
        _seen(top / "seen", cluster)
        _kills(top / "kills", cluster)


def _appends(top: Path, cluster: NatsCluster) -> None:
    """Durable appends of single entries to the journal itself."""
    opened = {
        "local": open_journal(f"file:{top / 'local'}"),
        "cluster": open_journal(cluster.url("appends"), directory=str(top / "mirror")),
    }
    appenders = {name: _appender(journal) for name, journal in opened.items()}
    seconds = _in_turn(appenders, APPENDS)
    for journal in opened.values():
        journal.close()
    _say(f"append of {ENTRY_BYTES} bytes", seconds)


def _appender(journal: Journal) -> Callable[[], None]:
    """Return a function that appends another entry."""
    prev, size = chain.GENESIS, 0

    def append() -> None:
        nonlocal prev, size
        body = b'{"n":%d,"text":"%b"' % (size, b"x" * (ENTRY_BYTES - chain.LINK_BYTES - 20))
        entry = chain.seal(body, prev)
        journal.append([entry], expected_size=size)
        prev, size = chain.hash_of(entry), size + 1

    return append


def _publishes_and_lists(top: Path, cluster: NatsCluster) -> None:
    """Publishes through the registry, then the command `list` of a process of its own on what they made."""
    top.mkdir()
    artifact = top / ARTIFACT
    artifact.write_bytes(b"weights")
    journals = {"local": None, "cluster": cluster.url("lists")}
    opened = {name: open_registry(top / name / "m", top / name / "s", journal=url) for name, url in journals.items()}
    publishers = {
        name: lambda registry=registry: registry.publish_model(artifact, backend="b")  # type: ignore[misc]
        for name, registry in opened.items()
    }
    seconds = _in_turn(publishers, EVENTS)
    for registry in opened.values():
        registry.close()
    _say("publish", seconds)

    def listing(name: str) -> Callable[[], object]:
        journal = ["--journal", url] if (url := journals[name]) else []
        where = ["--registry-dir", str(top / name / "m"), "--state-dir", str(top / name / "s"), *journal]
        words = [sys.executable, "-m", "scripts.manage_models", "list", *where]
        return lambda: subprocess.run(words, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)

    _say(f"cold `list` of {EVENTS} models", _in_turn({name: listing(name) for name in journals}, COMMANDS))


def _seen(top: Path, cluster: NatsCluster) -> None:
    """From the call that publishes, and from its answer, until another process has seen the event."""
    with clients(top, cluster.url("seen")) as machines:
        machines.write("warm", requests=2)
        machines.wait_for_answers(2)
        machines.follow("follower")
        machines.write("writer", requests=SEEN, pause_seconds=SEEN_PAUSE_SECONDS)
        machines.wait_for_answers(SEEN, "writer")
        machines.settle()
        machines.judge()
        seen, requests = machines.seen("follower"), machines.requests("writer")
        for since in ("asked", "acknowledged"):
            waits = sorted(seen[id] - getattr(request, since) for id, request in requests.items())
            parts = quantiles(waits[20:], n=100)
            print(
                f"publish {since} -> seen: p50 {1e3 * median(waits):.1f} ms, p99 {1e3 * parts[98]:.1f} ms", flush=True
            )


def _kills(top: Path, cluster: NatsCluster) -> None:
    """From the kill of a leader until writers are answered again."""
    pauses = []
    with clients(top, cluster.url("kills")) as machines:
        machines.write("w0", "w1", "w2")
        machines.wait_for_answers(ANSWERS_BETWEEN)
        for _ in range(KILLS):
            leader = leading(cluster, "REGISTRY_kills")
            time.sleep(1.0)
            cluster.kill(leader)
            killed = time.monotonic()
            machines.wait_for_answers(ANSWERS_BETWEEN, after=killed)
            pauses.append(pause_after(machines.answers(), killed))
            cluster.start(leader)
        machines.settle()
        machines.judge()
    each = ", ".join(f"{pause:.1f}" for pause in pauses)
    print(f"leader killed -> writes go on: {each} s; median {median(pauses):.1f} s", flush=True)


def _in_turn(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Do each action so many times, one after the other, and return how many seconds each took."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            began = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def _say(what: str, seconds: dict[str, Sequence[float]]) -> None:
    local, cluster = (1e3 * median(seconds[name]) for name in ("local", "cluster"))
    print(f"{what}: p50 local {local:.2f} ms, cluster {cluster:.2f} ms, {cluster / local:.1f} x", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory(prefix="modelog-cluster-") as place:
            main(Path(place))
