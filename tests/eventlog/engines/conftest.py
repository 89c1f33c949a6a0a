"""
Makes the modules beside this file importable, and gives the registry that bit rot is tried on, and every engine.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "cluster"))

from nats_cluster import NatsCluster, running
from specimen import Specimen, open_specimen

from eventlog.engines import jsonl_reader, open_journal
from eventlog.journal import Journal

Open = Callable[[str], Journal]
"""Opens the journal of a test, as the machine with that name would."""


def _memory(_request: pytest.FixtureRequest, _path: Path) -> Open:
    found = open_journal("memory:")
    return lambda machine: found


def _file(_request: pytest.FixtureRequest, path: Path) -> Open:
    return lambda machine: open_journal(f"file:{path}/m", lock_timeout_seconds=10.0)


def _nats(request: pytest.FixtureRequest, path: Path) -> Open:
    url = request.getfixturevalue("cluster").url(f"t{os.urandom(6).hex()}")
    return lambda machine: open_journal(url, directory=str(path / machine), lock_timeout_seconds=10.0)


ENGINES = {"memory": _memory, "file": _file, "nats": _nats}
"""What the contract suite runs on; a new engine is one line."""


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """A cluster of three nodes."""
    with running(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def opened(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens an empty journal of each engine, as often as one likes."""
    monkeypatch.setattr(jsonl_reader, "RESUME_ENTRIES_MIN", 1)
    found: list[Journal] = []
    open_one: Open = request.param(request, tmp_path)

    def open_noted(machine: str) -> Journal:
        found.append(open_one(machine))
        return found[-1]

    yield open_noted
    for journal in found:
        journal.close()


@pytest.fixture
def journal(opened: Open) -> Journal:
    """An empty journal of each engine."""
    return opened("here")


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
