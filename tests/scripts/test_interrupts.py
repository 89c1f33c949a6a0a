"""Ctrl-C at any moment: the status says what is true of the journal, and nobody sees a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

import pytest

from eventlog import locking
from scripts import manage_models, plain

SOURCES = tuple(f"{Path(__file__).resolve().parents[2] / name}/" for name in ("eventlog", "projections", "scripts"))
NOTHING_RECORDED = {130, -signal.SIGINT}
RECORDED = {0, 5}
UNKNOWN = {4}


class Interruption:
    """Sends SIGINT at one line of our own code, counted from the start of a call of `main`."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.lines = 0
        self.where = ""
        self.places: list[str] = []
        self.left_locked = False
        self.handed_back = False
        self._outer = signal.getsignal(signal.SIGINT)
        self._was_ours = False

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        if event == "line":
            self.lines += 1
            is_ours = signal.getsignal(signal.SIGINT) != self._outer
            self._was_ours |= is_ours
            self.places.append(Path(frame.f_code.co_filename).name)
            if self.lines == self.at:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                self.handed_back = self._was_ours and not is_ours
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self

    def call(self, desk, argv):
        """
        Return the result of `main`, or None where the interrupt came before it could be caught.

        Descriptors (and locks) that an interrupt left open are closed, as the end of the process would close them.
        """
        earlier, open_before = sys.gettrace(), descriptors()
        sys.settrace(self)
        try:
            return desk.call(*argv)
        except KeyboardInterrupt:
            return None
        finally:
            sys.settrace(earlier)
            with desk.journal.open("rb") as journal:
                self.left_locked = locking.holder_of(journal.fileno()) is not None
            for name in descriptors() - open_before:
                with suppress(OSError):
                    os.close(int(name))


def descriptors() -> set[str]:
    """Return the open descriptors, without the one that the listing itself needs."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}


@pytest.fixture
def prepared(desk):
    """A desk with two models (in memory where there is such a place), and a function that sets it back to that."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK):
        with tempfile.TemporaryDirectory(dir=memory) as name:
            yield _prepare(type(desk)(Path(name), desk.capsys))
    else:
        yield _prepare(desk)


def _prepare(desk):
    desk.publish("first")
    desk.publish("second", data=b"other")
    desk.artifact()
    shutil.copytree(desk.models, desk.root / "kept models")
    shutil.copytree(desk.runtime, desk.root / "kept runtime")

    def reset() -> None:
        for path in (desk.models, desk.runtime):
            shutil.rmtree(path)
            shutil.copytree(desk.root / f"kept {path.name}", path)

    return desk, reset


def contradiction(desk, result, size: int) -> str | None:
    """Return how the status contradicts the journal, of *size* entries before, or None."""
    listed = desk.run("list", "--verified-prefix")
    recorded = len(desk.events()) > size
    if listed.status != 0:
        return f"afterwards list says {listed.err}"
    if result is None:
        return "main raised KeyboardInterrupt after the event was recorded" if recorded else None
    if "Traceback" in result.err or result.status not in NOTHING_RECORDED | RECORDED | UNKNOWN:
        return f"status {result.status} and {result.err}"
    if recorded and result.status in NOTHING_RECORDED:
        return f"status {result.status}, {result.err.splitlines()[-1]!r}, but the event is recorded"
    if not recorded and result.status in RECORDED:
        return f"status {result.status}, but nothing is recorded"
    return None


@pytest.mark.parametrize("verb", ["publish", "rollback"])
def test_interrupt_at_each_line(prepared, verb):
    """At each line near the end and a sample of the others: 130 only if nothing was recorded, 0 and 5 only if it is."""
    desk, reset = prepared
    words = ["--artifact", str(desk.root / "model.bin"), "--backend", "b"] if verb == "publish" else []
    argv, size = desk.argv(verb, *words, "--id", "key"), len(desk.events())
    dry = Interruption()
    dry.call(desk, argv)

    wrong = []
    for at in [*range(1, dry.lines - 60, 5), *range(dry.lines - 60, dry.lines + 1)]:
        reset()
        interruption = Interruption(at)
        problem = contradiction(desk, interruption.call(desk, argv), size)
        if problem is not None and not interruption.handed_back:  # then it is our caller's to deal with
            wrong.append(f"{interruption.where}: {problem}")

    assert dry.lines > 500, "the whole command must have been traced"
    assert wrong == []


