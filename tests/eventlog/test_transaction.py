"""Decide and append as one step: on the newest state, again after a conflict, with what the journal says for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from support import Clock, Randomness, outcome_of

from eventlog import codec
from eventlog.catalog import Catalog
from eventlog.decisions import Decision, Terms
from eventlog.engines import open_journal
from eventlog.engines.memory import MemoryJournal
from eventlog.errors import ConflictError, OutcomeUnknownError, RefusedError
from eventlog.events import JournalCreated, JournalRecovered, ModelPublished
from eventlog.journal import DiscardedTail, Tail
from eventlog.replay import Replay
from eventlog.transaction import Transaction

TORN = DiscardedTail(5, 6, "ab" * 32, "no-newline", "quarantine/x")


class _Journal(MemoryJournal):
    """A journal in which something happens just before an append."""

    def __init__(self, before: Callable[[], None] = lambda: None, discarded: Sequence[DiscardedTail] = ()) -> None:
        super().__init__()
        self._before = before
        self._tails = list(discarded)

    def discarded(self) -> Sequence[DiscardedTail]:
        return self._tails

    def append(self, entries: Sequence[bytes], *, expected_size: int, recording: Sequence[DiscardedTail] = ()) -> Tail:
        self._before()
        tail = super().append(entries, expected_size=expected_size, recording=recording)
        self._tails = [item for item in self._tails if item not in recording]
        return tail


def _decide(catalog: Catalog, now: datetime) -> Decision:
    number = len(catalog.published)
    data = ModelPublished("b", "/a", 1, "0" * 64, {}, catalog.active_id())
    return Decision(f"2026010203040{number}_aaaaaaaa", data)


def _transaction(journal: Any) -> tuple[Transaction, Replay]:
    replay = Replay(journal)
    return Transaction(replay, Clock(), Randomness(str(id(replay)))), replay


def _run(journal: Any, request_id: str, last_look: Callable[[], None] = lambda: None) -> Decision:
    return _transaction(journal)[0].run(_decide, Terms("t", request_id), last_look)


def _types(journal: Any) -> list[str]:
    replay = Replay(journal)
    replay.catch_up()
    journal_id = replay.catalog.journal_id
    return [codec.decode(entry, position, journal_id, "j").type for position, entry in enumerate(journal.read())]


def test_first_append_creates_the_journal() -> None:
    """The creation and the first event are one batch, by the same actor at the same time; later ones are alone."""
    journal = open_journal("memory:")

    _run(journal, "one")
    _run(journal, "two")

    assert _types(journal) == ["journal.created.v1", "model.published.v1", "model.published.v1"]


def test_what_was_discarded_is_recorded_once() -> None:
    """Recovery stands before the event that came with it, and is not recorded again."""
    journal = _Journal(discarded=[TORN])

    _run(journal, "one")
    _run(journal, "two")

    assert _types(journal) == [
        "journal.created.v1",
        "journal.recovered.v1",
        "model.published.v1",
        "model.published.v1",
    ]
    event = codec.decode(list(journal.read())[1], 1, Replay(journal).catch_up().journal_id, "j")
    assert event.data == JournalRecovered(5, 6, "ab" * 32, "no-newline", "quarantine/x")


def test_what_was_recorded_before_a_crash_is_not_recorded_again() -> None:
    """Where the journal has the recovery already and only quarantine does not know, nothing is added for it."""
    journal = _Journal(discarded=[TORN])
    _run(journal, "one")
    journal._tails = [TORN]

    _run(journal, "two")

    assert _types(journal).count("journal.recovered.v1") == 1
    assert list(journal.discarded()) == []


def test_conflict_is_decided_anew() -> None:
    """Another writer came first: the decision is made on the state that it left."""
    rivals = iter(["rival"])
    journal = _Journal()

    def intrude() -> None:
        for rival in rivals:
            other = MemoryJournal()
            other._entries, other._lock = journal._entries, journal._lock
            _run(other, rival)

    journal._before = intrude
    _run(journal, "one")

    replay = Replay(journal)
    catalog = replay.catch_up()
    assert [event.id for event in replay.past.events(1, catalog.size)] == ["rival", "one"]
    assert catalog.active_id() == "20260102030401_aaaaaaaa"


def test_conflicts_do_not_go_on_for_ever() -> None:
    """After many conflicts in a row the request is refused, and nothing is appended."""
    count = 0

    def conflict() -> None:
        nonlocal count
        count += 1
        raise ConflictError("somebody else")

    journal = _Journal(conflict)

    assert isinstance(outcome_of(lambda: _run(journal, "one")), ConflictError)
    assert 10 <= count <= 1_000
    assert list(journal.read()) == []


def test_last_look_can_refuse() -> None:
    """It is called before the append, and nothing is appended when it raises."""
    journal = open_journal("memory:")

    def refuse() -> None:
        raise RefusedError("changed")

    assert isinstance(outcome_of(lambda: _run(journal, "one", refuse)), RefusedError)
    assert list(journal.read()) == []


def test_answer_that_is_there_appends_nothing() -> None:
    """Where there is nothing to append the journal is not touched, not even created."""
    journal = open_journal("memory:")
    transaction, _ = _transaction(journal)

    decision = transaction.run(lambda catalog, now: Decision("x"), Terms("t", "one"), lambda: None)

    assert decision == Decision("x")
    assert list(journal.read()) == []


def test_catalog_is_folded_on() -> None:
    """After the append the state has the new events, without reading them again."""
    journal = open_journal("memory:")
    transaction, replay = _transaction(journal)

    transaction.run(_decide, Terms("t", "one"), lambda: None)

    assert replay.catalog.size == 2
    assert replay.catalog.positions["one"] == 1
    assert isinstance(codec.decode(next(iter(journal.read())), 0, None, "j").data, JournalCreated)


def test_point_of_no_return() -> None:
    """It is announced once, after everything that can refuse and just before the append; not where none follows."""
    calls: list[str] = []
    journal = _Journal(lambda: calls.append("append"))
    transaction = Transaction(Replay(journal), Clock(), Randomness(), lambda: calls.append("no return"))

    transaction.run(_decide, Terms("t", "one"), lambda: calls.append("last look"))
    transaction.run(lambda catalog, now: Decision("x"), Terms("t", "two"), lambda: calls.append("last look"))

    assert calls == ["last look", "no return", "append", "last look"]


def test_interrupt_before_the_append() -> None:
    """An interrupt goes through as one, and nothing was appended; the lock is free again."""
    journal = _Journal()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(journal, "one", interrupt)

    assert list(journal.read()) == []
    assert _run(journal, "two").data is not None


def test_unknown_outcome_names_the_id() -> None:
    """The message says with which id to retry, also where the caller gave none."""

    def unknown() -> None:
        raise OutcomeUnknownError("not known")

    with pytest.raises(OutcomeUnknownError, match="retry with --id one"):
        _run(_Journal(unknown), "one")
