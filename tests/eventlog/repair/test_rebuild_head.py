"""`--rebuild-head`: a lost head is written anew where an anchor proves it, and nowhere else."""

from __future__ import annotations

import pytest
from repairing import SIZE, events, intact, refused, repair
from support import Place, heads_of, outcome_of

from eventlog.errors import JournalDamagedError
from eventlog.events import JournalRecovered, JournalRewound


@pytest.mark.parametrize("head", [None, b"", b"\0" * 256, b"x" * 100])
@pytest.mark.parametrize("kept", ["m/registry.json", "s/state.json"])
def test_head_that_is_lost(place: Place, truth: bytes, head: bytes | None, kept: str) -> None:
    """With any one anchor that agrees, the head is written anew; the old one is kept, and the history says so."""
    for name in {"m/registry.json", "s/state.json"} - {kept}:
        (place.root / name).unlink()
    place.head.unlink()
    if head is not None:
        place.head.write_bytes(head)

    report = repair(place, "rebuild-head", dry_run=True)
    assert not report.done
    report = repair(place, "rebuild-head")

    recovered, repaired = events(place, SIZE)
    assert (recovered.data.reason, recovered.data.size_bytes) == ("head", len(head or b""))
    assert (place.registry_dir / recovered.data.kept_as).read_bytes() == (head or b"")
    assert [item.where for item in repaired.data.witnesses] == [str(place.root / kept)]
    assert report.done
    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_head_without_any_anchor(place: Place, truth: bytes) -> None:
    """Nothing says how long the journal was: that cannot be proven; a rewind with a reason is the way on."""
    for path in (place.head, place.registry_json, place.state_json):
        path.unlink()

    assert "expected an anchor" in refused(place, "rebuild-head")
    report = repair(place, "accept-rewind", reason="everything else is gone")

    assert report.size == SIZE + 2
    assert [type(event.data) for event in events(place, SIZE)] == [JournalRecovered, JournalRewound]
    assert intact(place)


@pytest.mark.parametrize("rest", [b"garbage\n", b"torn"])
def test_head_lost_and_bytes_behind(place: Place, truth: bytes, rest: bytes) -> None:
    """Without a head, bytes behind the last entry may have been acknowledged: not for `rebuild-head`."""
    place.head.unlink()
    place.journal.write_bytes(truth + rest)

    assert "may have been acknowledged" in refused(place, "rebuild-head")


def test_head_that_is_too_old(place: Place, truth: bytes) -> None:
    """A head that was set back is moved on to what the lines and an anchor agree on."""
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[3], heads[2])
    assert type(outcome_of(lambda: place.open().catalog())) is JournalDamagedError

    repair(place, "rebuild-head")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)


def test_good_head_is_left_alone(place: Place, truth: bytes) -> None:
    """Nothing is rebuilt that is good."""
    before = place.files()

    assert not repair(place, "rebuild-head").done
    assert place.files() == before


def test_more_than_one_append_behind_an_old_head(place: Place, truth: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole entries that nobody vouches for are never thrown away; each refusal names the next thing to try."""
    from eventlog import repair_plans
    from eventlog.engines import jsonl_tail

    for module in (repair_plans, jsonl_tail):
        monkeypatch.setattr(module, "APPEND_ENTRIES_MAX", 2)
    heads = heads_of(truth.splitlines(keepends=True))
    place.set_head(heads[3], heads[2])
    place.registry_json.unlink()
    place.state_json.unlink()

    assert "--rebuild-head" in refused(place, "discard-tail")
    assert "--accept-rewind" in refused(place, "rebuild-head")
    repair(place, "accept-rewind", reason="the head is an old one")

    assert place.journal.read_bytes().startswith(truth)
    assert intact(place)
