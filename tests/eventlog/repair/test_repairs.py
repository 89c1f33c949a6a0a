"""What holds of every repair: it is a writer, and what it takes out is recorded even where its own event is not."""

from __future__ import annotations

from typing import Any

import pytest
from repairing import SIZE, events, intact, repair
from support import Clock, Place, flip, outcome_of

from eventlog.errors import OutcomeUnknownError, RefusedError


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


def test_event_that_cannot_be_appended(place: Place, truth: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal is mended, and the next publish records what was taken out."""
    from eventlog.transaction import Transaction

    flip(place.journal, 8 * 1000)

    def fail(*_: Any) -> None:
        raise RefusedError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "run", fail)
        error = outcome_of(lambda: repair(place, "from-copy", copy=place.root / "whole"))
    assert isinstance(error, OutcomeUnknownError)
    place.publish("new", request_id="next")

    assert place.journal.read_bytes().startswith(truth)
    assert [type(event.data).__name__ for event in events(place, SIZE)] == ["JournalRecovered", "ModelPublished"]
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
