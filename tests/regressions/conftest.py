"""
Makes the modules beside this file importable, and gives a place in memory and the command line on it.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import Place

sys.path.insert(0, str(Path(__file__).parent))

from command import Run, running


@pytest.fixture
def place(fast_place: Place) -> Place:
    """A registry that nobody has written to, in memory where there is such a thing."""
    return fast_place


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a verb with more words on the place's directories."""
    for name in [name for name in os.environ if name.startswith("MODELOG_")]:
        monkeypatch.delenv(name)
    return running(place, capsys)
