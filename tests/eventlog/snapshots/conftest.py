"""
Makes the modules beside this file importable, and gives a history in which all that comes with length comes early.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Place, fast_place

from eventlog import event_ids, lookup, snapshot
from eventlog.engines import jsonl_reader
from projections import registry_json

sys.path.insert(0, str(Path(__file__).parent))

from long_history import ENTRIES, SIZE, restamp, write


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that comes with length comes early."""
    monkeypatch.setattr(snapshot, "ENTRIES", ENTRIES)
    monkeypatch.setattr(jsonl_reader, "RESUME_ENTRIES_MIN", 1)
    monkeypatch.setattr(event_ids, "NEWEST_MAX", 4)
    monkeypatch.setattr(lookup, "RECENT_MAX", 2)
    monkeypatch.setattr(lookup, "_BLOCK", 4)
    monkeypatch.setattr(registry_json, "FRESH_ENTRIES_MAX", 10)


@pytest.fixture(scope="module")
def _written() -> Iterator[tuple[Place, dict[str, bytes]]]:
    with pytest.MonkeyPatch.context() as patch, fast_place() as place:
        patch.setattr(snapshot, "ENTRIES", ENTRIES)
        patch.setattr(jsonl_reader, "RESUME_ENTRIES_MIN", 1)
        write(place, SIZE)
        yield place, place.files()


@pytest.fixture
def long(_written: tuple[Place, dict[str, bytes]]) -> Iterator[Place]:
    """A registry whose history has several snapshots, with a stamp; put back afterwards."""
    place, files = _written
    restamp(place)
    yield place
    place.put(files)
