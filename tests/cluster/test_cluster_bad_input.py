"""What can be wrong with a cluster, a stream or a mirror: one line that says so, the right status, nothing changed."""

from __future__ import annotations

import signal
import time

import pytest
from machines import REPOSITORY, Machine
from nats_cluster import NatsCluster
from support import entries

from eventlog.engines import jetstream_api, open_journal
from eventlog.engines.jetstream_url import parse
from eventlog.errors import JournalDamagedError, OutcomeUnknownError, RefusedError, UnreachableError


def _published(machine: Machine, *words: str):
    return machine.run("publish", "--artifact", machine.artifact(), "--backend", "b", *words)


def _name(machine: Machine) -> str:
    return parse(str(machine.url)).stream


def _one_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and len(text) < 900


@pytest.mark.parametrize(
    "url",
    [
        "nats://",
        "nats:///name",
        "nats://host",
        "nats://host/",
        "nats://host/a/b",
        "nats://host/na me",
        "nats://host/näme",
        "nats://host:port/name",
        "nats://host:0/name",
        "nats://host:70000/name",
        "nats://host,/name",
        "nats://user:secret@host/name",
        "nats://host/name?password=secret",
        "nats://host/name?nkey=",
        "nats://host/name?ca=a&ca=b",
        "nats://host/name?cert=a",
        "nats://host/name?monitor=a:b",
        "nats://host/name#part",
        f"nats://host/{'n' * 65}",
        "etcd://host/name",
        "memory:",
        "var/models",
        "file:var/models",
        "nats",
        "",
    ],
)
def test_a_url_that_makes_no_sense(tmp_path, url):
    """It is refused before anything is contacted or created, and no secret in it is repeated."""
    machine = Machine(tmp_path / "m", url)

    result = machine.run("list")

    assert (result.status, result.out, _one_line(result.err)) == (2, "", True), result.err
    assert "secret" not in result.err.replace("user:secret@", "X") or "secret" not in url
    assert list(machine.root.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["nats://h/n", "nats://h:1,h:2,[::1]:3/N-_9", "nats://h/n?ca=a&cert=b&key=c&nkey=d&creds=e&monitor=h:8222,i:8222"],
)
def test_a_url_that_makes_sense(url):
    """It is what it says; without a port it is 4222."""
    address = parse(url)

    assert all(":" in server for server in address.servers)
    assert address.where.startswith("nats://")
    assert "?" not in address.where


