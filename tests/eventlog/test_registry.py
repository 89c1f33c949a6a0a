"""The registry: what a publish records, what it refuses, and that a refusal or a dry run changes no byte."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from support import START, Clock, Place, Randomness, fill, outcome_of

from eventlog.errors import ProjectionLagError, RefusedError
from eventlog.events import JournalCreated, ModelPublished, ModelRolledBack
from projections import ModelRegistry


@pytest.fixture
def registry(place: Place) -> ModelRegistry:
    return place.open(now=Clock(), random_bytes=Randomness())


def test_asking_an_empty_place_creates_nothing(place: Place) -> None:
    """Before the first publish there are no models, none is active, and nothing is on disk."""
    registry = place.open()

    assert registry.list_models() == []
    assert registry.get_active_model() is None
    assert list(place.root.iterdir()) == []


def test_first_publish_creates_the_journal(place: Place, registry: ModelRegistry) -> None:
    """One append holds the creation and the publication; the model is active."""
    model = place.publish("a", registry=registry, dataset_metadata={"rows": 3}, reason="first", request_id="one")

    event = registry.read_event(1)
    assert isinstance(registry.read_event(0).data, JournalCreated)
    assert (event.id, event.actor, event.subject, event.position) == ("one", "t", model.model_id, 1)
    assert event.data == ModelPublished(
        backend="b",
        artifact_path=str(place.root / "a"),
        artifact_size_bytes=1,
        sha256=sha256(b"a").hexdigest(),
        dataset_metadata={"rows": 3},
        displaced=None,
        reason="first",
    )
    assert registry.get_active_model() == model == place.open().get_active_model()


def test_six_attributes(place: Place, registry: ModelRegistry) -> None:
    """What `publish_model` returns is what `list_models` shows, here and in another process."""
    model = place.publish("a", registry=registry, dataset_metadata={"x": [1, None, "ü"]})

    assert model.to_dict() == {
        "model_id": f"20260102030407_{sha256(b'a').hexdigest()[:8]}",
        "backend": "b",
        "artifact_path": str(place.root / "a"),
        "sha256": sha256(b"a").hexdigest(),
        "created_at": "2026-01-02T03:04:07.678901Z",
        "dataset_metadata": {"x": [1, None, "ü"]},
    }
    assert registry.list_models() == place.open().list_models() == [model]


def test_newest_first_and_displaced(place: Place, registry: ModelRegistry) -> None:
    """Models are listed by publication, newest first; each event names the model it displaced."""
    first, second, third = (place.publish(name, registry=registry) for name in "abc")

    assert registry.list_models() == [third, second, first]
    displaced = [registry.read_event(position).data.displaced for position in (1, 2, 3)]  # type: ignore[union-attr]
    assert displaced == [None, first.model_id, second.model_id]


def test_default_actor_is_user_and_host(place: Place) -> None:
    """Who did it is recorded without being asked for, from the system and not from the environment."""
    place.publish("a", actor=None)

    assert next(place.open().catalog().published.events(newest_first=True)).actor.endswith(f"@{os.uname().nodename}")


def test_same_second_gets_microseconds(place: Place) -> None:
    """The same bytes published twice in a second are two models; a clock that stands still does not matter."""
    registry = place.open(now=Clock(START, timedelta(0)), random_bytes=Randomness())
    digest = sha256(b"a").hexdigest()[:8]

    ids = [place.publish("a", registry=registry).model_id for _ in range(3)]

    assert ids == [f"20260102030405_{digest}", f"20260102030405678901_{digest}", f"20260102030405678902_{digest}"]


def test_clock_that_goes_backwards_is_flagged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Order is the position: an earlier time is recorded as it is, warned about, and found by the catalog."""
    clock = Clock()
    registry = place.open(now=clock, random_bytes=Randomness())
    first = place.publish("a", registry=registry)
    clock.time = START - timedelta(days=1)

    with caplog.at_level(logging.WARNING, "modelog"):
        second = place.publish("b", registry=registry)

    assert "clock" in caplog.text
    assert second.created_at < first.created_at
    assert place.open().catalog().backward == (2, 2, 1)
    assert place.open().list_models() == [second, first]


def _wrong_terms() -> dict[str, dict[str, object]]:
    return {
        "empty actor": {"actor": ""},
        "actor with a control character": {"actor": "a\x1b[31m"},
        "actor that is too long": {"actor": "a" * 257},
        "empty id": {"request_id": ""},
        "id of two lines": {"request_id": "a\nb"},
        "id with a lone surrogate": {"request_id": "\udc80"},
        "backend with an escape": {"backend": "\x1b]0;"},
        "empty backend": {"backend": ""},
        "reason with a lone surrogate": {"reason": "\ud800"},
        "metadata that is not JSON": {"dataset_metadata": {"x": {1, 2}}},
        "metadata with NaN": {"dataset_metadata": {"x": float("nan")}},
        "expected model that cannot be one": {"expect_active": "newest"},
        "empty expected model": {"expect_active": ""},
        "metadata that is too large": {"dataset_metadata": {"x": "y" * 65_536}},
        "a reason that is too large": {"reason": "y" * 65_536},
    }


