"""A journal that moves into a cluster and out of it keeps every byte, and so every hash, tree head and receipt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from machines import Machine, fresh_mirror
from nats_cluster import NatsCluster

from eventlog.engines import jetstream_append, open_journal
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import OutcomeUnknownError, RefusedError, UnreachableError
from eventlog.transfer import import_journal
from projections import maintenance


@pytest.fixture
def local(here: Machine) -> Machine:
    """A machine with a journal of its own, of four entries."""
    own = here.without_cluster()
    for number in range(3):
        own.publish(f"b{number}", data=b"%d" % number)
    return own


def test_into_the_cluster_and_back(local: Machine, here: Machine, there: Machine, tmp_path):
    """The bytes are the same on the stream, in each mirror and in what comes out; then all goes on."""
    before = local.journal.read_bytes()

    moved = here.run("import-journal", "--output", "json")
    listed = there.run("list", "--output", "json").json
    own = Machine(tmp_path / "own", None)
    out = there.run("export-journal", str(own.registry_dir), "--output", "json")

    assert (moved.status, moved.json["size_before"], moved.json["size"]) == (0, 0, 4)
    assert here.journal.read_bytes() == there.journal.read_bytes() == before == own.journal.read_bytes()
    assert len(listed) == 3
    assert (out.status, out.json["hash"]) == (0, moved.json["hash"])
    assert own.run("verify", "--output", "json").json["verdict"] == "intact"
    assert here.publish()["model_id"]
    assert own.publish()["model_id"]
    assert local.run("publish", "--artifact", here.artifact(), "--backend", "b").status == 2


def test_receipts_and_tree_heads_stay_good(local: Machine, here: Machine, there: Machine):
    """What was signed of the local journal is proven by the one on the cluster."""
    key, public = str(local.root / "key"), str(local.root / "key.pub")
    command = [sys.executable, "-m", "scripts.manage_models", "keygen", key]
    subprocess.run(command, check=True, env=local.environment(), capture_output=True)
    assert local.run("keys add", public, "--sign-key", key).status == 0
    assert local.run("rebuild", "--sign-key", key).status == 0
    old = local.root / "old"
    old.write_bytes((local.registry_dir / "tree_head.note").read_bytes())
    artifact = local.artifact("signed.bin", b"signed")
    model = local.run("publish", "--artifact", artifact, "--backend", "b", "--sign-key", key).json
    receipt = local.root / "receipt"
    assert local.run("receipt", model["model_id"], "--to", str(receipt)).status == 0

    assert here.run("import-journal").status == 0
    assert here.run("rollback", "--sign-key", key).status == 0

    assert here.run("verify", "--public-key", public).status == 0
    assert here.run("prove-consistency", str(old)).status == 0
    command = [sys.executable, "-m", "scripts.manage_models", "verify-receipt", artifact, "--receipt", str(receipt)]
    subprocess.run([*command, "--public-key", public], check=True, env=local.environment(), capture_output=True)


def test_a_dry_run_changes_nothing(local: Machine, here: Machine, there: Machine):
    """Not on this machine and not on the cluster."""
    before = here.files()

    assert here.run("import-journal", "--dry-run").status == 0

    assert here.files() == before
    assert there.run("list").out == ""
    here.run("import-journal")
    assert there.run("export-journal", str(there.root / "out"), "--dry-run").status == 0
    assert not (there.root / "out").exists()


def test_an_import_that_was_interrupted_goes_on(local: Machine, here: Machine, there: Machine, monkeypatch):
    """After each number of units that were stored, the local journal is its own yet; the same command completes it."""
    monkeypatch.setattr("eventlog.engines.checks.PIECE_ENTRIES_MAX", 1)
    store = jetstream_append.Appender.append
    before = local.journal.read_bytes()
    for stored in range(1, 4):
        calls: list[int] = []

        async def fail(self, entries, expected_size, calls=calls, stored=stored):
            calls.append(expected_size)
            if expected_size == stored:
                raise OutcomeUnknownError("the cluster is gone")
            return await store(self, entries, expected_size)

        monkeypatch.setattr(jetstream_append.Appender, "append", fail)
        with pytest.raises(OutcomeUnknownError):
            maintenance.import_journal(here.registry_dir, str(here.url))
        assert calls == [stored - 1, stored]
        assert local.run("list").err == ""
    monkeypatch.setattr(jetstream_append.Appender, "append", store)

    report = maintenance.import_journal(here.registry_dir, str(here.url))
    again = maintenance.import_journal(here.registry_dir, str(here.url))

    assert (report.size_before, report.size, again.size_before, again.size) == (3, 4, 4, 4)
    assert there.run("list").status == 0
    assert here.journal.read_bytes() == there.journal.read_bytes() == before


def test_an_import_that_is_killed(here: Machine, there: Machine, tmp_path):
    """Killed at any moment: each entry is on the cluster once, and the next import completes it."""
    local = here.without_cluster()
    with local.open() as registry:
        for number in range(300):
            registry.publish_model(local.artifact(data=b"%d" % number), backend="b")
    size = len(local.journal.read_bytes().splitlines())
    for moment in range(6):
        process = here.start("import-journal")
        time.sleep(0.1 + 0.03 * moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    assert here.run("import-journal").status == 0

    assert fresh_mirror(str(here.url), tmp_path / "fresh") == here.journal.read_bytes()
    assert len(here.journal.read_bytes().splitlines()) == size


def test_an_export_that_was_interrupted_goes_on(local: Machine, here: Machine, tmp_path, monkeypatch):
    """What is in the directory already must be the beginning of the journal, and is kept."""
    here.run("import-journal")
    monkeypatch.setattr("eventlog.engines.checks.PIECE_ENTRIES_MAX", 1)
    append = JsonlJournal.append
    done: list[int] = []

    def fail(self, entries, *, expected_size, recording=()):
        if expected_size == 2 and not done:
            done.append(2)
            raise RefusedError("no space left on device")
        return append(self, entries, expected_size=expected_size, recording=recording)

    monkeypatch.setattr(JsonlJournal, "append", fail)
    with pytest.raises(OutcomeUnknownError, match="2 of 4 entries are there: mend that, then export again"):
        maintenance.export_journal(tmp_path / "out", here.registry_dir, str(here.url))

    report = maintenance.export_journal(tmp_path / "out", here.registry_dir, str(here.url))

    assert (report.size_before, report.size) == (2, 4)
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == here.journal.read_bytes()


def test_a_rewound_registry_is_not_imported(local: Machine, here: Machine):
    """What another file remembers of it is missing; a cluster would make the rest the whole history for everybody."""
    earlier = here.journal.read_bytes(), (here.registry_dir / "journal.head").read_bytes()
    local.publish(data=b"one more")
    here.journal.write_bytes(earlier[0])
    (here.registry_dir / "journal.head").write_bytes(earlier[1])

    assert here.run("import-journal").status == 3


def test_what_cannot_be_imported(local: Machine, here: Machine, there: Machine, tmp_path):
    """Nothing, damage, another journal, or fewer entries than the cluster has: refused, and nothing is changed."""
    there.publish(data=b"another journal")
    before = here.files()

    other = here.run("import-journal")
    nothing = Machine(tmp_path / "nothing", here.url).run("import-journal")
    unnamed = local.run("import-journal")

    assert (other.status, nothing.status, unnamed.status) == (2, 2, 2)
    assert "it is another journal" in other.err
    assert "expected a journal to import, got none" in nothing.err
    assert "expected --journal" in unnamed.err
    assert here.files() == before
    for number in range(4):
        there.publish(data=b"more %d" % number)
    assert "expected at most the 4 entries" in here.run("import-journal").err
    here.journal.write_bytes(here.journal.read_bytes().replace(b'"b1"', b'"b9"'))
    assert here.run("import-journal").status == 3


def test_what_cannot_be_exported(local: Machine, here: Machine, tmp_path):
    """A cluster that is empty or cannot be reached, a directory with another journal: refused, nothing is changed."""
    empty = here.run("export-journal", str(tmp_path / "out"))
    here.run("import-journal")
    other = Machine(tmp_path / "other", None)
    other.publish()
    before = other.files()

    another = here.run("export-journal", str(other.registry_dir))
    onto_itself = here.run("export-journal", str(here.registry_dir))
    gone = Machine(here.root, f"nats://127.0.0.1:1/{str(here.url).rpartition('/')[2]}")
    unreachable = gone.run("export-journal", str(tmp_path / "out"))

    assert (empty.status, another.status, onto_itself.status, unreachable.status) == (2, 2, 2, 2)
    assert "cannot be reached" in unreachable.err
    assert other.files() == before
    assert not (tmp_path / "out").exists()


def test_a_writer_that_waits_for_an_import_does_not_append_locally(local: Machine, here: Machine, monkeypatch):
    """It had found a journal of its own before; when it has the lock, the journal is a mirror."""
    waiting = JsonlJournal(str(here.registry_dir))
    mine = JsonlJournal(str(here.registry_dir))
    cluster = open_journal(str(here.url), directory=str(here.registry_dir))
    refused: list[str] = []

    class Meanwhile(JsonlJournal):
        def become_mirror(self, stream: str) -> None:
            super().become_mirror(stream)
            with pytest.raises(RefusedError) as caught, waiting.exclusive():
                pass
            refused.append(str(caught.value))

    monkeypatch.setattr(waiting, "_lock_timeout_seconds", 0.2)
    mine.__class__ = Meanwhile
    import_journal(mine, cluster)
    with pytest.raises(RefusedError, match="the mirror of"), waiting.exclusive():
        pass
    cluster.close()

    assert len(refused) == 1, "it waited for the lock"


def test_a_long_journal_moves(here: Machine, there: Machine, tally):
    """Several atomic batches and several answers to a read, byte for byte."""
    local = here.without_cluster()
    with local.open() as registry:
        for number in range(2_500):
            registry.publish_model(local.artifact(data=b"%d" % number), backend="b")
    before = local.journal.read_bytes()

    assert here.run("import-journal").status == 0
    assert there.run("list", "--limit", "1").status == 0

    tally("entries moved into a cluster and read on another machine", before.count(b"\n"))
    assert there.journal.read_bytes() == before


def test_unreachable_in_the_middle(own_cluster: NatsCluster, tmp_path):
    """With the whole cluster gone nothing is marked, and local work goes on."""
    machine = Machine(tmp_path / "m", own_cluster.url("x"))
    machine.without_cluster().publish()
    own_cluster.stop()

    with pytest.raises(UnreachableError):
        maintenance.import_journal(machine.registry_dir, str(machine.url))

    assert not os.path.lexists(machine.registry_dir / "journal.mirror")
    assert machine.without_cluster().publish(data=b"more")
