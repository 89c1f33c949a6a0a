"""`RuntimeStateManager`: the runtime's own file, kept key for key and byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventlog.errors import RuntimeStateError
from projections import RuntimeCheckpoint, RuntimeStateManager

RECORD = {"entrypoint": "demo", "mode": "demo", "config_path": "runtime.yml"}
ODD_VALUES = {
    "float with exponent": b"1.0e5",
    "capital exponent": b"1E+05",
    "many digits": b"0.1000000000000000055511151231257827",
    "negative zero": b"-0.0",
    "trailing zeros": b"1.500",
    "integer beyond 64 bits": b"123456789012345678901234567890",
    "largest safe integer plus one": b"9007199254740993",
    "escaped unicode": b'"caf\\u00e9 \\ud83d\\ude00 \\/"',
    "raw unicode": '"café 模型 \U0001f600 \u2028"'.encode(),
    "nested": b'{"b":{"a":[1,2.50,{"x":null}]},"a":[]}',
    "empty ones": b'[{},[],"",{"a":{}}]',
    "doubled key inside": b'{"a":1,"a":2}',
    "literals": b"[true,false,null]",
    "control characters": b'"\\u001b[31m\\u0000"',
}


def test_record_and_load(place):
    """What was recorded is what is loaded: four fields, an aware time, and the metadata."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    manager = RuntimeStateManager(root=place.runtime, now=lambda: now)

    recorded = manager.record_checkpoint(**RECORD, metadata={"rows": [1, 2], "ok": True})

    assert recorded == manager.load_checkpoint()
    assert recorded == RuntimeCheckpoint("demo", "demo", "runtime.yml", now, {"rows": [1, 2], "ok": True})
    assert list(place.state()) == ["entrypoint", "mode", "config_path", "created_at", "metadata"]


def test_path(place):
    """`path` is `state.json` in the root; the root may be text or a path, and is created when first written to."""
    managers = [RuntimeStateManager(root=place.runtime), RuntimeStateManager(root=str(place.runtime))]

    assert [Path(manager.path) for manager in managers] == [place.state_json] * 2
    assert managers[0].load_checkpoint() is None
    managers[0].clear()
    assert not place.runtime.exists()
    managers[0].record_checkpoint(**RECORD)
    assert place.state_json.is_file()


def test_path_object_as_config_path(place):
    """A path is stored as its text."""
    assert place.manager.record_checkpoint(**{**RECORD, "config_path": Path("a/b.yml")}).config_path == "a/b.yml"


@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
@pytest.mark.parametrize("writer", ["publish", "rollback", "rebuild", "set_active_model", "record_checkpoint"])
def test_every_other_value_keeps_its_bytes(place, compact, value, writer):
    """Whoever writes, a value that is not ours stays as it was spelled; only whitespace between tokens may change."""
    place.publish("a")
    place.publish("b")
    active = json.dumps(place.state()["metadata"]["active_model"]).encode()
    place.write_state(
        b'{"mode":"live", "own":%b, "metadata":{"before":%b, "active_model":%b ,"after":%b}, "\xc3\xa9":%b}'
        % (value, value, active if writer == "rebuild" else b"{}", value, value)
    )

    if writer == "publish":
        place.publish("c")
    elif writer == "set_active_model":
        place.manager.set_active_model({"model_id": "x"})
    elif writer == "record_checkpoint":
        place.manager.record_checkpoint(**RECORD, metadata={"n": 1})
    else:
        getattr(place.open(), writer)()

    data = compact(place.state_json.read_bytes())
    names = [b"own", b"\xc3\xa9"] + ([] if writer == "record_checkpoint" else [b"before", b"after"])
    assert [data.count(b'"%b":%b' % (name, compact(value))) for name in names] == [1] * len(names), data


