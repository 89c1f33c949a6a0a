"""`sync` and `follow` on a cluster: pushed within milliseconds, across changes of leader, none missed, none twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from machines import Machine
from nats_cluster import NatsCluster, wait_for

from eventlog.errors import ModelogError


@contextmanager
def _syncing(machine: Machine, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = machine.start("sync", *words)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _active(machine: Machine) -> str | None:
    if not machine.state_json.exists():
        return None
    found = json.loads(machine.state_json.read_text())["metadata"]["active_model"]["model_id"]
    return str(found)


def test_a_runtime_on_another_machine_follows(here: Machine, there: Machine):
    """Its state.json names each new model soon after it was published; SIGTERM ends the service cleanly."""
    with _syncing(there) as process:
        for number in range(5):
            model = here.publish(data=b"%d" % number)["model_id"]
            wait_for("the other machine has it", lambda model=model: _active(there) == model, 10)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "stopped at 6 entries" in err
    here.run("sync", "--once")
    assert there.state_json.read_bytes() == here.state_json.read_bytes()
    assert there.run("verify").status == 0


def test_sync_of_a_local_journal(tmp_path):
    """It follows what other processes publish in the same directory, and Ctrl-C ends it."""
    machine = Machine(tmp_path, None)
    machine.publish()
    with _syncing(machine) as process:
        wait_for("it runs", lambda: _active(machine) is not None, 10)
        machine.state_json.unlink()
        machine.publish(data=b"more")
        wait_for("the file is there again", lambda: _active(machine) is not None, 10)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert process.returncode == 0


def test_sync_goes_on_when_the_cluster_comes_back(own_cluster: NatsCluster, tmp_path):
    """While nobody answers it waits and says so once; afterwards it is where the others are."""
    here, there = (Machine(tmp_path / name, own_cluster.url("x")) for name in ("here", "there"))
    here.publish()
    with _syncing(there) as process:
        wait_for("it has begun", lambda: _active(there) is not None, 10)
        own_cluster.stop()
        time.sleep(3)
        own_cluster.start()
        own_cluster.wait_for_leader("REGISTRY_x")
        model = wait_for("a publish succeeds", lambda: _published(here), 60)
        wait_for("the other machine has it", lambda: _active(there) == model, 30)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert err.count("cannot be reached") <= 3
    assert "reached again" in err


def _published(machine: Machine) -> str | None:
    done = machine.run("publish", "--artifact", machine.artifact(data=b"new"), "--backend", "b", "--id", "new")
    return str(done.json["model_id"]) if done.status == 0 else None


def test_sync_ends_at_damage(here: Machine, there: Machine):
    """A history that is not the one it followed ends the service with status 3; its files are as they were."""
    here.publish()
    with _syncing(there) as process:
        wait_for("it has begun", lambda: _active(there) is not None, 10)
        before = there.state_json.read_bytes()
        name = there.registry_dir / "journal.jsonl"
        name.write_bytes(name.read_bytes().replace(b'"b"', b'"c"'))
        here.publish(data=b"more")
        _, err = process.communicate(timeout=20)

    assert process.returncode == 3, err
    assert there.state_json.read_bytes() == before


def test_sync_does_not_take_over_another_journals_runtime(here: Machine, there: Machine):
    """A state.json that follows another journal is left alone, and that is said."""
    own = there.without_cluster()
    own.publish()
    for path in there.registry_dir.iterdir():
        path.unlink()
    before = there.state_json.read_bytes()
    here.publish()

    result = there.run("sync", "--once")

    assert result.status == 5
    assert "--take-over" in result.err
    assert there.state_json.read_bytes() == before


def test_follow_across_changes_of_leader(own_cluster: NatsCluster, tmp_path, tally):
    """Each position once and in order, while each node in turn is killed and started again."""
    here, there = (Machine(tmp_path / name, own_cluster.url("x")) for name in ("here", "there"))
    here.publish()
    stop, published = threading.Event(), []

    def publish() -> None:
        with here.open() as registry:
            number = 0
            while not stop.is_set():
                number += 1
                path = here.artifact(data=b"%d" % number)
                while True:
                    try:
                        registry.publish_model(path, backend="b", request_id=f"n{number}")
                        break
                    except ModelogError:
                        time.sleep(0.1)
                published.append(f"n{number}")
                time.sleep(0.01)

    with (tmp_path / "out").open("w") as out:
        follower = there.start("follow", "--from", "0", stdout=out)
    thread = threading.Thread(target=publish)
    thread.start()
    for number in range(3):
        time.sleep(1.0)
        own_cluster.kill(number)
        time.sleep(1.0)
        before = len(published)
        own_cluster.start(number)
        wait_for("writes succeed again", lambda before=before: len(published) > before, 60)
    time.sleep(1.0)
    stop.set()
    thread.join(60)
    time.sleep(3.0)
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=20)

    seen = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [event["position"] for event in seen] == list(range(len(seen))), err
    ids = [event["event_id"] for event in seen]
    assert [item for item in ids if item.startswith("n") and item[1:].isdigit()] == published
    tally("events followed while each node was killed once", len(seen))
