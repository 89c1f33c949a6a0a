"""Bundles: what is in one, the same bytes everywhere, and none where something is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from carrying import KEY, Hosts, everything, hosts_below, unpacked
from support import Place, outcome_of

from eventlog import tree
from eventlog.errors import JournalDamagedError, RefusedError
from projections.bundles import bundle_models
from projections.evidence import verify_receipt

REPOSITORY = Path(__file__).resolve().parents[3]


def test_what_is_in_it(hosts: Hosts) -> None:
    """Any tar program reads it: what it says of itself, the very lines, and each file once, by its hash."""
    report = hosts.bundle(*hosts.models)

    with tarfile.open(hosts.path, format=tarfile.USTAR_FORMAT) as found:
        members = {member.name: found.extractfile(member) for member in found.getmembers()}
        data = {name: file.read() for name, file in members.items() if file is not None}
        plain = {(m.type, m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname, m.linkname) for m in found.getmembers()}
    table = json.loads(data.pop("bundle.json"))
    assert data.pop("journal.jsonl") == hosts.here.journal.read_bytes()
    assert {name.rpartition("/")[2] for name in data} == {sha256(item).hexdigest() for item in data.values()}
    assert {b"a", b"c" * 2000, b"e", b"{}"} < set(data.values())
    assert plain == {(tarfile.REGTYPE, 0o444, 0, 0, 0, "", "", "")}
    leaves = [tree.leaf_hash(line[:-1]) for line in hosts.here.lines()]
    assert table["end"] == {"size": 6, "hash": report.hash, "root": tree.root(leaves).hex()}
    assert table["start"] == {"size": 0, "hash": "0" * 64}
    assert table["models"] == report.models == hosts.models
    assert table["members"][0]["name"] == "journal.jsonl"
    assert hosts.path.stat().st_size == report.size_bytes
    assert hosts.path.stat().st_mode & 0o777 == 0o444


def test_gnu_tar_reads_it(hosts: Hosts, tmp_path: Path) -> None:
    """With nothing to complain about."""
    hosts.bundle(*hosts.models)
    (tmp_path / "out").mkdir()

    done = subprocess.run(["tar", "xvf", hosts.path], cwd=tmp_path / "out", capture_output=True, text=True, check=True)

    assert (done.stderr, done.stdout.split()[0]) == ("", "bundle.json")
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == hosts.here.journal.read_bytes()


def test_the_active_model_comes_along(hosts: Hosts) -> None:
    """Also without being named, and once."""
    assert hosts.bundle().models == [hosts.models[0]]
    assert hosts.bundle(hosts.models[3], hosts.models[0], hosts.models[3]).models == [hosts.models[0], hosts.models[3]]


def test_the_same_bytes_everywhere(hosts: Hosts, tmp_path: Path) -> None:
    """Twice, in another directory, under another umask, in another time zone and locale, by another user's clock."""
    hosts.bundle(*hosts.models)
    before = hosts.path.read_bytes()
    hosts.bundle(*reversed(hosts.models))
    assert hosts.path.read_bytes() == before
    moved = tmp_path / "moved"
    shutil.copytree(hosts.here.registry_dir, moved)
    words = ["bundle", *hosts.models, "-o", "x.tar", "--registry-dir", str(moved)]
    environment = {"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONPATH": str(REPOSITORY)}

    subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys; os.umask(0o77); from scripts.manage_models import main; sys.exit(main())",
            *words,
        ],
        cwd=tmp_path,
        env={**environment, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )

    assert (tmp_path / "x.tar").read_bytes() == before


def test_what_the_other_side_has_is_left_out(hosts: Hosts) -> None:
    """From a position on only the entries behind it; at the end none; beyond it nothing is written."""
    report = hosts.bundle(since=4)

    table, members = unpacked(hosts.path)
    assert members["journal.jsonl"] == b"".join(hosts.here.lines()[4:])
    assert (table.start.size, table.start.hash) == (4, json.loads(hosts.here.lines()[3])["hash"])
    assert (report.start, report.size) == (4, 6)
    assert hosts.bundle(since=6).size == 6
    assert unpacked(hosts.path)[1]["journal.jsonl"] == b""
    error = outcome_of(lambda: hosts.bundle(since=7))
    assert "--since: expected at most 6" in str(error)
    assert not hosts.path.exists()


