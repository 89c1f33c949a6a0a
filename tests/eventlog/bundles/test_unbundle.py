"""Unbundling: what arrives, on an empty host and on one that has the beginning; asked twice, done once."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from carrying import KEY, Hosts, everything
from support import artifact_problems, outcome_of

from eventlog import durable_replacement
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import ProjectionLagError, RefusedError
from projections import RuntimeStateManager, backup_registry, verify_registry
from projections.evidence import issue_receipt


def active_path(hosts: Hosts) -> Path:
    """Return the path that the runtime over there is told."""
    path: str = json.loads(hosts.there.state_json.read_text())["metadata"]["active_model"]["artifact_path"]
    return Path(path)


def test_onto_nothing(hosts: Hosts) -> None:
    """The same history, to the byte; the runtime is told of a file that is there; everything verifies."""
    hosts.bundle(*hosts.models)
    hosts.forget_artifacts()

    report = hosts.take()

    assert (report.size_before, report.size, report.done, report.models) == (0, 6, True, hosts.models)
    assert hosts.there.journal.read_bytes() == hosts.here.journal.read_bytes()
    assert hosts.there.registry_json.read_bytes() == hosts.here.registry_json.read_bytes()
    assert active_path(hosts).read_bytes() == b"a"
    assert active_path(hosts).is_relative_to(hosts.there.registry_dir)
    found = verify_registry(hosts.there.registry_dir, hosts.there.state_dir, artifacts=True)
    assert (found.verdict, found.findings) == ("intact", [])


def test_a_second_time(hosts: Hosts) -> None:
    """Not one byte, mode or time changes, and nothing is recorded."""
    hosts.bundle(*hosts.models)
    hosts.take()
    times = {path: path.lstat().st_mtime_ns for path in hosts.there.root.rglob("*") if path.is_file()}
    before = everything(hosts.there.root)

    report = hosts.take()

    assert (report.size_before, report.size) == (6, 6)
    assert everything(hosts.there.root) == before
    assert {path: path.lstat().st_mtime_ns for path in times} == times


@pytest.mark.parametrize("since", [0, 3, 6])
def test_onto_a_beginning(hosts: Hosts, since: int) -> None:
    """Only what is missing is appended, whether the bundle brings more or just that."""
    hosts.bundle()
    hosts.take()
    hosts.here.publish("new")
    hosts.bundle(hosts.models[1], since=since)

    report = hosts.take()

    assert (report.size_before, report.size) == (6, 7)
    assert hosts.there.journal.read_bytes() == hosts.here.journal.read_bytes()
    assert active_path(hosts).read_bytes() == b"new"
    assert verify_registry(hosts.there.registry_dir, hosts.there.state_dir).findings == []


def test_onto_more(hosts: Hosts) -> None:
    """A registry that has all of it and has gone on itself gets the artifacts, and nothing is recorded."""
    hosts.bundle(hosts.models[3])
    hosts.take()
    hosts.bundle(*hosts.models)
    hosts.forget_artifacts()
    hosts.there.publish("own")
    before = hosts.there.journal.read_bytes()

    report = hosts.take()

    assert (report.size_before, report.size) == (7, 7)
    assert hosts.there.journal.read_bytes() == before
    assert artifact_problems(hosts.there) == []
    assert hosts.there.open().rollback(hosts.models[2]).model_id == hosts.models[2]


def test_what_somebody_else_wrote(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that another process brought, and died, are made sure of before a derived file remembers them."""
    hosts.bundle()
    hosts.take()
    hosts.there.registry_json.unlink()
    said: list[str] = []
    confirm, begin = JsonlJournal.confirm, durable_replacement.Replacement.__init__
    monkeypatch.setattr(JsonlJournal, "confirm", lambda self: (said.append("sure"), confirm(self))[1])
    monkeypatch.setattr(
        durable_replacement.Replacement,
        "__init__",
        lambda self, path, data: (said.append(path), begin(self, path, data))[1],
    )

    hosts.take()

    assert said[0] == "sure"
    assert str(hosts.there.registry_json) in said


def test_artifacts_alone(hosts: Hosts) -> None:
    """A bundle without entries brings the artifacts of a history that came otherwise; the runtime is told then."""
    backup_registry(hosts.there.registry_dir, hosts.here.registry_dir)
    hosts.there.open().rebuild()
    assert active_path(hosts) == hosts.here.root / "a"
    hosts.bundle(*hosts.models, since=6)

    report = hosts.take()

    assert (report.size_before, report.size) == (6, 6)
    assert active_path(hosts).is_relative_to(hosts.there.registry_dir)
    assert active_path(hosts).read_bytes() == b"a"


