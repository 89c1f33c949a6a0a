"""A snapshot that somebody who may record it filled with a false state is believed by nobody."""

from __future__ import annotations

import threading

from machines import Machine, ask
from msgspec.structs import replace
from nats_cluster import NatsCluster

from eventlog import codec
from eventlog.engines import jsonl_reader
from eventlog.engines.jetstream_url import parse
from eventlog.events import Event
from eventlog.past import SNAPSHOT_MARK


def _publish_many(machine: Machine, count: int) -> None:
    with machine.open() as registry:
        for first in range(0, count, 30):
            threads = [
                threading.Thread(
                    target=registry.publish_model,
                    args=(machine.artifact(f"{number}", b"%d" % number),),
                    kwargs={"backend": "b"},
                )
                for number in range(first, first + 30)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)


def _forge(machine: Machine, cluster: NatsCluster) -> int:
    """Record a snapshot in which the oldest model is active; return its position."""
    with machine.open() as registry:
        catalog = registry.catalog()
        true, oldest = catalog.taken(), registry.list_models()[-1].model_id
        active = {slot: replace(item, model_id=oldest) for slot, item in true.active.items()}
        event = Event(catalog.size, "forged", catalog.latest_time, "trainer", None, replace(true, active=active))
        entry = codec.encode(event, str(catalog.journal_id), catalog.hash)
    name = parse(str(machine.url)).name

    async def publish(client):
        subject = f"registry.{name}.journal.snapshot_taken.v1"
        return (await client.request(subject, entry, timeout=5)).data

    assert b'"seq":' in ask(cluster, publish)
    return event.position


def test_a_false_snapshot(here: Machine, there: Machine, cluster: NatsCluster, tmp_path):
    """Machines that were there before, and one that was never there, refuse it at its position, whatever they ask."""
    _publish_many(here, 300)
    there.run("list")
    position = _forge(here, cluster)
    fresh = Machine(tmp_path / "fresh", here.url)

    for machine in (here, there, fresh):
        for verb in ("active", "list", "active"):
            result = machine.run(verb)
            assert (result.status, result.out) == (3, ""), (verb, result.out[:200], result.err)
            assert f"entry {position}" in result.err
        refused = machine.run("publish", "--artifact", machine.artifact(), "--backend", "b")
        assert refused.status == 3


def test_a_true_snapshot_is_where_reading_begins(here: Machine, there: Machine, tmp_path, monkeypatch):
    """What was folded once is not folded again: not by who published, nor by who only reads on."""
    _publish_many(here, 300)
    fresh = Machine(tmp_path / "fresh", here.url)
    fresh.run("list")
    assert SNAPSHOT_MARK in fresh.journal.read_bytes()
    scan, scanned = jsonl_reader.scan, []

    def count(descriptor, where, mark, end_bytes):
        scanned.append(mark.size)
        return scan(descriptor, where, mark, end_bytes)

    monkeypatch.setattr(jsonl_reader, "scan", count)
    for machine in (here, fresh):
        there.publish(data=machine.root.name.encode())
        for _ in range(2):
            with machine.open() as registry:
                scanned.clear()
                assert registry.get_active_model() is not None
                assert min(scanned) >= 256, machine.root.name
