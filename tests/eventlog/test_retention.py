"""Retire and hold: what is said of a model is said once, found again, and decides where a rollback may lead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support import START, Clock, Place, outcome_of

from eventlog.errors import RefusedError
from projections.maintenance import verify_registry


def retire(place: Place, model_id: str, **terms: Any) -> object:
    return place.open().retire(model_id, reason="old", **terms)


def test_no_way_back_to_a_retired_model(place: Place) -> None:
    """Neither by name nor as the one before, until it is reinstated."""
    first, second = place.copy("a"), place.copy("b")
    place.retire(first)

    for model_id in (None, first.model_id):
        error = outcome_of(lambda model_id=model_id: place.open().rollback(model_id))
        assert isinstance(error, RefusedError)
        assert (error.rule, "retire --undo" in str(error)) == ("target", True)
    assert place.open().get_active_model() == second

    place.open().reinstate(first.model_id, reason="not so bad")
    assert place.open().rollback() == first


def test_the_active_model_cannot_be_retired(place: Place) -> None:
    """Nor one that nobody published; nothing is recorded."""
    model = place.copy("a")
    before = place.files()

    for model_id in (model.model_id, "20260102030405_00000000", "../x"):
        assert isinstance(outcome_of(lambda model_id=model_id: retire(place, model_id)), RefusedError)

    assert place.files() == before


def test_said_once(place: Place) -> None:
    """What is so already is not recorded again; a retry with its id finds its own event, another request is refused."""
    first, second = place.copy("a"), place.copy("b")
    event = place.open().retire(first.model_id, reason="old", request_id="r")

    assert place.open().retire(first.model_id, reason="old", request_id="r") == event
    assert place.open().retire(first.model_id, reason="other words") == event
    assert place.open().catalog().size == event.position + 1
    for reason, model in (("new", first), ("old", second)):
        error = outcome_of(
            lambda reason=reason, model=model: place.open().retire(model.model_id, reason=reason, request_id="r")
        )
        assert isinstance(error, RefusedError)
    assert isinstance(outcome_of(lambda: place.open().release(first.model_id, reason="x")), RefusedError)


def test_marks_behind_snapshots(place: Place) -> None:
    """They are found again however long ago they were set, by whoever begins at the newest snapshot, and by a fold."""
    models = [place.copy(name) for name in "abc"]
    place.retire(*models[:2])
    registry = place.open()
    registry.hold(models[1].model_id, reason="audit")
    for number in range(300):
        registry.review(reason=f"{number}")
    place.open().reinstate(models[0].model_id, reason="again")
    for number in range(300):
        registry.review(reason=f"{number}")

    for catalog in (place.open().catalog(), registry.catalog(), place.open().catalog(registry.catalog().size - 1)):
        assert catalog.snapshot is not None
        assert [catalog.marks.is_retired(model.model_id) for model in models] == [False, True, False]
        assert [catalog.marks.is_held(model.model_id) for model in models] == [False, True, False]
        assert catalog.marks.count == 4
    assert place.open().catalog(as_of=4).marks.is_retired(models[0].model_id)
    assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def test_retention_floor(place: Place) -> None:
    """What was active last, or not long ago, is kept, though it is retired."""
    clock = Clock(START, timedelta(hours=1))
    models = [place.open(now=clock).publish_model(place.artifact(name), backend="b", copy=True) for name in "abcde"]
    place.retire(*models[:3], now=clock)
    place.open(now=clock).change_settings(keep_last=3, keep_days=1)

    assert place.gc(now=clock) == set()
    clock.time += timedelta(days=1)
    found = place.open(now=clock).gc()
    assert [removal.sha256 for removal in found.removed] == [models[0].sha256, models[1].sha256]
    assert found.kept == {models[2].model_id: "among the last 3 that were active"}
    place.open(now=clock).change_settings(keep_last=0)
    assert place.gc(now=clock) == {models[2].sha256}


def test_floor_under_clocks_that_go_backwards(place: Place) -> None:
    """The latest time at which a model was in use counts; and no floor is no floor, whatever the clock says."""
    clock = Clock(START, timedelta(0))
    registry = place.open(now=clock)
    first = registry.publish_model(place.artifact("a"), backend="b", copy=True)
    clock.time -= timedelta(days=2000)
    registry.publish_model(place.artifact("b"), backend="b", copy=True)
    clock.time = START + timedelta(minutes=5)
    registry.publish_model(place.artifact("c"), backend="b", copy=True)
    registry.retire(first.model_id, reason="old")
    registry.change_settings(keep_days=30)
    assert place.gc(now=clock) == set()

    registry.change_settings(keep_days=0)
    clock.time -= timedelta(days=3000)
    assert place.gc(now=clock) == {first.sha256}
