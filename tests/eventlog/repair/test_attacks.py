"""Repairs under attack: what somebody planted, what another journal has, and circles that messages once led into."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from repairing import SIZE, events, intact, refused, repair
from support import START, Place, event_entry, fill, flip, heads_of, outcome_of, restoring_fails

from eventlog.errors import RefusedError
from eventlog.events import Event, JournalRepaired, JournalRewound, ModelPublished
from projections import backup_registry, restore_registry, verify_registry


def planted(place: Place) -> bytes:
    """Return the sealed entry that would come next, as somebody who only publishes can compute it."""
    catalog = place.open().catalog()
    assert catalog.journal_id is not None
    data = ModelPublished("evil", "/evil", 1, "ab" * 32, {}, catalog.active_id())
    event = Event(catalog.size, "evil", START, "ana", "20260101000000_abababab", data)
    return event_entry(event, catalog.journal_id, catalog.hash)


def test_event_planted_in_the_metadata_of_another(place: Place) -> None:
    """A sealed line that stands inside another line is text, however well it would fit."""
    fill(place, 4)
    evil = planted(place)
    place.publish("h", actor="mallory", dataset_metadata={"x": msgspec.json.decode(evil)})
    place.publish("l")
    assert evil in place.journal.read_bytes()
    flip(place.journal, 8 * (sum(map(len, place.lines()[:4])) + 5))

    repair(place, "accept-rewind", reason="no copy")

    assert "evil" not in place.ids()
    assert intact(place)


def test_event_planted_in_a_torn_append(place: Place) -> None:
    """Nor is it taken from an append that was never acknowledged."""
    fill(place, 4)
    backup_registry(place.root / "copy", place.registry_dir)
    evil = planted(place)
    whole = place.journal.read_bytes()
    place.journal.write_bytes(b"#" + whole[1:] + b'{"specversion":"1.0","data":{"dataset_metadata":{"x":' + evil)

    repair(place, "from-copy", copy=place.root / "copy")

    assert place.journal.read_bytes().startswith(whole)
    assert "evil" not in place.ids()
    assert intact(place)


def test_restore_that_was_cut_short_does_not_look_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is finished nobody can go on from the part that is there, and asking again finishes it."""
    fill(place, SIZE)
    backup_registry(place.root / "copy", place.registry_dir)
    whole = place.journal.read_bytes()
    place.put({})
    with restoring_fails(monkeypatch, entries=3, at=2):
        assert outcome_of(lambda: restore_registry(place.root / "copy", place.registry_dir, place.state_dir))

    assert verify_registry(place.registry_dir, place.state_dir).verdict == "damaged"
    assert "rewound" in str(outcome_of(lambda: place.publish("new")))
    restore_registry(place.root / "copy", place.registry_dir, place.state_dir)
    assert place.journal.read_bytes() == whole
    assert intact(place)


@pytest.mark.parametrize("action", ["accept-rewind", "rebuild-head"])
def test_event_that_could_not_be_stored(place: Place, truth: bytes, action: str) -> None:
    """A reason that is too long is refused before anything is touched."""
    place.head.unlink()

    assert "65535 bytes" in refused(place, action, reason="x" * 70_000)


@pytest.mark.parametrize("lost", [[], ["m/journal.head"], ["m/registry.json"], ["m/journal.head", "m/registry.json"]])
@pytest.mark.parametrize("action", ["from-copy", "accept-rewind"])
def test_foreign_copy_never_replaces_a_history(
    place: Place, truth: bytes, tmp_path: Path, action: str, lost: list[str]
) -> None:
    """What still stands in the journal, and every anchor, says which journal this is."""
    other = Place(tmp_path / "other")
    other.root.mkdir()
    for name in "abcdefghijkl":
        other.publish(name)
    flip(place.journal, 0)
    for name in lost:
        (place.root / name).unlink()

    refused(place, action, copy=other.registry_dir, reason="r")
    shutil.copy(other.state_json, place.state_json)
    refused(place, action, copy=other.registry_dir, reason="r")


@pytest.mark.parametrize("rest", [b"", b"torn", b"\0\0", b"garbage\n"])
def test_head_that_was_set_back(place: Place, truth: bytes, rest: bytes) -> None:
    """By following what the messages name one ends with the whole history, whatever stands behind it."""
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[6], heads[6])
    place.journal.write_bytes(truth + rest)

    assert "--rebuild-head" in str(outcome_of(place.open().catalog))
    assert "--rebuild-head" in refused(place, "discard-tail")
    if rest:
        assert "--accept-rewind" in refused(place, "rebuild-head")
        repair(place, "accept-rewind", reason="the head is an old one")
    else:
        repair(place, "rebuild-head")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


@pytest.mark.parametrize("journal", [None, b""])
def test_journal_lost_and_only_an_older_backup(place: Place, truth: bytes, journal: bytes | None) -> None:
    """Each refusal names the next thing to try, and the last one works."""
    place.journal.unlink()
    if journal is not None:
        place.journal.write_bytes(journal)

    assert "--accept-rewind" in refused(place, "from-copy", copy=place.root / "copy")
    assert "--from COPY" in refused(place, "accept-rewind", reason="r")
    repair(place, "accept-rewind", copy=place.root / "copy", reason="the disk died")

    assert intact(place)
    assert isinstance(events(place, 5)[-1].data, JournalRewound)


def test_fork_behind_the_head_costs_nothing(place: Place, truth: bytes) -> None:
    """Two entries that were never acknowledged and exclude each other go to quarantine; the rest comes back."""
    evil = planted(place)
    twin = evil.replace(b'"evil"', b'"live"')
    from eventlog import chain

    twin = chain.seal(chain.body_of(twin), chain.prev_of(twin))
    place.journal.write_bytes(b"#" + truth[1:] + evil + b"\n" + twin + b"\n")

    repair(place, "from-copy", copy=place.root / "whole")

    assert place.journal.read_bytes().startswith(truth)
    assert isinstance(events(place, SIZE)[-1].data, JournalRepaired)
    assert intact(place)


def test_stray_files_in_quarantine_do_not_stop_a_backup(place: Place, truth: bytes) -> None:
    """Only what recovery or a repair kept is copied."""
    place.quarantine.mkdir()
    (place.quarantine / "notes\n.txt").write_text("mine")
    (place.quarantine / "directory").mkdir()
    (place.root / "m" / "quarantine").joinpath("link").symlink_to("nowhere")
    with open(bytes(place.quarantine) + b"/\xff\xfe", "wb"):
        pass

    report = backup_registry(place.root / "again", place.registry_dir)

    assert sorted(report.files) == ["journal.head", "journal.jsonl", "registry.json"]


def test_id_of_the_journal_is_not_for_requests(place: Place, truth: bytes) -> None:
    """An id under which the journal records recoveries cannot be taken before it does."""
    before = place.files()

    error = outcome_of(lambda: place.publish("new", request_id="recovered-0-e3b0c44298fc1c14"))

    assert type(error) is RefusedError
    assert place.files() == before
