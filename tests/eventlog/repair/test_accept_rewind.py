"""`--accept-rewind`: going on from less than was acknowledged, knowingly and on record."""

from __future__ import annotations

import shutil
from pathlib import Path

from repairing import SIZE, events, intact, refused, repair
from support import Place, flip, outcome_of

from eventlog.errors import JournalDamagedError
from eventlog.events import JournalRewound
from projections import repair_registry, verify_registry


def _old_backup_in_place(place: Place) -> None:
    shutil.rmtree(place.registry_dir)
    shutil.copytree(place.root / "copy", place.registry_dir)


def test_rewind_to_an_older_backup(place: Place, truth: bytes) -> None:
    """The history says from then on what the runtime checkpoint had remembered; the runtime follows."""
    _old_backup_in_place(place)
    assert type(outcome_of(lambda: place.publish("new"))) is JournalDamagedError

    repair(place, "accept-rewind", reason="the disk died")

    (rewound,) = events(place, 5)
    assert isinstance(rewound.data, JournalRewound)
    assert rewound.data.reason == "the disk died"
    assert [(item.where, item.size) for item in rewound.data.remembered] == [(str(place.state_json), SIZE)]
    assert truth.startswith(b"".join(place.lines()[:5]))
    assert intact(place)
    assert place.publish("new")


def test_rewind_needs_a_reason(place: Place, truth: bytes) -> None:
    """Nobody gives up history without saying why."""
    _old_backup_in_place(place)

    assert "--reason" in refused(place, "accept-rewind")
    assert "--reason" in refused(place, "accept-rewind", reason="")


def test_rewind_of_a_journal_damaged_in_the_middle(place: Place, truth: bytes) -> None:
    """What follows the damage goes to quarantine, with the old head; the event says what the witnesses remembered."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([*lines[:3], b"#" * len(lines[3]), *lines[4:]]))

    report = repair(place, "accept-rewind", reason="no copy anywhere")

    *recovered, rewound = events(place, 3)
    assert sorted(event.data.reason for event in recovered) == ["head", "rewound"]
    assert [item.size for item in rewound.data.remembered] == [SIZE, SIZE, SIZE]
    assert sum(item.size_bytes for item in report.removed) == len(b"".join(lines[3:])) + 256
    assert place.journal.read_bytes().startswith(b"".join(lines[:3]))
    assert intact(place)


def test_rewind_with_a_copy_takes_the_longest_history(place: Place, truth: bytes) -> None:
    """What the journal still has is joined to what the copy has."""
    lines = truth.splitlines(keepends=True)
    place.journal.write_bytes(b"".join([b"#" * len(lines[0]), *lines[1:6], b"#" * len(lines[6]), lines[7]]))

    repair(place, "accept-rewind", copy=place.root / "copy", reason="entry 6 is gone")

    assert place.journal.read_bytes().startswith(b"".join(lines[:6]))
    assert isinstance(place.event(place.open().catalog().size - 1).data, JournalRewound)
    assert intact(place)


def test_only_the_anchors_of_that_moment_are_given_up(place: Place, truth: bytes) -> None:
    """A second runtime that remembers the lost history is refused until its own rewind is accepted."""
    second = place.root / "second"
    shutil.copytree(place.state_dir, second)
    place.publish("later")
    _old_backup_in_place(place)
    repair(place, "accept-rewind", reason="the disk died")

    report = verify_registry(place.registry_dir, second)
    assert report.verdict == "damaged"
    repair_registry("accept-rewind", place.registry_dir, second, reason="the other runtime, too")

    assert verify_registry(place.registry_dir, second).verdict == "intact"
    assert intact(place)


def test_nothing_to_rewind(place: Place, truth: bytes) -> None:
    """Where nothing acknowledged is missing, nothing is given up."""
    before = place.files()

    assert not repair(place, "accept-rewind", reason="just in case").done
    assert place.files() == before


def test_nothing_left_to_go_on_from(place: Place, truth: bytes) -> None:
    """An empty journal cannot go on: restoring is the way, or a new history elsewhere."""
    place.journal.write_bytes(b"")

    assert "restore a backup" in refused(place, "accept-rewind", reason="all gone")


def test_two_histories_are_not_mixed(place: Place, truth: bytes, tmp_path: Path) -> None:
    """A copy that went on differently is refused: a person chooses which one to follow."""
    forked = Place(tmp_path / "forked")
    forked.root.mkdir()
    shutil.copytree(place.root / "copy", forked.registry_dir)
    forked.publish("other", registry=forked.open(runtime=False))
    flip(place.journal, 8 * (len(truth) - 100))

    assert "two histories" in refused(place, "accept-rewind", copy=forked.registry_dir, reason="which one?")
