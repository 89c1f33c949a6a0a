"""`publish`: what it records, prints and refuses."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
from contextlib import nullcontext

import pytest

SIX = ["model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata"]


def test_exact_command_as_typed(desk):
    """From a checkout, with relative paths, the documented line works and prints the model's six attributes."""
    desk.artifact("model.bin", b"weights")

    done = desk.spawn(
        *["publish", "--artifact", "model.bin", "--backend", "reference", "--metadata", "rows=1024"],
        *["--state-dir", "var/runtime", "--registry-dir", "var/models"],
    )

    model = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    assert list(model) == SIX
    assert model["backend"] == "reference"
    assert model["dataset_metadata"] == {"rows": "1024"}
    assert model["artifact_path"] == os.path.realpath(desk.root / "model.bin")
    assert model["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert re.fullmatch(r"[0-9]{14}_" + model["sha256"][:8], model["model_id"])
    assert (desk.root / "var/models/registry.json").is_file()
    assert (desk.root / "var/runtime/state.json").is_file()


def test_events_that_it_appends(desk):
    """The first publish creates the journal; each one is a model.published.v1 that names what it displaced."""
    first = desk.publish("a", "--actor", "ana@trainer-3", "--reason", "first try")
    second = desk.publish("b", data=b"other weights")

    created, one, two = desk.events()
    assert [created["type"], one["type"], two["type"]] == ["journal.created.v1", *["model.published.v1"] * 2]
    assert (one["subject"], one["actor"], one["data"]["reason"]) == (first["model_id"], "ana@trainer-3", "first try")
    assert one["data"]["displaced"] is None
    assert two["data"]["displaced"] == first["model_id"]
    assert two["subject"] == second["model_id"]


def test_becomes_active_everywhere(desk):
    """The new model is active in the journal, in registry.json and in the runtime checkpoint."""
    desk.publish("a")

    model = desk.publish("b", data=b"newer")

    assert desk.run("active", "--output", "json").json["model_id"] == model["model_id"]
    assert json.loads(desk.registry_json.read_bytes())["active_model_id"] == model["model_id"]
    assert json.loads(desk.state_json.read_bytes())["metadata"]["active_model"]["model_id"] == model["model_id"]


def test_same_second_same_bytes_gives_ids_of_their_own(desk):
    """An id that is taken gets microseconds; no publish is lost and none fails."""
    ids = [desk.publish("same")["model_id"] for _ in range(5)]

    assert len(set(ids)) == 5
    assert all(re.fullmatch(r"[0-9]{14}([0-9]{6})?_[0-9a-f]{8}", model_id) for model_id in ids)


def test_artifact_behind_a_symbolic_link(desk):
    """The resolved path is recorded, so that a link that moves on does not change history."""
    target = desk.artifact("real.bin")
    (desk.root / "link.bin").symlink_to(target)

    result = desk.run("publish", "--artifact", str(desk.root / "link.bin"), "--backend", "b")

    assert result.json["artifact_path"] == os.path.realpath(target)


def test_empty_artifact(desk):
    """A file of no bytes is a regular file."""
    assert desk.publish(data=b"")["sha256"] == hashlib.sha256(b"").hexdigest()


def test_file_name_that_is_not_utf8(desk):
    """It is shown with the odd bytes spelled out, and found again by a rollback."""
    name = os.fsdecode(b"caf\xe9.bin")

    first = desk.run("publish", "--artifact", desk.artifact(name), "--backend", "b")
    desk.publish(data=b"other")
    back = desk.run("rollback", "--model-id", first.json["model_id"])

    assert first.json["artifact_path"].endswith("caf\\xe9.bin")
    assert (back.status, back.json["model_id"]) == (0, first.json["model_id"])


NO_REGULAR_FILES = ["missing", "directory", "fifo", "socket", "device", "dangling", "loop", "empty", "nul"]


@pytest.mark.parametrize("kind", NO_REGULAR_FILES)
def test_artifact_that_is_no_regular_file(desk, refused, kind, monkeypatch):
    """Each is refused by name at once, and nothing is created."""
    monkeypatch.chdir(desk.root)
    path = {"device": "/dev/zero", "empty": "", "nul": "a\0b"}.get(kind, "artifact")
    if kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("dangling", "loop"):
        os.symlink("nowhere" if kind == "dangling" else path, path)
    listener = socket.socket(socket.AF_UNIX)
    if kind == "socket":
        listener.bind(path)

    line = refused(*desk.argv("publish", "--artifact", path, "--backend", "b"))

    listener.close()
    assert "artifact" in line
    expected = {"fifo": "a FIFO", "device": "a character device", "directory": "a directory", "socket": "a socket"}
    assert expected.get(kind, "") in line


def test_unreadable_artifact(desk, as_nobody):
    """A file that we may not read is refused, and nothing is created."""
    os.chmod(desk.artifact("secret.bin"), 0)
    os.chmod(desk.root, 0o777)

    words = ["--registry-dir", "models", "--state-dir", "runtime"]
    result = as_nobody("publish", "--artifact", "secret.bin", "--backend", "b", *words)

    assert result.status == 2
    assert "secret.bin: permission denied" in result.err
    assert not desk.models.exists()
    assert not desk.runtime.exists()


BAD_METADATA = {
    "no equals sign": ["rows"],
    "empty key": ["=1"],
    "empty typed key": [":=1"],
    "empty": [""],
    "doubled key": ["rows=1", "rows=2"],
    "doubled key, one typed": ["rows=1", "rows:=2"],
    "NaN": ["x:=NaN"],
    "infinity": ["x:=Infinity"],
    "number too large for a float": ["x:=1e999"],
    "integer beyond 64 bits": ["x:=18446744073709551616"],
    "integer of 10,000 digits": ["x:=" + "9" * 10_000],
    "not JSON": ["x:={rows"],
    "nothing behind :=": ["x:="],
    "two JSON values": ["x:=1 2"],
    "too deep": ["x:=" + "[" * 40 + "]" * 40],
    "deep enough to exhaust a stack": ["x:=" + "[" * 100_000],
    "empty key inside": ['x:={"":1}'],
    "lone surrogate in JSON": ['x:="\\ud800"'],
    "bytes that are not UTF-8": [os.fsdecode(b"x=\xff")],
    "entry too large": ["x=" + "y" * 70_000],
}


@pytest.mark.parametrize("words", BAD_METADATA.values(), ids=BAD_METADATA)
def test_bad_metadata(desk, refused, words):
    """Each is refused in one line, on an existing registry, without a byte changed."""
    desk.publish()
    pairs = [word for text in words for word in ("--metadata", text)]

    line = refused(*desk.argv("publish", "--artifact", desk.artifact(), "--backend", "b", *pairs))

    assert len(line) < 2_000, "the line must stay readable"


def test_typed_metadata(desk):
    """KEY=VALUE is a string whatever it looks like; KEY:=JSON keeps its type, and only the first `=` counts."""
    pairs = ["rows=1024", "n:=1024", "x:=1.5", "ok:=true", "none:=null", "lags:=[1, 2]", 'o:={"a":"é"}', "eq=a=b", "e="]

    model = desk.publish("b", *[word for pair in pairs for word in ("--metadata", pair)])

    wanted = {"rows": "1024", "n": 1024, "x": 1.5, "ok": True, "none": None, "lags": [1, 2], "o": {"a": "é"}}
    assert model["dataset_metadata"] == {**wanted, "eq": "a=b", "e": ""}


@pytest.mark.parametrize("backend", ["", "a\x1b[31mb", "a\nb", "x" * 257, "\u202eb", "\u2028", os.fsdecode(b"\xff")])
def test_bad_backend(desk, refused, backend):
    """A backend is 1 to 256 printable characters."""
    line = refused(*desk.argv("publish", "--artifact", desk.artifact(), "--backend", backend))

    assert "backend: expected" in line
    assert line.isprintable()


def test_same_id_gives_the_same_answer(desk):
    """A repeated request is answered from the journal: same model, status 0, nothing appended."""
    first = desk.publish("b", "--id", "nightly-7")
    before = desk.snapshot()

    again = desk.publish("b", "--id", "nightly-7")

    assert again == first
    assert desk.snapshot() == before


def test_same_id_other_request(desk, refused):
    """The same id with another backend, other bytes, other metadata or another verb is refused."""
    desk.publish("b", "--id", "nightly-7")
    artifact, other = desk.artifact(), desk.artifact("other.bin", b"other")

    publish = desk.argv("publish", "--id", "nightly-7")
    lines = [
        refused(*publish, "--artifact", artifact, "--backend", "c"),
        refused(*publish, "--artifact", other, "--backend", "b"),
        refused(*publish, "--artifact", artifact, "--backend", "b", "--metadata", "a=1"),
        refused(*publish, "--artifact", artifact, "--backend", "b", "--reason", "else"),
        refused(*desk.argv("rollback", "--id", "nightly-7")),
    ]

    assert all("nightly-7" in line and "use a new id" in line for line in lines)


def test_expect_active(desk, refused):
    """The publish happens only on the state that its author saw."""
    artifact = desk.artifact()
    request = desk.argv("publish", "--artifact", artifact, "--backend", "b", "--expect-active")

    first = desk.call(*request, "none")
    line = refused(*request, "none")
    second = desk.call(*request, first.json["model_id"])
    refused(*request, first.json["model_id"])
    malformed = refused(*request, "../../etc/passwd")

    assert (first.status, second.status) == (0, 0)
    assert f"got {first.json['model_id']}" in line
    assert "expect_active: expected a model id as in list, or 'none'" in malformed


def test_dry_run(desk):
    """It prints the model that would be, says that it was dry, and creates nothing."""
    artifact = desk.artifact()
    before = desk.snapshot()

    result = desk.run("publish", "--artifact", artifact, "--backend", "b", "--dry-run")

    assert (result.status, list(result.json)) == (0, SIX)
    assert "dry run: nothing was changed" in result.err
    assert desk.snapshot() == before


def test_lock_held_by_somebody_else(desk, refused):
    """The message names the process that holds the lock, and nothing changes."""
    desk.publish()
    request = desk.argv("publish", "--artifact", desk.artifact(), "--backend", "b", "--lock-timeout", "0.05")

    with open(desk.journal, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        line = refused(*request)

    assert f"locked by process {os.getpid()}" in line
    assert "--lock-timeout" in line


def test_file_that_changes_before_the_append(desk, refused, monkeypatch):
    """An artifact that changes between its hashing and the append is refused: the recorded hash must be its hash."""
    desk.publish()
    artifact = desk.artifact()
    before = os.stat(artifact)

    def touch(done, total):
        os.utime(artifact, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))

    monkeypatch.setattr("scripts.progress.hashing", lambda: nullcontext(touch))
    line = refused(*desk.argv("publish", "--artifact", artifact, "--backend", "b"))

    assert "changed while it was hashed" in line
