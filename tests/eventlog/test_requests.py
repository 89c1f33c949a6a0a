"""Requests that are refused, on record where that is asked for; and reviews."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import Place, outcome_of

from eventlog.errors import JournalDamagedError, LockTimeoutError, RefusedError
from eventlog.events import HistoryReviewed, RequestRefused
from eventlog.history import Criteria
from projections import ModelRegistry, verify_registry

Ask = Callable[[Place, ModelRegistry], Any]
UNKNOWN = "20200101000000_00000000"


def _fifo(place: Place) -> Path:
    os.mkfifo(place.root / "fifo")
    return place.root / "fifo"


REFUSED: dict[str, tuple[str, Ask]] = {
    "no artifact": ("artifact", lambda place, registry: registry.publish_model(place.root / "none", backend="b")),
    "a FIFO": ("artifact", lambda place, registry: registry.publish_model(_fifo(place), backend="b")),
    "metadata": (
        "metadata",
        lambda place, registry: registry.publish_model(
            place.artifact(), backend="b", dataset_metadata={"x": float("nan")}
        ),
    ),
    "backend": ("backend", lambda place, registry: registry.publish_model(place.artifact(), backend="\x1b[2J")),
    "actor": ("terms", lambda place, registry: registry.rollback(actor="")),
    "expectation": ("expect-active", lambda place, registry: registry.rollback(expect_active=UNKNOWN)),
    "unknown target": ("target", lambda place, registry: registry.rollback(UNKNOWN)),
    "no model id": ("target", lambda place, registry: registry.rollback("../../etc")),
    "no model before": ("target", lambda place, registry: registry.rollback()),
    "another request's id": ("id", lambda place, registry: registry.rollback(request_id="first")),
    "surrogates": ("artifact", lambda place, registry: registry.publish_model("\udcff" * 3_000, backend="b")),
}


@pytest.fixture
def published(place: Place) -> Place:
    place.publish("a", request_id="first")
    return place


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_recorded_with_its_rule(published: Place, case: str) -> None:
    """Who tried what, which rule refused; the caller is refused all the same, and what is active stays so."""
    rule, ask = REFUSED[case]
    before = published.open().list_models(), published.open().get_active_model()

    refused = outcome_of(lambda: ask(published, published.open(record_refusals=True)))

    assert isinstance(refused, RefusedError)
    data = published.event(2).data
    assert isinstance(data, RequestRefused)
    assert (data.rule, data.message[:60]) == (rule, str(refused).encode("utf-8", "backslashreplace").decode()[:60])
    assert data.request in ("publish", "rollback")
    assert (published.open().list_models(), published.open().get_active_model()) == before
    report = verify_registry(published.registry_dir, published.state_dir)
    assert (report.verdict, report.findings, report.size) == ("intact", [], 3)


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_recorded_unless_asked_for(published: Place, case: str) -> None:
    """By default a refusal changes no byte."""
    before = published.files()

    assert isinstance(outcome_of(lambda: REFUSED[case][1](published, published.open())), RefusedError)

    assert published.files() == before


def test_what_is_recorded(published: Place) -> None:
    """The words of the request, why, and the key, which stays free for the request that goes through."""
    registry = published.open(record_refusals=True)

    outcome_of(lambda: registry.rollback(UNKNOWN, actor="eve", reason="try", request_id="key"))

    event = published.event(2)
    data = event.data
    assert isinstance(data, RequestRefused)
    assert (event.actor, data.request, data.wanted) == ("eve", "rollback", {"model_id": UNKNOWN})
    assert (data.reason, data.request_id) == ("try", "key")
    assert [change.position for change in registry.history(Criteria(models=(UNKNOWN,)))] == [2]
    published.publish("b", request_id="key")
    assert published.event(3).id == "key"


def test_what_is_not_recorded(published: Place, place: Place) -> None:
    """A dry run, a lock that was not to be had, a damaged journal, and what comes before the first publish."""
    registry = published.open(record_refusals=True, lock_timeout_seconds=0)
    before = published.files()

    outcome_of(lambda: registry.rollback(UNKNOWN, dry_run=True))
    with published.open()._replay.journal.exclusive():
        refused = outcome_of(lambda: published.publish("c", registry=registry))
        assert isinstance(refused, LockTimeoutError)
        outcome_of(lambda: registry.rollback(UNKNOWN))

    assert published.files() == before
    published.journal.write_bytes(published.journal.read_bytes()[:-30])
    damaged = published.files()
    assert isinstance(outcome_of(lambda: registry.rollback(UNKNOWN)), RefusedError | JournalDamagedError)
    assert published.files() == damaged
    empty = Place(place.root / "elsewhere")
    outcome_of(lambda: empty.open(record_refusals=True).rollback())
    assert empty.files() == {}


def test_a_review(published: Place) -> None:
    """It says up to which position, by whom and what was found; by default up to the newest entry."""
    published.publish("b")

    registry = published.open()
    event = registry.review(actor="carol", reason="as it should be")
    earlier = registry.review(1, actor="carol")

    assert (event.position, event.actor, event.data) == (3, "carol", HistoryReviewed(2, "as it should be"))
    assert earlier.data == HistoryReviewed(1)
    assert [change.event for change in published.open().history()][-1] == earlier
    assert verify_registry(published.registry_dir, published.state_dir).findings == []


def test_a_review_is_idempotent(published: Place) -> None:
    """The same key with the same review is answered, with another one refused."""
    registry = published.open()
    first = registry.review(actor="carol", request_id="key")

    assert registry.review(actor="carol", request_id="key") == first
    assert published.open().review(1, actor="carol", request_id="key") == first
    for other in (lambda: registry.review(0, request_id="key"), lambda: registry.review(reason="x", request_id="key")):
        assert isinstance(outcome_of(other), RefusedError)
    assert isinstance(outcome_of(lambda: registry.review(request_id="first")), RefusedError)


@pytest.mark.parametrize("position", [2, 99, -1])
def test_nobody_examined_what_is_not_there(published: Place, position: int) -> None:
    """A position beyond the end is refused, and so is any in an empty registry."""
    before = published.files()

    assert isinstance(outcome_of(lambda: published.open().review(position)), RefusedError)
    assert isinstance(outcome_of(lambda: Place(published.root / "x").open().review()), RefusedError)

    assert published.files() == before
