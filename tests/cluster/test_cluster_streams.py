"""A stream that is not ours, shorter, forked, or holds what it should not: one line, the right status, no change."""

from __future__ import annotations

import os
import time
from contextlib import closing

import pytest
from machines import Machine, api, ask
from nats_cluster import NatsCluster
from support import entries

from eventlog.engines.jetstream import JetStreamJournal
from eventlog.engines.jetstream_link import Link
from eventlog.engines.jetstream_url import parse
from eventlog.errors import RefusedError


def _published(machine: Machine, *words: str):
    return machine.run("publish", "--artifact", machine.artifact(), "--backend", "b", *words)


def _name(machine: Machine) -> str:
    return parse(str(machine.url)).stream


def _one_line(text: str) -> bool:
    return len(text.splitlines()) == 1 and len(text) < 900


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("num_replicas", 1),
        ("storage", "memory"),
        ("discard", "old"),
        ("deny_delete", False),
        ("deny_purge", False),
        ("max_msgs", 1_000),
        ("max_age", 3_600_000_000_000),
        ("max_msg_size", 1_000),
        ("allow_direct", False),
        ("allow_atomic", False),
        ("subjects", ["something.else"]),
    ],
)
def test_a_stream_with_other_settings(here: Machine, cluster: NatsCluster, setting, value):
    """Each setting that a journal needs is compared, and named where it is another."""
    wanted = {
        "name": _name(here),
        "subjects": [f"registry.{parse(str(here.url)).name}.>"],
        "retention": "limits",
        "discard": "new",
        "storage": "file",
        "num_replicas": 3,
        "max_msg_size": 65_535 + 1_024,
        "deny_delete": True,
        "deny_purge": True,
        "allow_direct": True,
        "allow_atomic": True,
    }
    if setting == "subjects":
        value = [f"{value[0]}{os.urandom(4).hex()}"]
    api(cluster, f"STREAM.CREATE.{_name(here)}", {**wanted, setting: value})

    for result in (here.run("list"), _published(here)):
        assert (result.status, result.out) == (2, "")
        assert f"cannot hold a journal: expected {setting} " in result.err.splitlines()[-1]
    assert not here.registry_dir.exists()
    api(cluster, f"STREAM.DELETE.{_name(here)}")


NO_PEERS = b'{"error":{"code":400,"err_code":10005,"description":"no suitable peers for placement, peer offline"}}'
"""What three nodes said that had just come up, and did not know of each other yet."""


@pytest.mark.parametrize(("seconds", "is_made"), [(0.5, True), (30.0, False)])
def test_a_stream_that_cannot_be_placed_yet(here: Machine, monkeypatch, seconds, is_made):
    """Nodes that have just come up are waited for, as long as an append may take; then it is told why not."""
    request, began = Link.request, time.monotonic()

    async def unplaced(self, subject, *terms):
        if "STREAM.CREATE" in subject and time.monotonic() < began + seconds:
            return NO_PEERS
        return await request(self, subject, *terms)

    monkeypatch.setattr(Link, "request", unplaced)
    with closing(JetStreamJournal(str(here.url), directory=str(here.root), append_timeout_seconds=2)) as journal:
        if not is_made:
            with pytest.raises(RefusedError, match="cannot be created: no suitable peers"):
                journal.create()
            return
        journal.create()
        assert journal.stored_size() == 0


def test_a_stream_that_was_deleted(here: Machine, cluster: NatsCluster):
    """The mirror knows more than the cluster: nothing is shown or appended as if it had not been."""
    here.publish()
    api(cluster, f"STREAM.DELETE.{_name(here)}")
    before = here.files()

    for result in (here.run("list"), _published(here)):
        assert (result.status, result.out, _one_line(result.err)) == (3, "", True), result.err
        assert "expected at least 2 entries" in result.err
        assert "got no such stream" in result.err
    assert here.files() == before


def test_a_stream_that_is_shorter_than_the_mirror(here: Machine, there: Machine, cluster: NatsCluster):
    """The same where somebody made it anew and began again."""
    here.publish()
    here.publish(data=b"second")
    api(cluster, f"STREAM.DELETE.{_name(here)}")
    there.publish()
    before = here.files()

    for result in (here.run("list"), _published(here)):
        assert (result.status, result.out, _one_line(result.err)) == (3, "", True), result.err
        assert "expected at least 3 entries" in result.err
        assert "got 2 entries" in result.err
    assert here.files() == before


def test_a_stream_that_forked_from_the_mirror(here: Machine, there: Machine, cluster: NatsCluster):
    """Another history of the same length, or longer, is noticed at the mirror's last entry."""
    here.publish()
    api(cluster, f"STREAM.DELETE.{_name(here)}")
    there.publish(data=b"other")
    there.publish(data=b"more")
    before = here.files()

    for result in (here.run("list"), _published(here)):
        assert (result.status, result.out, _one_line(result.err)) == (3, "", True), result.err
        assert "entry 1: expected hash" in result.err
    assert here.files() == before


def _smuggled(machine: Machine, cluster: NatsCluster, subject: str, entry: bytes) -> None:
    """Store a message on the stream as somebody with a client of his own could."""
    name = parse(str(machine.url)).name

    async def publish(client):
        return (await client.request(f"registry.{name}.{subject}", entry, timeout=5)).data

    assert b'"seq":' in ask(cluster, publish)


def test_an_entry_that_does_not_follow(here: Machine, there: Machine, cluster: NatsCluster):
    """It is named by its position, no mirror takes it, and what is before it can still be looked at."""
    here.publish()
    _smuggled(here, cluster, "entry", entries(1)[0])
    before = here.files()

    for machine in (here, there):
        for result in (machine.run("list"), _published(machine)):
            assert (result.status, result.out, _one_line(result.err)) == (3, "", True), result.err
            assert "entry 2 does not follow the one before it" in result.err
    assert here.files() == before
    assert not there.registry_dir.exists()
    assert len(here.run("list", "--verified-prefix", "--output", "json").json) == 1


def test_an_entry_under_the_subject_of_another_type(here: Machine, cluster: NatsCluster):
    """Who may record one type may not record another under its name: every reader compares."""
    here.publish()
    with here.open() as registry:
        tail = registry.catalog()
        entry = entries(1, tail.hash)[0]
    _smuggled(here, cluster, "model.published.v1", entry)

    result = here.run("list")

    assert (result.status, _one_line(result.err)) == (3, True)
    assert "entry 2: expected subject" in result.err
