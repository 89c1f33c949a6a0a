"""`training_run`: what a run leaves is published with how it came about, once; that it failed is recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import Place

from eventlog.errors import OutcomeUnknownError, RefusedError
from eventlog.events import ModelPublished
from eventlog.training import numbers
from eventlog.training_events import TrainingFailed
from projections import ModelRegistry, verify_registry

REPOSITORY = Path(__file__).resolve().parents[2]


def _checkout(top: Path) -> str:
    """Make a checkout with one commit, and return its hash."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    (top / "code.py").write_text("train()")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "c"]):
        subprocess.run(["git", *words], cwd=top, env=environment, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=top, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_run_that_ends_well(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is published with duration, commit and host; what was added to the metadata counts."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    commit = _checkout(checkout)
    monkeypatch.chdir(checkout)

    with place.open().training_run(backend="b", dataset_metadata={"rows": 3}, copy=True, reason="nightly") as run:
        assert run.model is None
        run.artifact = place.artifact("a")
        run.dataset_metadata["loss"] = 0.25

    assert run.model == place.open().get_active_model()
    event = place.event(1)
    assert isinstance(event.data, ModelPublished)
    training = event.data.training
    assert training is not None
    assert (training.run_id, training.host, training.git_commit) == (run.run_id, os.uname().nodename, commit)
    assert not training.git_dirty
    assert 0 <= training.seconds < 60
    assert training.started <= event.time
    assert (event.data.dataset_metadata, event.data.reason) == ({"rows": 3, "loss": 0.25}, "nightly")
    assert event.data.origin_path == str(place.root / "a")
    (checkout / "code.py").write_text("changed")
    with place.open().training_run(backend="b") as run:
        run.artifact = place.artifact("b")
    dirty = place.event(2).data
    assert isinstance(dirty, ModelPublished)
    assert dirty.training is not None
    assert dirty.training.git_dirty


def test_outside_of_a_checkout(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no commit to tell, also where there is no git."""
    monkeypatch.chdir(place.root)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    for path in (os.environ["PATH"], "/nowhere"):
        monkeypatch.setenv("PATH", path)
        with place.open().training_run(backend="b") as run:
            run.artifact = place.artifact("a")
        data = place.event(len(place.lines()) - 1).data
        assert isinstance(data, ModelPublished)
        assert data.training is not None
        assert data.training.git_commit is None


@pytest.mark.parametrize("error", [ValueError("loss is NaN\x1b"), KeyboardInterrupt(), SystemExit(3)])
def test_a_run_that_fails(place: Place, error: BaseException) -> None:
    """Its error goes on; that it failed is in the history, and what was active stays."""
    model = place.publish("a")

    runs = []

    def fail() -> None:
        with place.open().training_run(backend="b", actor="ana", reason="nightly") as run:
            runs.append(run)
            run.artifact = place.artifact("half")
            raise error

    with pytest.raises(type(error)):
        fail()

    event = place.event(2)
    assert isinstance(event.data, TrainingFailed)
    assert (event.type, event.actor, event.data.backend, event.data.reason) == (
        "training.failed.v1",
        "ana",
        "b",
        "nightly",
    )
    assert event.data.error == f"{type(error).__name__}: {error}"
    assert event.data.training.run_id == runs[0].run_id
    assert place.open().get_active_model() == model
    assert verify_registry(place.registry_dir, place.state_dir).findings == []


def test_a_failure_that_cannot_be_recorded(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The run's own error goes on; before the first publish there is no history."""
    with pytest.raises(ValueError, match="own"), place.open().training_run(backend="b"):
        raise ValueError("own")

    assert "not recorded that it failed" in caplog.text
    assert not place.journal.exists()


def test_a_run_that_leaves_nothing(place: Place) -> None:
    """One clear line, and nothing is recorded."""
    place.publish("a")
    before = place.files()

    with pytest.raises(RefusedError, match=r"run\.artifact"), place.open().training_run(backend="b"):
        pass
    with pytest.raises(RefusedError, match="no such file"), place.open().training_run(backend="b") as run:
        run.artifact = place.root / "missing"

    assert place.files() == before


def test_a_run_is_published_once(place: Place) -> None:
    """A scheduler that tries a run again learns what it has published, whatever the run makes this time."""
    with place.open().training_run(backend="b", run_id="job-7") as first:
        first.artifact = place.artifact("a")

    with place.open().training_run(backend="b", run_id="job-7") as again:
        assert again.model == first.model
        again.artifact = place.artifact("other bytes")
    with pytest.raises(ValueError, match="x"), place.open().training_run(backend="b", run_id="job-7"):
        raise ValueError("x")

    assert again.model == first.model
    assert len(place.lines()) == 2, "nothing of the second and third try"


def test_a_failed_run_may_be_tried_again(place: Place) -> None:
    """With the same id: then it is published."""
    place.publish("first")
    with pytest.raises(ValueError, match="x"), place.open().training_run(backend="b", run_id="job-7"):
        raise ValueError("x")

    with place.open().training_run(backend="b", run_id="job-7") as run:
        run.artifact = place.artifact("a")

    assert [place.event(n).type for n in (2, 3)] == ["training.failed.v1", "model.published.v1"]
    assert run.model is not None


def test_without_a_block(place: Place) -> None:
    """Whoever is called back begins a run, and publishes it or says that it failed, when it comes to it."""
    run = place.open().training_run(backend="b", run_id="job")
    run.artifact = place.artifact("a")
    assert run.publish() == run.model == place.open().get_active_model()
    run.fail(ValueError("behind the publish"))
    other = place.open().training_run(backend="b")
    other.fail(ValueError("x"))

    assert [place.event(n).type for n in range(1, len(place.lines()))] == ["model.published.v1", "training.failed.v1"]


def test_the_steps_of_a_run(place: Place) -> None:
    """Each is published once, however often the run is tried, and none is taken for the whole or for another run's."""
    for tries in range(2):
        run = place.open().training_run(backend="b", run_id="job")
        assert run.model is None
        for step in (5, 10):
            run.artifact = place.artifact(f"{step} at try {tries}")
            run.dataset_metadata = {"steps": step}
            run.publish(step)
    whole = place.open().training_run(backend="b", run_id="5-of-job")
    whole.artifact = place.artifact("whole")
    whole.publish()

    data = [place.event(n).data for n in range(1, len(place.lines()))]
    assert all(isinstance(item, ModelPublished) for item in data)
    assert [item.dataset_metadata for item in data] == [{"steps": 5}, {"steps": 10}, {}]
    assert [item.training.run_id for item in data] == ["job", "job", "5-of-job"]


@pytest.mark.parametrize(
    "terms", [{"run_id": "x" * 201}, {"run_id": "a\n"}, {"backend": ""}, {"dataset_metadata": {"rows": {1, 2}}}]
)
def test_what_would_be_refused_in_the_end_is_refused_at_the_start(place: Place, terms: dict[str, Any]) -> None:
    """A run may take days."""
    with pytest.raises(RefusedError, match="expected"):
        place.open().training_run(**{"backend": "b", **terms})


def test_the_longest_run_id(place: Place) -> None:
    """It leaves room for what a request's id says beside it."""
    run = place.open().training_run(backend="b", run_id="x" * 200)
    run.artifact = place.artifact("a")

    run.publish(10**18)
    run.publish()

    assert len(place.lines()) == 3


def test_numbers() -> None:
    """Floats, whatever kind of number it was; text for what JSON does not have; nothing that is no single number."""

    class Tensor:
        def __float__(self) -> float:
            return 0.5

    measured = {"loss": Tensor(), "rows": 3, "a": float("nan"), "b": -float("inf"), "c": None, "d": [1], "e": "x"}

    found = numbers(measured)

    assert found == {"loss": 0.5, "rows": 3.0, "a": "nan", "b": "-inf"}
    assert type(found["rows"]) is float


def test_unknown_outcomes_are_settled(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again with the same id; where it stays unknown, that is raised."""
    real, tries = ModelRegistry.publish_model, []

    def unsure(self: ModelRegistry, *arguments: object, **terms: object) -> object:
        tries.append(terms["request_id"])
        model = real(self, *arguments, **terms)  # type: ignore[arg-type]
        if len(tries) < 3:
            raise OutcomeUnknownError("not known")
        return model

    monkeypatch.setattr(ModelRegistry, "publish_model", unsure)
    with place.open().training_run(backend="b", run_id="job") as run:
        run.artifact = place.artifact("a")

    assert tries == ["training-job"] * 3
    assert len(place.lines()) == 2


def test_it_costs_nothing_where_nobody_trains() -> None:
    """Neither `subprocess` nor the module itself is imported before."""
    script = "import sys, projections; projections.ModelRegistry; print('eventlog.training' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
