"""
Four defects of an audit trail, found and mended in synapseids#36, and what each would be here.

1. `ModelRegistered` was recorded at every boot, and buried the real changes.
2. Making B active while A was active wrote no record under A: its latest line still said that it was active.
3. The change of state that a restart makes by itself was not recorded.
4. The text for one kind of deactivation claimed an effect that it did not have.
"""

from __future__ import annotations

from hashlib import sha256

from command import Run
from support import Place, fill

from eventlog.events import Event, JournalRecovered
from projections import verify_registry


def _latest_about(events: list[Event], model_id: str) -> Event:
    """Return the last event that made a model active or displaced it, as somebody finds it who reads the journal."""
    return [event for event in events if model_id in (event.subject, getattr(event.data, "displaced", None))][-1]


def test_synapseids_36_a_register_event_at_every_boot(place: Place, run: Run) -> None:
    """Opening, asking, verifying, rebuilding, and asking again for what was done, append nothing, however often."""
    fill(place, 5)
    before = place.journal.read_bytes()

    for _ in range(3):
        registry = place.open()
        active = registry.get_active_model()
        assert active is not None
        registry.list_models()
        registry.rebuild()
        registry.rollback(active.model_id)
        place.publish("a1", registry=registry, request_id="r1")
        place.open(runtime=False).list_models()
        verify_registry(place.registry_dir, place.state_dir)
        verbs = (["list"], ["active"], ["show", active.model_id], ["verify"], ["rebuild"], ["rollback", "--dry-run"])
        assert [run(*words).status for words in verbs] == [0] * len(verbs)

    assert place.journal.read_bytes() == before


def test_synapseids_36_nothing_written_under_the_displaced_model(place: Place) -> None:
    """After every event, the latest one about a model says whether it is active: made active, or displaced by what."""
    fill(place, 13)
    registry = place.open()
    size = registry.catalog().size
    events = [registry.read_event(position) for position in range(size)]
    active = None

    for count in range(2, size + 1):
        newest = events[count - 1]
        assert newest.data.displaced == active  # type: ignore[union-attr]
        active = newest.subject
        for model_id in {event.subject for event in events[1:count]}:
            assert model_id is not None
            assert (_latest_about(events[:count], model_id).subject == model_id) == (model_id == active)


def test_synapseids_36_show_says_that_a_model_is_not_active(place: Place, run: Run) -> None:
    """A model that was displaced says that it is not active, in words and as JSON, and nothing of being active."""
    first, second = place.publish("a"), place.publish("b")

    shown = run("show", first.model_id, "--output", "json").json
    words = [line.split() for line in run("show", first.model_id).out.splitlines()]

    assert (shown["active"], ["active", "no"] in words) == (False, True)
    assert {shown[name] for name in shown if name.startswith("activated_")} == {None}
    assert run("active", "--output", "json").json["model_id"] == second.model_id
    assert run("active", "--output", "json").json["displaced"] == first.model_id


def test_synapseids_36_show_names_what_displaced_a_model(place: Place, run: Run) -> None:
    """From the side of the displaced model: by which model, by which event, when, by whom, and why."""
    first = place.publish("a")
    second = place.publish("b", actor="ana", reason="more data")

    shown = run("show", first.model_id, "--output", "json").json

    assert shown["displaced_by"] == second.model_id
    assert (shown["displaced_position"], shown["displaced_actor"]) == (2, "ana")


def test_synapseids_36_recovery_is_not_audited(place: Place, run: Run) -> None:
    """What recovery does by itself is an event: who caused it, which bytes, where they were, and where they are."""
    fill(place, 3)
    offset_bytes, torn = place.journal.stat().st_size, b'{"specversion":"1.0","sequence":'
    place.journal.write_bytes(place.journal.read_bytes() + torn)

    said = run("publish", "--artifact", str(place.artifact("new")), "--backend", "b", "--actor", "ana")

    recovered, published = place.event(3), place.event(4)
    assert isinstance(recovered.data, JournalRecovered)
    assert (recovered.actor, recovered.type) == ("ana", "journal.recovered.v1")
    assert recovered.time == published.time
    assert (recovered.data.offset_bytes, recovered.data.size_bytes) == (offset_bytes, len(torn))
    assert recovered.data.sha256 == sha256(torn).hexdigest()
    assert (place.registry_dir / recovered.data.kept_as).read_bytes() == torn
    assert (said.status, "taken out, kept as" in said.err) == (0, True)


def test_synapseids_36_wrong_text_on_deactivation(place: Place, run: Run) -> None:
    """Each message says what was made active in place of what, and none claims an effect that was not had."""
    artifact = ["--artifact", str(place.artifact("a")), "--backend", "b"]
    first = run("publish", *artifact, "--id", "one")
    a = first.json["model_id"]
    second = run("publish", "--artifact", str(place.artifact("b")), "--backend", "b")
    b = second.json["model_id"]
    rehearsed = run("rollback", "--dry-run")
    answered = run("publish", *artifact, "--id", "one")
    back = run("rollback", "--model-id", a)
    nothing = run("rollback", "--model-id", a)
    refused = run("rollback", "--model-id", b, "--expect-active", b)

    assert f"{a}: recorded as active, in place of no model" in first.err
    assert f"{b}: recorded as active, in place of {a}" in second.err
    assert f"{a}: would be recorded as active, in place of {b}" in rehearsed.err
    assert answered.err == f"info: {a}: was recorded at position 1 already\n"
    assert f"{a}: recorded as active, in place of {b}" in back.err
    assert nothing.err == f"info: {a}: is active already: nothing was recorded\n"
    assert (refused.status, "recorded" in refused.err) == (2, False)
    assert place.open().catalog().size == 4
