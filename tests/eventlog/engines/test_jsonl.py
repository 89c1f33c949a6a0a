"""The file engine beyond the contract: order of its system calls, several objects on one directory, long journals."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import entries, outcome_of

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.engines.jsonl_scan import CHUNK_BYTES
from eventlog.errors import ConflictError, JournalDamagedError, LockTimeoutError, OutcomeUnknownError, RefusedError

CALLS = ("open", "pwrite", "fdatasync", "fsync", "ftruncate", "rename", "mkdir")


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system calls that write, each with the file it is about."""
    calls: list[str] = []
    names: dict[int, str] = {}

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if name == "open":
                names[result] = os.path.basename(args[0])
            else:
                target = (
                    names[args[0]]
                    if isinstance(args[0], int)
                    else os.path.basename(args[1] if name == "rename" else args[0])
                )
                calls.append(f"{name} {target}")
            return result

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return calls


def test_order_of_an_append(tmp_path: Path, trace: list[str]) -> None:
    """Entries are durable before the head is written, and the head before the append returns."""
    stored = entries(2)
    journal = open_journal(str(tmp_path / "m"))
    journal.append(stored[:1], expected_size=0)
    first = list(trace)
    trace.clear()

    journal.append(stored[1:], expected_size=1)

    append = ["pwrite journal.jsonl", "fdatasync journal.jsonl", "pwrite journal.head", "fdatasync journal.head"]
    append.append("pwrite journal.stamp")
    assert trace == append
    assert first[-5:] == append
    creation = ["pwrite .journal.head.new", "fsync .journal.head.new", "fsync m", "rename journal.head", "fsync m"]
    assert [call for call in first if call in creation][:5] == creation
    assert f"fsync {tmp_path.resolve().name}" in first[:-5]


def test_reading_makes_no_call_that_writes(tmp_path: Path, trace: list[str]) -> None:
    """Also where there is something to mend."""
    journal = open_journal(str(tmp_path))
    journal.append(entries(3), expected_size=0)
    with open(journal.where, "ab") as file:
        file.write(b"half")
    trace.clear()

    list(open_journal(str(tmp_path)).read())
    list(open_journal(str(tmp_path)).salvage())
    open_journal(str(tmp_path)).tail()

    assert trace == []


def test_two_objects_on_one_directory(tmp_path: Path) -> None:
    """Each sees what the other appended; a size that is not the newest any more is a conflict."""
    stored = entries(3)
    one, other = open_journal(str(tmp_path)), open_journal(str(tmp_path))

    one.append(stored[:1], expected_size=0)
    with pytest.raises(ConflictError):
        other.append(stored[:1], expected_size=0)
    other.append(stored[1:2], expected_size=1)
    one.append(stored[2:], expected_size=2)

    assert list(one.read()) == list(other.read()) == stored


def test_lock_holds_between_objects(tmp_path: Path) -> None:
    """While one is exclusive another times out; readers are not kept waiting."""
    stored = entries(2)
    one, other = open_journal(str(tmp_path)), open_journal(str(tmp_path), lock_timeout_seconds=0.02)
    one.append(stored[:1], expected_size=0)

    with one.exclusive():
        assert isinstance(outcome_of(lambda: other.append(stored[1:], expected_size=1)), LockTimeoutError)
        assert list(other.read()) == stored[:1]

    assert other.append(stored[1:], expected_size=1).size == 2


def test_journal_that_is_removed_under_a_waiting_writer(tmp_path: Path) -> None:
    """A file that has lost its name is not written to: what would be in it nobody could find."""
    stored = entries(2)
    journal = open_journal(str(tmp_path))
    journal.append(stored[:1], expected_size=0)
    with journal.exclusive():
        os.unlink(journal.where)

    assert isinstance(outcome_of(lambda: journal.append(stored[1:], expected_size=1)), JournalDamagedError)


def test_long_journal_is_read_from_anywhere(tmp_path: Path) -> None:
    """Over many chunks, with a fresh object and with one that knows places, any range is right."""
    stored = entries(2_500)
    journal = open_journal(str(tmp_path))
    for start in range(0, 2_500, 500):
        journal.append(stored[start : start + 500], expected_size=start)
    assert sum(map(len, stored)) > 5 * CHUNK_BYTES

    for start, stop in ((2_499, 2_500), (0, 1), (1_234, 1_300), (0, None), (2_000, None), (7, 8), (1_234, 1_300)):
        assert list(journal.read(start, stop)) == stored[start:stop]
        assert list(open_journal(str(tmp_path)).read(start, stop)) == stored[start:stop]


def test_journal_that_was_set_back_is_noticed_by_who_has_it_open(tmp_path: Path) -> None:
    """An object that reads on from what it has verified refuses where there is less now."""
    stored = entries(4)
    journal, head = open_journal(str(tmp_path)), tmp_path / "journal.head"
    journal.append(stored[:2], expected_size=0)
    early, data = head.read_bytes(), Path(journal.where).read_bytes()
    journal.append(stored[2:], expected_size=2)
    assert list(journal.read()) == stored

    head.write_bytes(early)
    Path(journal.where).write_bytes(data)

    assert isinstance(outcome_of(lambda: list(journal.read(4))), JournalDamagedError)
    assert list(open_journal(str(tmp_path)).read()) == stored[:2]


def test_failed_append_ends_the_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an append that failed nothing more is appended under the same lock; taken anew, it goes on."""
    stored = entries(2)
    journal = open_journal(str(tmp_path))
    journal.append(stored[:1], expected_size=0)
    real = os.pwrite

    def failing(descriptor: int, data: bytes, offset: int) -> int:
        real(descriptor, bytes(data)[:10], offset)
        raise OSError(28, "no space left on device")

    with journal.exclusive():
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", failing)
            assert isinstance(outcome_of(lambda: journal.append(stored[1:], expected_size=1)), RefusedError)
        assert isinstance(outcome_of(lambda: journal.append(stored[1:], expected_size=1)), RefusedError)

    assert journal.append(stored[1:], expected_size=1).hash == chain.hash_of(stored[1])
    assert list(open_journal(str(tmp_path)).read()) == stored


def test_reading_of_a_missing_directory(tmp_path: Path) -> None:
    """A place that does not exist, or is below a file, holds no entries or is refused, but is never created."""
    (tmp_path / "file").touch()

    assert list(open_journal(str(tmp_path / "none")).read()) == []
    assert isinstance(outcome_of(lambda: list(open_journal(str(tmp_path / "file" / "x")).read())), RefusedError)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_interrupt_during_an_append_is_an_unknown_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Once bytes were handed over an interrupt does not look as if nothing had happened; the next append goes on."""
    stored = entries(3)
    journal = open_journal(str(tmp_path))
    journal.append(stored[:1], expected_size=0)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, call, interrupted)
        error = outcome_of(lambda: journal.append(stored[1:2], expected_size=1))
    size = journal.tail().size

    assert isinstance(error, OutcomeUnknownError)
    assert journal.append(stored[size:], expected_size=size).size == 3
    assert list(open_journal(str(tmp_path)).read()) == stored