def test_an_interrupt_leaves_no_lock_behind(prepared):
    """Also in a process that lives on, at each line of the modules that take the lock and hold it."""
    desk, reset = prepared
    argv = desk.argv("rollback", "--id", "key")
    Interruption().call(desk, argv)  # what is imported late is there from here on
    reset()
    dry = Interruption()
    dry.call(desk, argv)
    moments = [at for at, name in enumerate(dry.places, 1) if name in ("jsonl.py", "locking.py", "transaction.py")]

    locked = []
    for at in moments:
        reset()
        interruption = Interruption(at)
        interruption.call(desk, argv)
        if interruption.left_locked:
            locked.append(interruption.where)

    assert len(moments) > 50
    assert locked == []


@pytest.mark.parametrize("verb", ["publish", "rollback"])
def test_retry_after_an_interrupt(prepared, verb):
    """Whatever the interrupt left, the same request with the same id succeeds and is recorded exactly once."""
    desk, reset = prepared
    words = ["--artifact", str(desk.root / "model.bin"), "--backend", "b"] if verb == "publish" else []
    argv, size = desk.argv(verb, *words, "--id", "key"), len(desk.events())
    dry = Interruption()
    dry.call(desk, argv)

    for at in range(1, dry.lines, 37):
        reset()
        Interruption(at).call(desk, argv)
        again = desk.call(*argv)

        recorded = [event for event in desk.events()[size:] if event["type"].startswith("model.")]
        assert (again.status, len(recorded)) == (0, 1), f"after an interrupt at line {at}: {again.err}"
        assert desk.run("verify").status == 0


@pytest.mark.parametrize("verb", ["list", "verify", "rebuild"])
def test_interrupt_of_a_question(prepared, verb):
    """It ends with 130 (a rebuild perhaps with 5), and the registry is what it was."""
    desk, reset = prepared
    dry = Interruption()
    dry.call(desk, desk.argv(verb))

    for at in range(1, dry.lines, 23):
        reset()
        result = Interruption(at).call(desk, desk.argv(verb))

        assert result is None or (result.status in (0, 5, 130) and "Traceback" not in result.err), result
        assert desk.run("verify").status == 0


STARTED = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # the interpreter has come up; from here on it is our code that runs
print("up", flush=True)
runpy.run_module("scripts.manage_models", run_name="__main__", alter_sys=True)
"""


def test_signal_to_a_running_process(prepared):
    """A real SIGINT at many moments of a real publish: no traceback, and the status is true."""
    desk, _ = prepared
    artifact = desk.artifact("large.bin", bytes(30 << 20))
    wrong, seen = [], set()

    for moment in range(24):
        argv = desk.argv("publish", "--artifact", artifact, "--backend", "b", "--id", f"run{moment}")
        process = subprocess.Popen(
            [sys.executable, "-c", STARTED, *argv], env=desk.environment(), stdout=-1, stderr=-1, text=True
        )
        process.stdout.readline()
        time.sleep(0.008 * moment)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=50)
        recorded = f"run{moment}" in [event["id"] for event in desk.events()]
        seen.add(process.returncode)
        truth = RECORDED if recorded else NOTHING_RECORDED
        if process.returncode not in truth | UNKNOWN or "Traceback" in err:
            wrong.append(f"after {8 * moment} ms: status {process.returncode}, recorded: {recorded}, {err}")

    assert wrong == []
    assert seen & NOTHING_RECORDED, "some signals must have come in time"
    assert json.loads(desk.run("verify", "--output", "json").out)["verdict"] == "intact"


def test_an_interrupt_that_python_loses(desk, monkeypatch):
    """Raised in the callback of a weak reference it goes nowhere: nothing is printed, and nothing is recorded."""
    argv = desk.argv("publish", "--artifact", desk.artifact(), "--backend", "b")
    parse = plain.parse

    class Lock:
        pass

    def interrupted(*arguments):
        lock = Lock()
        reference = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGINT))
        del lock
        assert reference() is None
        return parse(*arguments)

    monkeypatch.setattr(plain, "parse", interrupted)
    report = sys.unraisablehook
    result = desk.call(*argv)

    assert (result.status, result.err) == (130, "error: interrupted: nothing was recorded\n")
    assert desk.events() == []
    assert sys.unraisablehook is report


def test_default_handler_is_left_alone(desk):
    """Called as a function, `main` does not touch the signal handlers of the process."""
    before = signal.getsignal(signal.SIGINT)

    desk.publish()

    assert signal.getsignal(signal.SIGINT) is before
    assert manage_models.STATUS_INTERRUPTED == 130
