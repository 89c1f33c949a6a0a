"""
Makes the modules beside this file importable, and keeps one workshop in memory for all tests of a run.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scenarios import Scenarios
from workshop import Workshop, open_workshop


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Directories in memory, where there is such a thing, that go away at the end."""
    with open_workshop() as opened:
        yield opened


@pytest.fixture(scope="session")
def scenarios(workshop: Workshop) -> Scenarios:
    """The traced commands; each is run once, when it is first asked for."""
    return Scenarios(workshop)
