"""What reviewers have found about the history: each defect that is mended stays mended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support import START, Place, artifact_problems, outcome_of

from eventlog import chain, codec, runs
from eventlog.catalog import Catalog
from eventlog.catalog_state import CatalogState
from eventlog.engines import open_journal
from eventlog.errors import JournalDamagedError, ProjectionLagError, RefusedError
from eventlog.events import Event, HistoryReviewed, JournalCreated, ModelPublished
from eventlog.past import SNAPSHOT_MARK
from projections.maintenance import backup_registry, verify_registry

JOURNAL_ID = "11111111-1111-4111-8111-111111111111"


def test_a_rewound_registry_is_not_backed_up(place: Place) -> None:
    """What another file remembers is missing: a copy of the rest would look like a whole history."""
    place.publish("a")
    earlier = place.journal.read_bytes(), place.head.read_bytes()
    place.publish("b")
    place.journal.write_bytes(earlier[0])
    place.head.write_bytes(earlier[1])

    for forgotten in (place.root / "nothing", place.registry_json, place.state_json):  # either of the two remembers it
        forgotten.unlink(missing_ok=True)
        error = outcome_of(lambda: backup_registry(place.root / "copy", place.registry_dir, place.state_dir))
        if place.state_json.exists():
            assert isinstance(error, JournalDamagedError)
            assert "rewound" in str(error)
            assert not (place.root / "copy").exists()


def test_what_is_recorded_is_never_called_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model cannot be read again behind the append, it is recorded all the same, and that is said."""
    target = place.publish("a")
    place.publish("b")
    registry = place.open()
    registry.list_models()
    size, real = registry.catalog().size, CatalogState.model

    def unreadable(self: CatalogState, model_id: str) -> Any:
        if self.size > size:
            raise RefusedError("too many open files")
        return real(self, model_id)

    with monkeypatch.context() as patch:
        patch.setattr(CatalogState, "model", unreadable)
        error = outcome_of(lambda: registry.rollback(target.model_id))

    assert isinstance(error, ProjectionLagError)
    assert "recorded, but it cannot be read again: too many open files" in str(error)
    active = place.open().get_active_model()
    assert active is not None
    assert active.model_id == target.model_id


def _published(subject: str, displaced: str | None) -> ModelPublished:
    return ModelPublished("b", "/a", 1, subject[-8:] * 8, {}, displaced)


def _entries(facts: list[tuple[str | None, Any]]) -> list[bytes]:
    """Return the entries of a new journal with these subjects and data behind its creation."""
    found: list[bytes] = []
    for position, (subject, data) in enumerate([(None, JournalCreated(JOURNAL_ID, 1)), *facts]):
        event = Event(position, f"id{position}", START + timedelta(seconds=position), "ana", subject, data)
        found.append(codec.encode(event, JOURNAL_ID, chain.hash_of(found[-1]) if found else chain.GENESIS))
    return found


def test_two_ids_in_one_are_no_model_id() -> None:
    """Many at a time or one by one, a subject with a newline in it is refused."""
    ids = [f"202601020304{second:02d}_0000000{second}" for second in range(6)]
    subjects = [ids[0], f"{ids[1]}\n{ids[2]}", *ids[3:]]
    displaced = [None, *subjects[:-1]]
    entries = _entries([(one, _published(one, before)) for one, before in zip(subjects, displaced, strict=True)])
    one_by_one, at_once = Catalog("j"), Catalog("j")

    wanted = outcome_of(lambda: [one_by_one.apply(entry) for entry in entries])

    assert isinstance(wanted, JournalDamagedError)
    at_once.apply(entries[0])
    assert str(outcome_of(lambda: at_once.apply_run(entries[1:]))) == str(wanted)


@pytest.mark.parametrize("every", [1, 2])
def test_runs_of_other_events(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come at once, and however they are mixed: no recursion, and each is decoded a few times at most."""
    facts: list[tuple[str | None, Any]] = []
    displaced = None
    for number in range(8_000):
        if number % every:
            subject = f"{START + timedelta(seconds=number):%Y%m%d%H%M%S}_{number:08x}"
            facts.append((subject, _published(subject, displaced)))
            displaced = subject
        else:
            facts.append((None, HistoryReviewed(0)))
    entries, decoded = _entries(facts), []
    real = runs.decode_activations

    def counting(some: Any, *arguments: Any) -> Any:
        decoded.append(len(some))
        return real(some, *arguments)

    monkeypatch.setattr(runs, "decode_activations", counting)
    catalog = Catalog("j")
    catalog.apply(entries[0])

    catalog.apply_run(entries[1:])

    assert catalog.size == len(entries)
    assert sum(decoded) <= 3 * len(entries)


def test_copies_of_a_damaged_registry_are_not_missing(place: Place) -> None:
    """The paths of copies are relative to the registry, also where only a part of the history can be read."""
    for name in ("a", "b", "c"):
        place.copy(name)
    data = bytearray(place.journal.read_bytes())
    data[-100] ^= 1
    place.journal.write_bytes(data)

    problems = artifact_problems(place)

    assert len(problems) >= 1
    assert not any("missing" in problem or "publish the same bytes" in problem for problem in problems)


def test_a_negative_size_confirms_nothing(place: Place) -> None:
    """Whoever can write the runtime's file cannot make it a witness of nothing."""
    place.publish("a")
    text = place.state_json.read_text()
    place.state_json.write_text(text.replace('"size": 2', '"size": -1').replace(place.open().catalog().hash, "0" * 64))
    assert '"size": -1' in place.state_json.read_text()

    report = verify_registry(place.registry_dir, place.state_dir)

    assert str(place.state_json) not in report.anchors


def test_text_in_metadata_is_no_snapshot(place: Place) -> None:
    """What a person writes never keeps others from beginning at the newest snapshot."""
    for number in range(270):
        place.publish("a", registry=(registry := place.open()) if number == 0 else registry)
    imitation = {"t": {"a": "x", "type": "journal.snapshot_taken.v1", "time": "y"}}
    place.publish("b", dataset_metadata=imitation)
    assert SNAPSHOT_MARK in place.lines()[-1]

    found = open_journal(str(place.registry_dir)).resume(SNAPSHOT_MARK)

    assert found is not None
    assert b'"type":"journal.snapshot_taken.v1"' in found[1][0][:360]
    assert place.lines()[found[0]].rstrip(b"\n") == found[1][0]
