"""`show`: one model and how it was published."""

from __future__ import annotations

SIX_AND_ACTIVE = ["model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata", "active"]
HISTORY = [
    "position",
    "event_id",
    "actor",
    "reason",
    "displaced",
    "artifact_size_bytes",
    "artifact_files",
    "origin_path",
    "contents",
    "signature",
    "training",
    "retired",
    "held",
    "removed_position",
]
AS_OF = ["as_of_position", "as_of_hash"]
ACTIVATION = ["activated_at", "activated_actor", "activated_reason", "activated_position"]
DISPLACEMENT = ["displaced_by", "displaced_at", "displaced_actor", "displaced_reason", "displaced_position"]


def test_json(desk):
    """The six attributes, whether it is active, and what the history says of its publication."""
    first = desk.publish("a")
    desk.publish("b", "--id", "key", "--actor", "ana", "--reason", "why", "--metadata", "rows:=7", data=b"1234")
    model_id = desk.run("active", "--output", "json").json["model_id"]

    result = desk.run("show", model_id, "--output", "json")

    assert list(result.json) == SIX_AND_ACTIVE + HISTORY + ACTIVATION + DISPLACEMENT + AS_OF
    wanted = {"position": 2, "event_id": "key", "actor": "ana", "reason": "why", "displaced": first["model_id"]}
    assert {**result.json, **wanted, "artifact_size_bytes": 4, "active": True} == result.json
    assert (result.json["activated_at"], result.json["activated_position"]) == (result.json["created_at"], 2)
    assert result.err == ""


def test_activation(desk):
    """The active model says since when and by which event it is active, any other has null there."""
    first = desk.publish("a")
    second = desk.publish("b")
    desk.run("rollback", "--actor", "carol", "--reason", "v2 loses money")

    shown = [desk.run("show", model["model_id"], "--output", "json").json for model in (first, second)]

    assert [model["activated_position"] for model in shown] == [3, None]
    assert shown[0]["activated_at"] > shown[0]["created_at"]
    assert [shown[0]["activated_actor"], shown[0]["activated_reason"]] == ["carol", "v2 loses money"]
    assert [model["displaced_by"] for model in shown] == [None, first["model_id"]]
    assert [shown[1][name] for name in DISPLACEMENT[2:]] == ["carol", "v2 loses money", 3]


def test_fields_for_people(desk):
    """One name and value a line, in words."""
    model = desk.publish("a", "--metadata", "rows=1")

    lines = dict(line.split(maxsplit=1) for line in desk.run("show", model["model_id"]).out.splitlines())

    assert lines["model_id"] == model["model_id"]
    assert (lines["active"], lines["displaced"], lines["dataset_metadata"]) == ("yes", "none", "rows=1")


def test_empty_registry(desk, refused):
    """There is no such model, and nothing is created."""
    line = refused(*desk.argv("show", "20250101103000_abcd1234"))

    assert "see list" in line
