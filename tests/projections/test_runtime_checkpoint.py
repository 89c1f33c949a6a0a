"""`metadata.active_model`: what it says, whose it is, and that nobody's writes get lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventlog.errors import JournalDamagedError, ProjectionLagError, RefusedError
from projections import ModelRegistry, RuntimeStateManager, verify_registry

RECORD = {"entrypoint": "demo", "mode": "demo", "config_path": "runtime.yml"}
SIX = ["model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata"]


def test_shape(place):
    """Where there is no file, it is created with that one key: the six attributes, activated_at and the anchor."""
    model = place.publish("a", dataset_metadata={"rows": 42})
    last = json.loads(place.journal.read_bytes().splitlines()[-1])

    state = place.state()

    active = state["metadata"]["active_model"]
    assert (list(state), list(state["metadata"])) == (["metadata"], ["active_model"])
    assert list(active) == [*SIX, "activated_at", "journal"]
    assert {name: active[name] for name in SIX} == model.to_dict()
    assert active["activated_at"] == last["time"]
    assert active["journal"] == {"id": last["source"][9:], "size": 2, "hash": last["hash"]}
    assert place.state_json.read_bytes().endswith(b"}\n")


def test_after_a_rollback(place):
    """The target, with its own time of creation and the rollback's time of activation."""
    first = place.publish("a")
    place.publish("b")

    place.open().rollback()

    active = place.state()["metadata"]["active_model"]
    last = json.loads(place.journal.read_bytes().splitlines()[-1])
    assert (active["model_id"], active["created_at"]) == (first.model_id, first.to_dict()["created_at"])
    assert (active["activated_at"], active["journal"]["size"]) == (last["time"], 4)


def test_same_value_after_delete_and_rebuild(place):
    """Our key is derived from the journal alone."""
    place.publish("a")
    place.publish("b")
    before = place.state_json.read_bytes()
    place.state_json.unlink()

    place.open().rebuild()

    assert place.state_json.read_bytes() == before


OWN_VALUES = [b"null", b'"mine"', b"{}", b'{"model_id":"x"}', b"[1]", b'{"journal":null}', b'{"journal":{}}']


@pytest.mark.parametrize("value", OWN_VALUES, ids=str)
def test_value_of_the_runtime_itself(place, value):
    """An active model without an anchor was written by the runtime: it is simply filled in."""
    place.write_state(b'{"mode":"live","metadata":{"active_model":%b,"a":1}}' % value)

    model = place.publish()

    assert place.state()["metadata"]["active_model"]["model_id"] == model.model_id
    assert (place.state()["mode"], place.state()["metadata"]["a"]) == ("live", 1)


@pytest.fixture
def foreign(place):
    """A second registry, whose runtime is that of the first."""
    place.publish("first registry")
    return ModelRegistry(place.root / "other", place.manager)


def test_another_journal_is_refused(place, foreign):
    """Refused before anything is recorded or created; also by a rollback and a rebuild of that registry."""
    before = place.snapshot()

    with pytest.raises(RefusedError, match="pass --take-over"):
        foreign.publish_model(place.artifact(), backend="b")

    assert place.snapshot() == before
    alone = ModelRegistry(place.root / "other")
    alone.publish_model(place.artifact(), backend="b")
    alone.publish_model(place.artifact(), backend="c")
    before = place.snapshot()
    with pytest.raises(RefusedError, match="pass --take-over"):
        ModelRegistry(place.root / "other", place.manager).rollback()
    with pytest.raises(ProjectionLagError, match="--take-over"):
        ModelRegistry(place.root / "other", place.manager).rebuild()
    assert {**place.snapshot(), **before} == place.snapshot()
    assert place.state()["metadata"]["active_model"]["backend"] == "first registry"


def test_take_over_is_recorded(place, foreign):
    """With take_over the event names the anchor that was found, the file follows, and stays with its new journal."""
    anchor = place.state()["metadata"]["active_model"]["journal"]

    model = foreign.publish_model(place.artifact(), backend="b", take_over=True)
    later = ModelRegistry(place.root / "other", place.manager).publish_model(place.artifact(), backend="c")

    event = json.loads((place.root / "other/journal.jsonl").read_bytes().splitlines()[1])
    took_over = event["data"]["took_over"]
    assert event["subject"] == model.model_id
    assert took_over == {"journal_id": anchor["id"], "size": anchor["size"], "hash": anchor["hash"]}
    assert place.state()["metadata"]["active_model"]["model_id"] == later.model_id
    with pytest.raises(RefusedError, match="pass --take-over"):
        place.publish("first registry again")


