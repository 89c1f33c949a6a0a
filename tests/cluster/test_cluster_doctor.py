"""The doctor on a real cluster: what is wrong with a node or its copy is found, with its remedy, in bounded time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import REPOSITORY, Machine, api
from nats_cluster import NODES, NatsCluster, running, wait_for

from eventlog import surroundings
from eventlog.engines import jetstream_copies, jetstream_doctor, jetstream_link, jetstream_pages
from eventlog.engines.jetstream_doctor import MEND_COPY
from eventlog.engines.jetstream_url import parse
from eventlog.surroundings import Mount
from eventlog.symptom import Symptom
from projections import examine_registry

LOOKED_AT = [
    "nodes", "versions", "syncing", "encryption", "clocks of the nodes", "stream", "mirror", "copies"
]  # fmt: skip
PAUSED_SECONDS_MAX = 10.0


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the tests run, the mirror is on a disk with room; and nobody here is far away."""
    monkeypatch.setattr(surroundings, "mount_of", lambda path: Mount("/", "ext4", False))
    monkeypatch.setattr(surroundings, "free_bytes", lambda path: 1 << 40)
    monkeypatch.setattr(jetstream_doctor, "MOMENT_SECONDS", 1.0)
    monkeypatch.setattr(jetstream_link, "CONNECT_SECONDS", 0.5)


def _with_pages(cluster: NatsCluster, url: str) -> str:
    return url + "?monitor=" + ",".join(f"127.0.0.1:{port}" for port in cluster.monitors)


def _filled(root: Path, url: str, count: int = 6) -> Machine:
    """Return a machine that has published *count* models."""
    machine = Machine(root, url)
    with machine.open() as registry:
        for number in range(count):
            registry.publish_model(machine.artifact("a", b"%d" % number), backend="b")
    return machine


def _examined(machine: Machine, url: str) -> list[Symptom]:
    return examine_registry(machine.registry_dir, machine.state_dir, journal=url).symptoms


def _follower(cluster: NatsCluster) -> int:
    return (cluster.wait_for_leader("REGISTRY_x") + 1) % NODES


def _block(cluster: NatsCluster, number: int) -> Path:
    """Return the file in which a node keeps its messages."""
    (found,) = cluster.stores[number].rglob("REGISTRY_x/msgs/*.blk")
    return found


def test_healthy(tmp_path: Path, cluster: NatsCluster, url: str) -> None:
    """Each check is named, none finds anything; nothing is written."""
    machine = _filled(tmp_path, url)
    before = machine.files()

    found = examine_registry(machine.registry_dir, machine.state_dir, journal=_with_pages(cluster, url))

    assert (found.symptoms, found.looked_at[-len(LOOKED_AT) :]) == ([], LOOKED_AT)
    assert machine.files() == before


def test_the_command(tmp_path: Path, cluster: NatsCluster, url: str) -> None:
    """`doctor --journal` says the same; without pages that is a risk, and the copies are read all the same."""
    machine = _filled(tmp_path, url)
    machine.url = _with_pages(cluster, url)
    looked, bare = machine.run("doctor", "--output", "json"), Machine(tmp_path, url).run("doctor")

    assert [symptom for symptom in looked.json["symptoms"] if symptom["about"] in LOOKED_AT] == []
    assert bare.status == 2
    assert "nodes: no monitor= in --journal" in bare.out
    assert "add monitor=HOST:8222" in bare.out
    assert ", nodes, copies\n" in bare.out


