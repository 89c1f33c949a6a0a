"""`settings`: how a registry behaves where a request does not say."""

from __future__ import annotations

import json


def test_shown_and_changed(desk):
    """Each change is an event that says who and why; what is shown is what holds."""
    desk.publish("a")
    assert desk.run("settings", "--output", "json").json == {"copy": False, "keep_last": 0, "keep_days": 0}

    changed = desk.run("settings", "--copy", "on", "--actor", "ana", "--reason", "overwritten twice")

    assert (changed.status, changed.out.split()) == (0, ["copy", "on", "keep_last", "0", "keep_days", "0"])
    event = desk.events()[-1]
    assert (event["type"], event["actor"]) == ("settings.changed.v1", "ana")
    assert event["data"] == {"settings": {"copy": True}, "reason": "overwritten twice"}
    assert desk.run("settings", "--output", "json").json == {"copy": True, "keep_last": 0, "keep_days": 0}


def test_the_same_again(desk):
    """Nothing is recorded where all is as it is to be."""
    desk.publish("a")
    desk.run("settings", "--copy", "on")
    before = desk.snapshot()

    assert desk.run("settings", "--copy", "on").status == 0

    assert desk.snapshot() == before


def test_without_a_registry(desk):
    """There is nothing to record it in; what holds is shown all the same."""
    assert desk.run("settings", "--output", "json").json == {"copy": False, "keep_last": 0, "keep_days": 0}
    result = desk.run("settings", "--copy", "on")

    assert result.status == 2
    assert "publish first" in result.err
    assert desk.snapshot() == {}


def test_publish_follows_them(desk):
    """Where they ask for copies, a publish makes one, unless it says --no-copy."""
    desk.publish("a")
    desk.run("settings", "--copy", "on")

    kept = desk.publish("b")
    plain = desk.publish("b", "--no-copy")
    asked = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b", "--copy", "--no-copy")

    assert "/artifacts/sha256/" in kept["artifact_path"]
    assert "/artifacts/" not in plain["artifact_path"]
    assert (asked.status, asked.out) == (2, "")


def test_what_is_shown_of_a_copy(desk):
    """`show` tells where it came from; `registry.json` names it from the registry's directory on."""
    model = desk.publish("a", "--copy")

    shown = desk.run("show", model["model_id"], "--output", "json").json

    assert shown["artifact_path"] == model["artifact_path"]
    assert shown["origin_path"].endswith(".bin")
    assert shown["artifact_files"] is None
    (row,) = json.loads(desk.registry_json.read_bytes())["models"]
    assert f"{desk.models}/{row['artifact_path']}" == model["artifact_path"]
    for form in ("json", "jsonl", "csv", "table"):
        assert model["artifact_path"] in desk.run("list", "--output", form).out
    where = f'artifact_path = "{model["artifact_path"]}"'
    assert len(desk.run("list", "--where", where, "--output", "json").json) == 1
