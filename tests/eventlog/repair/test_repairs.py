"""What holds of every repair: it is a writer, and what it takes out is recorded even where its own event is not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from repairing import SIZE, events, intact, repair
from support import Clock, Place, Randomness, flip, outcome_of

from eventlog import durable, durable_replacement
from eventlog.errors import LockTimeoutError, OutcomeUnknownError, RefusedError
from eventlog.events import JournalRepaired

Failing = Callable[[str], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Have the creation of files of one name fail as on a full disk."""
    begin_file = durable.begin_file

    def fail(name: str) -> None:
        def full(path: str, data: bytes | Iterable[bytes], like: os.stat_result | None) -> int:
            if name and os.path.basename(path) == name:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return begin_file(path, data, like)

        monkeypatch.setattr(durable, "begin_file", full)

    return fail


def test_repair_under_a_held_lock_waits_and_is_refused(place: Place, truth: bytes) -> None:
    """A repair is a writer: while another one has the lock it changes nothing."""
    import fcntl

    flip(place.journal, 8 * 1000)
    before = place.files()
    with place.journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = outcome_of(lambda: repair(place, "from-copy", copy=place.root / "whole", lock_timeout_seconds=0.05))

    assert isinstance(error, RefusedError)
    assert place.files() == before


def test_a_disk_that_does_not_take_the_new_journal(place: Place, truth: bytes, failing: Failing) -> None:
    """Refused, and everything is as it was: nothing is in quarantine that still stands in the journal."""
    flip(place.journal, 8 * 1000)
    (place.registry_dir / "quarantine").mkdir()
    before = place.files()

    failing(".journal.jsonl.new")
    error = outcome_of(lambda: repair(place, "from-copy", copy=place.root / "whole"))

    assert type(error) is RefusedError
    assert "no space left" in str(error)
    assert place.files() == before


def test_a_disk_that_does_not_take_the_head(place: Place, truth: bytes, failing: Failing) -> None:
    """Not known; the event stands in the new journal already, and asking again ends well."""
    place.head.write_bytes(b"")

    failing(".journal.head.new")
    error = outcome_of(lambda: repair(place, "rebuild-head", reason="first"))
    assert type(error) is OutcomeUnknownError
    assert "ask again" in str(error)
    assert "journal.repaired.v1" in place.journal.read_text()
    failing("")
    repair(place, "rebuild-head", reason="second", random_bytes=Randomness("second"))

    reasons = [event.data.reason for event in events(place, SIZE) if isinstance(event.data, JournalRepaired)]
    assert reasons == ["first", "second"]
    assert intact(place)


def test_nobody_writes_between_the_journal_and_its_head(
    place: Place, truth: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new journal is locked before it has its name: its head is not written over a later one."""
    tried = []
    replace_file = durable_replacement.replace_file

    def watched(path: str, *data: Any, **options: Any) -> None:
        if path == str(place.head):
            other = place.open(lock_timeout_seconds=0.01)
            tried.append(outcome_of(lambda: other.publish_model(place.artifact("other"), backend="b")))
        replace_file(path, *data, **options)

    flip(place.journal, 8 * 1000)
    monkeypatch.setattr(durable_replacement, "replace_file", watched)
    repair(place, "from-copy", copy=place.root / "whole")

    assert [type(error) for error in tried] == [LockTimeoutError]
    assert intact(place)


def test_a_memory_journal_is_not_repaired() -> None:
    """Repairs are for files."""
    from eventlog.decisions import Terms
    from eventlog.engines import open_journal
    from eventlog.repair import Repairs
    from eventlog.replay import Replay

    repairs = Repairs(lambda: (Replay(open_journal("memory:")), []), now=Clock())

    with pytest.raises(RefusedError, match="in a file"):
        repairs.run("rebuild-head", terms=Terms("a", "b"))
