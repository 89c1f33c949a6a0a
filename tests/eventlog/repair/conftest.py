"""Makes `repairing` importable, and gives a journal to be damaged. This directory has no subdirectory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from repairing import SIZE
from support import Place, fill

from projections import backup_registry


@pytest.fixture
def truth(place: Place) -> bytes:
    """The journal's bytes after some events; a backup of the first five is in `copy`, one of all in `whole`."""
    history = fill(place, SIZE)
    files = place.files()
    place.put(history[5])
    backup_registry(place.root / "copy", place.registry_dir)
    place.put(files)
    backup_registry(place.root / "whole", place.registry_dir)
    return files["m/journal.jsonl"]