def test_set_active_model_writes_that_one_key(place):
    """Nothing else changes, neither keys nor their order; where there is no file, it gets just that key."""
    place.manager.set_active_model({"model_id": "x"})
    created = place.state()
    place.manager.record_checkpoint(**RECORD, metadata={"a": 1})
    before = place.state()

    place.manager.set_active_model({"model_id": "y"})

    after = place.state()
    assert created == {"metadata": {"active_model": {"model_id": "x"}}}
    assert list(after) == list(before)
    assert after == {**before, "metadata": {"a": 1, "active_model": {"model_id": "y"}}}


def test_record_keeps_the_active_model(place):
    """The registry's key survives a new record and any metadata that claims it; other metadata is replaced."""
    place.publish()
    active = place.state()["metadata"]["active_model"]

    place.manager.record_checkpoint(**RECORD, metadata={"a": 1})
    recorded = place.manager.record_checkpoint(**RECORD, metadata={"b": 2, "active_model": "forged"})

    assert recorded.metadata == {"b": 2, "active_model": active}


@pytest.mark.parametrize(
    "bad",
    [{"x": float("nan")}, {"x": 2**64}, {"x": 1j}, {"x": "\ud800"}, {"": 1}, {1: 2}, [1], {"x": {1}}],
    ids=str,
)
def test_metadata_that_is_not_json(place, bad):
    """It is refused with the project's error, and the file stays."""
    place.manager.record_checkpoint(**RECORD)
    before = place.snapshot()

    with pytest.raises(RuntimeStateError):
        place.manager.record_checkpoint(**RECORD, metadata=bad)
    with pytest.raises((RuntimeStateError, TypeError)):
        place.manager.set_active_model(bad)

    assert place.snapshot() == before


def test_require(place):
    """It returns the runtime checkpoint of this entrypoint in this mode, and says what does not fit."""
    with pytest.raises(RuntimeStateError, match="got none: record one first"):
        place.manager.require_checkpoint(target_mode="live", entrypoint="demo")
    recorded = place.manager.record_checkpoint(**{**RECORD, "mode": "live"})

    assert place.manager.require_checkpoint(target_mode="live", entrypoint="demo") == recorded
    with pytest.raises(RuntimeStateError, match="mode: expected 'demo', got 'live'"):
        place.manager.require_checkpoint(target_mode="demo", entrypoint="demo")
    with pytest.raises(RuntimeStateError, match="entrypoint: expected 'other', got 'demo'"):
        place.manager.require_checkpoint(target_mode="live", entrypoint="other")


def test_require_after_a_publish_alone(place):
    """A file that only the registry has written is no recorded runtime."""
    place.publish()

    with pytest.raises(RuntimeStateError, match="mode: expected 'live', got None"):
        place.manager.require_checkpoint(target_mode="live", entrypoint="demo")


def test_clear(place):
    """The file is gone, also where there was none; what was moved aside stays."""
    place.write_state(b"broken")
    place.manager.record_checkpoint(**RECORD)

    place.manager.clear()
    place.manager.clear()

    assert place.manager.load_checkpoint() is None
    assert len(list(place.runtime.iterdir())) == 1


@pytest.mark.parametrize(
    "data",
    [
        b'{"mode":1}',
        b'{"created_at":"yesterday"}',
        b'{"metadata":[]}',
        b'{"entrypoint":{}}',
        b"[" * 100_000,
        b"{",
        b"[]",
    ],
)
def test_load_of_something_else(place, data):
    """What is not a runtime checkpoint is refused with path and reason, never a traceback of another kind."""
    place.write_state(data)

    with pytest.raises(RuntimeStateError, match=f"{place.state_json}: expected a runtime checkpoint"):
        place.manager.load_checkpoint()


def test_load_of_a_file_with_more_keys(place):
    """Keys of a newer runtime are no reason to refuse."""
    place.write_state(b'{"mode":"live","pid":7,"metadata":{"a":1}}')

    assert place.manager.load_checkpoint() == RuntimeCheckpoint(mode="live", metadata={"a": 1})
