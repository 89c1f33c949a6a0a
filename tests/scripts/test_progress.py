"""The progress bar: on a terminal's stderr when hashing takes long, nowhere else."""

from __future__ import annotations

import sys

import pytest

from scripts import progress


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "DELAY_SECONDS", -1.0)


def test_bar_on_a_terminal(desk, monkeypatch, pseudo_terminal, at_once):
    """A long hashing shows how far it is; the words after it stand on a line of their own."""
    artifact = desk.artifact("large.bin", bytes(20 << 20))
    monkeypatch.setattr(sys, "stderr", pseudo_terminal.file)

    result = desk.run("publish", "--artifact", artifact, "--backend", "b")

    shown = pseudo_terminal.shown()
    assert result.status == 0
    assert result.json["backend"] == "b", "stdout must have the JSON only"
    assert "hashing" in shown
    assert "100%" in shown
    assert "info: " in [line[:6] for line in shown.splitlines()], f"the bar must end before the words begin: {shown!r}"


def test_no_bar_in_a_pipe(desk, at_once):
    """What is redirected has no bar in it."""
    result = desk.run("publish", "--artifact", desk.artifact("large.bin", bytes(20 << 20)), "--backend", "b")

    assert result.status == 0
    assert "hashing" not in result.err
    assert len(result.err.splitlines()) == 1


def test_no_bar_when_it_is_quick(desk, monkeypatch, pseudo_terminal):
    """Below the delay there is nothing to tell."""
    monkeypatch.setattr(sys, "stderr", pseudo_terminal.file)

    desk.publish()

    assert "hashing" not in pseudo_terminal.shown()


def test_bar_of_a_rollback(desk, monkeypatch, pseudo_terminal, at_once):
    """A rollback hashes too."""
    desk.publish("a", data=bytes(3 << 20))
    desk.publish("b")
    monkeypatch.setattr(sys, "stderr", pseudo_terminal.file)

    desk.run("rollback")

    assert "hashing" in pseudo_terminal.shown()
