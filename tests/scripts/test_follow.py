"""`follow`: each event once, in order, also across kills of whoever follows."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def _start(desk, *words, **settings):
    argv = [sys.executable, "-m", "scripts.manage_models", *desk.argv("follow", *words)]
    return subprocess.Popen(
        argv, cwd=desk.root, env=desk.environment(), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **settings
    )


def _positions(path: Path) -> list[int]:
    """Return the positions of the whole lines in a file."""
    return [json.loads(line)["position"] for line in path.read_bytes().split(b"\n")[:-1]]


def test_what_is_there_and_what_comes(desk):
    """From a position on; each event is one line at once; it ends after as many as were asked for."""
    desk.publish("a")
    process = _start(desk, "--from", "1", "--limit", "3", stdout=subprocess.PIPE)
    first = json.loads(process.stdout.readline())
    desk.publish("b", data=b"2")
    second = json.loads(process.stdout.readline())
    desk.run("rollback")
    rest, errors = process.communicate(timeout=30)

    assert [first["position"], second["position"], json.loads(rest)["position"]] == [1, 2, 3]
    assert (process.returncode, errors) == (0, b"")
    assert first == desk.run("history", "--from", "1", "--output", "json").json[0]


@pytest.mark.parametrize(("form", "count"), [("json", 2), ("jsonl", 2), ("csv", 3), ("table", 2)])
def test_formats(desk, form, count):
    """A line an event in each of them; CSV begins with its heading."""
    desk.publish("a")

    assert desk.run("follow", "--from", "0", "--limit", "2", "--output", form).out.count("\n") == count


def test_filters(desk):
    """Only what is asked for counts towards the limit."""
    desk.publish("a")
    desk.publish("b", data=b"2")

    out = desk.run("follow", "--from", "0", "--limit", "1", "--where", "position > 1", "--type", "model").out

    assert json.loads(out)["position"] == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_it_ends_when_told_to(desk, number, status):
    """An interrupt is the ordinary end: no message, and nothing in the registry has changed."""
    desk.publish("a")
    before = desk.snapshot()
    process = _start(desk, "--from", "0", stdout=subprocess.PIPE)
    process.stdout.readline()

    process.send_signal(number)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (status, b"")
    assert desk.snapshot() == before


def test_a_journal_that_is_not_there_yet(desk):
    """Whoever is early waits, and sees the first event."""
    process = _start(desk, "--limit", "2", stdout=subprocess.PIPE)
    time.sleep(0.5)
    desk.publish("a")
    out, errors = process.communicate(timeout=30)

    assert [json.loads(line)["position"] for line in out.splitlines()] == [0, 1]
    assert (process.returncode, errors) == (0, b"")


def test_damage_ends_it(desk):
    """A journal that is cut while it is followed is told of, status 3."""
    desk.publish("a")
    desk.publish("b", data=b"2")
    process = _start(desk, "--from", "0", stdout=subprocess.PIPE)
    for _ in range(3):
        process.stdout.readline()
    first = desk.journal.read_bytes().split(b"\n")[0] + b"\n"
    desk.reseal(desk.bodies()[:1])
    assert desk.journal.read_bytes().startswith(first[:40])

    _, errors = process.communicate(timeout=30)

    assert process.returncode == 3
    assert errors.decode().startswith("error: ")


def test_none_is_missed_across_kills(desk, tally):
    """A follower is killed at random moments and begins again behind the last line it wrote: each position once."""
    rounds, events, chance = 12, 60, random.Random(7)
    desk.publish("a")
    publisher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from projections import open_registry\n"
            "registry = open_registry(sys.argv[1], sys.argv[2])\n"
            f"for number in range({events}):\n"
            "    open(sys.argv[3], 'w').write(str(number))\n"
            "    registry.publish_model(sys.argv[3], backend='b', actor='t')\n",
            str(desk.models),
            str(desk.runtime),
            str(desk.root / "next.bin"),
        ],
        cwd=desk.root,
        env=desk.environment(),
        stderr=subprocess.DEVNULL,
    )
    seen: list[int] = []
    for number in range(rounds):
        path = desk.root / f"seen{number}"
        with path.open("wb") as file:
            process = _start(desk, "--from", str(len(seen)), stdout=file)
            time.sleep(chance.uniform(0.05, 0.5))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        seen += _positions(path)
    assert publisher.wait(timeout=60) == 0
    if missing := events + 2 - len(seen):
        last = desk.run("follow", "--from", str(len(seen)), "--limit", str(missing))
        seen += [json.loads(line)["position"] for line in last.out.splitlines()]

    assert seen == list(range(events + 2))
    tally("kill of a follower", rounds)
