"""`watch`: a runtime's command is run for each model that becomes active, across kills and failures."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS_MAX = 30.0


def _start(desk, *words: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "scripts.manage_models", *desk.argv("watch", "--debounce", "0", *words)]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=desk.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait(condition) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _ran(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_one_model(desk):
    """It prints the model, where its bytes are and the position; the command finds the same in its environment."""
    model = desk.publish("b", "--copy")
    log = desk.root / "log"
    script = (
        f'echo "$MODELOG_MODEL_ID $MODELOG_ARTIFACT_PATH $MODELOG_SHA256 $MODELOG_BACKEND $MODELOG_POSITION" > {log}'
    )

    result = desk.run("watch", "--limit", "1", "--exec", script)

    assert result.status == 0
    assert result.json == {**model, "position": 1}
    assert log.read_text() == f"{model['model_id']} {model['artifact_path']} {model['sha256']} b 1\n"


def test_killed_over_and_over(desk):
    """With --seen, whatever became active last is dealt with in the end, and what is run is never an older one."""
    log, seen = desk.root / "log", desk.root / "seen"
    script = f'sha256sum "$MODELOG_ARTIFACT_PATH" >/dev/null && echo "$MODELOG_POSITION $MODELOG_MODEL_ID" >> {log}'
    words = ("--seen", str(seen), "--exec", script)
    randomness = random.Random(1)
    for number in range(6):
        process = _start(desk, *words)
        for more in range(3):
            model = desk.publish("b", "--copy", data=b"%d %d" % (number, more))
            time.sleep(randomness.random() * 0.1)
        time.sleep(randomness.random() * 0.5)
        process.kill()
        process.communicate()

    process = _start(desk, *words)
    model = desk.publish("b", "--copy", data=b"last")
    _wait(lambda: _ran(log)[-1:] == [f"{desk.events()[-1]['sequence'].lstrip('0')} {model['model_id']}"])
    _wait(lambda: seen.exists() and seen.read_text() == f"{int(desk.events()[-1]['sequence'])}\n")
    process.terminate()
    process.communicate(timeout=SECONDS_MAX)
    assert process.returncode == 0
    positions = [int(line.split()[0]) for line in _ran(log)]
    assert positions == sorted(positions)


def test_a_command_that_fails_is_run_again(desk, monkeypatch):
    """Until it ends well, or another model is active; only then the position counts as seen, and is reported."""
    from scripts.verbs import watch

    monkeypatch.setattr(watch, "RETRY_SECONDS", 0.05)
    model = desk.publish()
    seen, tries = desk.root / "seen", desk.root / "tries"
    script = f"echo x >> {tries}; test $(wc -l < {tries}) -ge 3"

    result = desk.run("watch", "--exec", script, "--seen", str(seen), "--report", "bot-1", "--limit", "1")

    assert result.status == 0
    assert result.err.count("the command ended with status 1: tried again") == 2
    assert seen.read_text() == "1\n"
    events = [event for event in desk.events() if event["type"] == "runtime.loaded.v1"]
    assert [(event["subject"], event["data"]["runtime"]) for event in events] == [(model["model_id"], "bot-1")]


def test_what_stands_in_seen(desk):
    """A file with something else in it, or a position that has not happened, is refused in one line."""
    desk.publish()
    seen = desk.root / "seen"
    for text in ("", "x", "-1", "99", "1 2", "9" * 30):
        seen.write_text(text)
        result = desk.run("watch", "--seen", str(seen), "--limit", "1")
        assert (result.status, result.out) == (2, ""), text
        assert len(result.err.splitlines()) == 1
        assert seen.read_text() == text


def test_it_ends_when_it_is_told_to(desk):
    """SIGTERM and Ctrl-C end it with 0 while it waits."""
    desk.publish()
    for number in (signal.SIGTERM, signal.SIGINT):
        process = _start(desk)
        assert json.loads(process.stdout.readline())["position"] == 1
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS_MAX)
        assert (process.returncode, out, err) == (0, "", "")


def test_a_position_that_could_not_be_kept(desk):
    """It is refused before anything is shown, run or recorded; or a runtime would load the same for ever."""
    desk.publish("b", "--copy")
    log, before = desk.root / "log", desk.snapshot()

    for seen in (desk.root / "missing" / "seen", desk.root, desk.journal / "seen"):
        result = desk.run("watch", "--limit", "1", "--seen", str(seen), "--exec", f"touch {log}", "--report", "bot")
        assert (result.status, result.out, log.exists()) == (2, "", False)
        assert len(result.err.splitlines()) == 1

    assert desk.snapshot() == before


@pytest.mark.parametrize("value", ["-1", "-0.001", "nan", "inf", "3601", "soon"])
def test_debounce_that_is_no_such_time(desk, value):
    """It is 0 to 3,600 seconds; anything else is bad usage, and nothing is waited for."""
    desk.publish("a")

    result = desk.run("watch", f"--debounce={value}", "--limit", "1")

    assert (result.status, result.out) == (2, "")
    assert "--debounce" in result.err
