"""`write_all`: derived files take each step together; what fails, or is busy, keeps nobody back."""

from __future__ import annotations

import os
import threading

import pytest
from recorder import Recorder

from eventlog import locking
from eventlog.errors import RefusedError
from projections.projection import write_all
from projections.projector import Projector


@pytest.fixture
def calls(monkeypatch):
    """What was asked of the disk, in order, for each file: its name at the end."""
    made = []

    def watched(name, what):
        real = getattr(os, name)

        def call(*args):
            made.append(f"{name} {what(*args)}")
            return real(*args)

        return call

    def name_of(descriptor, *_):
        return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", watched("fsync", name_of))
    monkeypatch.setattr(os, "rename", watched("rename", lambda _, path: os.path.basename(path)))
    return made


def test_all_take_each_step_together(replay, here, calls):
    """The bytes of all are durable before any gets its name, and all have theirs before names are made durable."""
    for name in ("one/a", "two/b"):
        (here / name).write_text("old")

    Projector(replay, [Recorder("one/a"), Recorder("two/b")]).catch_up()

    assert calls == ["fsync .a.new", "fsync .b.new", "rename a", "rename b", "fsync one", "fsync two"]
    assert [(here / name).read_text() for name in ("one/a", "two/b")] == ["2\n", "2\n"]


def test_two_in_one_directory_take_its_lock_once(replay, here, calls):
    """A lock that is held already is not waited for."""
    for name in ("one/a", "one/b"):
        (here / name).write_text("old")

    Projector(replay, [Recorder("one/a"), Recorder("one/b")]).catch_up()

    assert calls[:4] == ["fsync .a.new", "fsync .b.new", "rename a", "rename b"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_step_that_fails_does_not_keep_the_others_back(replay, here, monkeypatch, call):
    """The file is as it was and nothing lies about; the other one is written."""
    for name in ("one/a", "two/b"):
        (here / name).write_text("old")
    real, made = getattr(os, call), []

    def first_fails(*args):
        made.append(args)
        if len(made) == 1:
            raise OSError(5, "Input/output error")
        return real(*args)

    monkeypatch.setattr(os, call, first_fails)

    with pytest.raises(RefusedError, match=r"^one/a: input/output error$"):
        write_all([Recorder("one/a"), Recorder("two/b")], replay.catalog)

    assert (here / "one/a").read_text() == "old"
    assert (here / "two/b").read_text() == "2\n"
    assert [os.listdir(here / name) for name in ("one", "two")] == [["a"], ["b"]]


def test_an_interrupt_leaves_nothing_behind(replay, here, monkeypatch):
    """What was begun is removed, and all locks are free."""
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))

    with pytest.raises(KeyboardInterrupt):
        write_all([Recorder("one/a"), Recorder("two/b")], replay.catalog)

    for name in ("one", "two"):
        assert os.listdir(here / name) == []
        with locking.locked_directory(name, timeout_seconds=0) as held:
            assert held


def test_nobody_waits_with_a_lock_in_his_hands(replay, here):
    """What can be written is, and is free again, while somebody else is busy with the rest; so nobody is stuck."""
    first, second = Recorder("one/a"), Recorder("two/b")
    with locking.locked_directory("two", timeout_seconds=0):
        writer = threading.Thread(target=write_all, args=([first, second], replay.catalog))
        writer.start()
        while not (here / "one/a").exists():
            assert writer.is_alive()
        with locking.locked_directory("one", timeout_seconds=5) as held:
            assert held
        assert not (here / "two/b").exists()

    writer.join(10)
    assert (here / "two/b").read_text() == "2\n"


def test_what_somebody_else_has_written_is_made_durable(replay, here, calls):
    """Whoever wrote it may have died before its name was."""
    done = Recorder("one/a")
    done.written.append("by somebody else")

    write_all([done], replay.catalog)

    assert calls == ["fsync one"]
