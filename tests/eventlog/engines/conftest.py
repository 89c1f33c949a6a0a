"""
Makes the modules beside this file importable, and gives the registry that bit rot is tried on.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from specimen import Specimen, open_specimen


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
