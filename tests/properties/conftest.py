"""
Makes the modules beside this file importable, and keeps waiting and logging out of long runs.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import quiet

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As `support.quiet` says."""
    with quiet(monkeypatch):
        yield
