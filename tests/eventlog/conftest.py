"""
Makes `tests/support.py` importable as `support`.

By its file, because `tests/` on `sys.path` would put `tests/eventlog` before an `eventlog` that is installed editable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


def _load(name: str) -> None:
    if name in sys.modules:
        return
    spec = spec_from_file_location(name, Path(__file__).parent.parent / f"{name}.py")
    assert spec is not None, "it is a Python file"
    assert spec.loader is not None, "it is a Python file"
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


_load("support")

import support  # noqa: E402 - loaded just above


@pytest.fixture
def place(tmp_path: Path) -> support.Place:
    """A registry that nobody has written to."""
    return support.Place(tmp_path.resolve())


@pytest.fixture
def fast_place() -> Iterator[support.Place]:
    """The same in memory, for sweeps."""
    with support.fast_place() as found:
        yield found
