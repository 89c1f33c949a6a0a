"""
Makes the modules beside this file importable, and gives them a command line to run.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from real_command import Program

from eventlog.engines import jsonl_reader


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Python keeps compiled modules, so that not every start compiles them again."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def program(tmp_path: Path, compiled: Path) -> Program:
    """The command line, as somebody would start it."""
    return Program(tmp_path, compiled)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In this process nobody waits for a head that is being written; what is said of each registry would fill pages."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(previous)
