"""Runs: many entries at once are taken for just what they are taken for one by one, and refused for the same reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import START

from eventlog import chain, codec, runs
from eventlog.catalog import Catalog
from eventlog.errors import ModelogError
from eventlog.events import EVENT_TYPES, Event, HistoryReviewed, JournalCreated, ModelPublished, ModelRolledBack
from eventlog.journal import Anchor
from eventlog.retention_events import ArtifactRemoved, ModelHeld, ModelReinstated, ModelReleased, ModelRetired

JOURNAL_ID = "11111111-1111-4111-8111-111111111111"
KINDS = st.sampled_from(
    ["publish"] * 6 + ["rollback"] * 3 + ["review", "snapshot", "long id", "nested", "mark", "removal"]
)


class Writer:
    """Writes entries that follow each other, and whatever else is asked of it."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.catalog = Catalog("j")
        self.write(None, JournalCreated(JOURNAL_ID, 1))
        self.catalog.apply(self.entries[0])

    def write(self, subject: str | None, data: Any, *, edit: Callable[[bytes], bytes] = bytes, **change: Any) -> None:
        """Write an event; *edit* changes its bytes before they are sealed."""
        size = len(self.entries)
        fields = {"id": f"id{size}", "time": START + timedelta(seconds=size), "actor": "ana", "position": size} | change
        prev = chain.hash_of(self.entries[-1]) if self.entries else chain.GENESIS
        event = Event(fields["position"], fields["id"], fields["time"], fields["actor"], subject, data)
        body = chain.body_of(codec.encode(event, change.pop("journal_id", JOURNAL_ID), prev))
        self.entries.append(chain.seal(edit(body), prev))

    def ordinary(self, kind: str, choice: int) -> None:
        """Write what any registry may write."""
        catalog, size = self.catalog, len(self.entries)
        models = list(catalog.published)
        model_id = f"{START + timedelta(seconds=size):%Y%m%d%H%M%S}_{size:08x}"
        if kind == "rollback" and models:
            self.write(models[choice % len(models)], ModelRolledBack(catalog.active_id() or "", "0" * 64))
        elif kind == "mark" and len(models) > 1:
            data: Any = (ModelRetired, ModelReinstated, ModelHeld, ModelReleased)[choice % 4]("why")
            self.write(next(model_id for model_id in models if model_id != catalog.active_id()), data)
        elif kind == "removal":
            self.write(None, ArtifactRemoved("0" * 64, 1))
        elif kind == "review":
            self.write(None, HistoryReviewed(0))
        elif kind == "snapshot" and size > 1:
            self.write(None, catalog.taken())
        elif kind == "long id":
            self.write(model_id, _published(catalog.active_id()), id=f"{size}-" + "x" * 250)
        else:
            metadata = {"a": [{"b": [choice]}]} if kind == "nested" else {"rows": choice}
            self.write(model_id, _published(catalog.active_id(), dataset_metadata=metadata))
        catalog.apply(self.entries[-1])


def _published(displaced: str | None, **fields: Any) -> ModelPublished:
    wanted = {"dataset_metadata": {}, "displaced": displaced} | fields
    return ModelPublished(backend="b", artifact_path="/a", artifact_size_bytes=1, sha256="0" * 64, **wanted)


def _outcome(entries: list[bytes], sizes: list[int]) -> tuple[dict[str, Any], str]:
    """Return the state and the error of a catalog that takes *entries* in runs of these sizes, over and over."""
    catalog, start, number, error = Catalog("j"), 0, 0, ""
    try:
        while start < len(entries):
            size = sizes[number % len(sizes)]
            if size == 1:
                catalog.apply(entries[start])
            else:
                catalog.apply_run(entries[start : start + size])
            start, number = start + size, number + 1
    except ModelogError as problem:
        error = f"{type(problem).__name__}: {problem}"
    state = dict(vars(catalog))
    state["published"] = list(catalog.published.values()), catalog.published.newest, catalog.published.in_order
    return state, error


def _alike(entries: list[bytes]) -> str:
    """Require that runs of any size come to what one by one comes to; return the error."""
    wanted = _outcome(entries, [1])
    for sizes in ([len(entries)], [4], [5, 1, 7], [1, 100]):
        assert _outcome(entries, sizes) == wanted, f"in runs of {sizes}"
    return wanted[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 99)), min_size=1, max_size=40))
def test_a_run_is_its_entries(kinds: list[tuple[str, int]]) -> None:
    """Publications, rollbacks, and whatever comes between them."""
    writer = Writer()

    for kind, choice in kinds:
        writer.ordinary(kind, choice)

    assert _alike(writer.entries) == ""


