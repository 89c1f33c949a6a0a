"""What is not taken: partial, forked, foreign or older bundles; each with its reason, and not a byte changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from carrying import KEY, OTHER, Hosts, hosts_below, packed, unpacked, without_empty
from support import flip, outcome_of

from eventlog import unbundle
from eventlog.bundle_claims import Verified
from eventlog.errors import EvidenceError, JournalDamagedError
from eventlog.vault import Vault
from projections import verify_registry


def test_gap(hosts: Hosts) -> None:
    """It says what to ask for."""
    hosts.bundle(since=4)

    assert "partial" in hosts.refused()
    assert "bundle --since 0" in hosts.refused()


@pytest.mark.parametrize("since", [0, 4, 6])
def test_fork(hosts: Hosts, since: int) -> None:
    """Where both histories have gone on differently, the first position that differs is named."""
    hosts.bundle()
    hosts.take()
    hosts.there.publish("own")
    hosts.here.publish("new")
    hosts.bundle(since=since)

    message = hosts.refused()

    assert "forked" in message
    assert "at position 6" in message


def test_fork_before_the_segment(hosts: Hosts) -> None:
    """It is seen by the hash that the segment hangs on."""
    hosts.bundle()
    hosts.take()
    hosts.there.publish("own")
    hosts.here.publish("new")
    hosts.here.publish("newer")
    hosts.bundle(since=7)

    assert "before position 7" in hosts.refused()


def test_another_journal(hosts: Hosts) -> None:
    """A registry is not replaced by another one."""
    hosts.bundle()
    hosts.there.publish("own")

    assert "expected journal" in hosts.refused()


@pytest.mark.parametrize("what", ["runtime", "registry.json"])
def test_file_that_follows_another_journal(hosts: Hosts, what: str) -> None:
    """A runtime, or what is left of a registry, that belongs to another history is not taken over."""
    hosts.bundle()
    hosts.there.publish("own")
    for path in (hosts.there.journal, hosts.there.head, hosts.there.registry_dir / "journal.stamp"):
        path.unlink()
    (hosts.there.registry_json if what == "runtime" else hosts.there.state_json).unlink()

    assert "follows journal" in hosts.refused()


def test_older_than_what_the_runtime_remembers(hosts: Hosts) -> None:
    """A registry that is gone is not brought back as it was before the runtime last saw it."""
    hosts.bundle()
    old = hosts.path.read_bytes()
    hosts.here.publish("new")
    hosts.bundle()
    hosts.take()
    for path in hosts.there.registry_dir.iterdir():
        if path.is_file():
            path.unlink()
    hosts.path.chmod(0o644)
    hosts.path.write_bytes(old)

    assert "older" in hosts.refused()
    hosts.bundle()
    hosts.take()
    assert verify_registry(hosts.there.registry_dir, hosts.there.state_dir).findings == []


def test_damaged_registry(hosts: Hosts) -> None:
    """It is told as damage, and nothing is put on top of it."""
    hosts.bundle()
    hosts.take()
    hosts.here.publish("new")
    hosts.bundle(since=6)
    flip(hosts.there.journal, 8 * 900)

    hosts.refused(kind=JournalDamagedError)


def test_mirror_of_a_cluster(hosts: Hosts) -> None:
    """A mirror is written to by its cluster alone."""
    hosts.bundle()
    hosts.take()
    (hosts.there.registry_dir / "journal.mirror").write_text("REGISTRY_prod\n")

    assert "import-journal" in hosts.refused()


def test_key_that_did_not_sign(tmp_path: Path) -> None:
    """Another key of the same name is not it."""
    hosts = hosts_below(tmp_path.resolve(), signed=True)
    hosts.bundle(*hosts.models)

    assert "expected a signature of" in hosts.refused(kind=EvidenceError, public_key=str(OTHER.public))


def test_bundle_that_nobody_signed(hosts: Hosts) -> None:
    """Whoever asks for a signature is refused."""
    hosts.bundle()

    assert "got none" in hosts.refused(kind=EvidenceError, public_key=str(KEY.public))


def test_end_that_nobody_signed(tmp_path: Path) -> None:
    """Whoever trusts only what was signed does not take what came after it; others do."""
    hosts = hosts_below(tmp_path.resolve(), signed=True)
    hosts.here.open().review(0, reason="unsigned", actor="t")
    hosts.bundle()

    assert "over 7" in hosts.refused(kind=EvidenceError, public_key=str(KEY.public))
    assert hosts.take().size == 8


def test_signed_journal_stays_signed(tmp_path: Path) -> None:
    """A registry whose journal has keys takes nothing new that none of them signed, also where no key is named."""
    hosts = hosts_below(tmp_path.resolve(), signed=True)
    hosts.bundle()
    hosts.take()
    hosts.here.open().review(0, reason="unsigned", actor="t")
    hosts.bundle()
    table, members = unpacked(hosts.path)
    unsigned = {name: data for name, data in members.items() if not name.startswith(("tree_head", "receipts"))}
    path = packed(hosts.path.with_name("x.tar"), table, list(unsigned.items()))

    assert "over all 8 entries" in hosts.refused(kind=EvidenceError)
    assert "got none" in hosts.refused(path, kind=EvidenceError)
    hosts.here.open(sign_key=KEY.spelled()).rebuild()
    hosts.bundle()
    assert hosts.take().size == 8
    assert hosts.take(path).size == 8, "it brings nothing new"


def test_bundle_that_is_written_to_meanwhile(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was verified is not what is copied any more: nothing is kept or recorded."""
    hosts.bundle(*hosts.models)
    real = unbundle._keep_artifacts

    def late(verified: Verified, vault: Vault) -> None:
        hosts.path.chmod(0o644)
        with hosts.path.open("ab") as file:
            file.write(b"x")
        real(verified, vault)

    monkeypatch.setattr(unbundle, "_keep_artifacts", late)
    error = outcome_of(hosts.take)

    assert "changed while it was read" in str(error)
    assert without_empty(hosts.there.root) == {}
