"""The fold: what is after each event, and what cannot follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from support import START, event_entry

from eventlog import chain
from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.errors import JournalDamagedError
from eventlog.events import Data, Event, JournalCreated, JournalRecovered, ModelPublished, ModelRolledBack
from eventlog.journal import Anchor
from eventlog.snapshot import Activation

JOURNAL_ID = "11111111-1111-4111-8111-111111111111"
A, B = "20260102030405_aaaaaaaa", "20260102030406_bbbbbbbb"
CREATED = JournalCreated(JOURNAL_ID, 1)
RECOVERED = JournalRecovered(5, 6, "0" * 64, "no-newline", "quarantine/x")


def _published(displaced: str | None, **fields: Any) -> ModelPublished:
    return ModelPublished("b", "/a", 1, "0" * 64, {"x": 1}, displaced, **fields)


def _rolled_back(displaced: str, **fields: Any) -> ModelRolledBack:
    return ModelRolledBack(displaced, "0" * 64, **fields)


def _entries(events: Sequence[tuple[str | None, Data]], **changes: Any) -> list[bytes]:
    """Return entries, a second apart, each with an id of its own."""
    result: list[bytes] = []
    for position, (subject, data) in enumerate(events):
        prev = chain.hash_of(result[-1]) if result else chain.GENESIS
        event = Event(position, f"id{position}", START + timedelta(seconds=position), "t", subject, data)
        result.append(event_entry(event, JOURNAL_ID, prev))
    return result


def _folded(events: Sequence[tuple[str | None, Data]]) -> Catalog:
    catalog = Catalog("j")
    for entry in _entries(events):
        catalog.apply(entry)
    return catalog


def _state(catalog: Catalog) -> tuple[object, ...]:
    return (
        catalog.journal_id,
        catalog.size,
        catalog.hash,
        dict(catalog.published),
        dict(catalog.active),
        [catalog.positions.get(f"id{position}") for position in range(9)],
        dict(catalog.taken_over),
        catalog.latest_time,
        catalog.backward,
    )


def test_nothing_yet() -> None:
    """An empty catalog has no journal, no model, none active and nothing to remember."""
    catalog = Catalog()

    assert (catalog.size, catalog.hash, catalog.journal_id) == (0, chain.GENESIS, None)
    assert catalog.active_id() is None
    assert catalog.anchor() is None


def test_what_is_after_each_event() -> None:
    """Publish, publish, recovery, rollback: models in order, the active one, what it displaced, positions by id."""
    events = [(None, CREATED), (A, _published(None)), (B, _published(A)), (None, RECOVERED), (A, _rolled_back(B))]

    catalog = _folded(events)

    assert list(catalog.published) == [A, B]
    assert catalog.active == {ACTIVE: Activation(A, 4, START + timedelta(seconds=4), "t", None, B)}
    assert [catalog.positions.get(f"id{position}") for position in range(6)] == [0, 1, 2, 3, 4, None]
    assert catalog.anchor() == Anchor(JOURNAL_ID, 5, chain.hash_of(_entries(events)[-1]))
    assert catalog.latest_time == START + timedelta(seconds=4)


def test_model_has_the_time_of_its_event() -> None:
    """A rollback changes nothing about the model."""
    catalog = _folded([(None, CREATED), (A, _published(None)), (B, _published(A)), (A, _rolled_back(B))])

    assert catalog.model(A).created_at == START + timedelta(seconds=1)
    with pytest.raises(KeyError):
        catalog.model("20260102030407_cccccccc")


def test_same_time_is_not_backwards() -> None:
    """Only a time before the latest one until then is flagged, and it is compared with the latest, not the last."""
    catalog = Catalog()
    times = [0, 5, 5, 3, 4, 6]
    prev = chain.GENESIS
    for position, seconds in enumerate(times):
        subject, data = (None, CREATED) if position == 0 else (None, RECOVERED)
        event = Event(position, f"{position}", START + timedelta(seconds=seconds), "t", subject, data)
        entry = event_entry(event, JOURNAL_ID, prev)
        catalog.apply(entry)
        prev = chain.hash_of(entry)

    assert catalog.backward == (3, 4, 2)
    assert catalog.latest_time == START + timedelta(seconds=6)


def test_taken_over_journals_are_remembered() -> None:
    """By a publish and by a rollback."""
    first, second = Anchor("first", 1, "1" * 64), Anchor("second", 2, "2" * 64)

    catalog = _folded(
        [
            (None, CREATED),
            (A, _published(None, took_over=first)),
            (B, _published(A)),
            (A, _rolled_back(B, took_over=second)),
        ]
    )

    assert catalog.taken_over == {"first": 1, "second": 2}
    assert catalog.covers(Anchor("second", 2, "2" * 64))
    assert not catalog.covers(Anchor("second", 3, "3" * 64)), "what happened since was not taken over"


IMPOSSIBLE: dict[str, tuple[str | None, Data]] = {
    "another creation": (None, CREATED),
    "a model published twice": (A, _published(A)),
    "another displaced model": (B, _published(B)),
    "no displaced model": (B, _published(None)),
    "a rollback to an unknown model": (B, _rolled_back(A)),
    "a rollback that displaced another": (A, _rolled_back(B)),
    "a subject that is no model id": ("x", _published(A)),
    "no subject": (None, _published(A)),
    "bytes of a path that are no hex": (B, _published(A, artifact_path_hex="zz")),
}


@pytest.mark.parametrize(("subject", "data"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_cannot_follow(subject: str | None, data: Data) -> None:
    """An event that contradicts what happened before is damage, and the catalog is as it was."""
    good = [(None, CREATED), (A, _published(None))]
    catalog = _folded(good)
    before = _state(catalog)

    with pytest.raises(JournalDamagedError) as caught:
        catalog.apply(_entries([*good, (subject, data)])[-1])

    assert caught.value.position == 2
    assert _state(catalog) == before


def test_id_that_was_there_before() -> None:
    """Two events with one id cannot both be: the second is damage."""
    catalog = _folded([(None, CREATED), (A, _published(None))])
    before = _state(catalog)
    entry = event_entry(Event(2, "id1", START, "t", B, _published(A)), JOURNAL_ID, catalog.hash)

    with pytest.raises(JournalDamagedError, match="id of entry 1"):
        catalog.apply(entry)

    assert _state(catalog) == before


def test_folding_on_is_folding_from_zero() -> None:
    """State after n events is the same however many pauses there were."""
    events = [(None, CREATED), (A, _published(None)), (B, _published(A)), (A, _rolled_back(B))]

    states = [_state(_folded(events[:size])) for size in range(5)]

    catalog = Catalog("j")
    for size, entry in enumerate(_entries(events)):
        assert _state(catalog) == states[size]
        catalog.apply(entry)
    assert _state(catalog) == states[4]
