"""`--log-format json`: what is said on stderr, for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest


def _lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_message_is_an_object(desk):
    """Time, level and words; stdout is as ever."""
    result = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b", "--log-format", "json")

    assert result.status == 0
    (line,) = _lines(result.err)
    assert list(line) == ["time", "level", "message"]
    assert line["level"] == "info"
    assert line["message"].endswith("recorded as active, in place of no model")
    assert abs(datetime.fromisoformat(line["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert result.json["backend"] == "b"


def test_errors_too(desk):
    """A refusal is one object, and the status as ever; whatever stands in it is spelled out."""
    result = desk.run("publish", "--artifact", "/no\x1b[31m\nsuch", "--backend", "b", "--log-format=json")

    assert result.status == 2
    assert "\x1b" not in result.err
    (line,) = _lines(result.err)
    assert line["level"] == "error"
    assert "no such file" in line["message"]


@pytest.mark.parametrize("words", [("list",), ("list", "--where", "x =")])
def test_from_the_environment(desk, words):
    """MODELOG_LOG_FORMAT says it for every command; also where click reads the words."""
    done = desk.spawn(*desk.argv(*words), env={"MODELOG_LOG_FORMAT": "json"})

    assert _lines(done.stderr)
    assert {line["level"] for line in _lines(done.stderr)} <= {"info", "error"}


def test_a_bug_keeps_its_traceback(desk, monkeypatch):
    """In one object."""
    from eventlog import registry

    monkeypatch.setattr(registry.decisions, "publish", None)
    result = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b", "--log-format", "json")

    assert result.status == 1
    line = _lines(result.err)[-1]
    assert "TypeError" in line["traceback"]
    assert "\n" in line["traceback"]


def test_another_form_is_refused(desk):
    """As any value that is not among the choices."""
    result = desk.run("list", "--log-format", "xml")

    assert result.status == 2
    assert "--log-format" in result.err
