"""What the history answers: as of any moment, what changed, who did it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support import Clock, Place, fill, outcome_of

from eventlog import chain
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.history import Criteria
from eventlog.where import parse
from projections import ModelRegistry


@pytest.fixture
def filled(place: Place) -> Place:
    """A registry of 12 events: position 0, eight publishes and three rollbacks, one second apart."""
    fill(place, 12)
    return place


def _state(registry: ModelRegistry, **terms: Any) -> tuple[Any, Any]:
    return registry.list_models(**terms), registry.get_active_model(**terms)


def test_as_of_is_what_was_answered_then(place: Place) -> None:
    """At each position, and at each event's time, the answer is the one that was given when it was the newest."""
    clock = Clock()
    answers = []
    for number in range(8):
        registry = place.open(now=clock)
        place.publish(f"a{number}", registry=registry) if number % 3 < 2 else registry.rollback(actor="t")
        answers.append((registry.catalog().size, clock.time, _state(registry)))

    later = place.open(now=clock)

    for size, time, answer in answers:
        assert _state(later, as_of=size - 1) == _state(later, as_of=str(size - 1)) == answer
        assert _state(later, as_of=time) == _state(later, as_of=time.isoformat()) == answer
        assert _state(later, as_of=time + timedelta(milliseconds=1)) == answer
    assert _state(later, as_of=0) == ([], None)
    assert _state(later, as_of="2020-01-01") == ([], None)


def test_history_is_every_event_in_order(filled: Place) -> None:
    """One row an event; before and after follow one another, and each hash is the entry's."""
    changes = list(filled.open().history())

    assert [change.position for change in changes] == list(range(12))
    assert [change.hash for change in changes] == [chain.hash_of(line[:-1]) for line in filled.lines()]
    assert [change.after for change in changes[:-1]] == [change.before for change in changes[1:]]
    assert [change.event for change in changes] == [filled.event(position) for position in range(12)]
    assert {tuple(change.to_dict()) for change in changes} == {tuple(changes[0].to_dict())}


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (Criteria(start=3, stop=6), [3, 4, 5]),
        (Criteria(types=("model.rolled_back",)), [3, 7, 11]),
        (Criteria(types=("model.rolled_back.v1", "journal")), [0, 3, 7, 11]),
        (Criteria(actors=("nobody",)), []),
        (Criteria(backends=("b",)), [*range(1, 12)]),
        (Criteria(where=parse("position >= 9 or type = journal.created.v1", ("time",))), [0, 9, 10, 11]),
    ],
)
def test_criteria(filled: Place, criteria: Criteria, expected: list[int]) -> None:
    """Only those that meet all criteria; limit and order come after that."""
    registry = filled.open()

    assert [change.position for change in registry.history(criteria)] == expected
    assert [change.position for change in registry.history(criteria, limit=2)] == expected[:2]
    assert [change.position for change in registry.history(criteria, limit=2, newest_first=True)] == expected[::-1][:2]
    upto = [change.position for change in registry.history(criteria, as_of=8)] if (criteria.stop or 0) <= 9 else []
    assert upto == [position for position in expected if position <= 8]


def test_criteria_by_model_and_time(filled: Place) -> None:
    """A model is concerned where it is published, activated or displaced; times are bounds that belong to the range."""
    registry = filled.open()
    changes = list(registry.history())
    model_id = changes[3].event.subject or ""

    concerned = [change.position for change in registry.history(Criteria(models=(model_id,)))]
    timed = registry.history(Criteria(since=changes[4].event.time, until=changes[6].event.time))

    assert concerned == [
        change.position
        for change in changes
        if change.event.subject == model_id or getattr(change.event.data, "displaced", None) == model_id
    ]
    assert [change.position for change in timed] == [4, 5, 6]


def test_blame(filled: Place) -> None:
    """The stretches of a model begin with its publication or a rollback, and end where another becomes active."""
    registry = filled.open()
    model_id = registry.list_models()[-1].model_id  # published at 1, displaced at 2, brought back at 3, displaced at 4

    blame = registry.blame(model_id)

    assert (blame.model.model_id, blame.active, blame.published.position) == (model_id, False, 1)
    assert [(item.began.position, item.ended and item.ended.position) for item in blame.stretches] == [(1, 2), (3, 4)]
    earlier = registry.blame(model_id, as_of=3)
    assert (earlier.active, earlier.stretches[-1].ended, earlier.stretches[-1].displaced_by) == (True, None, None)
    with pytest.raises(RefusedError, match="see list"):
        registry.blame(model_id, as_of=0)