def test_take_over_back_and_forth(place, foreign):
    """Each take-over needs to be asked for where the other journal was not taken over before; none loses a key."""
    place.manager.record_checkpoint(**RECORD, metadata={"a": 1})

    foreign.publish_model(place.artifact(), backend="b", take_over=True)
    mine = place.publish("mine", take_over=True)

    assert place.state()["metadata"]["active_model"]["model_id"] == mine.model_id
    assert (place.state()["entrypoint"], place.state()["metadata"]["a"]) == ("demo", 1)


def test_lag_and_mending(place, unwritable):
    """A runtime checkpoint that cannot be written lags with the model in the error; the next publish mends it."""
    place.publish("a")
    before = place.state()

    with unwritable(place.state_json), pytest.raises(ProjectionLagError, match=r"state\.json") as caught:
        place.publish("b")

    assert place.state() == before
    assert caught.value.model.backend == "b"
    assert json.loads(place.registry_json.read_bytes())["active_model_id"] == caught.value.model.model_id
    assert [finding.kind for finding in verify_registry(place.models, place.runtime).findings] == ["derived"]
    model = place.publish("c")
    assert place.state()["metadata"]["active_model"]["model_id"] == model.model_id
    assert verify_registry(place.models, place.runtime).findings == []


def test_witness_of_a_rewind(place):
    """It remembers how long the journal was: a registry directory that was set back is refused everywhere."""
    place.publish("a")
    kept = {path: path.read_bytes() for path in place.models.iterdir()}
    place.publish("b")
    for path, data in kept.items():
        path.write_bytes(data)
    before = place.snapshot()

    for call in (place.open().list_models, place.publish, place.open().rollback, place.open().rebuild):
        with pytest.raises(JournalDamagedError, match="rewound"):
            call()

    assert place.snapshot() == before
    assert verify_registry(place.models, place.runtime).verdict == "damaged"


def test_never_back_behind_what_it_holds(place):
    """A slow writer does not set the active model back."""
    from projections.projection import write_all
    from projections.runtime_checkpoint import RuntimeCheckpointProjection

    slow = place.open()
    slow.publish_model(place.artifact(), backend="a")
    catalog = slow.catalog()
    place.publish("b")
    newer = place.state_json.read_bytes()

    write_all([RuntimeCheckpointProjection(place.manager)], catalog)

    assert place.state_json.read_bytes() == newer


def test_nothing_to_write(place):
    """Without an active model the file is not even created."""
    from eventlog.catalog import Catalog
    from projections.projection import write_all
    from projections.runtime_checkpoint import RuntimeCheckpointProjection, render

    write_all([RuntimeCheckpointProjection(place.manager)], Catalog(), rebuild=True)

    assert render(Catalog()) is None
    assert not place.runtime.exists()


WORKER = """
import sys
from projections import ModelRegistry, RuntimeStateManager
role, number, root = sys.argv[1:]
manager = RuntimeStateManager(root + "/runtime")
for turn in range(15):
    if role == "runtime":
        manager.record_checkpoint(
            entrypoint=f"e{number}", mode="live", config_path="c", metadata={"worker": number, "turn": turn}
        )
    else:
        ModelRegistry(root + "/models", manager).publish_model(root + "/artifact", backend=f"b{number}-{turn}")
"""


def test_processes_side_by_side(place):
    """Runtimes that record and registries that publish at once: nobody fails, no key is lost, no reader sees half."""
    place.write_state(b'{"pid":123456789012345678901234567890,"metadata":{"active_model":null}}')
    (place.root / "artifact").write_bytes(b"weights")
    repository = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(repository)}

    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, role, str(number), str(place.root)], env=environment, stderr=-1)
        for role in ("runtime", "registry")
        for number in range(3)
    ]
    while any(worker.poll() is None for worker in workers):
        assert place.state()["pid"] == 123456789012345678901234567890
        time.sleep(0.005)
    ended = [(worker.communicate(timeout=50)[1].decode(), worker.returncode) for worker in workers]

    assert [status for _, status in ended] == [0] * 6, ended
    state, registry = place.state(), place.open()
    assert state["metadata"]["active_model"]["model_id"] == registry.get_active_model().model_id
    assert (state["metadata"]["turn"], state["mode"]) == (14, "live")
    assert state["entrypoint"] == f"e{state['metadata']['worker']}"
    assert sorted(model.backend for model in registry.list_models()) == sorted(
        f"b{number}-{turn}" for number in range(3) for turn in range(15)
    )
    assert verify_registry(place.models, place.runtime).findings == []


def test_lock_of_the_runtime_held_by_somebody_else(place):
    """A publish is recorded all the same and lags; the error says whom it waited for."""
    place.publish("a")
    hasty = RuntimeStateManager(place.runtime, lock_timeout_seconds=0)

    with place.manager.locked(), pytest.raises(ProjectionLagError, match=f"locked by process {os.getpid()}"):
        ModelRegistry(place.models, hasty).publish_model(place.artifact(), backend="b")

    assert place.open().get_active_model().backend == "b"
