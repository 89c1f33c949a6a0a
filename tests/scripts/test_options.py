"""Options that several verbs share, and their environment variables."""

from __future__ import annotations

import fcntl
import json

import pytest

from scripts.manage_models import VERBS

EVERY_VERB = [[verb] for verb in VERBS if verb != "keys"]
EVERY_VERB += [["keys", verb] for verb in ("list", "add", "revoke")]


def test_directories_from_the_environment(desk, monkeypatch):
    """MODELOG_REGISTRY_DIR and MODELOG_STATE_DIR stand for the options; an option beats them."""
    monkeypatch.setenv("MODELOG_REGISTRY_DIR", str(desk.models))
    monkeypatch.setenv("MODELOG_STATE_DIR", str(desk.runtime))

    published = desk.call("publish", "--artifact", desk.artifact(), "--backend", "b")
    listed = desk.call("list", "--output", "json")
    other = ["--registry-dir", str(desk.root / "x"), "--state-dir", str(desk.root)]
    elsewhere = desk.call("list", "--output", "json", *other)

    assert published.status == 0
    assert desk.state_json.is_file()
    assert listed.json == [{**published.json, "active": True}]
    assert elsewhere.out == "[]\n"


def test_default_directories(desk, monkeypatch):
    """Without options and environment: var/models and var/runtime below the working directory."""
    monkeypatch.chdir(desk.root)

    desk.call("publish", "--artifact", desk.artifact(), "--backend", "b")

    assert (desk.root / "var/models/journal.jsonl").is_file()
    assert (desk.root / "var/runtime/state.json").is_file()


