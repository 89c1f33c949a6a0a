"""Rollback: to the previously active model by default, and only to a model whose artifact is still what it was."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from support import Place, outcome_of

from eventlog.errors import RefusedError
from eventlog.events import ModelRolledBack
from projections import ModelMetadata


@pytest.fixture
def models(place: Place) -> list[ModelMetadata]:
    return [place.publish(name) for name in "abc"]


def test_default_is_the_previously_active_model(place: Place, models: list[ModelMetadata]) -> None:
    """Without a model id the model that was displaced last comes back; once more, and the first is back."""
    first = place.open().rollback()
    second = place.open().rollback()
    third = place.open().rollback()

    assert [first, second, third] == [models[1], models[2], models[1]]
    assert place.open().get_active_model() == models[1]


def test_what_is_recorded(place: Place, models: list[ModelMetadata]) -> None:
    """The event names the target, what it displaced, the artifact's hash as found, who and why."""
    place.open().rollback(models[0].model_id, actor="me", reason="worse", request_id="back")

    event = place.event(4)
    assert (event.id, event.actor, event.subject) == ("back", "me", models[0].model_id)
    assert event.data == ModelRolledBack(models[2].model_id, sha256(b"a").hexdigest(), "worse")
    assert place.open().list_models() == models[::-1]


def test_to_the_active_model_records_nothing(place: Place, models: list[ModelMetadata]) -> None:
    """It is active already: that is the answer, and no byte changes."""
    before = place.files()

    model = place.open().rollback(models[2].model_id)

    assert model == models[2]
    assert place.files() == before


def test_publish_after_rollback(place: Place, models: list[ModelMetadata]) -> None:
    """What a later rollback goes back to is the model that was active, not the one published before."""
    place.open().rollback(models[0].model_id)
    place.publish("d")

    assert place.open().rollback() == models[0]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_go_back_to(place: Place, count: int) -> None:
    """With no model, or only one, there is none before it: refused, and nothing is created."""
    for name in "ab"[:count]:
        place.publish(name)
    before = place.files()

    error = outcome_of(lambda: place.open().rollback())

    assert isinstance(error, RefusedError)
    assert place.files() == before


@pytest.mark.parametrize("model_id", ["20200101000000_00000000", "", "none", "../../etc/passwd", "2020\n", "\ud800"])
def test_unknown_model(place: Place, models: list[ModelMetadata], model_id: str) -> None:
    """An id that no model has, or could have, is refused, and no byte changes."""
    before = place.files()

    error = outcome_of(lambda: place.open().rollback(model_id))

    assert isinstance(error, RefusedError)
    assert place.files() == before


def _removed(place: Place) -> None:
    (place.root / "b").unlink()


def _changed(place: Place) -> None:
    (place.root / "b").write_bytes(b"B")


def _longer(place: Place) -> None:
    (place.root / "b").write_bytes(b"b more")


def _emptied(place: Place) -> None:
    (place.root / "b").write_bytes(b"")


def _directory(place: Place) -> None:
    (place.root / "b").unlink()
    (place.root / "b").mkdir()


@pytest.mark.parametrize("damage", [_removed, _changed, _longer, _emptied, _directory])
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("named", [False, True])
def test_artifact_that_is_not_what_it_was(
    place: Place, models: list[ModelMetadata], damage: Callable[[Place], None], dry_run: bool, named: bool
) -> None:
    """A model whose bytes are gone or different cannot become active: refused, and no byte changes."""
    damage(place)
    before = place.files()

    error = outcome_of(lambda: place.open().rollback(models[1].model_id if named else None, dry_run=dry_run))

    assert isinstance(error, RefusedError)
    assert place.files() == before
    assert place.open().get_active_model() == models[2]


def test_same_bytes_again_are_good(place: Place, models: list[ModelMetadata]) -> None:
    """What counts is the hash: a file that was put back may have any time and inode."""
    _removed(place)
    place.artifact("b", b"b")

    assert place.open().rollback() == models[1]


def test_runtime_follows(place: Place, models: list[ModelMetadata]) -> None:
    """The runtime checkpoint names the model that is active after a rollback."""
    place.open().rollback()

    assert models[1].model_id.encode() in place.state_json.read_bytes()
    assert models[2].model_id.encode() not in place.state_json.read_bytes()
