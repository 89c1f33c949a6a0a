"""Pipes that close, disks that are full, streams that are not there: the status stays true to what was recorded."""

from __future__ import annotations

import json
import shutil

import pytest

WORDS = "--registry-dir models --state-dir runtime"
PUBLISH = f"$MODELOG publish --artifact model.bin --backend b {WORDS}"


@pytest.fixture
def large(desk):
    """A desk whose list is larger than a pipe holds."""
    long = ["--metadata", "text=" + "x" * 60_000]
    for number in range(4):
        desk.publish(f"b{number}", *long)
    return desk


@pytest.mark.parametrize("form", ["json", "table"])
def test_reader_that_goes_away(large, form):
    """`list | head -1` ends with 0 on both sides, without a word on stderr."""
    done = large.shell(f"set -o pipefail; $MODELOG list {WORDS} --output {form} | head -c 20")

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == 20


def test_publish_whose_reader_is_gone(desk):
    """A publish into a closed pipe is recorded once, and its status says so."""
    desk.artifact()

    done = desk.shell(f"set -o pipefail; {PUBLISH} | true")

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    assert len(desk.events()) == 2


def test_publish_onto_a_full_disk(desk):
    """The output is lost, the model is not: status 0, a warning, recorded once."""
    desk.artifact()

    done = desk.shell(f"{PUBLISH} > /dev/full")

    model_id = desk.events()[1]["subject"].encode()
    assert done.returncode == 0
    assert b"warning: %b is recorded, but stdout cannot be written" % model_id in done.stderr
    assert b"Traceback" not in done.stderr
    assert len(desk.events()) == 2


def test_rollback_onto_a_full_disk(desk):
    """As for a publish."""
    desk.publish("a")
    desk.publish("b")

    done = desk.shell(f"$MODELOG rollback {WORDS} > /dev/full")

    assert (done.returncode, len(desk.events())) == (0, 4)
    assert b"is recorded, but stdout cannot be written" in done.stderr


@pytest.mark.parametrize("verb", ["list", "list --output json", "active", "verify"])
def test_question_onto_a_full_disk(desk, verb):
    """An answer that could not be written is no answer: status 2 and one line."""
    desk.publish()

    done = desk.shell(f"$MODELOG {verb} {WORDS} > /dev/full")

    assert done.returncode == 2
    assert b"no space left on device" in done.stderr.lower()
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_publish_with_streams_closed(desk, redirect):
    """A stream that is not there changes nothing about what is recorded or about the status."""
    desk.artifact("model.bin", b"w" * 3_000_000)

    done = desk.shell(f"{PUBLISH} {redirect}")

    assert (done.returncode, len(desk.events())) == (0, 2), done.stderr
    assert b"Traceback" not in done.stderr
    assert desk.run("verify").status == 0


@pytest.mark.parametrize("verb", ["list", "list --output json", "active --output json", "verify", "show 1"])
@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_question_with_streams_closed(desk, verb, redirect):
    """No traceback and none of the statuses of a bug; without stderr the answer is as ever."""
    desk.publish()

    done = desk.shell(f"$MODELOG {verb} {WORDS} {redirect}")

    assert done.returncode in ((0, 2) if redirect.startswith((">", "<")) else (2 if verb == "show 1" else 0,))
    assert b"Traceback" not in done.stderr


def test_error_with_stderr_closed(desk):
    """The status still tells."""
    done = desk.shell(f"$MODELOG publish --artifact missing --backend b {WORDS} 2>&-")

    assert (done.returncode, done.stdout) == (2, b"")


def test_stderr_has_the_words_and_stdout_the_json(desk):
    """Redirected apart, stdout is one JSON object and stderr has the words for people."""
    desk.artifact()

    done = desk.shell(PUBLISH)

    assert json.loads(done.stdout)["backend"] == "b"
    assert done.stdout.count(b"\n") == 1
    assert done.stderr.startswith(b"info: ")


@pytest.mark.parametrize("verb", ["verify", "list --verified-prefix"])
def test_verdict_for_a_reader_that_goes_away(desk, verb):
    """Damage is told by the status, also to somebody who reads no further."""
    desk.publish()
    desk.journal.write_bytes(desk.journal.read_bytes().replace(b"reference", b"preference"))

    done = desk.shell(f"$MODELOG {verb} {WORDS} | (exec 0<&-; sleep 1); exit ${{PIPESTATUS[0]}}")

    assert done.returncode == 3, done.stderr


def test_dry_run_onto_a_full_disk(desk):
    """Nothing was recorded, and nothing else is said."""
    desk.artifact()

    done = desk.shell(f"{PUBLISH} --dry-run > /dev/full")

    assert done.returncode == 2
    assert b"is recorded" not in done.stderr


@pytest.mark.parametrize("redirect", [">&-", "> /dev/full"])
def test_verdict_that_nobody_can_read(desk, redirect):
    """The exit status of damage stays that of damage; of a sound registry nothing was told, so it is 2."""
    desk.publish()
    sound = desk.shell(f"$MODELOG verify {WORDS} {redirect}")
    desk.journal.write_bytes(desk.journal.read_bytes().replace(b"reference", b"REFERENCE"))

    statuses = [desk.shell(f"$MODELOG {verb} {WORDS} {redirect}").returncode for verb in ("verify", "doctor")]

    assert (sound.returncode, statuses) == (2, [3, 3])
    assert sound.stderr.startswith(b"error: stdout: ")


@pytest.mark.parametrize("redirect", [">&-", "> /dev/full"])
def test_work_that_is_done_is_no_refusal(desk, redirect):
    """A backup, a restore and a repair whose report cannot be written are done: status 0 and a warning."""
    desk.publish()
    statuses = [desk.shell(f"$MODELOG backup {WORDS} copy {redirect}")]
    shutil.rmtree(desk.models)
    statuses.append(desk.shell(f"$MODELOG restore {WORDS} copy {redirect}"))
    desk.head.unlink()
    statuses.append(desk.shell(f"$MODELOG repair --rebuild-head {WORDS} {redirect}"))

    assert [done.returncode for done in statuses] == [0, 0, 0]
    assert all(b"warning: it is done, but stdout cannot be written" in done.stderr for done in statuses)
    assert desk.run("verify").status == 0