@pytest.mark.parametrize("what", ["gone", "another", "a file of the directory"])
def test_artifact_that_is_missing_or_another(hosts: Hosts, what: str) -> None:
    """It is refused, and there is no file."""
    if what == "gone":
        (hosts.here.root / "e").unlink()
    elif what == "another":
        (hosts.here.root / "e").write_bytes(b"E")
    else:
        (hosts.here.root / "d" / "config.json").write_bytes(b"[]")

    error = outcome_of(lambda: hosts.bundle(*hosts.models))

    assert type(error) is RefusedError
    assert not list(hosts.path.parent.glob("*.tar*"))
    assert not list(hosts.path.parent.glob(".*"))


def test_artifact_that_changes_while_it_is_copied(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was hashed first and is another now is refused, and nothing is left of the file."""
    from eventlog import bundle

    real = bundle._write

    def late(destination: str, parts: object) -> None:
        (hosts.here.root / "e").write_bytes(b"E")
        real(destination, parts)  # type: ignore[arg-type]

    monkeypatch.setattr(bundle, "_write", late)
    error = outcome_of(lambda: hosts.bundle(*hosts.models))

    assert type(error) is RefusedError
    assert "changed after it was hashed" in str(error)
    assert not [path for path in hosts.path.parent.iterdir() if path.is_file()]


@pytest.mark.parametrize("what", ["a file", "a directory", "a link to nowhere"])
def test_destination_that_is_taken(hosts: Hosts, what: str) -> None:
    """Nothing is ever written over."""
    path = hosts.path
    if what == "a file":
        path.write_text("mine")
    elif what == "a directory":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    before = everything(path.parent)

    error = outcome_of(lambda: bundle_models((), path, hosts.here.registry_dir, None))

    assert "expected no file, got one" in str(error)
    assert everything(path.parent) == before


def test_nothing_to_bundle(place: Place) -> None:
    """No registry, no model of that name: refused."""
    assert "expected an active model" in str(outcome_of(lambda: bundle_models((), "x.tar", place.registry_dir, None)))
    place.publish()
    for model_id in ("../x", "20260102030405_00000000"):
        error = outcome_of(lambda model_id=model_id: bundle_models([model_id], "x.tar", place.registry_dir, None))
        assert type(error) is RefusedError
    assert not Path("x.tar").exists()


def test_damaged_registry(hosts: Hosts) -> None:
    """Damage is not carried anywhere."""
    data = bytearray(hosts.here.journal.read_bytes())
    data[900] ^= 1
    hosts.here.journal.write_bytes(data)

    assert type(outcome_of(hosts.bundle)) is JournalDamagedError
    assert not hosts.path.exists()


def test_registry_is_as_it_was(hosts: Hosts) -> None:
    """Bundling changes nothing in registry and runtime."""
    before = everything(hosts.here.root)

    hosts.bundle(*hosts.models)

    assert everything(hosts.here.root) == before


def test_many_write_it_at_once(hosts: Hosts) -> None:
    """One of them makes the file, whole; the others are told that there is one."""
    outcomes: list[Exception | None] = []

    def write() -> None:
        call = lambda: bundle_models((), hosts.path, hosts.here.registry_dir, None)  # noqa: E731
        outcomes.append(outcome_of(call))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes.count(None) == 1
    assert hosts.take().size == 6


def test_receipts_prove_by_themselves(tmp_path: Path) -> None:
    """In a signed registry each model's receipt and file are enough for whoever has the key."""
    hosts = hosts_below(tmp_path, signed=True)
    report = hosts.bundle(*hosts.models)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xf", hosts.path], cwd=tmp_path / "out", check=True)

    assert report.signed
    assert (tmp_path / "out" / "tree_head.note").read_bytes() == (
        hosts.here.registry_dir / "tree_head.note"
    ).read_bytes()
    for model_id, data in zip(hosts.models[::2], (b"a", b"c" * 2000), strict=True):
        digest = sha256(data).hexdigest()
        proven = verify_receipt(
            tmp_path / "out" / "receipts" / f"{model_id}.tlog-proof",
            tmp_path / "out" / "artifacts" / "sha256" / digest[:2] / digest,
            str(KEY.public),
        )
        assert proven.event.subject == model_id


def test_model_that_nobody_signed(tmp_path: Path) -> None:
    """It has no receipt, so the bundle is refused as the receipt is."""
    hosts = hosts_below(tmp_path, signed=True)
    hosts.here.publish("late")

    assert "rebuild with --sign-key" in str(outcome_of(hosts.bundle))
    assert not hosts.path.exists()
