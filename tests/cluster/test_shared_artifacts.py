"""Artifacts across machines: in the store before an event names them, and here before a runtime is told of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import s3_server
from machines import Machine
from nats_cluster import wait_for

server, bucket, shelf = s3_server.server, s3_server.bucket, s3_server.shelf


@pytest.fixture
def store(shelf, monkeypatch) -> Iterator[str]:
    """The URL of a directory or a bucket, named to every command by the environment."""
    monkeypatch.setenv("MODELOG_ARTIFACT_STORE", shelf.url)
    return shelf.url


def _run(machine: Machine, verb: str, *words: str):
    variables = {name: value for name, value in os.environ.items() if name.startswith("MODELOG_")}
    return machine.run(verb, *words, **variables)


def _publish(machine: Machine, data: bytes, *words: str):
    name = f"{sha256(data).hexdigest()[:8]}.bin"
    return _run(machine, "publish", "--artifact", machine.artifact(name, data), "--backend", "b", *words)


def _fetched(machine: Machine, data: bytes) -> Path:
    digest = sha256(data).hexdigest()
    return machine.registry_dir / "artifacts" / "sha256" / digest[:2] / digest


def _forget_files(machine: Machine) -> None:
    for path in machine.root.glob("*.bin"):
        path.unlink()


def test_a_runtime_fetches_what_it_lacks(here: Machine, there: Machine, shelf, store: str):
    """The publisher's file is in the store before the event; the other machine has it before state.json names it."""
    model = _publish(here, b"weights").json
    assert shelf.names() == [model["sha256"]]
    _forget_files(here)

    done = _run(there, "sync", "--once")

    assert done.status == 0, done.err
    assert _fetched(there, b"weights").read_bytes() == b"weights"
    assert json.loads(there.state_json.read_text())["metadata"]["active_model"]["model_id"] == model["model_id"]
    with there.open(artifact_store=store) as registry:
        assert registry.fetch(model["model_id"]) == str(_fetched(there, b"weights").resolve())


def test_a_rollback_to_a_model_whose_file_is_elsewhere(here: Machine, there: Machine, store: str):
    """It is fetched and verified before the event; without a store it is refused as ever."""
    first = _publish(here, b"first").json
    _publish(here, b"second")
    _forget_files(here)

    alone = there.run("rollback")
    done = _run(there, "rollback")

    assert alone.status == 2
    assert "no such file" in alone.err
    assert done.json["model_id"] == first["model_id"]
    assert _fetched(there, b"first").read_bytes() == b"first"


def test_what_the_store_does_not_take_is_not_published(here: Machine, tmp_path, monkeypatch):
    """Status 2, and no event names a file that others cannot get."""
    (tmp_path / "file").write_bytes(b"")
    for url in (str(tmp_path / "file" / "below"), "s3://nowhere/x?secret=1", "ftp://host/x"):
        monkeypatch.setenv("MODELOG_ARTIFACT_STORE", url)
        result = _publish(here, b"weights")
        assert (result.status, result.out) == (2, ""), result.err
        assert "secret" not in result.err
    assert not here.registry_dir.exists()


def test_a_model_that_cannot_be_fetched_is_not_switched_to(here: Machine, there: Machine, shelf, store: str):
    """The runtime keeps what it has and that is said; as soon as the object is there it goes on."""
    old = _publish(here, b"old").json
    assert _run(there, "sync", "--once").status == 0
    new = here.publish(data=b"new")  # without the store
    _forget_files(here)

    result = _run(there, "sync", "--once")

    assert result.status == 5
    assert "cannot be used here" in result.err
    assert old["model_id"] in there.state_json.read_text()
    shelf.write(sha256(b"new").hexdigest(), b"neu")
    assert _run(there, "sync", "--once").status == 5
    shelf.write(sha256(b"new").hexdigest(), b"new")
    assert _run(there, "sync", "--once").status == 0
    assert new["model_id"] in there.state_json.read_text()


def test_the_service_fetches_too(here: Machine, there: Machine, store: str):
    """Each new model's file is here when state.json names it."""
    process = there.start("sync", "--artifact-store", store)
    try:
        for number in range(3):
            data = b"weights %d" % number
            model = _publish(here, data).json
            _forget_files(here)
            wait_for("the runtime has it", lambda model=model: _names(there, model["model_id"]), 20)
            assert _fetched(there, data).read_bytes() == data
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_a_dry_run_stores_nothing(here: Machine, shelf, store: str):
    """Neither in the journal nor in the store."""
    assert _publish(here, b"weights", "--dry-run").status == 0
    assert shelf.names() == []


def _names(machine: Machine, model_id: str) -> bool:
    return machine.state_json.exists() and model_id in machine.state_json.read_text()


def _directory(machine: Machine) -> str:
    top = machine.root / "model"
    (top / "weights").mkdir(parents=True)
    (top / "config.json").write_bytes(b"{}")
    (top / "weights" / "part").write_bytes(b"weights")
    return str(top)


@pytest.mark.parametrize("words", [(), ("--copy",)])
def test_a_directory_is_shared_file_by_file(here: Machine, there: Machine, shelf, store: str, words):
    """Its files and its manifest are in the store; the other machine makes the same directory of them."""
    model = _run(here, "publish", "--artifact", _directory(here), "--backend", "b", *words).json
    assert len(shelf.names()) == 3
    assert model["sha256"] in shelf.names()

    assert _run(there, "sync", "--once").status == 0
    done = _run(there, "path", "--verified")

    tree = there.registry_dir / "artifacts" / "trees" / model["sha256"][:2] / model["sha256"]
    if words:  # then it is recorded to be below the registry's directory, whichever machine's that is
        assert done.out == f"{tree}\n"
        assert str(tree) in there.state_json.read_text()
    assert (tree / "weights" / "part").read_bytes() == b"weights"
    (tree / "config.json").chmod(0o644)
    (tree / "config.json").write_bytes(b"[]")
    with there.open(artifact_store=store) as registry:
        assert registry.fetch(model["model_id"]) == str(tree.resolve())
    assert (tree / "config.json").read_bytes() == b"{}"


def test_a_manifest_that_lies(here: Machine, there: Machine, shelf, store: str):
    """What is under the name of a manifest, and is another one, is refused; nothing is made of it."""
    model = _run(here, "publish", "--artifact", _directory(here), "--backend", "b").json
    shelf.write(model["sha256"], b'modelog-manifest-v1\n{"path":"../x","size_bytes":0,"sha256":"' + b"0" * 64 + b'"}\n')

    result = _run(there, "sync", "--once")

    assert result.status == 5
    assert "expected sha256" in result.err or "bytes" in result.err
    assert not (there.registry_dir / "artifacts" / "trees").exists()
