"""
Makes the modules beside this file importable, and gives the registry that bit rot is tried on, and every engine.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from specimen import Specimen, open_specimen

from eventlog.engines import jsonl_reader, open_journal
from eventlog.journal import Journal

ENGINES: dict[str, Callable[[Path], Journal]] = {
    "memory": lambda path: open_journal("memory:"),
    "file": lambda path: open_journal(f"file:{path}/m", lock_timeout_seconds=10.0),
}
"""What the contract suite runs on; a new engine is one line."""


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def journal(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """An empty journal of each engine."""
    monkeypatch.setattr(jsonl_reader, "RESUME_ENTRIES_MIN", 1)
    factory: Callable[[Path], Journal] = request.param
    return factory(tmp_path)


@pytest.fixture(scope="module")
def _prepared() -> Iterator[Specimen]:
    with open_specimen() as prepared:
        yield prepared


@pytest.fixture
def specimen(_prepared: Specimen, tally: Callable[[str, int], None]) -> Iterator[Specimen]:
    """A registry of 20 events, whole at the start of each test."""
    _prepared.start(tally)
    yield _prepared
    _prepared.restore()
