"""`rollback`: back to an older model whose artifact is still what it was."""

from __future__ import annotations

import json
import os

import pytest


def test_exact_command_as_typed(desk):
    """From a checkout, the documented line makes the model active again and prints it as JSON."""
    first = desk.publish("a")
    desk.publish("b", data=b"other")

    done = desk.spawn("rollback", "--model-id", first["model_id"], "--state-dir", "runtime", "--registry-dir", "models")

    assert (done.returncode, json.loads(done.stdout)) == (0, first)
    assert desk.run("active", "--output", "json").json["model_id"] == first["model_id"]


def test_event_and_files(desk):
    """It appends model.rolled_back.v1 with who, why and what was displaced; both derived files follow."""
    first, second = desk.publish("a"), desk.publish("b")

    desk.run("rollback", "--model-id", first["model_id"], "--actor", "ana", "--reason", "drift")

    event = desk.events()[-1]
    assert (event["type"], event["subject"], event["actor"]) == ("model.rolled_back.v1", first["model_id"], "ana")
    assert event["data"] == {"displaced": second["model_id"], "sha256": first["sha256"], "reason": "drift"}
    assert json.loads(desk.registry_json.read_bytes())["active_model_id"] == first["model_id"]
    active = json.loads(desk.state_json.read_bytes())["metadata"]["active_model"]
    assert (active["model_id"], active["activated_at"]) == (first["model_id"], event["time"])


def test_without_a_model_id(desk):
    """It means the model that was active before this one; twice is back again."""
    first, second = desk.publish("a"), desk.publish("b")

    once = desk.run("rollback").json
    twice = desk.run("rollback").json

    assert (once["model_id"], twice["model_id"]) == (first["model_id"], second["model_id"])


def test_to_the_active_model(desk):
    """There is nothing to do: status 0, and nothing is recorded."""
    model = desk.publish()
    before = desk.snapshot()

    result = desk.run("rollback", "--model-id", model["model_id"])

    assert (result.status, result.json) == (0, model)
    assert "is active already: nothing was recorded" in result.err
    assert desk.snapshot() == before


@pytest.mark.parametrize("damage", ["gone", "changed", "same size", "directory", "fifo", "dangling"])
def test_artifact_that_is_no_longer_what_it_was(desk, refused, damage):
    """The target's file must be there with its recorded sha256; refused before anything changes."""
    target = desk.publish("a", data=b"weights")
    desk.publish("b", data=b"other")
    path = target["artifact_path"]
    os.unlink(path)
    if damage in ("changed", "same size"):
        desk.artifact(os.path.basename(path), b"Weights" if damage == "same size" else b"longer weights")
    elif damage == "directory":
        os.mkdir(path)
    elif damage == "fifo":
        os.mkfifo(path)
    elif damage == "dangling":
        os.symlink("nowhere", path)

    line = refused(*desk.argv("rollback", "--model-id", target["model_id"]))

    assert os.path.basename(path) in line
    if damage in ("changed", "same size"):
        assert f"expected sha256 {target['sha256']}" in line


def test_artifact_replaced_by_a_link_to_equal_bytes(desk):
    """What counts is the bytes: a file that moved and left a link is still the model."""
    target = desk.publish("a")
    desk.publish("b", data=b"other")
    os.rename(target["artifact_path"], desk.root / "moved.bin")
    os.symlink(desk.root / "moved.bin", target["artifact_path"])

    assert desk.run("rollback", "--model-id", target["model_id"]).status == 0


MALFORMED = ["", "x", "../../etc/passwd", "/etc/passwd", "20250101103000_abcd1234/..", "20250101103000_ABCD1234", "-"]
MALFORMED += [
    "20250101103000_abcd123",
    "20250101103000_abcd1234\n",
    "2025010110300\u0660_abcd1234",
    "*",
    "\x1b[2J",
    "a\0b",
]
MALFORMED += [os.fsdecode(b"20250101103000_abcd123\xff"), "9" * 5_000]


@pytest.mark.parametrize("verb", ["rollback", "show"])
@pytest.mark.parametrize("model_id", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_model_id(desk, refused, verb, model_id):
    """It is matched against the pattern before it touches anything, and shown spelled out."""
    desk.publish()

    line = refused(*desk.argv(verb, *(("--model-id", model_id) if verb == "rollback" else ("--", model_id))))

    assert "expected YYYYMMDDHHMMSS_xxxxxxxx" in line
    assert line.isprintable()
    assert len(line) < 1_000, "the line must stay readable"


@pytest.mark.parametrize("verb", ["rollback", "show"])
def test_unknown_model_id(desk, refused, verb):
    """A well-formed id that was never published is refused with a hint."""
    desk.publish()
    model_id = "20250101103000_abcd1234"

    line = refused(*desk.argv(verb, *(("--model-id", model_id) if verb == "rollback" else (model_id,))))

    assert f"expected a published model, got '{model_id}': see list" in line


def test_nothing_to_roll_back_to(desk, refused):
    """Refused on an empty registry, and where the only model is active; nothing is created."""
    empty = refused(*desk.argv("rollback"))
    named = refused(*desk.argv("rollback", "--model-id", "20250101103000_abcd1234"))
    desk.publish()
    alone = refused(*desk.argv("rollback"))

    assert "publish first" in empty
    assert "publish first" in named
    assert "--model-id" in alone


def test_dry_run(desk, refused):
    """It says what would happen, refuses what would be refused, and changes nothing."""
    first = desk.publish("a")
    desk.publish("b", data=b"other")
    before = desk.snapshot()

    result = desk.run("rollback", "--dry-run")

    assert (result.status, result.json) == (0, first)
    assert "dry run: nothing was changed" in result.err
    assert desk.snapshot() == before
    os.unlink(first["artifact_path"])
    refused(*desk.argv("rollback", "--dry-run"))


def test_same_id_gives_the_same_answer(desk, refused):
    """A repeated request is answered, not done again, also once another model is active; another target is refused."""
    first, second = desk.publish("a"), desk.publish("b")
    request = ("rollback", "--model-id", first["model_id"], "--id", "undo-1")
    desk.run(*request)
    desk.run("rollback", "--model-id", second["model_id"])
    size = len(desk.events())

    again = desk.run(*request)
    line = refused(*desk.argv("rollback", "--model-id", second["model_id"], "--id", "undo-1"))

    assert (again.status, again.json) == (0, first)
    assert len(desk.events()) == size
    assert desk.run("active", "--output", "json").json["model_id"] == second["model_id"]
    assert "undo-1" in line


def test_expect_active(desk, refused):
    """The rollback happens only on the state that its author saw."""
    first, second = desk.publish("a"), desk.publish("b")

    refused(*desk.argv("rollback", "--expect-active", first["model_id"]))
    refused(*desk.argv("rollback", "--expect-active", "none"))
    result = desk.run("rollback", "--expect-active", second["model_id"])

    assert (result.status, result.json) == (0, first)
