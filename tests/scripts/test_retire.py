"""`retire`, `hold` and `gc` on the command line."""

from __future__ import annotations

import pytest


def copied(desk, *names):
    return [desk.publish("b", "--copy", data=name.encode())["model_id"] for name in names]


def test_from_retired_to_removed(desk):
    """Said, shown, rehearsed, done; each step with who and why in the history."""
    old, _, _ = copied(desk, "a", "b", "c")

    said = desk.run("retire", old, "--reason", "leaks", "--actor", "ana", "--output", "json")

    assert (said.status, said.json["type"], said.json["model_id"]) == (0, "model.retired.v1", old)
    assert (said.json["reason"], said.json["actor"]) == ("leaks", "ana")
    assert desk.run("show", old, "--output", "json").json["retired"] is True
    before = desk.snapshot()
    rehearsed = desk.run("gc", "--dry-run", "--output", "json")
    assert (rehearsed.status, rehearsed.json["dry_run"], rehearsed.json["size_bytes"]) == (0, True, 1)
    assert desk.snapshot() == before
    done = desk.run("gc", "--reason", "room", "--output", "json")
    assert done.json == {**rehearsed.json, "dry_run": False}
    assert done.json["removed"][0]["models"] == [old]
    assert desk.events()[-1]["data"]["reason"] == "room"
    assert desk.run("verify", "--artifacts").status == 0
    refused = desk.run("path", "--model-id", old, "--verified")
    assert (refused.status, "publish the same bytes again" in refused.err) == (2, True)


def test_held(desk):
    """A model that is held keeps its copy, and gc says so; released, it goes."""
    old, _, _ = copied(desk, "a", "b", "c")
    desk.run("retire", old, "--reason", "old")
    assert desk.run("hold", old, "--reason", "audit 7").status == 0
    assert desk.run("show", old, "--output", "json").json["held"] is True

    assert f"{old}: retired, but held" in desk.run("gc").out

    assert desk.run("hold", old, "--release", "--reason", "audit is over").status == 0
    assert f"of {old}: 1 bytes" in desk.run("gc").out


def test_undone(desk):
    """A model that was retired by mistake is reinstated, and a rollback leads to it."""
    old, _ = copied(desk, "a", "b")
    desk.run("retire", old, "--reason", "old")
    assert desk.run("rollback").status == 2

    assert desk.run("retire", old, "--undo", "--reason", "wrong one").status == 0

    assert desk.run("rollback").json["model_id"] == old


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("retire", "ACTIVE", "--reason", "r"), "the one that is: publish another one, or roll back"),
        (("retire", "20260102030405_00000000", "--reason", "r"), "expected a published model"),
        (("retire", "x", "--reason", "r"), "expected YYYYMMDDHHMMSS_xxxxxxxx"),
        (("retire", "ACTIVE"), "--reason"),
        (("hold", "ACTIVE", "--release", "--reason", "r"), "expected a model that is held"),
        (("settings", "--keep-last", "-1"), "--keep-last"),
        (("settings", "--keep-days", "1000000"), "--keep-days"),
    ],
)
def test_refused(desk, words, told):
    """One line, status 2, and nothing changed."""
    (active,) = copied(desk, "a")
    before = desk.snapshot()

    result = desk.run(*(active if word == "ACTIVE" else word for word in words))

    assert (result.status, len(result.err.splitlines())) == (2, 1)
    assert told in result.err
    assert desk.snapshot() == before


def test_without_a_registry(desk):
    """Nothing says what is needed, and nothing is made."""
    result = desk.run("gc")

    assert (result.status, desk.snapshot()) == (2, {})
    assert "expected a journal" in result.err


def test_history_tells_it(desk):
    """What was removed is told in words."""
    old, _, _ = copied(desk, "a", "b", "c")
    desk.run("retire", old, "--reason", "old")
    desk.run("gc")

    rows = desk.run("history", "--model", old, "--output", "jsonl").out.splitlines()

    assert len(rows) == 4
    assert f"1 bytes of {old}" in desk.run("follow", "--from", "0", "--limit", "6").out + desk.run("history").out