def test_without_a_cluster_nothing_more_is_imported(tmp_path: Path) -> None:
    """Neither the client library, nor HTTP, nor these checks."""
    script = (
        "import sys; from projections import examine_registry; examine_registry(sys.argv[1], None);"
        "print([name for name in sys.modules if name.startswith(('nats', 'http', 'eventlog.engines.jetstream'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert done.stdout == "['eventlog.engines.jetstream_url']\n" or done.stdout == "[]\n"


def test_a_flipped_bit_on_one_disk(tmp_path: Path, own_cluster: NatsCluster) -> None:
    """The pages say that all is well; the copy that passes over the entry is found, and the remedy mends it."""
    machine = _filled(tmp_path / "m", own_cluster.url("x"))
    url, number = _with_pages(own_cluster, str(machine.url)), _follower(own_cluster)
    own_cluster.kill(number, signal.SIGTERM)
    block = _block(own_cluster, number)
    data = bytearray(block.read_bytes())
    data[data.index(b'"type":"model.published.v1"') + 9] ^= 1
    block.write_bytes(data)
    own_cluster.start(number)

    (symptom,) = _examined(machine, url)

    assert own_cluster.streams(number)["REGISTRY_x"]["state"]["messages"] == 7, "it counts what it cannot read"
    assert (symptom.kind, symptom.about) == ("problem", "copies")
    assert symptom.what == f"node{number}: entry 1 is damaged: it passes over what it cannot read"
    assert symptom.remedy == MEND_COPY

    own_cluster.kill(number)
    own_cluster.wipe(number)
    own_cluster.start(number)
    assert _examined(machine, url) == []


def test_a_copy_that_counts_less(tmp_path: Path, own_cluster: NatsCluster) -> None:
    """The pages tell it, and so does reading."""
    machine = _filled(tmp_path / "m", own_cluster.url("x"))
    number = _follower(own_cluster)
    own_cluster.kill(number, signal.SIGTERM)
    block = _block(own_cluster, number)
    block.write_bytes(block.read_bytes()[: block.stat().st_size // 2])
    own_cluster.start(number)

    found = _examined(machine, _with_pages(own_cluster, str(machine.url)))

    assert {symptom.about for symptom in found} >= {"copies"}
    assert all(symptom.what.startswith(f"node{number}: ") and symptom.remedy == MEND_COPY for symptom in found), found


def test_nodes_that_hang(tmp_path: Path, own_cluster: NatsCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """One: a risk, as long as it is one. Two: a problem. The doctor waits for none of them for long."""
    monkeypatch.setattr(jetstream_pages, "PAGE_SECONDS", 0.5)
    monkeypatch.setattr(jetstream_link, "REPLY_SECONDS", 0.5)
    machine = _filled(tmp_path / "m", own_cluster.url("x"))
    url, leader = _with_pages(own_cluster, str(machine.url)), own_cluster.wait_for_leader("REGISTRY_x")
    kinds = []
    for number in (leader, (leader + 1) % NODES):
        own_cluster.pause(number)
        began = time.monotonic()
        found = _examined(machine, url)
        assert time.monotonic() - began < PAUSED_SECONDS_MAX
        hang = [symptom for symptom in found if symptom.about == "nodes"]
        assert all("no answer within 0.5 s" in symptom.what for symptom in hang)
        kinds.append([symptom.kind for symptom in hang])

    assert kinds == [["risk"], ["problem", "problem"]]


def test_a_node_that_is_down_and_a_lost_stream(tmp_path: Path, own_cluster: NatsCluster) -> None:
    """Who is gone is named; a stream that was deleted is a problem as long as a mirror has something."""
    machine = _filled(tmp_path / "m", own_cluster.url("x"))
    url, number = _with_pages(own_cluster, str(machine.url)), _follower(own_cluster)
    own_cluster.kill(number)

    down = _examined(machine, url)
    own_cluster.start(number)
    api(own_cluster, "STREAM.DELETE.REGISTRY_x")
    wait_for("it is gone", lambda: not any(own_cluster.page(node, "jsz")["streams"] for node in range(NODES)))
    lost = _examined(machine, url)

    assert ("risk", "nodes", f"127.0.0.1:{own_cluster.monitors[number]}: connection refused") in [
        (symptom.kind, symptom.about, symptom.what) for symptom in down
    ]
    assert {symptom.about for symptom in down} >= {"nodes", "copies"}
    assert [symptom.kind for symptom in lost if symptom.about == "stream"] == ["problem"]
    assert [symptom.kind for symptom in lost if symptom.about == "history"] == ["problem"]
    assert not [symptom for symptom in lost if "run doctor" in symptom.remedy and symptom.about == "history"]


def test_nodes_that_do_not_sync(tmp_path: Path) -> None:
    """The default interval is a risk on each node."""
    with running(tmp_path, sync_interval="2m") as cluster:
        machine = _filled(tmp_path / "m", cluster.url("x"), 1)
        found = _examined(machine, _with_pages(cluster, str(machine.url)))

    assert [(symptom.kind, symptom.about, symptom.what[:6]) for symptom in found] == [
        ("risk", "syncing", f"node{number}:"[:6]) for number in range(NODES)
    ]


@pytest.mark.parametrize(
    ("size", "entry_hash", "verdict"), [(7, "0" * 64, "other"), (8, "", "unread"), (0, "", "sound")]
)
def test_what_a_copy_is_compared_with(tmp_path: Path, url: str, size: int, entry_hash: str, verdict: str) -> None:
    """A copy with another history than the mirror, or with less, is told apart; without a mirror it is read whole."""
    _filled(tmp_path, url)

    copies = jetstream_copies.read(parse(url), size, entry_hash, frozenset())

    assert [copy.verdict for copy in copies] == [verdict] * NODES
