"""What somebody who is new runs into: one true line, the status that the table promises, and nothing done twice."""

from __future__ import annotations

import errno
import json
import os

import pytest

from eventlog import artifacts

FULL = "/dev/full"


@pytest.fixture
def filled(desk):
    desk.publish("a")
    desk.publish("b", data=b"2")
    return desk


def _into_full(desk, *argv):
    """Run a command whose stdout takes nothing."""
    with open(FULL, "wb") as full:
        return desk.spawn(*argv, stdout=full)


@pytest.mark.parametrize("how", [[], ["--artifacts"]])
def test_a_key_is_there_though_it_cannot_be_shown(desk, how):
    """It was written, so the status is 0, and the line says what could not be done."""
    done = _into_full(desk, "keygen", "k", *how)

    assert (done.returncode, (desk.root / "k").exists(), (desk.root / "k.pub").exists()) == (0, True, True)
    assert b"it is done, but stdout cannot be written" in done.stderr


@pytest.mark.parametrize("verb", [["settings"], ["gc", "--dry-run"], ["list"], ["active"]])
def test_what_only_looks_has_done_nothing(filled, verb):
    """Where the answer cannot be written, there is none: status 2."""
    done = _into_full(filled, *filled.argv(*verb))

    assert done.returncode == 2
    assert b"stdout: no space left on device" in done.stderr


def test_settings_that_were_changed(filled):
    """And what was recorded is recorded."""
    done = _into_full(filled, *filled.argv("settings", "--copy", "on"))

    assert done.returncode == 0
    assert b"it is done, but" in done.stderr
    assert filled.run("settings", "--output", "json").json["copy"] is True


def test_a_request_from_a_closed_stdin(filled):
    """It is no request, not a bug."""
    filled.spawn("keygen", "k")
    command = f"witness --state w --public-key k.pub --request - {' '.join(filled.argv('x')[1:])}"

    done = filled.shell(f"$MODELOG {command} <&-")

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"bug" not in done.stderr


@pytest.mark.parametrize(
    ("words", "label"),
    [(["list", "--public-key"], "--public-key"), (["keys", "add"], "KEY"), (["keys", "revoke"], "KEY")],
)
def test_a_key_file_that_is_mistyped(filled, refused, words, label):
    """The line says what was got, and where."""
    line = refused(*words, "relese.pub", *filled.argv("")[1:])

    assert f"{label}: expected a public key NAME+ID+BASE64, or a file with one, got 'relese.pub'" in line


@pytest.mark.parametrize("words", [["--report", ""], ["--report", " "], ["--exec", ""], ["--exec", "  "]])
def test_a_watch_that_could_never_do_it(filled, refused, words):
    """It is refused at the start, not once for each model."""
    refused(*filled.argv("watch", "--limit", "1", *words))


@pytest.mark.parametrize("verb", ["retire", "hold"])
def test_a_reason_that_says_nothing(filled, refused, verb):
    """Where one is asked for, blanks are none."""
    model_id = filled.run("list", "--output", "json").json[1]["model_id"]

    for reason in ("", "   "):
        assert "reason: expected why" in refused(*filled.argv(verb, model_id, "--reason", reason))


def test_words_that_are_not_understood_are_told_as_the_environment_says(desk):
    """As JSON, where that is what the variable asks for: whoever reads the log finds objects alone."""
    for words in (["publish", "--bogus"], ["publsh"], ["publish"], ["list", "--limit", "x"]):
        done = desk.spawn(*words, env={"MODELOG_LOG_FORMAT": "json"})
        assert done.returncode == 2
        assert json.loads(done.stderr)["level"] == "error"
    assert desk.spawn("publsh").stderr.startswith(b"error: ")


@pytest.mark.parametrize("verb", [["verify"], ["doctor"], ["list"]])
def test_a_warning_is_said_once(filled, verb):
    """However often the file is looked at, also while a writer may still be busy with it."""
    filled.publish("c", data=b"3")
    filled.state_json.write_text("{")

    said = filled.run(*verb).err

    assert said.count("expected a JSON object") == 1


def test_a_rollback_tells_where_the_bytes_are_here(filled, tmp_path):
    """On a host that took a bundle, as `state.json` does; not where they were published."""
    model_id = filled.run("list", "--output", "json").json[1]["model_id"]
    assert filled.run("bundle", "-o", str(filled.root / "b.tar"), model_id).status == 0
    there = ["--registry-dir", str(filled.root / "there"), "--state-dir", str(filled.root / "runtime2")]
    assert filled.call("unbundle", str(filled.root / "b.tar"), *there).status == 0
    (filled.root / f"model-{b'weights'.hex()}.bin").unlink()

    done = filled.call("rollback", "--model-id", model_id, *there)
    dry = filled.call("rollback", "--model-id", model_id, "--dry-run", *there)

    assert done.status == 0, done.err
    state = json.loads((filled.root / "runtime2" / "state.json").read_text())
    path = state["metadata"]["active_model"]["artifact_path"]
    assert done.json["artifact_path"] == dry.json["artifact_path"] == path
    assert os.path.exists(path)


def test_permission_is_the_reason_that_is_told(filled, refused, monkeypatch):
    """A file that is there, but may not be read, need not be put back."""

    def unreadable(*_arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(artifacts, "_hash_file", unreadable)

    assert "let this user read it" in refused(*filled.argv("rollback"))


def test_metadata_that_nests_too_deep(desk, refused):
    """However deep, the line is the same."""
    for depth in (40, 5_000):
        value = "[" * depth + "]" * depth
        words = ["publish", "--artifact", desk.artifact(), "--backend", "b", "--metadata", f"a:={value}"]
        assert "expected at most 32 levels" in refused(*desk.argv(*words))


def test_no_models_as_of_then(filled):
    """What is said names the moment that was asked about."""
    assert "as of 1999-01-01" in filled.run("list", "--as-of", "1999-01-01").err


def test_moments_of_a_difference_have_their_names(filled, refused):
    """`diff` has no option --as-of, so it does not speak of one."""
    assert "earlier moment" in refused(*filled.argv("diff", "abc"))
    assert "later moment" in refused(*filled.argv("diff", "0", "99"))


def test_doctor_counts(filled):
    """One finding is one."""
    filled.registry_json.unlink()

    assert "1 finding\n" in filled.run("doctor").out


def test_what_watch_sets_is_a_setting(filled):
    """A doctor within `watch --exec` does not wonder about the variables that watch gave it."""
    given = {f"MODELOG_{name}": "x" for name in ("ARTIFACT_PATH", "MODEL_ID", "SHA256", "BACKEND", "POSITION")}

    assert b"no such setting" not in filled.spawn(*filled.argv("doctor"), env=given).stdout
    assert b"no such setting" in filled.spawn(*filled.argv("doctor"), env={**given, "MODELOG_ODD": "x"}).stdout
