"""A runtime that follows another journal is left alone until somebody says that it is to be taken over."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support import Place, fill, outcome_of

from eventlog.errors import JournalDamagedError, RefusedError
from projections import RuntimeStateManager


@pytest.fixture
def foreign(place: Place, tmp_path: Path) -> bytes:
    """The runtime checkpoint of another journal stands where this registry's runtime keeps its own."""
    (tmp_path / "other").mkdir()
    other = Place((tmp_path / "other").resolve())
    fill(other, 3)
    RuntimeStateManager(other.state_dir).record_checkpoint(
        entrypoint="e", mode="m", config_path="c", metadata={"mine": 1}
    )
    place.state_dir.mkdir()
    place.state_json.write_bytes(other.state_json.read_bytes())
    return place.state_json.read_bytes()


def test_refused_without_being_told(place: Place, foreign: bytes) -> None:
    """A publish is refused, names both journals, and nothing is created or changed."""
    before = place.files()

    error = outcome_of(lambda: place.publish("a"))

    assert isinstance(error, RefusedError)
    assert "--take-over" in str(error)
    assert place.files() == before


def test_dry_run_takes_nothing_over(place: Place, foreign: bytes) -> None:
    """A dry run that would take it over leaves the file as it is."""
    before = place.files()

    place.publish("a", take_over=True, dry_run=True)

    assert place.files() == before


def test_taken_over_and_recorded(place: Place, foreign: bytes) -> None:
    """The event says which journal was followed until then; the runtime's own keys stay."""
    model = place.publish("a", take_over=True)

    data = place.event(1).data
    stored = RuntimeStateManager(place.state_dir).load_checkpoint()
    assert data.took_over is not None  # type: ignore[union-attr]
    assert data.took_over.journal_id.encode() in foreign  # type: ignore[union-attr]
    assert data.took_over.size == 3  # type: ignore[union-attr]
    assert stored is not None
    assert (stored.entrypoint, stored.metadata["mine"]) == ("e", 1)
    assert stored.metadata["active_model"]["model_id"] == model.model_id


def test_rollback_takes_over_too(place: Place, foreign: bytes) -> None:
    """A rollback may take over, and says so; later requests need not say it again."""
    registry = place.open(runtime=False)
    place.publish("a", registry=registry)
    place.publish("b", registry=registry)

    assert isinstance(outcome_of(lambda: place.open().rollback()), RefusedError)
    place.open().rollback(take_over=True)
    place.publish("c")

    assert place.event(3).data.took_over is not None  # type: ignore[union-attr]
    assert place.event(4).data.took_over is None  # type: ignore[union-attr]


def test_only_after_the_event_is_recorded(place: Place, foreign: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the append fails, the foreign runtime checkpoint is untouched."""
    artifact = place.artifact("a")

    def full(*args: object) -> int:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        error = outcome_of(lambda: place.open().publish_model(artifact, backend="b", take_over=True))

    assert isinstance(error, RefusedError)
    assert place.state_json.read_bytes() == foreign


def test_rollback_to_the_active_model_takes_nothing_over(place: Place, foreign: bytes) -> None:
    """Where no event is recorded, the foreign runtime checkpoint is not replaced behind everybody's back."""
    model = place.publish("a", registry=place.open(runtime=False))

    outcome_of(lambda: place.open().rollback(model.model_id, take_over=True))

    assert (place.state_json.read_bytes() == foreign) == (place.open().catalog().taken_over == {})


def test_reader_warns(place: Place, foreign: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A reader shows its own journal, and says that the runtime follows another one."""
    place.publish("a", registry=place.open(runtime=False))

    with caplog.at_level(logging.WARNING, "modelog"):
        models = place.open().list_models()

    assert len(models) == 1
    assert "follows journal" in caplog.text


def test_reader_of_nothing_refuses(place: Place, foreign: bytes) -> None:
    """A runtime that remembers a journal which is not there: showing no models would not be the truth."""
    assert isinstance(outcome_of(place.open().list_models), JournalDamagedError)


def test_file_that_says_nothing_is_no_witness(place: Place) -> None:
    """An active model that the runtime wrote itself belongs to no journal, and is replaced without more ado."""
    RuntimeStateManager(place.state_dir).set_active_model({"model_id": "mine"})

    model = place.publish("a")

    stored = RuntimeStateManager(place.state_dir).load_checkpoint()
    assert stored is not None
    assert stored.metadata["active_model"]["model_id"] == model.model_id
