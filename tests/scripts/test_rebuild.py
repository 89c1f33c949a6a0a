"""`rebuild`: the derived files anew, from the journal alone."""

from __future__ import annotations

import fcntl
import json
import os

import pytest


@pytest.mark.parametrize("damage", ["deleted", "empty", "garbage", "stale", "wrong models"])
def test_derived_files_come_back_with_the_same_bytes(desk, damage):
    """Whatever became of registry.json, a rebuild gives the bytes that it had."""
    desk.publish("a")
    stale = desk.registry_json.read_bytes()
    desk.publish("b")
    desk.run("rollback")
    expected = desk.registry_json.read_bytes()
    runtime = desk.state_json.read_bytes()
    replacements = {
        "empty": b"",
        "garbage": b"\x00\xff{",
        "stale": stale,
        "wrong models": expected.replace(b'"backend":"a"', b'"backend":"z"'),
    }
    desk.registry_json.unlink() if damage == "deleted" else desk.registry_json.write_bytes(replacements[damage])

    result = desk.run("rebuild")

    assert (result.status, result.out) == (0, "")
    assert desk.registry_json.read_bytes() == expected
    assert desk.state_json.read_bytes() == runtime


def test_runtime_checkpoint_comes_back(desk):
    """A deleted one is created with the one key that is ours, a changed one is corrected."""
    desk.publish("a")
    expected = json.loads(desk.state_json.read_bytes())
    desk.state_json.unlink()

    first = desk.run("rebuild")
    recreated = json.loads(desk.state_json.read_bytes())
    desk.state_json.write_bytes(desk.state_json.read_bytes().replace(b'"a"', b'"forged"'))
    second = desk.run("rebuild")

    assert (first.status, second.status) == (0, 0)
    assert recreated == expected
    assert json.loads(desk.state_json.read_bytes()) == expected


def test_nothing_to_rebuild_from(desk, refused):
    """Without a journal it is refused, and nothing is created."""
    line = refused(*desk.argv("rebuild"))

    assert "expected a journal to rebuild from, got none" in line


def test_mends_a_publish_that_lagged(desk):
    """A publish whose derived file could not be written ends with 5 and the model on stdout; rebuild mends it."""
    desk.publish("a")
    obstacle = desk.models / ".registry.json.new"
    obstacle.mkdir()

    lagged = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b")
    still = desk.run("rebuild")
    obstacle.rmdir()
    mended = desk.run("rebuild")

    assert (lagged.status, still.status, mended.status) == (5, 5, 0)
    assert lagged.json["model_id"] == desk.run("active", "--output", "json").json["model_id"]
    assert "recorded, but a derived file is behind" in lagged.err
    assert "run rebuild" in lagged.err
    assert json.loads(desk.registry_json.read_bytes())["active_model_id"] == lagged.json["model_id"]
    assert desk.run("verify").status == 0


def test_lock_held_by_somebody_else(desk):
    """The directory's lock guards the derived files; who holds it is named, and the file stays as it was."""
    desk.publish()
    before = desk.snapshot()
    descriptor = os.open(desk.models, os.O_RDONLY)

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    result = desk.run("rebuild", "--lock-timeout", "0")
    os.close(descriptor)

    assert result.status == 5
    assert f"locked by process {os.getpid()}" in result.err
    assert desk.snapshot() == before


def test_damaged_journal(desk, refused):
    """Nothing is derived from a journal that does not verify."""
    desk.publish()
    desk.journal.write_bytes(desk.journal.read_bytes().replace(b"reference", b"Reference"))

    refused(*desk.argv("rebuild"), status=3)