def test_diff(filled: Place) -> None:
    """It names what is new, what was active, and each event in between, of any two moments in order."""
    registry = filled.open()

    for start in range(12):
        for stop in range(start, 12):
            found = registry.diff(start, stop)

            assert [change.position for change in found.changes] == [*range(start + 1, stop + 1)]
            for moment, state in ((start, found.earlier), (stop, found.later)):
                known, active = _state(registry, as_of=moment)
                assert (state.size, state.models) == (moment + 1, len(known))
                assert state.active_model_id == (active.model_id if active else None)
            before = {model.model_id for model in registry.list_models(as_of=start)}
            after = [model.model_id for model in registry.list_models(as_of=stop)][::-1]
            assert found.published == [model_id for model_id in after if model_id not in before]
    assert registry.diff("2020-01-01").earlier.size == 0
    assert isinstance(outcome_of(lambda: registry.diff(5, 4)), RefusedError)


@pytest.mark.parametrize("bad", [12, "12", "2100-01-01", "never"])
def test_what_is_not_known_is_refused(filled: Place, bad: Any) -> None:
    """A position beyond the end, a time yet to come, and what is neither; by every question."""
    registry = filled.open()
    questions: list[Any] = [
        lambda: registry.list_models(as_of=bad),
        lambda: registry.get_active_model(as_of=bad),
        lambda: list(registry.history(as_of=bad)),
        lambda: registry.diff(bad),
        lambda: registry.diff(0, bad),
        lambda: registry.blame(registry.list_models()[0].model_id, as_of=bad),
    ]

    assert {type(outcome_of(question)) for question in questions} == {RefusedError}


def test_damage_is_refused_by_every_question(filled: Place) -> None:
    """Also about a moment before the damage: the whole is verified first."""
    registry_of = filled.open
    model_id = filled.open().list_models()[-1].model_id
    data = bytearray(filled.journal.read_bytes())
    data[-200] ^= 1
    filled.journal.write_bytes(data)

    for question in (
        lambda: registry_of().list_models(as_of=1),
        lambda: list(registry_of().history(Criteria(stop=2))),
        lambda: next(registry_of().follow(0)),
        lambda: registry_of().blame(model_id, as_of=2),
        lambda: registry_of().diff(0, 1),
    ):
        assert isinstance(outcome_of(question), JournalDamagedError)


def test_list_filters_and_sorts(place: Place) -> None:
    """By any attribute and any metadata key; what a model does not have comes last."""
    for name, rows in (("a", 5), ("b", None), ("c", 50), ("d", 7)):
        metadata = {} if rows is None else {"rows": rows}
        place.publish(name, backend=f"backend {name}", dataset_metadata=metadata)
    registry = place.open()
    names = lambda **terms: "".join(model.backend[-1] for model in registry.list_models(**terms))  # noqa: E731

    assert names() == "dcba"
    assert names(sort=["rows"]) == "adcb"
    assert names(sort=["-rows"]) == "cdab"
    assert names(sort=["backend"], limit=3) == "abc"
    assert names(where="rows >= 6") == "dc"
    assert names(where="active = true or backend ~ a", sort=["position"]) == "abcd"
    assert names(where="active = true") == "d"
    assert names(where='created_at < "2020-01-01"') == ""


def test_follow(filled: Place) -> None:
    """From a position on, first what is there and then what comes; without one, only what comes."""
    registry, writer = filled.open(), filled.open()
    published = []

    def sleep(_seconds: float) -> None:
        published.append(filled.publish(f"new{len(published)}", registry=writer).model_id)

    from_ten, next_ones = registry.follow(10, wait=sleep), registry.follow(wait=sleep)

    assert [next(from_ten).position for _ in range(4)] == [10, 11, 12, 13]
    assert [next(next_ones).event.subject for _ in range(3)] == published[:2] + published[2:3]
    assert next(from_ten).position == 14
    with pytest.raises(RefusedError, match="from 0 to 15"):
        registry.follow(16)
    with pytest.raises(RefusedError):
        registry.follow(-1)


def test_follow_notices_that_the_journal_was_replaced(filled: Place) -> None:
    """Whoever follows is not led on along another history."""
    followed = filled.open(runtime=False).follow(11)
    next(followed)
    filled.registry_json.unlink()
    filled.journal.unlink()
    filled.head.unlink()
    filled.state_json.unlink()
    fill(Place(filled.root), 20, clock=Clock(step=timedelta(seconds=7)))

    assert isinstance(outcome_of(lambda: next(followed)), JournalDamagedError)
