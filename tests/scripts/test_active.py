"""`active`: the model that is active now."""

from __future__ import annotations

import pytest


def test_is_the_model_as_show_prints_it(desk):
    """Both outputs are those of `show`."""
    model = desk.publish()

    for output in ("json", "table"):
        active, shown = desk.run("active", "--output", output), desk.run("show", model["model_id"], "--output", output)
        assert (active.status, active.out) == (0, shown.out)


@pytest.mark.parametrize(("output", "out"), [("json", "null\n"), ("table", "")])
def test_none(desk, output, out):
    """Where no model was ever published: JSON null or words on stderr, status 0, nothing created."""
    before = desk.snapshot()

    result = desk.run("active", "--output", output)

    assert (result.status, result.out) == (0, out)
    assert ("no active model" in result.err) == (output == "table")
    assert desk.snapshot() == before


def test_follows_rollback(desk):
    """After a rollback it is the target."""
    first = desk.publish("a")
    desk.publish("b")

    desk.run("rollback")

    assert desk.run("active", "--output", "json").json["model_id"] == first["model_id"]