def test_other_settings_from_the_environment(desk, monkeypatch):
    """MODELOG_OUTPUT, MODELOG_ACTOR, MODELOG_LOG_LEVEL and MODELOG_LOCK_TIMEOUT stand for their options."""
    for name, value in (("OUTPUT", "json"), ("ACTOR", "ana@x"), ("LOG_LEVEL", "error"), ("LOCK_TIMEOUT", "0.01")):
        monkeypatch.setenv(f"MODELOG_{name}", value)
    desk.publish()

    listed = desk.run("list")
    with open(desk.journal, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        locked = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b")

    assert len(listed.json) == 1
    assert desk.events()[1]["actor"] == "ana@x"
    assert (locked.status, "for more than 0.01 s" in locked.err) == (2, True)
    assert desk.run("list", "--output", "table").out.startswith("   MODEL ID")


@pytest.mark.parametrize(("name", "value"), [("OUTPUT", "xml"), ("LOG_LEVEL", "loud"), ("LOCK_TIMEOUT", "soon")])
def test_bad_environment(desk, refused, monkeypatch, name, value):
    """A variable that makes no sense is bad usage, named in the message."""
    desk.publish()
    monkeypatch.setenv(f"MODELOG_{name}", value)
    verb = ["publish", "--artifact", desk.artifact(), "--backend", "b"] if name == "LOCK_TIMEOUT" else ["list"]

    line = refused(*desk.argv(*verb))

    assert value in line


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
def test_log_level(desk, level, lines):
    """What is less urgent is not said; stdout and status stay the same."""
    result = desk.run("publish", "--artifact", desk.artifact(), "--backend", "b", "--log-level", level)

    assert (result.status, len(result.err.splitlines())) == (0, lines)
    assert result.json["backend"] == "b"


def test_log_level_does_not_outlive_the_call(desk):
    """`main` leaves logging as it found it."""
    desk.run("list", "--log-level", "error")

    assert "no models in" in desk.run("list").err


def test_log_level_error_still_tells_errors(desk):
    """An error is said at every level."""
    assert desk.run("show", "x", "--log-level", "error").err.startswith("error: ")


@pytest.mark.parametrize("value", ["-1", "-0.001", "nan", "soon", "", "1e400", "inf", "1e10"])
@pytest.mark.parametrize("verb", ["publish", "rollback", "rebuild"])
def test_lock_timeout_that_is_no_duration(desk, verb, value):
    """It is a number of seconds that can be waited for: anything else is bad usage, a long time is just long."""
    desk.publish("a")
    desk.publish("b")
    words = ["--artifact", desk.artifact(), "--backend", "b"] if verb == "publish" else []

    result = desk.run(verb, *words, "--lock-timeout", value)

    assert "Traceback" not in result.err
    if value in ("inf", "1e10", "1e400"):
        assert result.status in (0, 2), result.err
    else:
        assert result.status == 2


def test_lock_timeout_of_nan_does_not_wait_for_ever(desk):
    """With the lock held, a time-out that is not a number ends at once as bad usage."""
    desk.publish()

    with open(desk.journal, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        script = "timeout 3 $MODELOG rollback --registry-dir models --state-dir runtime --lock-timeout nan"
        done = desk.shell(script)

    assert done.returncode == 2, "expected a refusal, got a process that waits"


@pytest.mark.parametrize("argv", EVERY_VERB)
def test_every_verb_takes_the_common_options(desk, argv):
    """Both directories and the log level are options of every verb that has a registry to ask."""
    result = desk.call(*argv, "--help")

    assert result.status == 0
    needs_none = argv[0] in ("keygen", "verify-receipt")
    for option in ("--help",) if needs_none else ("--registry-dir", "--state-dir", "--log-level", "--help"):
        assert option in result.out


@pytest.mark.parametrize("verb", ["publish", "rollback"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--actor", ""),
        ("--actor", "a\x1bb"),
        ("--actor", "x" * 257),
        ("--id", ""),
        ("--id", "a\nb"),
        ("--id", "x" * 257),
        ("--expect-active", ""),
        ("--expect-active", "newest"),
        ("--reason", "\udcff"),
    ],
)
def test_bad_terms(desk, refused, verb, option, value):
    """What goes into the history is checked before anything happens."""
    desk.publish("a")
    desk.publish("b")
    words = ["--artifact", desk.artifact(), "--backend", "b"] if verb == "publish" else []

    line = refused(*desk.argv(verb, *words, option, value))

    assert "expected" in line
    assert len(line) < 1_000


@pytest.mark.parametrize("verb", ["publish", "rollback"])
def test_runtime_of_another_registry(desk, refused, verb):
    """A runtime checkpoint that follows another journal is not taken over silently; --take-over is recorded."""
    desk.publish("first registry")
    runtime = json.loads(desk.state_json.read_bytes())
    other = ["--registry-dir", str(desk.root / "other"), "--state-dir"]
    for backend in "ab":
        artifact = desk.artifact()
        desk.call("publish", *other, str(desk.root / "quiet"), "--artifact", artifact, "--backend", backend)
    words = [verb, *other, str(desk.runtime)]
    words += ["--artifact", desk.artifact(), "--backend", "c"] if verb == "publish" else []

    line = refused(*words)
    taken = desk.call(*words, "--take-over")
    again = desk.call(*words)

    event = json.loads((desk.root / "other/journal.jsonl").read_bytes().splitlines()[3])
    anchor = runtime["metadata"]["active_model"]["journal"]
    assert "pass --take-over" in line
    assert (taken.status, again.status) == (0, 0)
    assert event["data"]["took_over"] == {"journal_id": anchor["id"], "size": anchor["size"], "hash": anchor["hash"]}


def test_take_over_is_not_repeated_by_the_loser(desk, refused):
    """The first registry is refused in turn, once its runtime follows another journal."""
    desk.publish("first registry")
    words = ["publish", "--artifact", desk.artifact(), "--backend", "b", "--state-dir", str(desk.runtime)]
    desk.call(*words, "--registry-dir", str(desk.root / "other"), "--take-over")

    line = refused(*desk.argv(*words[:5]))

    assert "pass --take-over" in line