def test_without_the_extra(tmp_path):
    """It is said what to install, in one line."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "__init__.py").write_text("raise ModuleNotFoundError('No module named nats', name='nats')")
    machine = Machine(tmp_path / "m", "nats://h/n")

    result = machine.run("list", PYTHONPATH=f"{tmp_path}:{REPOSITORY}")

    assert (result.status, result.out, _one_line(result.err)) == (2, "", True), result.err
    assert "pip install 'modelog[cluster]'" in result.err


def test_a_key_file_that_is_not_there(tmp_path, cluster: NatsCluster):
    """It is named."""
    machine = Machine(tmp_path / "m", cluster.url("x", "?nkey=/no/such/file"))

    result = machine.run("list")

    assert (result.status, "/no/such/file: no such file" in result.err, _one_line(result.err)) == (2, True, True)


def test_unreachable(tmp_path, here: Machine):
    """A reader goes on with the mirror and is told its position; a writer is refused; neither waits for long."""
    here.publish()
    gone = Machine(here.root, f"nats://127.0.0.1:1,127.0.0.1:2/{parse(str(here.url)).name}")
    before, began = here.files(), time.monotonic()

    listed, refused = gone.run("list", "--output", "json"), _published(gone)
    empty = Machine(tmp_path / "empty", gone.url).run("list")

    assert time.monotonic() - began < 20
    assert (listed.status, len(listed.json)) == (0, 1)
    assert "cannot be reached: 127.0.0.1:1: " in listed.err
    assert "this is the mirror, as of position 1" in listed.err
    assert (refused.status, refused.out) == (2, "")
    assert "cannot be reached" in refused.err.splitlines()[-1]
    assert (empty.status, empty.out, _one_line(empty.err)) == (2, "", True)
    assert here.files() == before


def test_one_node_of_three_is_enough_to_connect(here: Machine):
    """Nodes that are down are passed over."""
    url = str(here.url)
    first = parse(url).servers[0]
    some = Machine(here.root, f"nats://127.0.0.1:1,{first}/{parse(url).name}")

    assert _published(some).status == 0


def test_a_mirror_of_another_journal(here: Machine, cluster: NatsCluster):
    """The mark says which stream it mirrors; another name is refused, also for reading."""
    here.publish()
    before = here.files()
    other = Machine(here.root, cluster.url("another"))

    for result in (other.run("list"), _published(other)):
        assert (result.status, result.out) == (2, "")
        assert f"expected a mirror of REGISTRY_another, got one of {_name(here)}" in result.err
    assert here.files() == before


def test_a_directory_with_a_journal_of_its_own(here: Machine):
    """It is no mirror: the way on is named."""
    own = here.without_cluster()
    own.publish()
    before = here.files()

    for result in (here.run("list"), _published(here)):
        assert (result.status, result.out) == (2, "")
        assert "import-journal" in result.err
    assert here.files() == before


def test_an_entry_that_is_too_large(here: Machine):
    """It is refused before it is sent."""
    journal = open_journal(str(here.url), directory=str(here.registry_dir))
    with pytest.raises(RefusedError, match="at most 65535 bytes"):
        journal.append([entries(1)[0][:-75] + b"x" * 70_000], expected_size=0)
    journal.close()
    assert not here.registry_dir.exists()


def test_no_majority(own_cluster: NatsCluster, tmp_path):
    """With two nodes down, nothing is recorded and that is said; what was read before can be read; then all goes on."""
    machine = Machine(tmp_path / "m", own_cluster.url("x"))
    machine.publish()
    journal = open_journal(str(machine.url), directory=str(machine.registry_dir), append_timeout_seconds=3.0)
    journal.refresh()
    tail = journal.tail()
    for number in (1, 2):
        own_cluster.kill(number)

    with pytest.raises((UnreachableError, OutcomeUnknownError)):
        journal.append(entries(1, tail.hash), expected_size=tail.size)
    listed = machine.run("list", "--output", "json")
    journal.close()
    own_cluster.start(1, 2)

    assert (listed.status, len(listed.json)) == (0, 1)
    assert journal.tail() == tail


def test_an_unknown_outcome_is_settled_by_its_id(own_cluster: NatsCluster, tmp_path):
    """A majority that hangs may have the entry or not: status 4, and the same id gives one event in the end."""
    machine = Machine(tmp_path / "m", own_cluster.url("x"))
    machine.publish()
    leader = own_cluster.wait_for_leader("REGISTRY_x")
    others = [number for number in range(3) if number != leader]
    with machine.open() as registry:
        registry.catalog()
        registry._replay.journal._appender._seconds = 3.0
        for number in others:
            own_cluster.pause(number)
        with pytest.raises((OutcomeUnknownError, UnreachableError)) as caught:
            registry.publish_model(machine.artifact(data=b"new"), backend="b", request_id="key")
        for number in others:
            own_cluster.resume(number)
        registry._replay.journal._appender._seconds = 20.0
        model = registry.publish_model(machine.artifact(data=b"new"), backend="b", request_id="key")
        events = [change.event.id for change in registry.history()]

    assert isinstance(caught.value, UnreachableError) or "retry with --id key" in str(caught.value)
    assert events.count("key") == 1
    assert machine.run("active", "--output", "json").json["model_id"] == model.model_id


def test_a_message_in_the_place_of_another():
    """A message that is missing is an error, never skipped."""
    with pytest.raises(JournalDamagedError, match="expected entry 1, got 2: entries are missing"):
        jetstream_api.check_place(parse("nats://h/n"), 3, "registry.n.entry", b"", 1)


def test_interrupted_while_nobody_answers(own_cluster: NatsCluster, tmp_path):
    """SIGTERM and SIGINT end a command that waits for a cluster."""
    machine = Machine(tmp_path / "m", own_cluster.url("x"))
    machine.publish()
    for number in range(3):
        own_cluster.pause(number)
    process = machine.start("follow")
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=20)

    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in err
    for number in range(3):
        own_cluster.resume(number)
