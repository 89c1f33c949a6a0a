"""The callback of Lightning, in real trainings: what a fit leaves is published, once, by the first process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Place, artifact_problems

from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.lightning_callback import PublishOnFitEnd
from eventlog.training_events import TrainingFailed
from projections import verify_registry

sys.path.insert(0, str(Path(__file__).parent))

from lightning_training import EPOCHS, LOSSES, STEPS_OF_EPOCH, Tiny, best_of, fit

PROGRAM = Path(__file__).parent / "lightning_training.py"

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings(r"ignore:.*treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:.*exists and is not empty:UserWarning"),
]


def _callback(place: Place, **terms: Any) -> PublishOnFitEnd:
    return PublishOnFitEnd(place.open(), **{"backend": "lightning", "actor": "t", **terms})


def _published(place: Place, position: int) -> ModelPublished:
    data = place.event(position).data
    assert isinstance(data, ModelPublished)
    return data


def _weights(path: str | os.PathLike[str]) -> list[float]:
    """Return what Lightning loads from a file."""
    return Tiny.load_from_checkpoint(os.fspath(path), weights_only=True).layer.weight.flatten().tolist()


def _train(place: Place, run_id: str, processes: int = 1, moment: str = "never") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(PROGRAM), str(place.root), run_id, str(processes), moment]
    return subprocess.run(words, cwd=place.root, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let this process be interrupted again, which Lightning ignores once it was."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_best_file_is_published(place: Place) -> None:
    """Its bytes are in the registry, Lightning loads them; metrics, epochs, steps and how it came about are told."""
    saver = best_of(place.root / "saved", save_last=True)

    fit(Tiny(), _callback(place, reason="nightly", dataset_metadata={"rows": 8}), saver)

    saved = Path(saver.best_model_path)
    assert saved.name == "epoch=1.ckpt"
    with place.open() as registry:
        kept = registry.open_active()
        assert Path(kept).read_bytes() == saved.read_bytes()
        assert _weights(kept) == _weights(saved)
    data = _published(place, 1)
    metrics = data.dataset_metadata.pop("metrics")
    assert data.dataset_metadata == {
        "rows": 8,
        "epochs": EPOCHS,
        "steps": EPOCHS * STEPS_OF_EPOCH,
        "monitor": "val_loss",
        "score": LOSSES[1],
    }
    assert (metrics["val_loss"], sorted(metrics)) == (LOSSES[-1], ["loss", "val_loss"])
    assert type(metrics["loss"]) is float
    assert (data.backend, data.reason, data.origin_path) == ("lightning", "nightly", str(saved))
    assert data.training is not None
    assert data.training.host == os.uname().nodename
    assert data.training.seconds > 0
    assert len(place.open().list_models(where="score < 0.3 and metrics.val_loss > 0.7")) == 1


def test_the_last_file_where_none_is_best(place: Place) -> None:
    """Also where the trainer brought a `ModelCheckpoint` of its own."""
    saver = best_of(place.root / "saved", monitor=None, save_top_k=0, save_last=True)

    fit(Tiny(), _callback(place), saver)
    trainer = fit(Tiny(), _callback(place), default_root_dir=str(place.root))

    assert _published(place, 1).origin_path == str(place.root / "saved" / "last.ckpt")
    assert "monitor" not in _published(place, 1).dataset_metadata
    assert _published(place, 2).origin_path == trainer.checkpoint_callback.best_model_path


def test_what_the_user_names(place: Place) -> None:
    """A path, or what a function makes of the trainer; with or without a copy."""
    place.directory()

    def exported(trainer: Any) -> Path:
        torch.save(trainer.lightning_module.state_dict(), place.root / "weights.pt")
        return place.root / "weights.pt"

    fit(Tiny(), _callback(place, artifact=place.root / "d"), enable_checkpointing=False)
    fit(Tiny(), _callback(place, artifact=exported, copy=False), enable_checkpointing=False)

    assert _published(place, 1).artifact_files == 2
    assert _published(place, 2).artifact_path == str(place.root / "weights.pt")
    assert artifact_problems(place) == []


def test_deleted_files_leave_the_way_back(place: Place) -> None:
    """`save_top_k` deletes the file of the first fit; it can still be rolled back to, and loads as it did."""
    saver, callback = best_of(place.root / "saved"), _callback(place)
    trainer = fit(Tiny(losses=(0.9, 0.8, 0.7, 0.6, 0.5)), callback, saver, max_epochs=2)
    first = Path(saver.best_model_path)
    weights = _weights(first)

    trainer.fit_loop.max_epochs = 4
    trainer.fit(trainer.lightning_module, trainer.train_dataloader, trainer.val_dataloaders)

    assert not first.exists()
    newest, older = place.open().list_models()
    for model in (older, newest):
        place.open().rollback(model.model_id)
    place.open().rollback()
    with place.open() as registry:
        assert _weights(registry.open_active()) == weights
    assert artifact_problems(place) == []


def test_only_the_first_process_publishes(place: Place) -> None:
    """Two train together: one model, and nobody else's word in the history; also where no id makes them one."""
    done = _train(place, run_id="", processes=2)

    assert done.returncode == 0, done.stderr
    assert "MEMBER: 2/2" in done.stderr, "they train together"
    assert len(place.lines()) == 2
    assert _published(place, 1).training is not None
    assert artifact_problems(place) == []


