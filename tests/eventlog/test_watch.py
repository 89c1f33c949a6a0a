"""`watch`: a runtime is told of every change of the active model, and only of bytes that were checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support import Place, outcome_of, reseal

from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import RuntimeLoaded
from eventlog.serving import Loaded
from projections import verify_registry


class _IdleError(Exception):
    """There is nothing to wait for."""


def _watch(place: Place, seen: int | None = None, steps: list[Callable[[], Any]] | None = None) -> Iterator[Loaded]:
    """Watch, do one of the *steps* whenever there is nothing new, and end when none is left."""
    left = list(steps or [])

    def wait(seconds: float) -> None:
        if not left:
            raise _IdleError
        left.pop(0)()

    watched = place.open().watch(seen, debounce_seconds=0, wait=wait)
    while True:
        try:
            yield next(watched)
        except _IdleError:
            return


def test_what_is_active_comes_first_and_then_each_change(place: Place) -> None:
    """A publish, a rollback, and the same model again after another one; nothing else is told."""
    first = place.publish("a")
    steps = [
        lambda: place.publish("b"),
        lambda: place.open().review(),
        lambda: place.open().rollback(),
        lambda: None,
        lambda: place.open().rollback(),
    ]

    found = list(_watch(place, steps=steps))

    assert [loaded.position for loaded in found] == [1, 2, 4, 5]
    assert [loaded.model.backend for loaded in found] == ["b"] * 4
    assert found[0].model == found[2].model == first
    assert found[1].model == found[3].model
    assert [Path(loaded).read_bytes() for loaded in found] == [b"a", b"b", b"a", b"b"]


def test_before_there_is_anything(place: Place) -> None:
    """It waits for the first publish."""
    found = list(_watch(place, steps=[lambda: None, lambda: place.publish("a")]))

    assert [loaded.position for loaded in found] == [1]


def test_from_what_was_seen(place: Place) -> None:
    """Nothing comes twice; what has become active meanwhile comes, also where it is the same model again."""
    place.publish("a")
    place.publish("b")
    assert [loaded.position for loaded in _watch(place, seen=2)] == []

    place.publish("c")
    place.open().rollback()

    assert [loaded.position for loaded in _watch(place, seen=2)] == [4]
    for seen in (-1, 5, 10**9):
        error = outcome_of(lambda seen=seen: place.open().watch(seen))
        assert isinstance(error, RefusedError)
        assert "rewound" in str(error)


def test_changes_that_come_together_are_one(place: Place) -> None:
    """Within the time that is asked for, the last counts."""
    place.publish("a")
    watched = place.open().watch(debounce_seconds=0.2)
    assert next(watched).position == 1
    waits: list[float] = []

    def publish_two(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) in (1, 2):
            place.publish(f"n{len(waits)}")

    found = list(islice(place.open().watch(1, debounce_seconds=0.3, wait=publish_two), 1))

    assert [loaded.position for loaded in found] == [3]


@pytest.mark.parametrize("copy", [False, True])
def test_bytes_that_are_not_there(place: Place, copy: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The model before stays, and that is told once; as soon as they are there it comes."""
    place.publish("a")

    def publish_and_damage() -> None:
        model = place.copy("b") if copy else place.publish("b")
        path = Path(model.artifact_path)
        path.chmod(0o644)
        path.write_bytes(b"other")

    def heal() -> None:
        place.artifact("b", b"b")
        if copy:
            place.copy("b")

    found = list(_watch(place, steps=[publish_and_damage, lambda: None, lambda: None, heal]))

    assert [loaded.position for loaded in found] == [1, 3 if copy else 2]
    assert caplog.text.count("the model before stays") == 1


def test_damage_ends_it(place: Place) -> None:
    """Nobody hot-reloads from a journal that cannot be trusted."""
    place.publish("a")
    place.publish("b")

    def forge() -> None:
        lines = place.lines()
        lines[1] = lines[1].replace(b'"backend":"b"', b'"backend":"c"')
        place.journal.write_bytes(b"".join(reseal(lines)))

    with pytest.raises(JournalDamagedError):
        list(_watch(place, steps=[forge]))


def test_what_ran_is_recorded(place: Place) -> None:
    """Which runtime, which model, behind which event; once, however often it says so."""
    model = place.publish("a")
    (loaded,) = _watch(place)

    first = place.open().report_loaded(loaded, runtime="bot-1", actor="bot", request_id="key")
    again = place.open().report_loaded(loaded, runtime="bot-1", actor="bot", request_id="key")

    assert first == again == place.event(2)
    assert (first.type, first.subject, first.data) == (
        "runtime.loaded.v1",
        model.model_id,
        RuntimeLoaded("bot-1", 1, model.sha256),
    )
    assert verify_registry(place.registry_dir, place.state_dir).findings == []
    assert [loaded.position for loaded in _watch(place)] == [1], "to say so changes nothing"
    other = outcome_of(lambda: place.open().report_loaded(loaded, runtime="bot-2", request_id="key"))
    assert isinstance(other, RefusedError)


def test_what_cannot_be_recorded(place: Place) -> None:
    """A model that was loaded by its id need not be active; a runtime has a name."""
    model = place.publish("a")
    (loaded,) = _watch(place)
    before = place.lines()

    for report in (
        lambda: place.open().report_loaded(place.open().load(model.model_id), runtime="bot"),
        lambda: place.open().report_loaded(loaded, runtime=""),
        lambda: place.open().report_loaded(loaded, runtime="\x1b[2J"),
    ):
        assert isinstance(outcome_of(report), RefusedError)

    assert place.lines() == before
