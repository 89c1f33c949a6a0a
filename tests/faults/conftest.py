"""
Makes the modules beside this file importable, and gives them a command line to run.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from real_command import Program
from support import quiet


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Python keeps compiled modules, so that not every start compiles them again."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def program(tmp_path: Path, compiled: Path) -> Program:
    """The command line, as somebody would start it."""
    return Program(tmp_path, compiled)


@pytest.fixture(autouse=True)
def _quietly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with quiet(monkeypatch):
        yield