@pytest.mark.parametrize("error", [ValueError("loss is NaN"), KeyboardInterrupt()])
def test_a_fit_that_fails(place: Place, interrupts: None, error: BaseException) -> None:
    """That it failed is recorded, once; what was active stays; tried again with its id, it is published."""
    model = place.publish("a")
    saver = best_of(place.root / "saved")

    with pytest.raises((ValueError, SystemExit)):
        fit(Tiny(moment="on_train_end", error=error), _callback(place, run_id="job", reason="nightly"), saver)

    assert len(place.lines()) == 3
    data = place.event(2).data
    assert isinstance(data, TrainingFailed)
    assert (data.error, data.reason, data.training.run_id) == (f"{type(error).__name__}: {error}", "nightly", "job")
    assert place.open().get_active_model() == model
    fit(Tiny(), _callback(place, run_id="job"), saver)
    assert _published(place, 3).training is not None
    assert verify_registry(place.registry_dir, place.state_dir).findings == []


def test_an_error_behind_the_publish(place: Place) -> None:
    """The run was published, so it did not fail."""
    with pytest.raises(ValueError, match="late"):
        fit(Tiny(moment="on_fit_end", error=ValueError("late")), _callback(place), best_of(place.root / "saved"))

    assert len(place.lines()) == 2


def test_a_fit_that_leaves_nothing(place: Place) -> None:
    """One line says so, at the start where it can; nothing is recorded, also not as a failure."""
    place.publish("a")
    before = {name: data for name, data in place.files().items() if data}
    nothing: list[tuple[dict[str, Any], list[Any], str]] = [
        ({}, [], "expected a ModelCheckpoint, got none"),
        ({}, [best_of(place.root / "saved", monitor=None, save_top_k=0)], "expected an artifact, run.artifact"),
        ({"artifact": ""}, [], "expected an artifact, run.artifact"),
        ({"artifact": lambda trainer: None}, [], "expected an artifact, run.artifact"),
        ({"artifact": place.root / "missing"}, [], "missing: no such file or directory"),
    ]

    for terms, savers, words in nothing:
        with pytest.raises(RefusedError, match=words) as refused:
            fit(Tiny(), _callback(place, **terms), *savers, enable_checkpointing=bool(savers))
        assert "\n" not in str(refused.value)
        assert {name: data for name, data in place.files().items() if data} == before


@pytest.mark.parametrize("terms", [{"backend": "\n"}, {"run_id": "x" * 201}, {"dataset_metadata": {"a": object()}}])
def test_bad_terms_are_refused_before_the_training(place: Place, terms: dict[str, Any]) -> None:
    """Nobody waits for hours to learn it."""
    trained: list[str] = []
    module = Tiny()
    module.on_train_start = lambda: trained.append("yes")  # type: ignore[method-assign]

    with pytest.raises(RefusedError, match="expected"):
        fit(module, _callback(place, **terms), best_of(place.root / "saved"))

    assert trained == []
    assert not place.journal.exists()


def test_an_export_that_fails(place: Place) -> None:
    """It is part of the run, which is recorded as failed."""
    place.publish("a")

    def failing(trainer: Any) -> Path:
        raise ValueError("no such operator")

    with pytest.raises(ValueError, match="operator"):
        fit(Tiny(), _callback(place, artifact=failing), enable_checkpointing=False)

    assert isinstance(place.event(2).data, TrainingFailed)


def test_a_try_for_development(place: Place) -> None:
    """`fast_dev_run` publishes nothing, and is not refused."""
    fit(Tiny(), _callback(place), fast_dev_run=True)

    assert not place.journal.exists()


def test_a_metric_that_is_no_number(place: Place) -> None:
    """JSON has no NaN: it is told as text, and the model is published."""
    fit(Tiny(losses=(float("nan"),)), _callback(place), best_of(place.root / "saved", monitor="loss"))

    assert _published(place, 1).dataset_metadata["metrics"]["val_loss"] == "nan"


def test_a_run_is_published_once(place: Place) -> None:
    """With the same id it may be trained as often as one likes."""
    for _ in range(2):
        fit(Tiny(), _callback(place, run_id="job"), best_of(place.root / "saved"))

    assert len(place.lines()) == 2


@pytest.mark.parametrize(("moment", "lines"), [("on_train_end", 1), ("on_fit_end", 2)])
def test_killed(place: Place, moment: str, lines: int) -> None:
    """With SIGKILL before the publish or right after it: the registry is whole, and another try publishes once."""
    killed = _train(place, "job", moment=moment)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(place.lines() if place.journal.exists() else [b""]) == lines
    if lines == 2:
        assert verify_registry(place.registry_dir, place.state_dir, artifacts=True).findings == []
        with place.open() as registry:
            assert _weights(registry.open_active())
    assert _train(place, "job").returncode == 0
    assert len(place.lines()) == 2
    assert artifact_problems(place) == []
