"""Requests with an id: the same one gives the same answer and one event, another one is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import Clock, Place, fill, outcome_of

from eventlog.errors import RefusedError

Request = Callable[[], Any]


def test_same_publish_is_recorded_once(place: Place) -> None:
    """However often and whatever happened in between, the answer is the first one, and no byte changes."""
    first = place.publish("a", request_id="one", dataset_metadata={"x": 1, "y": [2]}, reason="why")
    place.publish("b")
    place.open().rollback()
    before = place.files()

    again = [
        place.publish("a", request_id="one", dataset_metadata={"y": [2], "x": 1}, reason="why", **terms)
        for terms in ({}, {"actor": "another"}, {"expect_active": "none"}, {"dry_run": True})
    ]

    assert again == [first] * 4
    assert place.files() == before


def test_same_rollback_is_recorded_once(place: Place) -> None:
    """A repeated rollback is not a second one, although the default would now be another model."""
    fill(place, 3)
    first = place.open().rollback(request_id="one")
    before = place.files()

    again = [
        place.open().rollback(request_id="one"),
        place.open().rollback(first.model_id, request_id="one"),
        place.open().rollback(request_id="one", dry_run=True),
    ]

    assert again == [first] * 3
    assert place.files() == before


def _others(place: Place) -> dict[str, Request]:
    """Name requests that are not the one made in `test_other_request_is_refused`."""

    def publish(name: str = "a", **terms: Any) -> Request:
        terms = {"request_id": "one", "dataset_metadata": {"x": 1}, "reason": "why", **terms}
        return lambda: place.publish(name, **terms)

    return {
        "other artifact": publish("b"),
        "other backend": publish(backend="c"),
        "other metadata": publish(dataset_metadata={"x": 2}),
        "more metadata": publish(dataset_metadata={"x": 1, "y": 1}),
        "no metadata": publish(dataset_metadata=None),
        "true is not one": publish(dataset_metadata={"x": True}),
        "one is not 1.0": publish(dataset_metadata={"x": 1.0}),
        "other reason": publish(reason="else"),
        "no reason": publish(reason=None),
        "a rollback": lambda: place.open().rollback(request_id="one"),
    }


@pytest.mark.parametrize("name", _others(Place(None)).keys())  # type: ignore[arg-type]
def test_other_request_is_refused(place: Place, name: str) -> None:
    """An id that stands for one request cannot be used for another; no byte changes."""
    place.publish("0")
    place.publish("a", request_id="one", dataset_metadata={"x": 1}, reason="why")
    before = place.files()

    error = outcome_of(_others(place)[name])

    assert isinstance(error, RefusedError)
    assert place.files() == before


def test_same_path_with_other_bytes_is_another_request(place: Place) -> None:
    """The request is about the bytes, not about the name."""
    place.publish("a", request_id="one")
    place.artifact("a", b"other")

    assert isinstance(outcome_of(lambda: place.publish("a", request_id="one")), RefusedError)


@pytest.mark.parametrize("kind", ["the journal's creation", "a rollback to another model", "another reason"])
def test_other_rollback_is_refused(place: Place, kind: str) -> None:
    """An id of the journal's own events, or of another rollback, cannot be used."""
    fill(place, 4)
    models = place.open().list_models()
    place.open().rollback(models[0].model_id, request_id="one", reason="why")
    before = place.files()
    requests: dict[str, Request] = {
        "the journal's creation": lambda: place.open().rollback(request_id=place.event(0).id),
        "a rollback to another model": lambda: place.open().rollback(
            models[1].model_id, request_id="one", reason="why"
        ),
        "another reason": lambda: place.open().rollback(models[0].model_id, request_id="one"),
    }

    error = outcome_of(requests[kind])

    assert isinstance(error, RefusedError)
    assert place.files() == before


def test_retry_after_a_crash_behind_the_head(place: Place) -> None:
    """A whole entry that its writer never saw acknowledged is kept, and the retry finds it: one event, no second."""
    fill(place, 3)
    start = place.files()
    first = place.publish("new", request_id="one")
    (place.root / "m/journal.head").write_bytes(start["m/journal.head"])
    for name in ("m/registry.json", "s/state.json"):
        (place.root / name).write_bytes(start[name])
    assert "one" not in place.ids()

    again = place.publish("new", request_id="one")

    assert again == first
    assert place.ids().count("one") == 1
    assert place.open().catalog().size == 4


def test_retry_catches_up_derived_files(place: Place) -> None:
    """Where the answer is there already, what lags behind is still brought up to date."""
    place.publish("a", request_id="one")
    whole = place.files()
    place.registry_json.unlink()
    place.state_json.unlink()

    place.publish("a", request_id="one")

    assert place.files() == whole


def test_first_request_may_not_have_the_id_of_the_creation(place: Place) -> None:
    """An id that this very append gives to another event must not brick the journal: the request is refused."""
    registry = place.open(now=Clock(), random_bytes=bytes)

    outcome_of(lambda: place.publish("a", registry=registry))

    assert len(place.open().list_models()) in (0, 1)


def test_request_may_not_have_the_id_of_a_recovery(place: Place) -> None:
    """The same, for the event that records what recovery took out."""
    from hashlib import sha256

    fill(place, 3)
    offset, torn = place.journal.stat().st_size, b"half"
    place.journal.write_bytes(place.journal.read_bytes() + torn)
    request_id = f"recovered-{offset}-{sha256(torn).hexdigest()[:16]}"

    outcome_of(lambda: place.publish("new", request_id=request_id))

    assert len(place.open().list_models()) in (2, 3)