def test_ordinary_runs_are_taken_at_once() -> None:
    """Or all of this would be for nothing."""
    writer = Writer()
    for number in range(60):
        writer.ordinary("rollback" if number % 4 == 3 else "nested" if number % 5 == 4 else "publish", number)

    found = runs.decode_activations(writer.entries[1:], 1, JOURNAL_ID)

    assert found is not None
    events = [codec.decode(entry, number, JOURNAL_ID, "j") for number, entry in enumerate(writer.entries)]
    assert [event.event() for event in found.events] == events[1:]
    publications = runs.decode_publications(writer.entries[1:], 1, JOURNAL_ID, "j")
    assert list(map(runs.event_of, publications)) == [
        event for event in events if isinstance(event.data, ModelPublished)
    ]


DEEP: dict[str, Any] = {"a": 1}
for _ in range(33):
    DEEP = {"a": DEEP}

ODD: dict[str, Callable[[Writer, str, str], None]] = {
    "a model published twice": lambda w, a, new: w.write(a, _published(a)),
    "another displaced model": lambda w, a, new: w.write(new, _published(None)),
    "a rollback that displaced another": lambda w, a, new: w.write(a, ModelRolledBack(new, "0" * 64)),
    "a rollback to nothing": lambda w, a, new: w.write(new, ModelRolledBack(a, "0" * 64)),
    "an id that is taken": lambda w, a, new: w.write(new, _published(a), id="id3"),
    "no model id": lambda w, a, new: w.write("x" * 23, _published(a)),
    "another position": lambda w, a, new: w.write(new, _published(a), position=3),
    "another journal": lambda w, a, new: w.write(
        new, _published(a), edit=lambda body: body.replace(b"urn:uuid:1", b"urn:uuid:2")
    ),
    "a space": lambda w, a, new: w.write(new, _published(a), edit=lambda body: body.replace(b'"b"', b' "b"')),
    "a key twice": lambda w, a, new: w.write(
        new, _published(a), edit=lambda body: body.replace(b'"dataset_metadata":{', b'"dataset_metadata":{"a":1,"a":1')
    ),
    "another zone": lambda w, a, new: w.write(
        new, _published(a), edit=lambda body: body.replace(b'Z","actor"', b'+02:00","actor"')
    ),
    "an unknown field": lambda w, a, new: w.write(
        new, _published(a), edit=lambda body: body.replace(b'"backend"', b'"more":1,"backend"')
    ),
    "two values": lambda w, a, new: w.write(new, _published(a), edit=lambda body: b"{} " + body),
    "metadata that is too deep": lambda w, a, new: w.write(new, _published(a, dataset_metadata=DEEP)),
    "a path that is no hex": lambda w, a, new: w.write(new, _published(a, artifact_path_hex="zz")),
    "a new type": lambda w, a, new: w.write(
        new, _published(a), edit=lambda body: body.replace(b"published.v1", b"published.v2")
    ),
    "a snapshot that lies": lambda w, a, new: w.write(
        None, w.catalog.taken(), edit=lambda body: body.replace(b'"models":', b'"models":9')
    ),
}


@pytest.mark.parametrize("at", [1, 2, 9, 10])
@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_is_refused_alike(odd: str, at: int) -> None:
    """At the start of a run, in it and at its end the same entry is named, for the same reason; those before count."""
    writer = Writer()
    for number in range(at + 4):
        writer.ordinary("rollback" if number % 3 == 2 else "publish", number)
    active = writer.catalog.active_id() or ""
    ODD[odd](writer, active, f"20300101000000_{at:08x}")
    for number in range(10 - at):
        writer.write(f"20300101000001_{number:08x}", _published(None))

    error = _alike(writer.entries)

    assert f"entry {at + 5}" in error, error


def test_what_takes_a_closer_look_is_good() -> None:
    """A take-over, a path of odd bytes and events of other kinds are no reason to refuse a run."""
    writer = Writer()
    for number in range(6):
        writer.ordinary("publish", number)
    active = writer.catalog.active_id() or ""
    writer.write("20300101000000_00000000", _published(active, took_over=Anchor("other", 1, "0" * 64)))
    writer.write("20300101000001_00000000", _published("20300101000000_00000000", artifact_path_hex="2fff"))

    assert _alike(writer.entries) == ""


@pytest.mark.parametrize(("position", "count"), [(0, 1), (0, 3), (998, 4), (999, 1), (1_000, 1_001), (10**12 - 2, 5)])
def test_sequences(position: int, count: int) -> None:
    """Twenty digits each, across every thousand."""
    assert runs.sequences(position, count) == [f"{number:020d}" for number in range(position, position + count)]


@pytest.mark.parametrize("kind", [*EVENT_TYPES.values(), runs.StoredPublication, runs.StoredRollback, codec._Envelope])
def test_annotations_of_what_is_decoded_are_no_text(kind: type) -> None:
    """
    Each that is text, msgspec compiles whenever a command starts: 30 µs apiece, 2 ms for a list.

    So their modules do without `from __future__ import annotations`.
    """
    assert [name for name, annotation in kind.__annotations__.items() if isinstance(annotation, str)] == []
