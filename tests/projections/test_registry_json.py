"""`registry.json`: the shape that other programs read, and the same bytes however it came about."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.errors import JournalDamagedError, ProjectionLagError, RefusedError
from projections import ModelRegistry, registry_json, verify_registry

SIX = ["model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata"]


def test_shape(place):
    """Exactly the documented keys in their order; models oldest first, one a line."""
    first = place.publish("a", dataset_metadata={"rows": 42})
    second = place.publish("b", data=b"other")
    last = json.loads(place.journal.read_bytes().splitlines()[-1])

    data = place.registry_json.read_bytes()

    value = json.loads(data)
    assert list(value) == ["format_version", "journal", "active_model_id", "models"]
    assert value["format_version"] == 1
    assert value["journal"] == {"id": last["source"][9:], "applied_size": 3, "hash": last["hash"]}
    assert list(value["journal"]) == ["id", "applied_size", "hash"]
    assert value["active_model_id"] == second.model_id
    assert [list(model) for model in value["models"]] == [SIX, SIX]
    assert value["models"] == [first.to_dict(), second.to_dict()]
    assert [json.loads(line.rstrip(b",")) for line in data.splitlines()[1:-1]] == value["models"]
    assert data.endswith(b"\n]}\n")


def test_permissions(place):
    """It is readable as the umask says, and writable by nobody else."""
    old = os.umask(0)
    try:
        place.publish()
    finally:
        os.umask(old)

    for path in (place.registry_json, place.journal, place.models / "journal.head", place.state_json):
        assert path.stat().st_mode & 0o777 == 0o644, path


def test_same_bytes_after_delete_and_rebuild(place):
    """Deleted and folded again from zero, it is the file that it was."""
    for number in range(3):
        place.publish(f"b{number}", data=bytes([number]))
    place.open().rollback()
    before = place.registry_json.read_bytes()
    place.registry_json.unlink()

    size = place.open().rebuild()

    assert size == 5
    assert place.registry_json.read_bytes() == before


texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts.filter(bool), inner, max_size=3),
    max_leaves=5,
)
publishes = st.tuples(st.just("publish"), st.integers(0, 3), st.dictionaries(texts.filter(bool), values, max_size=3))
rollbacks = st.tuples(st.just("rollback"), st.integers(0, 5), st.none())
steps = st.lists(publishes | rollbacks, min_size=1, max_size=8)


@given(steps=steps)
@settings(max_examples=40, deadline=None)
def test_written_on_is_what_a_rebuild_writes(steps):
    """After any sequence of publishes and rollbacks, incremental and rebuilt bytes are equal, whoever wrote them."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        models, path = [], Path(name, "models", "registry.json")
        lasting = ModelRegistry(path.parent)
        for verb, number, metadata in steps:
            artifact = Path(name, f"artifact{number}")
            artifact.write_bytes(bytes([number]))
            if verb == "publish":
                models.append(lasting.publish_model(artifact, backend="b", dataset_metadata=metadata).model_id)
            elif models:
                ModelRegistry(path.parent).rollback(models[number % len(models)])
        if not models:
            return
        lasting.rebuild()
        incremental = path.read_bytes()
        path.unlink()

        ModelRegistry(path.parent).rebuild()

        assert path.read_bytes() == incremental
        assert verify_registry(path.parent, None).findings == []


@pytest.mark.parametrize("method", ["list_models", "get_active_model"])
def test_never_read_for_an_answer(place, method):
    """Answers come from the journal: what the derived file says of the models is of no account."""
    place.publish("true")
    expected = getattr(place.open(), method)()
    place.registry_json.write_bytes(place.registry_json.read_bytes().replace(b'"true"', b'"false"'))

    assert getattr(place.open(), method)() == expected


def test_mentions_another_journal(place):
    """It lies beside its journal and can belong to no other: another id means that the journal was replaced."""
    place.publish()
    value = json.loads(place.registry_json.read_bytes())
    value["journal"]["id"] = "another"
    place.registry_json.write_text(json.dumps(value))

    with pytest.raises(JournalDamagedError, match="expected journal another"):
        place.open().list_models()


