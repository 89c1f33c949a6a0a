"""What the tests of repairs share: one repair, one that must be refused, and what is in the journal afterwards."""

from __future__ import annotations

from typing import Any

from support import Clock, Place, Randomness, outcome_of

from eventlog.errors import RefusedError
from eventlog.repair import RepairReport
from projections import repair_registry, verify_registry

SIZE = 8


def repair(place: Place, action: Any, **terms: Any) -> RepairReport:
    terms = {"actor": "ana", "now": Clock(), "random_bytes": Randomness("repair"), "lock_timeout_seconds": 5.0, **terms}
    return repair_registry(action, place.registry_dir, place.state_dir, **terms)


def refused(place: Place, action: Any, **terms: Any) -> str:
    """Return the message of a repair that must be refused, with nothing changed on disk."""
    before = place.files()
    error = outcome_of(lambda: repair(place, action, **terms))
    assert type(error) is RefusedError, error
    assert place.files() == before
    return str(error)


def intact(place: Place) -> bool:
    return verify_registry(place.registry_dir, place.state_dir).verdict == "intact"


def events(place: Place, start: int) -> list[Any]:
    size = place.open().catalog().size
    return [place.event(position) for position in range(start, size)]
