"""The judge of the other suites: each kind of broken history is told apart from a good one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from faults_harness import pause_after
from history_of_appends import Request, check, check_prefix, events_of
from support import entries

from eventlog import chain

Events = list[dict[str, Any]]
Requests = dict[str, Request]


def _event(
    position: int, id: str, kind: str, subject: str | None = None, displaced: str | None = None
) -> dict[str, Any]:
    return {"id": id, "sequence": f"{position:020}", "type": kind, "subject": subject, "data": {"displaced": displaced}}


def _good() -> tuple[Events, Requests]:
    """Return a history of two publishes and a rollback, and what was asked: one of them was never answered."""
    events = [
        _event(0, "own", "journal.created.v1"),
        _event(1, "a", "model.published.v1", "A"),
        _event(2, "b", "model.published.v1", "B", "A"),
        _event(3, "c", "model.rolled_back.v1", "A", "B"),
    ]
    requests = [
        Request("a", 1.0, 2.0, "A"),
        Request("b", 1.5, tries=[("OutcomeUnknownError", 3.0)]),
        Request("c", 2.5, 3.0, "A"),
    ]
    return events, {request.id: request for request in requests}


def _renumber(events: Events) -> None:
    for position, event in enumerate(events):
        event["sequence"] = f"{position:020}"


def _lose(events: Events, requests: Requests) -> None:
    events.pop()


def _double(events: Events, requests: Requests) -> None:
    events.append(_event(4, "c", "model.rolled_back.v1", "A", "A"))


def _reorder(events: Events, requests: Requests) -> None:
    requests["b"].acknowledged, requests["b"].model_id = 2.0, "B"
    requests["c"].model_id = "A"
    events[2:] = [
        _event(2, "c", "model.rolled_back.v1", "A", "A"),
        _event(3, "b", "model.published.v1", "B", "A"),
    ]


def _invent(events: Events, requests: Requests) -> None:
    events.append(_event(4, "d", "model.published.v1", "D", "A"))


def _answer_otherwise(events: Events, requests: Requests) -> None:
    requests["a"].model_id = "B"


def _displace_another(events: Events, requests: Requests) -> None:
    events[2]["data"]["displaced"] = None


def _publish_twice(events: Events, requests: Requests) -> None:
    events[3]["type"] = "model.published.v1"


def _skip(events: Events, requests: Requests) -> None:
    requests["b"].model_id = None
    del events[2]


def _create_again(events: Events, requests: Requests) -> None:
    events.append(_event(4, "other", "journal.created.v1"))


def _record_refused(events: Events, requests: Requests) -> None:
    requests["b"].abandoned, requests["b"].tries = True, [("UnreachableError", 3.0)]


BROKEN: dict[str, tuple[Callable[[Events, Requests], None], str]] = {
    "lost": (_lose, "acknowledged and lost: ['c']"),
    "doubled": (_double, "doubled: ['c']"),
    "reordered": (_reorder, "b was acknowledged before c was asked for"),
    "invented": (_invent, "nobody asked for"),
    "refused and recorded": (_record_refused, "refused, and yet recorded: ['b']"),
    "answered with another": (_answer_otherwise, "answered with another model: ['a']"),
    "displaced another": (_displace_another, "expected to displace A, got None"),
    "published twice": (_publish_twice, "model.published.v1 of A"),
    "skipped": (_skip, "positions [0, 1, 3]"),
    "created again": (_create_again, "created at [0, 4]"),
}


def test_a_good_history() -> None:
    """An event whose request was never answered may be there; and it may be missing."""
    events, requests = _good()
    without = [events[0], events[1], {**events[2], "id": "c"}]
    settled = {"a": requests["a"], "b": requests["b"], "c": Request("c", 2.5, 3.0, "B")}

    check(events, requests)
    check(without, settled)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history(name: str) -> None:
    """Each mistake is found, and called by its name."""
    breaking, what = BROKEN[name]
    events, requests = _good()

    breaking(events, requests)

    with pytest.raises(AssertionError, match=re.escape(what)):
        check(events, requests)


def test_a_mirror_is_a_prefix_of_whole_lines() -> None:
    """Neither other bytes nor half a line are."""
    check_prefix(b"", b"one\ntwo\n", "m")
    check_prefix(b"one\n", b"one\ntwo\n", "m")

    for mirror in (b"one\nt", b"two\n", b"one\ntwo\nthree\n"):
        with pytest.raises(AssertionError):
            check_prefix(mirror, b"one\ntwo\n", "m")


def test_a_broken_chain_is_no_history() -> None:
    """Entries are verified before they are looked at."""
    good = entries(3)

    assert [event["n"] for event in events_of(good)] == [json.loads(entry)["n"] for entry in good]
    with pytest.raises(chain.ChainError):
        events_of([good[0], good[2]])


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ([1.0, 1.9, 9.0, 9.1], 7.0),  # what is under way is never answered
        ([1.0, 2.1, 9.0, 9.1], 7.0),  # an answer was on its way
        ([1.0, 2.1, 2.2, 2.3], 0.1),  # nobody noticed
    ],
)
def test_the_pause_is_the_longest_one(answers: list[float], seconds: float) -> None:
    """It counts from the fault until answers come again, whatever was still on its way."""
    assert pause_after(answers, 2.0) == pytest.approx(seconds)
