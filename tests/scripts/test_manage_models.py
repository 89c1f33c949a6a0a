"""`main(argv) -> int`: the exit statuses, and that it always returns one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eventlog import errors
from scripts import manage_models
from scripts.manage_models import STATUSES, VERBS, main


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        ([], 2),
        (["--help"], 0),
        (["-h"], 0),
        (["--version"], 0),
        *[([verb, "--help"], 0) for verb in VERBS],
        (["frobnicate"], 2),
        (["--frobnicate"], 2),
        (["list", "--frobnicate"], 2),
        (["list", "surplus"], 2),
        (["publish"], 2),
        (["publish", "--artifact"], 2),
        (["show"], 2),
        (["list", "--output", "xml"], 2),
        (["__init__"], 2),
        (["../options"], 2),
        (["LIST"], 2),
    ],
    ids=str,
)
def test_returns_an_int(desk, monkeypatch, argv, status):
    """For help, for no words and for nonsense: a status, no exit, nothing on disk."""
    monkeypatch.chdir(desk.root)

    result = desk.call(*argv)

    assert result.status == status
    assert type(result.status) is int
    assert list(desk.root.iterdir()) == []
    if status == 2:
        assert result.out == ""
        assert result.err
        assert "Traceback" not in result.err


@pytest.mark.parametrize("argv", [["frobnicate"], ["list", "--frobnicate"], ["publish"], ["show"]])
def test_bad_usage_is_one_line_with_the_next_step(desk, argv):
    """It says what is wrong and where the help is."""
    result = desk.call(*argv)

    assert len(result.err.splitlines()) == 1
    assert "--help" in result.err


def test_help_lists_every_verb(desk):
    """All of them, with a line each."""
    result = desk.call("--help")

    for verb, text in VERBS.items():
        assert f"  {verb}" in result.out
        assert text in result.out


def test_verbs_and_their_files_are_the_same(desk):
    """Each file in scripts/verbs is a verb, and each verb has its file."""
    folder = os.path.join(os.path.dirname(manage_models.__file__), "verbs")

    names = {name.removesuffix(".py").replace("_", "-") for name in os.listdir(folder) if name.endswith(".py")}

    assert names == set(VERBS)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RefusedError, 2),
        (errors.ConflictError, 2),
        (errors.LockTimeoutError, 2),
        (errors.UnsupportedFormatError, 2),
        (errors.RuntimeStateError, 2),
        (errors.JournalDamagedError, 3),
        (errors.OutcomeUnknownError, 4),
        (errors.ProjectionLagError, 5),
        (KeyboardInterrupt, 130),
        (RuntimeError, 1),
        (RecursionError, 1),
        (OSError, 2),
    ],
)
def test_status_of_every_error(desk, monkeypatch, error, status):
    """The one table; only a bug of ours shows a traceback, and the message is escaped."""

    def fail(*arguments, **settings):
        raise error("something \x1b[31m happened")

    monkeypatch.setattr("eventlog.reader.RegistryReader.catalog", fail)
    result = desk.run("list")

    assert (result.status, result.out) == (status, "")
    assert ("Traceback" in result.err) == (status == 1)
    assert "\x1b" not in result.err


def test_every_error_of_the_project_has_a_status():
    """A new class of errors is a decision about a status."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    roots = {errors.ModelogError, errors.ModelRegistryError}

    without = [kind.__name__ for kind in kinds if kind not in roots and not issubclass(kind, tuple(STATUSES))]

    assert without == [], f"give {without} a row in STATUSES of scripts/manage_models.py and in its docstring"


@pytest.mark.parametrize("form", ["json", "table"])
def test_reader_that_goes_away_in_this_process(desk, monkeypatch, form):
    """Also called as a function, `main` returns 0 when nobody reads on, and leaves sys.stdout in place."""
    desk.publish("b", "--metadata", "text=" + "x" * 60_000)
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        status = main(desk.argv("list", "--output", form))
        left = sys.stdout
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)

    assert status == 0
    assert left is pipe


def test_default_words_are_those_of_the_process(desk, monkeypatch):
    """Without an argument it reads sys.argv."""
    monkeypatch.setattr(sys, "argv", ["modelog", "frobnicate"])

    assert main() == 2


def test_nothing_is_left_behind_in_the_process(desk):
    """Calling `main` many times opens no descriptors and adds no log handlers for good."""
    import logging

    desk.publish()
    before = len(os.listdir("/proc/self/fd")), len(logging.getLogger("modelog").handlers)

    for _ in range(5):
        desk.publish()
        desk.run("list")
        desk.run("show", "x")
        desk.run("verify")

    assert (len(os.listdir("/proc/self/fd")), len(logging.getLogger("modelog").handlers)) == before


def test_quick_start(desk):
    """A question does not import what only slow or rare commands need."""
    script = "import sys; from scripts.manage_models import main; main(['list']); print(*sys.modules)"

    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=desk.root, env=desk.environment(), capture_output=True, text=True, check=True)

    heavy = {"asyncio", "ssl", "numpy", "onnxruntime", "scripts.verbs.publish", "scripts.demo"}
    assert heavy & set(done.stdout.split()) == set()


def test_console_script_and_module_are_the_same_program(desk):
    """`python -m scripts.manage_models` gives what `main` gives, with the status as exit status."""
    done = [desk.spawn("--help"), desk.spawn("frobnicate"), desk.spawn()]

    assert [process.returncode for process in done] == [0, 2, 2]
    assert done[0].stdout.decode() == desk.call("--help").out