@pytest.mark.parametrize("terms", _wrong_terms().values(), ids=_wrong_terms().keys())
def test_wrong_terms_are_refused(place: Place, terms: dict[str, object]) -> None:
    """What cannot be recorded as asked is refused, and no byte changes."""
    fill(place, 3)
    before = place.files()

    error = outcome_of(lambda: place.publish("new", **terms))

    assert isinstance(error, RefusedError)
    assert place.files() == before


@pytest.mark.parametrize("terms", _wrong_terms().values(), ids=_wrong_terms().keys())
def test_wrong_terms_of_a_dry_run_are_refused(place: Place, terms: dict[str, object]) -> None:
    """A dry run refuses what the request itself would be refused for."""
    fill(place, 3)

    assert isinstance(outcome_of(lambda: place.publish("new", dry_run=True, **terms)), RefusedError)


def test_too_large_first_publish_creates_nothing(place: Place) -> None:
    """A refused first publish leaves no directory and no empty journal behind."""
    error = outcome_of(lambda: place.publish("a", dataset_metadata={"x": "y" * 65_536}))

    assert isinstance(error, RefusedError)
    assert place.files() == {}


@pytest.mark.parametrize("expected", ["none", "active", None])
def test_expected_active_model_is_there(place: Place, expected: str | None) -> None:
    """The compare-and-swap goes through where the expected model (or none) is active."""
    first = None if expected == "none" else place.publish("a").model_id

    model = place.publish("b", expect_active=first if expected == "active" else expected)

    assert place.open().get_active_model() == model


@pytest.mark.parametrize("expected", ["none", "20200101000000_00000000"])
def test_another_model_is_active(place: Place, expected: str) -> None:
    """Where another model is active, publish and rollback are refused, and no byte changes."""
    fill(place, 4)
    before = place.files()

    for request in (
        lambda: place.publish("new", expect_active=expected),
        lambda: place.open().rollback(expect_active=expected),
        lambda: place.publish("new", expect_active=expected, dry_run=True),
    ):
        error = outcome_of(request)
        assert isinstance(error, RefusedError)
        assert "--expect-active" in str(error)

    assert place.files() == before


def test_dry_run_changes_nothing(place: Place) -> None:
    """A dry run answers with the model as it would be, and creates and changes nothing."""
    model = place.publish("a", dry_run=True, registry=place.open(now=Clock(START, timedelta(0))))
    assert place.files() == {}

    fill(place, 4)
    before = place.files()
    rolled_back = place.open().rollback(dry_run=True)

    assert model.created_at == START
    assert rolled_back != place.open().get_active_model()
    assert place.files() == before


def test_lag_is_reported_with_the_model(place: Place) -> None:
    """Where a derived file cannot be written, the event is recorded, and the error has the model."""
    place.publish("a")
    place.registry_json.unlink()
    place.registry_json.mkdir()

    error = outcome_of(lambda: place.open(runtime=False).catalog())
    assert isinstance(error, RefusedError)
    place.registry_json.rmdir()
    place.registry_dir.joinpath(".registry.json.new").mkdir()
    error = outcome_of(lambda: place.publish("b"))

    assert isinstance(error, ProjectionLagError)
    assert error.model == place.open().get_active_model()
    assert isinstance(place.event(2).data, ModelPublished)


def test_threads_may_share_a_registry(place: Place) -> None:
    """Publishes from several threads through one object are all recorded, each once."""
    from concurrent.futures import ThreadPoolExecutor

    registry = place.open()
    for number in range(20):
        place.artifact(f"a{number}")

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda number: place.publish(f"a{number}", registry=registry), range(20)))

    assert len({model.model_id for model in models}) == 20
    assert {model.model_id for model in place.open().list_models()} == {model.model_id for model in models}


def test_event_is_read_without_asking_anything_before(place: Place) -> None:
    """A registry that was just opened reads any event; it does not need to have been asked for models first."""
    fill(place, 3)

    events = [place.open().read_event(position) for position in range(3)]

    assert [event.position for event in events] == [0, 1, 2]


def test_position_that_is_not_there(place: Place) -> None:
    """Asking for an event behind the last one is refused."""
    fill(place, 3)

    assert isinstance(outcome_of(lambda: place.event(3)), RefusedError)
    assert not isinstance(next(place.open().catalog().published.events(newest_first=True)).data, ModelRolledBack)
    assert datetime.now(UTC) > place.open().catalog().latest_time  # type: ignore[operator]


def test_arguments_that_mean_nothing(place: Place) -> None:
    """An id that is no text, a time to wait that is no number, a clock without a zone: refused, nothing created."""
    with pytest.raises(RefusedError, match="--id"):
        place.publish("a", request_id=5)
    with pytest.raises(RefusedError, match="lock_timeout_seconds"):
        place.open(lock_timeout_seconds=float("nan"))
    with pytest.raises(TypeError, match="aware"):
        place.publish("a", registry=place.open(now=lambda: datetime(2026, 1, 1)))

    assert not place.registry_dir.exists()
