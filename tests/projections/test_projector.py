"""`Projector`: every projection is tried, what failed is told, and nothing is written of an empty journal."""

from __future__ import annotations

import pytest
from recorder import Recorder

from eventlog.engines import open_journal
from eventlog.errors import RefusedError
from eventlog.journal import Anchor, FoundAnchor
from eventlog.replay import Replay
from projections import projector as projector_module
from projections.projection import Stored
from projections.projector import Projector

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("rebuild", [False, True])
def test_each_is_written_on_the_same_catalog(replay, rebuild):
    """The journal is folded once; every projection gets it, and the size is returned."""
    recorders = [Recorder("a"), Recorder("b")]

    Projector(replay, recorders).catch_up(rebuild=rebuild)

    assert [recorder.written for recorder in recorders] == [[(2, rebuild)]] * 2


def test_only_what_is_folded_is_written(place, replay):
    """What others append meanwhile is not read here: no file may remember more than was made sure of."""
    recorder = Recorder("a")
    place.publish("later")

    Projector(replay, [recorder]).catch_up()

    assert recorder.written == [(2, False)]


def test_one_that_fails_does_not_keep_the_others_back(replay):
    """All are tried; then one error names every failure."""
    failing = [Recorder("a", error=RefusedError("a: no")), Recorder("b", error=OSError(28, "No space left on device"))]
    good = Recorder("c")

    with pytest.raises(RefusedError) as caught:
        Projector(replay, [*failing, good]).catch_up()

    assert good.written == [(2, False)]
    assert str(caught.value).lower() == "a: no; b: no space left on device"


def test_a_bug_in_a_projection_is_not_hidden(replay):
    """What is neither ours nor the system's goes through."""
    with pytest.raises(ZeroDivisionError):
        Projector(replay, [Recorder("a", error=ZeroDivisionError())]).catch_up()


def test_empty_journal(place):
    """There is nothing to derive: nothing is written, nothing differs."""
    recorder = Recorder("a", agrees=False)
    projector = Projector(Replay(open_journal(f"file:{place.models}")), [recorder])

    projector.catch_up(rebuild=True)
    assert projector.audit() == []
    assert recorder.written == []


def test_anchors(replay):
    """Of those that say something, with where they were found and whether they bind."""
    anchor = Anchor("id", 1, "hash")

    found = Projector(replay, [Recorder("a"), Recorder("b", anchor=anchor, binding=False)]).anchors()

    assert found == [FoundAnchor("b", anchor, False)]


def test_file_that_cannot_be_read(replay):
    """It is raised, or told, where the caller wants to know what the others say."""
    anchor = Anchor("id", 1, "hash")
    projector = Projector(replay, [Recorder("a", anchor=RefusedError("a: no")), Recorder("b", anchor=anchor)])
    told = []

    with pytest.raises(RefusedError, match="a: no"):
        projector.anchors()
    found = projector.anchors(told.append)

    assert [item.where for item in found] == ["b"]
    assert [str(error) for error in told] == ["a: no"]
    assert projector.audit() == ["a: no"]


def test_audit(replay):
    """One line for each that differs: it has nothing, is behind, or is wrong."""
    now = replay.catalog.anchor()
    behind = Anchor(now.journal_id, 1, now.hash)
    projector = Projector(
        replay,
        [
            Recorder("right", anchor=now),
            Recorder("empty", agrees=False),
            Recorder("late", anchor=behind, agrees=False),
            Recorder("wrong", anchor=now, agrees=False),
        ],
    )

    lines = projector.audit()

    assert [line.split(":")[0] for line in lines] == ["empty", "late", "wrong"]
    assert "expected 2 entries applied, got 1" in lines[1]


class Moving(Recorder):
    """A derived file that writers are busy with: each reading finds what the next of *readings* says."""

    def __init__(self, where, readings):
        super().__init__(where)
        self.readings = readings

    def stored(self):
        anchor = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        return Stored(anchor, lambda catalog: catalog.anchor() == anchor)


def test_writers_that_go_on_are_no_difference(place, replay):
    """A file that is ahead is compared with the fold of just as many entries, one that is behind is given a moment."""
    old = replay.catalog.anchor()
    place.publish("more")
    place.publish("later")
    newest = Replay(open_journal(f"file:{place.models}"))
    between = newest.catch_up(3).anchor()
    latest = newest.catch_up().anchor()

    assert (old.size, between.size, latest.size) == (2, 3, 4)
    assert Projector(replay, [Moving("ahead", [between])]).audit() == []
    assert replay.catalog.anchor() == between
    assert Projector(replay, [Moving("late", [old, None, latest])]).audit() == []


def test_file_that_stays_behind(replay, monkeypatch):
    """After a moment it counts as behind; where the newest event is old, at once."""
    behind = Anchor(replay.catalog.journal_id, 1, "hash")
    monkeypatch.setattr(projector_module, "ON_ITS_WAY_SECONDS", 0.05)

    lines = Projector(replay, [Recorder("late", anchor=behind, agrees=False)]).audit()

    assert [line.split(":")[0] for line in lines] == ["late"]