def test_every_model_can_be_used(hosts: Hosts) -> None:
    """Models that were published by path elsewhere are found here: rolled back to, loaded, shown where they are."""
    hosts.bundle(*hosts.models)
    hosts.forget_artifacts()
    hosts.take()

    with hosts.there.open() as registry:
        for model_id in hosts.models[1:]:
            registry.rollback(model_id)
            loaded = registry.open_active()
            assert loaded.model.model_id == model_id
            assert loaded.path == os.path.realpath(active_path(hosts)) == registry.load(model_id, full=True).path
    assert artifact_problems(hosts.there) == []


def test_another_file_at_the_published_path(hosts: Hosts) -> None:
    """What lies here where the model was published there is not taken for it, and the runtime is not sent to it."""
    hosts.bundle(*hosts.models)
    (hosts.here.root / "a").write_bytes(b"A")
    hosts.take()

    assert active_path(hosts).read_bytes() == b"a"
    with hosts.there.open() as registry:
        assert Path(registry.open_active().path).read_bytes() == b"a"
    assert artifact_problems(hosts.there) == []


def test_kept_copy_that_was_damaged(hosts: Hosts) -> None:
    """It is told, not used; the published file stands in where it is right; unbundling again heals it."""
    hosts.bundle(*hosts.models)
    hosts.take()
    kept = active_path(hosts)
    kept.chmod(0o644)
    kept.write_bytes(b"A")

    assert any("unbundle it again" in problem for problem in artifact_problems(hosts.there))
    with hosts.there.open() as registry:
        assert registry.open_active().path == str(hosts.here.root / "a")
    hosts.forget_artifacts()
    with hosts.there.open() as registry:
        assert type(outcome_of(registry.open_active)) is RefusedError
    hosts.take()
    assert active_path(hosts).read_bytes() == b"a"
    assert artifact_problems(hosts.there) == []


def test_dry_run(hosts: Hosts) -> None:
    """It says what would happen, and changes nothing."""
    hosts.bundle(*hosts.models)

    report = hosts.take(dry_run=True)

    assert (report.size_before, report.size, report.done) == (0, 6, False)
    assert everything(hosts.there.root) == {}


def test_runtime_that_cannot_be_told(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is recorded; the derived file is behind, and asking again mends it, as `rebuild` does."""
    hosts.bundle()

    def full(self: RuntimeStateManager, value: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RuntimeStateManager, "with_active_model", full)
        error = outcome_of(hosts.take)

    assert type(error) is ProjectionLagError
    assert len(hosts.there.lines()) == 6
    hosts.take()
    assert active_path(hosts).read_bytes() == b"a"


def test_signed_history(signed: Hosts) -> None:
    """With the key it is trusted, and from then on here, too; the tree head comes along, and gives receipts."""
    report = signed.take(public_key=str(KEY.public))

    assert report.signed_by_trusted
    note = signed.there.registry_dir / "tree_head.note"
    assert note.read_bytes() == (signed.here.registry_dir / "tree_head.note").read_bytes()
    with signed.there.open(public_key=str(KEY.public)) as registry:
        assert len(registry.list_models()) == 4
    receipt = signed.there.root / "r"
    issue_receipt(signed.models[0], signed.there.registry_dir, signed.there.state_dir, destination=receipt)
    before = everything(signed.there.root)
    signed.take()
    assert everything(signed.there.root) == before


def test_newer_tree_head_stays(signed: Hosts) -> None:
    """An older bundle does not put an older one in its place; a newer bundle does."""
    old = signed.path.read_bytes()
    signed.here.publish("new", registry=signed.here.open(sign_key=KEY.spelled()))
    signed.bundle()
    signed.take()
    newer = (signed.there.registry_dir / "tree_head.note").read_bytes()
    (signed.path.parent / "old.tar").write_bytes(old)

    signed.take(signed.path.parent / "old.tar", public_key=str(KEY.public))

    assert (signed.there.registry_dir / "tree_head.note").read_bytes() == newer


def test_artifacts_are_named_by_their_hash(hosts: Hosts) -> None:
    """What the registry keeps afterwards is what the bundle had, each file once and read-only."""
    hosts.bundle(*hosts.models)
    hosts.take()

    kept = hosts.there.kept()

    assert all(sha256(data).hexdigest() == name for name, data in kept.items())
    assert len(kept) == 6
    top = hosts.there.registry_dir / "artifacts" / "sha256"
    assert {path.stat().st_mode & 0o222 for path in top.glob("*/*") if path.stat().st_size} == {0}
    assert not list((hosts.there.registry_dir / "artifacts" / "incoming").iterdir())
