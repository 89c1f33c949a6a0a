"""
Makes the modules beside this file importable, and keeps waiting and logging out of long runs.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.engines import jsonl_reader

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody writes a head right now, so nobody waits for it; what is said of each step would fill the memory."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(previous)
