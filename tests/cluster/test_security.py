"""Who may do what, tried on the configuration of `eventlog/engines/README.md` itself: the cluster refuses, not we."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from machines import Machine, Result
from machines import ask as plain_ask
from nats_cluster import NODES, NatsCluster, wait_for
from secure_cluster import NAME, PRINCIPALS, README, SecureCluster, ask_as, delete_stream, secured

from eventlog import codec
from eventlog.engines import jetstream_api
from eventlog.errors import JournalDamagedError
from eventlog.events import EVENT_TYPES, Event, ModelRolledBack
from projections import open_registry

STREAM = f"REGISTRY_{NAME}"
DENIED_SECONDS_MAX = 5.0
_NEVER = {"Nats-Expected-Last-Sequence": "999999999"}
"""With it the cluster lets nothing in, whoever asks; so what may be recorded can be tried without recording it."""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """A cluster that knows each principal, with a journal that its admin began; for tests that leave it sound."""
    with secured(tmp_path_factory.mktemp("secure")) as cluster:
        Machine(cluster.directory / "first", cluster.url_of("admin")).publish()
        yield cluster


@pytest.fixture
def own_secure(tmp_path: Path) -> Iterator[SecureCluster]:
    """One that a test may spoil."""
    with secured(tmp_path / "secure") as cluster:
        yield cluster


def _machine(cluster: SecureCluster, root: Path, principal: str) -> Machine:
    return Machine(root / principal, cluster.url_of(principal))


def _state(cluster: NatsCluster, number: int) -> Any:
    return cluster.streams(number)[STREAM]["state"]


def _size(cluster: NatsCluster) -> int:
    return int(_state(cluster, cluster.wait_for_leader(STREAM))["last_seq"])


WORDS: dict[str, tuple[str, ...]] = {
    "publish": ("--backend", "b", "--artifact"),
    "rollback": ("--reason", "worse"),
    "review": ("--reason", "looked at it"),
}


@pytest.mark.parametrize(
    ("principal", "allowed"),
    [("auditor", ()), ("trainer", ("publish",)), ("releaser", ("rollback", "review"))],
)
def test_commands(secure: SecureCluster, tmp_path: Path, principal: str, allowed: tuple[str, ...]) -> None:
    """Everybody reads. What is not granted is refused in one line, at once, and changes nothing anywhere."""
    for number in range(2):
        _machine(secure, tmp_path, "trainer").publish(data=b"%d" % number)
    machine = Machine(tmp_path / "one", secure.url_of(principal))
    assert machine.run("sync", "--once").status == 0
    for verb in ("list", "history", "active", "verify"):
        assert machine.run(verb).status == 0, verb

    for verb, words in WORDS.items():
        artifact = (machine.artifact(),) if verb == "publish" else ()
        before, size, began = machine.files(), _size(secure), time.monotonic()
        done = machine.run(verb, *words, *artifact)
        took = time.monotonic() - began

        if verb in allowed:
            assert (done.status, _size(secure)) == (0, size + 1), done.err
        else:
            assert (done.status, done.out, machine.files(), _size(secure)) == (2, "", before, size), done.err
            assert _denied(done, verb)
            assert took < DENIED_SECONDS_MAX


def _denied(done: Result, verb: str) -> bool:
    kind = {"publish": "model.published.v1", "rollback": "model.rolled_back.v1", "review": "history.reviewed.v1"}[verb]
    (line,) = _lines(done)
    return f"permission denied for registry.{NAME}.{kind}: " in line


def _lines(done: Result) -> list[str]:
    """Return what was said to people."""
    return [line for line in done.err.splitlines() if "eof_received" not in line]


def test_an_auditor_follows_and_examines(secure: SecureCluster, tmp_path: Path) -> None:
    """What somebody else publishes is pushed to him; and the doctor needs no more rights than these."""
    auditor = Machine(tmp_path / "auditor", secure.url_of("auditor", parameters=secure.monitor))
    assert auditor.run("sync", "--once").status == 0
    with auditor.start("follow", "--limit", "1") as following:
        try:
            wait_for("it waits", lambda: any(_state(secure, number)["consumer_count"] for number in range(NODES)))
            model = _machine(secure, tmp_path, "trainer").publish()
            out, _ = following.communicate(timeout=20)
        finally:
            following.kill()
    assert auditor.run("sync", "--once").status == 0

    examined = auditor.run("doctor", "--output", "json").json

    assert json.loads(out)["model_id"] == model["model_id"]
    assert {"syncing", "encryption", "stream", "mirror", "copies"} <= set(examined["looked_at"])
    own = {"permissions", "file system", "free space", "clock", "lock", "leftovers", "packages", "environment"}
    assert [symptom for symptom in examined["symptoms"] if symptom["about"] not in own] == []


def _granted() -> dict[str, set[str]]:
    """Return the event types that each principal may record, as the page's table says."""
    rows = re.findall(r"^\| `([a-z_.]+v\d+)` +\|[^|]*\| ([^|]*?) *\|$", README.read_text(), re.MULTILINE)
    assert {name for name, _ in rows} == set(EVENT_TYPES), "the page's table names each event type"
    table = {name: {kind for kind, who in rows if name in who} for name in ("trainer", "releaser", "auditor")}
    return {**table, "admin": set(EVENT_TYPES)}


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_each_type_and_each_question(secure: SecureCluster, principal: str) -> None:
    """Exactly what the page says may be recorded and asked; nobody reads but through the journal."""
    questions = {"STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.CREATE"}
    others = {"STREAM.UPDATE", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT", "STREAM.LEADER.STEPDOWN"}
    asked = {f"$JS.API.{question}.{STREAM}": question in questions for question in questions | others}
    asked |= {f"registry.{NAME}.{kind}": kind in _granted()[principal] for kind in EVENT_TYPES}
    asked |= {"$JS.API.STREAM.NAMES": False, "$SYS.REQ.SERVER.PING": False, "registry.other.model.published.v1": False}
    size = _size(secure)

    async def ask(client: Any, denied: list[str]) -> dict[str, bool]:
        for subject in asked:
            await client.publish(subject, b"{}", reply=client.new_inbox(), headers=_NEVER)
        await client.flush()
        for subject in ("registry.>", "$JS.>", ">"):
            await client.subscribe(subject)
        await client.flush()
        await asyncio.sleep(0.2)
        assert sum("subscription" in text for text in denied) == 3
        return {subject: not any(f'"{subject.lower()}"' in text for text in denied) for subject in asked}

    assert ask_as(secure, principal, ask) == asked
    assert _size(secure) == size


@pytest.mark.parametrize("principal", PRINCIPALS[1:])
def test_an_answer_cannot_be_sent_into_the_stream(secure: SecureCluster, principal: str) -> None:
    """Whoever asks names the subject of the answer; no answer becomes an entry of a type that he may not record."""
    size = _size(secure)

    async def ask(client: Any, _denied: list[str]) -> None:
        for question in ("STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"):
            for kind in set(EVENT_TYPES) - _granted()[principal]:
                asked, answer_to = f"$JS.API.{question}.{STREAM}", f"registry.{NAME}.{kind}"
                await client.publish(asked, b"" if question == "STREAM.INFO" else b'{"seq":1}', reply=answer_to)
        wanted = {
            "deliver_subject": f"registry.{NAME}.model.rolled_back.v1",
            "deliver_policy": "all",
            "ack_policy": "none",
        }
        body = json.dumps({"stream_name": STREAM, "config": wanted}).encode()
        answer = json.loads((await client.request(f"$JS.API.CONSUMER.CREATE.{STREAM}", body, timeout=5)).data)
        assert "cycle" in answer["error"]["description"]
        await asyncio.sleep(0.5)

    ask_as(secure, principal, ask)

    assert _size(secure) == size


def test_what_the_cluster_does_not_let_anybody_do(cluster: NatsCluster, tmp_path: Path) -> None:
    """Without any permissions to stop him, nobody can lift what keeps entries from being deleted, or delete one."""
    machine = Machine(tmp_path, cluster.url("kept"))
    machine.publish()
    settings = {"name": "REGISTRY_kept", **jetstream_api.settings("kept")}

    async def ask(client: Any) -> list[Any]:
        asked = [
            ("STREAM.UPDATE", {**settings, "deny_delete": False}),
            ("STREAM.UPDATE", {**settings, "deny_purge": False}),
            ("STREAM.UPDATE", {**settings, "allow_rollup_hdrs": True}),
            ("STREAM.MSG.DELETE", {"seq": 1}),
            ("STREAM.PURGE", {}),
            ("STREAM.CREATE", {**settings, "deny_delete": False}),
        ]
        return [
            json.loads((await client.request(f"$JS.API.{what}.REGISTRY_kept", json.dumps(body).encode())).data)
            for what, body in asked
        ]

    assert all("error" in answer for answer in plain_ask(cluster, ask))
    assert machine.run("verify").status == 0


def test_a_rollback_smuggled_as_a_publication(own_secure: SecureCluster, tmp_path: Path) -> None:
    """
    A trainer can have it stored; readers refuse it at its position, and no mirror takes it.

    Then the admin deletes the stream, which every mirror tells; and a backup of a mirror brings it back for all.
    """
    admin, trainer, auditor = (_machine(own_secure, tmp_path, name) for name in ("admin", "trainer", "auditor"))
    first = admin.publish()
    trainer.publish(data=b"2")
    assert auditor.run("sync", "--once").status == 0
    before = auditor.files()
    ask_as(own_secure, "trainer", _smuggled(trainer, first["model_id"]))
    assert _size(own_secure) == 4, "it was stored"

    damaged = auditor.run("list")
    refused = trainer.run("publish", "--artifact", trainer.artifact(), "--backend", "b")
    fresh = open_registry(tmp_path / "fresh", None, journal=auditor.url)
    with fresh as registry, pytest.raises(JournalDamagedError) as raised:
        registry.list_models()

    assert (raised.value.position, damaged.status, refused.status) == (3, 3, 3)
    for line in (damaged.err, refused.err, str(raised.value)):
        assert "entry 3: expected subject registry.fraud.model.rolled_back.v1, got registry.fraud.model.publish" in line
    assert auditor.files() == before

    assert '"success":true' in delete_stream(own_secure, STREAM)
    gone = auditor.run("list")
    (line,) = _lines(gone)
    assert (gone.status, gone.out, auditor.files()) == (3, "", before)
    assert "expected at least 3 entries, as the mirror" in line
    assert "got no such stream" in line

    copy = Machine(tmp_path / "copy", admin.url)
    assert auditor.without_cluster().run("backup", str(copy.registry_dir)).status == 0
    assert copy.run("import-journal").status == 0
    assert len(auditor.run("list", "--output", "json").json) == 2
    trainer.publish(data=b"3")
    assert auditor.run("verify").status in (0, 5)


def _smuggled(trainer: Machine, model_id: str) -> Callable[[Any, list[str]], Awaitable[None]]:
    """Return what records a rollback, sealed and at the right place, under the subject of a publication."""
    with trainer.open() as registry:
        catalog = registry.catalog()
        data = ModelRolledBack(catalog.active_id(), catalog.model(model_id).sha256, None)
        event = Event(catalog.size, "smuggled", datetime.now(UTC), "t", model_id, data)
        entry, size = codec.encode(event, str(catalog.journal_id), catalog.hash), catalog.size

    async def ask(client: Any, _denied: list[str]) -> None:
        headers = {"Nats-Expected-Last-Sequence": str(size)}
        answer = await client.request(f"registry.{NAME}.model.published.v1", entry, timeout=5, headers=headers)
        assert json.loads(answer.data)["seq"] == size + 1

    return ask
