"""`path`: where the bytes of a model are, for a shell."""

from __future__ import annotations

import os

import pytest


def test_of_the_active_model(desk):
    """One line, byte for byte the path; the active model's, or that of the one that is named."""
    first = desk.publish("a")
    second = desk.publish("b", data=b"other")

    assert desk.run("path").out == f"{second['artifact_path']}\n"
    assert desk.run("path", "--verified").out == f"{second['artifact_path']}\n"
    assert (
        desk.run("path", "--model-id", first["model_id"], "--verified", "--full").out == f"{first['artifact_path']}\n"
    )


@pytest.mark.parametrize("words", [(), ("--verified",), ("--model-id", "20260101000000_00000000"), ("--model-id", "x")])
def test_no_such_model(desk, words):
    """Status 2 and one line on stderr, nothing on stdout."""
    result = desk.run("path", *words)

    assert (result.status, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1


def test_other_bytes(desk):
    """Only --verified looks at them: then nothing is printed that a shell could use."""
    model = desk.publish("a")
    with open(model["artifact_path"], "ab") as file:
        file.write(b"x")

    assert desk.run("path").status == 0
    result = desk.run("path", "--verified")
    assert (result.status, result.out) == (2, "")
    assert f"expected sha256 {model['sha256']}" in result.err


def test_odd_names(desk):
    """A real process writes the bytes of the path as they are."""
    name = os.fsencode(desk.root) + b"/\xffodd \x1b[31m\nname"
    with open(name, "wb") as file:
        file.write(b"odd")
    desk.spawn("publish", "--artifact", os.fsdecode(name), "--backend", "b", *desk.argv("x")[1:])

    done = desk.spawn("path", "--verified", *desk.argv("x")[1:], text=False)

    assert done.returncode == 0
    assert done.stdout == name + b"\n"
