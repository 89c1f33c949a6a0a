"""Threads, forks and processes that share a mirror or a connection, and whoever closes it: nothing false is told."""

from __future__ import annotations

import os
import threading
import time

import pytest
from machines import Machine, api, fresh_mirror
from nats_cluster import NatsCluster, wait_for
from support import entries

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.engines.jetstream_append import Appender
from eventlog.engines.jetstream_url import parse
from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError


def _journal(machine: Machine, **settings: float):
    return open_journal(str(machine.url), directory=str(machine.registry_dir), **settings)


def test_two_services_and_a_publisher_share_a_mirror(here: Machine, there: Machine):
    """Whoever writes what came first, the others take it for what it is: no service ends."""
    services = [here.start("sync") for _ in range(2)]
    try:
        for number in range(25):
            there.publish(data=b"%d" % number)
        models = there.run("list", "--output", "json").json
        wait_for("the runtime has it", lambda: models[0]["model_id"] in _text(here), 20)
        assert [service.poll() for service in services] == [None, None]
    finally:
        for service in services:
            service.terminate()
        told = [service.communicate(timeout=20)[1] for service in services]
    assert [service.returncode for service in services] == [0, 0], told


def _text(machine: Machine) -> str:
    return machine.state_json.read_text() if machine.state_json.exists() else ""


def test_many_threads_begin_at_once(here: Machine):
    """They share one connection and one thread of its own, which ends when it is closed."""
    here.publish()
    before = threading.active_count()
    for _ in range(10):
        journal = _journal(here)
        found: list[int] = []
        failures: list[BaseException] = []

        def ask(journal=journal, found=found, failures=failures) -> None:
            try:
                found.append(journal.stored_size())
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        journal.close()
        assert (found, failures) == ([2] * 4, [])
    assert threading.active_count() == before


def test_closing_does_not_say_that_nothing_was_stored(here: Machine, monkeypatch):
    """An append that another thread's close cuts off has an unknown outcome."""
    journal = _journal(here)
    publish, sent = Appender._publish, threading.Event()

    async def slow(self, *arguments):
        ack = await publish(self, *arguments)
        sent.set()
        await __import__("asyncio").sleep(5)
        return ack

    monkeypatch.setattr(Appender, "_publish", slow)
    told: list[BaseException] = []

    def append() -> None:
        try:
            journal.append(entries(1), expected_size=0)
        except BaseException as error:
            told.append(error)

    thread = threading.Thread(target=append)
    thread.start()
    assert sent.wait(20)
    journal._link.close()
    thread.join(20)

    assert [type(error) for error in told] == [OutcomeUnknownError]


def test_a_fork_waits_with_a_connection_of_its_own(here: Machine, there: Machine):
    """Also where its parent was waiting already."""
    here.publish()
    journal = _journal(here)
    journal.refresh()
    journal.wait(0.2)
    pid = os.fork()
    if pid == 0:
        try:
            journal.wait(0.2)
            journal.refresh()
            os._exit(0 if journal.tail().size == 2 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    there.publish(data=b"more")
    journal.wait(5)
    journal.refresh()
    assert journal.tail().size == 3
    journal.close()


@pytest.mark.parametrize("damage", ["junk", "no head"])
def test_a_damaged_mirror_refuses_before_anything_is_stored(here: Machine, damage: str, tmp_path):
    """What cannot be mirrored is not recorded; moved away, the mirror is read anew."""
    here.publish()
    size = len(here.journal.read_bytes().splitlines())
    if damage == "junk":
        with here.journal.open("ab") as journal:
            journal.write(b"junk\n")
    else:
        (here.registry_dir / "journal.head").unlink()

    refused = here.run("publish", "--artifact", here.artifact(), "--backend", "b")
    mend = here.without_cluster().run("repair", "--discard-tail")

    assert refused.status == 3, refused.err
    assert fresh_mirror(str(here.url), tmp_path / "fresh").count(b"\n") == size
    assert "move journal.jsonl and journal.head away" in mend.err
    for name in ("journal.jsonl", "journal.head"):
        (here.registry_dir / name).unlink(missing_ok=True)
    assert here.run("publish", "--artifact", here.artifact(), "--backend", "b").status == 0


def test_a_mirror_that_fails_after_all_was_stored(here: Machine, monkeypatch):
    """An append of more than one batch is stored whole before the mirror is written, so `recorded` is true."""
    journal = _journal(here)
    found = entries(1_001)

    def full(*_arguments, **_settings):
        raise RefusedError("no space left on device")

    monkeypatch.setattr(journal._mirror, "append", full)
    with pytest.raises(ProjectionLagError, match="recorded, but the mirror is behind"):
        journal.append(found, expected_size=0)
    monkeypatch.undo()
    journal.refresh()

    assert list(journal.read()) == found
    journal.close()


def test_a_stream_whose_settings_change_under_a_service(here: Machine, cluster: NatsCluster, monkeypatch):
    """Nothing is appended to a stream with one copy, also by whoever has looked at it when it had three."""
    monkeypatch.setattr("eventlog.engines.jetstream_stream.SETTINGS_SECONDS", 0.2)
    with here.open() as registry:
        registry.publish_model(here.artifact(), backend="b")
        stream = parse(str(here.url)).stream
        config = api(cluster, f"STREAM.INFO.{stream}")["config"]
        api(cluster, f"STREAM.UPDATE.{stream}", {**config, "num_replicas": 1})
        time.sleep(0.3)

        with pytest.raises(RefusedError, match="expected num_replicas 3, got 1"):
            registry.publish_model(here.artifact(data=b"more"), backend="b")


def test_a_stream_made_anew_with_bytes_that_are_no_entry(here: Machine, cluster: NatsCluster):
    """Whatever stands there, it is told in one line."""
    here.publish()
    stream, name = parse(str(here.url)).stream, parse(str(here.url)).name
    config = api(cluster, f"STREAM.INFO.{stream}")["config"]
    api(cluster, f"STREAM.DELETE.{stream}")
    api(cluster, f"STREAM.CREATE.{stream}", {**config, "metadata": {}})
    from machines import ask

    async def publish(client):
        for _ in range(2):
            await client.request(f"registry.{name}.entry", b"\xff" * 200, timeout=5)

    ask(cluster, publish)
    result = here.run("list")

    assert (result.status, len(result.err.splitlines())) == (3, 1), result.err


def test_what_is_switched_to_while_a_file_is_fetched(here: Machine, there: Machine):
    """A model that becomes active meanwhile is made ready, too, before any file names it."""
    first = here.publish(data=b"first")["model_id"]
    ready: list[str] = []

    def make_ready(model) -> None:
        ready.append(model.model_id)
        if len(ready) == 1:
            here.publish(data=b"second")

    with there.open() as registry:
        size, model = registry.sync(make_ready)

    assert ready[0] == first
    assert len(ready) == 2
    assert model is not None
    assert (size, model.model_id) == (3, ready[1])
    assert ready[1] in _text(there)


def test_what_follows_is_linked_to_what_is_there(here: Machine):
    """The tail of the mirror is what the next entry must follow."""
    journal = _journal(here)
    journal.append(entries(2), expected_size=0)
    with pytest.raises(RefusedError):
        journal.append(entries(1, chain.GENESIS, mark="x"), expected_size=2)
    journal.close()
