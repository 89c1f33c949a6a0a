"""What one import line gives a caller, and what it rests on."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

import projections
from eventlog.errors import ModelRegistryError, RefusedError
from projections import ModelRegistry, RuntimeStateManager, open_registry, verify_registry


def test_contract_of_the_callers(place, monkeypatch):
    """The documented session, to the letter."""
    monkeypatch.chdir(place.root)
    path = place.artifact()
    manager = RuntimeStateManager(root="var/runtime")
    manager.record_checkpoint(entrypoint="demo", mode="demo", config_path="runtime.yml", metadata={"a": 1})
    registry = ModelRegistry(root="var/models", state_manager=manager)

    model = registry.publish_model(path, backend="reference", dataset_metadata={"rows": 42})

    assert registry.list_models() == [model]
    assert registry.get_active_model() == model
    assert registry.rollback(model.model_id) == model
    assert manager.load_checkpoint().metadata["active_model"]["model_id"] == model.model_id
    with pytest.raises(ModelRegistryError):
        registry.rollback("20250101103000_abcd1234")
    with pytest.raises(ModelRegistryError):
        registry.publish_model(place.root / "missing", backend="reference")


def test_model_metadata(place):
    """Six attributes; the time is aware and in UTC; `to_dict` gives JSON values in that order."""
    model = place.publish(dataset_metadata={"rows": 42})

    assert model.created_at.utcoffset() == timedelta(0)
    assert Path(model.artifact_path).is_absolute()
    assert model.dataset_metadata == {"rows": 42}
    assert list(model.to_dict()) == list(type(model).__struct_fields__)
    assert model.to_dict()["created_at"].endswith("Z")


def test_newest_first(place):
    """`list_models` is in the order of publication, backwards, whatever is active."""
    models = [place.publish(backend) for backend in "abc"]
    place.open().rollback(models[0].model_id)

    assert place.open().list_models() == models[::-1]
    assert place.open().get_active_model() == models[0]


def test_empty(place):
    """Nothing there: no models, none active, no directory created."""
    registry = place.open()

    assert (registry.list_models(), registry.get_active_model()) == ([], None)
    assert list(place.root.iterdir()) == []


def test_without_a_runtime(place):
    """The registry works alone; there is no runtime checkpoint to write."""
    place.open(runtime=False).publish_model(place.artifact(), backend="b")
    open_registry(place.models, None).rebuild()

    assert not place.runtime.exists()
    assert verify_registry(place.models, None).level == "L1"


def test_default_directories(place, monkeypatch):
    """`open_registry()` and both classes mean var/models and var/runtime."""
    monkeypatch.chdir(place.root)

    open_registry().publish_model(place.artifact(), backend="b")

    assert ModelRegistry().get_active_model() == open_registry().get_active_model()
    assert RuntimeStateManager().load_checkpoint().metadata["active_model"]["backend"] == "b"
    assert verify_registry().verdict == "intact"


def test_directory_whose_name_looks_like_a_url(place, monkeypatch):
    """A directory is a directory, whatever its name."""
    monkeypatch.chdir(place.root)

    for name in ("memory:", "file:x", "raft://a", "-"):
        ModelRegistry(name).publish_model(place.artifact(), backend="b")

        assert (place.root / name / "journal.jsonl").is_file()


def test_objects_that_live_long_see_what_others_did(place):
    """Two registries on one directory: each answers with what the other one has added."""
    one, other = place.open(), place.open()
    artifact = place.artifact()

    for turn in range(4):
        (one, other)[turn % 2].publish_model(artifact, backend=f"b{turn}")

        assert len(one.list_models()) == len(other.list_models()) == turn + 1


def test_threads_share_one_registry(place):
    """Publishes from several threads through one object: each is recorded once."""
    registry, artifact, failures = place.open(), place.artifact(), []

    def work(number):
        try:
            for turn in range(5):
                registry.publish_model(artifact, backend=f"b{number}-{turn}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len({model.backend for model in registry.list_models()}) == 20


@pytest.mark.parametrize("bad", [{"backend": ""}, {"backend": 7}, {"backend": "b", "dataset_metadata": [1]}])
def test_arguments_that_make_no_sense(place, bad):
    """They are refused with the project's error, and nothing is created."""
    artifact = place.artifact()

    with pytest.raises(RefusedError):
        place.open().publish_model(artifact, **bad)

    assert list(place.root.iterdir()) == [artifact]


def test_public_names():
    """What the package promises is there; nothing else is public."""
    assert all(callable(getattr(projections, name)) for name in projections.__all__)
    assert not hasattr(projections, "anything_else")
    assert {"ModelRegistry", "RuntimeStateManager", "open_registry", "ModelMetadata"} <= set(projections.__all__)


def test_import_is_light():
    """A runtime that imports it pays neither for a command line nor for a network."""
    script = "import sys, projections; print(*{name.partition('.')[0] for name in sys.modules})"
    repository = Path(__file__).resolve().parents[2]

    done = subprocess.run([sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True)

    heavy = {"click", "asyncio", "ssl", "socket", "numpy", "scripts", "argparse"} & set(done.stdout.split())
    assert heavy == set(), f"import {sorted(heavy)} where it is used, inside the function"
