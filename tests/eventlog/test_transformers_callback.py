"""The callback of Transformers, in real trainings: each directory that is saved is published, once, and stays."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Place, artifact_problems
from transformers import BertForSequenceClassification, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint

from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.transformers_callback import PublishOnSave
from projections import verify_registry

sys.path.insert(0, str(Path(__file__).parent))

from transformers_training import trainer

PROGRAM = Path(__file__).parent / "transformers_training.py"

pytestmark = pytest.mark.filterwarnings("ignore:You are using `torch.load` with:FutureWarning")


class Noting(TrainerCallback):
    """Notes what was in each directory that was saved; stands before the callback that publishes."""

    def __init__(self) -> None:
        self.saved: list[dict[str, bytes]] = []

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Note it."""
        self.saved.append(_files(Path(get_last_checkpoint(args.output_dir) or "")))


class Cleaning(TrainerCallback):
    """Deletes what was just saved, or all that is in it."""

    def __init__(self, *, empties: bool) -> None:
        self._empties = empties

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Do so."""
        directory = Path(get_last_checkpoint(args.output_dir) or "")
        shutil.rmtree(directory)
        if self._empties:
            directory.mkdir()


def _files(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def _callback(place: Place, **terms: Any) -> PublishOnSave:
    return PublishOnSave(place.open(), **{"backend": "transformers", "actor": "t", **terms})


def _publications(place: Place) -> list[ModelPublished]:
    found = [place.event(position).data for position in range(1, len(place.lines()))]
    return [data for data in found if isinstance(data, ModelPublished)]


def _steps(place: Place) -> list[int]:
    return [data.dataset_metadata["steps"] for data in _publications(place)]


def _program(place: Place, *words: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    program = [sys.executable, *(several if processes > 1 else []), str(PROGRAM), str(place.root), *words]
    return subprocess.run(program, cwd=place.root, capture_output=True, text=True, check=False, timeout=300)


def test_each_save_is_published_and_stays(place: Place) -> None:
    """`save_total_limit` deletes all but one; each can be rolled back to, byte for byte, and Transformers loads it."""
    noting = Noting()
    training = trainer(
        place.root / "saved", noting, _callback(place, run_id="job", reason="nightly", dataset_metadata={"rows": 16})
    )

    training.train()

    assert [path.name for path in (place.root / "saved").iterdir()] == [f"{PREFIX_CHECKPOINT_DIR}-3"]
    models = list(reversed(place.open().list_models()))
    for model, saved in reversed(list(zip(models, noting.saved, strict=True))):
        place.open().rollback(model.model_id)
        with place.open() as registry:
            kept = registry.open_active()
            assert _files(Path(kept)) == saved
            loaded = BertForSequenceClassification.from_pretrained(kept.path)
        if model == models[-1]:
            for name, value in training.model.state_dict().items():
                assert torch.equal(loaded.state_dict()[name], value)
    assert artifact_problems(place) == []
    for step, data in enumerate(_publications(place), 1):
        assert data.dataset_metadata["metrics"].keys() == {"loss", "grad_norm", "learning_rate"}
        assert (data.dataset_metadata["steps"], data.dataset_metadata["rows"], data.reason) == (step, 16, "nightly")
        assert data.dataset_metadata["epochs"] == pytest.approx(step / 8)
        assert data.training is not None
        assert data.training.run_id == "job"
    assert [place.event(n).id for n in (1, 2, 3)] == [f"step-{n}-of-job" for n in (1, 2, 3)]


def test_metrics_of_an_evaluation(place: Place) -> None:
    """What was just evaluated is told; the newest of what was logged."""
    trainer(place.root / "saved", _callback(place), eval_strategy="steps", eval_steps=1).train()

    for data in _publications(place):
        assert {"eval_loss", "loss"} < data.dataset_metadata["metrics"].keys()
        assert not {"epoch", "step"} & data.dataset_metadata["metrics"].keys()
    losses = {data.dataset_metadata["metrics"]["eval_loss"] for data in _publications(place)}
    assert len(losses) == 3


def test_a_resumed_training_publishes_each_step_once(place: Place) -> None:
    """Also a step that is trained again, from an older directory; with another run id it is another run."""
    saved = place.root / "saved"
    trainer(saved, _callback(place, run_id="job"), save_total_limit=None).train()
    shutil.rmtree(saved / f"{PREFIX_CHECKPOINT_DIR}-3")
    shutil.rmtree(saved / f"{PREFIX_CHECKPOINT_DIR}-2")

    trainer(saved, _callback(place, run_id="job"), max_steps=4).train(resume_from_checkpoint=True)
    assert _steps(place) == [1, 2, 3, 4]
    trainer(saved, _callback(place), max_steps=5).train(resume_from_checkpoint=True)

    assert _steps(place) == [1, 2, 3, 4, 5]
    assert len({data.training.run_id for data in _publications(place) if data.training}) == 2
    assert artifact_problems(place) == []


def test_a_training_that_has_nothing_left_to_do(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """It is no error; that nothing was published is said."""
    whole_epoch = {"max_steps": 8, "save_steps": 8}
    trainer(place.root / "saved", **whole_epoch).train()

    trainer(place.root / "saved", _callback(place, run_id="job"), **whole_epoch).train(resume_from_checkpoint=True)

    assert "training run job: nothing was saved, so nothing was published" in caplog.text
    assert not place.journal.exists()


@pytest.mark.parametrize(
    ("before", "settings", "words"),
    [
        ([], {"save_strategy": "no"}, "save_strategy: expected steps or epoch, got no"),
        ([Cleaning(empties=False)], {}, "-1: no such file or directory"),
        ([Cleaning(empties=True)], {}, "-1: expected a directory with files in it, got none"),
    ],
)
def test_what_is_not_there_is_refused(
    place: Place, before: list[TrainerCallback], settings: dict[str, Any], words: str
) -> None:
    """One line says so, and nothing is recorded."""
    with pytest.raises(RefusedError, match=words) as refused:
        trainer(place.root / "saved", *before, _callback(place), **settings).train()

    assert "\n" not in str(refused.value)
    assert not place.journal.exists()


@pytest.mark.parametrize("terms", [{"backend": ""}, {"run_id": "\x1b"}, {"dataset_metadata": {"rows": float("inf")}}])
def test_bad_terms_are_refused_before_the_training(place: Place, terms: dict[str, Any]) -> None:
    """Nobody waits for a save to learn it."""
    training = trainer(place.root / "saved", _callback(place, **terms))

    with pytest.raises(RefusedError, match="expected"):
        training.train()

    assert training.state.global_step == 0
    assert not place.journal.exists()


def test_only_the_first_process_publishes(place: Place) -> None:
    """Two train together: each step once, with the files of both processes; also where no id makes them one run."""
    done = _program(place, "", "3", "0", processes=2)

    assert done.returncode == 0, done.stderr
    assert all(f"process {number} of 2" in done.stdout for number in (0, 1)), "they train together"
    assert _steps(place) == [1, 2, 3]
    assert len({data.training.run_id for data in _publications(place) if data.training}) == 1
    for model in place.open().list_models():
        with place.open() as registry:
            assert {"rng_state_0.pth", "rng_state_1.pth"} < _files(Path(registry.load(model.model_id))).keys()
    assert artifact_problems(place) == []


def test_killed(place: Place) -> None:
    """With SIGKILL right after a publish: the registry is whole, and the resumed training publishes the rest."""
    killed = _program(place, "job", "3", "2")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert _steps(place) == [1, 2]
    assert verify_registry(place.registry_dir, place.state_dir, artifacts=True).findings == []
    done = _program(place, "job", "3", "0")
    assert done.returncode == 0, done.stderr
    assert _steps(place) == [1, 2, 3]
    assert artifact_problems(place) == []
