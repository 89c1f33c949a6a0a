"""What reviewers have found about what callers get wrong: it is refused as that, and nothing changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest
from support import Place, outcome_of

from eventlog import durable
from eventlog.errors import ModelogError, RefusedError
from projections import ModelRegistry
from projections.maintenance import repair_registry


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.list_models(limit=-1),
        lambda registry: list(registry.history(limit=-1)),
        lambda registry: list(registry.history(limit=-1, newest_first=True)),
        lambda registry: registry.published_by_request("\ud800"),
        lambda registry: registry.list_models(where='x = "\ud800"'),
        lambda registry: registry.get_active_model(as_of=datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))),
        lambda registry: registry.get_active_model(as_of=datetime.max.replace(tzinfo=timezone(timedelta(hours=-14)))),
        lambda registry: registry.get_active_model(as_of=10**5000),
        lambda registry: registry.get_active_model(as_of=-1),
        lambda registry: registry.change_settings(keep_last=-5),
        lambda registry: registry.change_settings(keep_last="x"),
        lambda registry: registry.change_settings(keep_last=True),
        lambda registry: registry.change_settings(keep_days=10**9),
        lambda registry: registry.change_settings(copy="yes"),
        lambda registry: registry.publish_model(__file__, backend="b", dataset_metadata=[]),
        lambda registry: registry.publish_model(__file__, backend="b", dataset_metadata=0),
        lambda registry: registry.publish_model(__file__, backend="   "),
        lambda registry: registry.watch(debounce_seconds=float("nan")),
        lambda registry: registry.watch(debounce_seconds=-1),
        lambda registry: registry.hold(registry.list_models()[0].model_id, reason=None),
        lambda registry: registry.retire(registry.list_models()[0].model_id, reason=" "),
        lambda registry: registry.review(True),
        lambda registry: repair_registry("nope"),
    ],
)
def test_values_that_make_no_sense(place: Place, ask: Callable[[Any], Any]) -> None:
    """They are refused, or a wrong type is one; never is the journal called damaged, and nothing is changed."""
    place.publish("a")
    registry = place.open()
    before = place.files()

    error = outcome_of(lambda: ask(registry))

    assert isinstance(error, RefusedError | TypeError), repr(error)
    assert place.files() == before
    assert outcome_of(registry.list_models) is None or not isinstance(outcome_of(registry.list_models), ModelogError)


def test_a_wrong_type_is_called_that(place: Place) -> None:
    """`TypeError`, and the name of what it is about."""
    place.publish("a")
    registry = place.open()

    for ask in (
        lambda: registry.list_models(limit="1"),
        lambda: registry.history(limit=1.5),
        lambda: registry.report_loaded(3, runtime="x"),
        lambda: registry.add_key("foo"),
        lambda: ModelRegistry(place.registry_dir, "runtime"),
    ):
        with pytest.raises(TypeError, match="expected"):
            ask()


def test_a_time_in_utc_is_still_one(place: Place) -> None:
    """What is at the edge of what can be told is refused as a time that has not come, or is before all."""
    place.publish("a")

    assert place.open().get_active_model(as_of=datetime.min.replace(tzinfo=UTC)) is None
    assert isinstance(
        outcome_of(lambda: place.open().get_active_model(as_of=datetime.max.replace(tzinfo=UTC))), RefusedError
    )


def test_the_hash_of_nothing_is_not_written_over(place: Place) -> None:
    """`write_over` of a file that is a link, a FIFO or a directory changes nothing."""
    from eventlog.durable_replacement import write_over

    target = place.artifact("target", b"x" * 300)
    (place.root / "link").symlink_to(target)
    os.mkfifo(place.root / "fifo")
    (place.root / "directory").mkdir()

    for name in ("link", "directory"):
        with pytest.raises((RefusedError, OSError)):
            write_over(str(place.root / name), b"y")
    with pytest.raises((RefusedError, OSError)):
        write_over(str(place.root / "fifo"), b"y")
    assert sha256(target.read_bytes()).hexdigest() == sha256(b"x" * 300).hexdigest()
    assert durable.read_start(str(target), 1) == b"x"