def test_lag_is_told_with_the_model(place, unwritable):
    """The event is recorded: the error carries the model, the file is as it was, and the runtime is served."""
    place.publish("a")
    before = place.registry_json.read_bytes()

    with unwritable(place.registry_json), pytest.raises(ProjectionLagError, match=r"registry\.json") as caught:
        place.publish("b")

    assert caught.value.model == place.open().get_active_model()
    assert place.registry_json.read_bytes() == before
    assert place.state()["metadata"]["active_model"]["model_id"] == caught.value.model.model_id


@pytest.mark.parametrize("mend", ["publish", "rollback", "rebuild"])
def test_lag_is_mended_by_the_next(place, unwritable, mend):
    """Whatever writes next brings it up to date, with the bytes of a rebuild."""
    place.publish("a")
    with unwritable(place.registry_json), pytest.raises(ProjectionLagError):
        place.publish("b")

    place.publish("c") if mend == "publish" else getattr(place.open(), mend)()

    written = place.registry_json.read_bytes()
    assert verify_registry(place.models, place.runtime).findings == []
    place.registry_json.unlink()
    place.open().rebuild()
    assert place.registry_json.read_bytes() == written


def test_repeated_request_mends_a_lag(place, unwritable):
    """The same id again records nothing, but brings the files up to date."""
    place.publish("a")
    with unwritable(place.registry_json), pytest.raises(ProjectionLagError):
        place.publish("b", request_id="key")
    size = len(place.journal.read_bytes().splitlines())

    place.publish("b", request_id="key")

    assert len(place.journal.read_bytes().splitlines()) == size
    assert verify_registry(place.models, place.runtime).findings == []


@pytest.mark.parametrize("leftover", ["file", "link", "unreadable"])
def test_leftover_of_a_temporary_name(place, leftover):
    """What a crash or a stranger left under the temporary name is removed, and nothing is written through it."""
    place.publish("a")
    victim, name = place.root / "victim", place.models / ".registry.json.new"
    victim.write_bytes(b"precious")
    name.symlink_to(victim) if leftover == "link" else name.write_bytes(b"half a fi")
    if leftover == "unreadable":
        name.chmod(0)

    model = place.publish("b")

    assert victim.read_bytes() == b"precious"
    assert json.loads(place.registry_json.read_bytes())["active_model_id"] == model.model_id
    names = ["journal.head", "journal.jsonl", "journal.stamp", "registry.json"]
    assert sorted(path.name for path in place.models.iterdir()) == names


def test_link_in_its_place(place):
    """A link to a victim is refused before anything is recorded, and the victim stays."""
    place.publish("a")
    victim = place.root / "victim"
    place.registry_json.rename(victim)
    place.registry_json.symlink_to(victim)
    before = place.snapshot()

    with pytest.raises(RefusedError, match="expected a regular file, got a symbolic link"):
        place.publish("a")

    assert place.snapshot() == before


def test_never_back_behind_what_it_holds(place):
    """A slow writer that folded less does not overwrite what a faster one wrote."""
    slow = place.open()
    slow.publish_model(place.artifact(), backend="a")
    catalog = slow.catalog()
    place.publish("b")
    newer = place.registry_json.read_bytes()

    from projections.projection import write_all
    from projections.registry_json import RegistryJson

    write_all([RegistryJson(str(place.models))], catalog)

    assert place.registry_json.read_bytes() == newer


@given(st.binary(max_size=40), st.data())
def test_same_bytes_however_they_are_cut(whole, data):
    """Parts of any size are compared as what they come to."""

    def cut():
        left, found = whole, []
        while left:
            count = data.draw(st.integers(1, len(left)))
            found.append(left[:count])
            left = left[count:]
        return found

    other = data.draw(st.sampled_from([whole, whole + b"x", whole[:-1], whole[::-1]]))

    assert registry_json.same_bytes(iter(cut()), iter(cut()))
    assert registry_json.same_bytes(iter(cut()), iter([other] if other else [])) == (whole == other)
