"""
A pytest plugin for the run on a copy with a bug in it: which packages were imported, and how tests failed.

    python -m pytest -p witness …        with PLANTED_REPORT=FILE in the environment

Each line of the file names a test that failed and says whether the suite itself found a promise broken. Other errors,
such as a name that cannot be imported, prove nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

REPORT = "PLANTED_REPORT"


def pytest_sessionstart() -> None:
    """Refuse to test anything but the copy in the present directory."""
    import eventlog
    import projections

    for package in (eventlog, projections):
        if not Path(package.__file__ or "").resolve().is_relative_to(Path.cwd().resolve()):
            raise pytest.UsageError(f"expected {package.__name__} of {Path.cwd()}, got {package.__file__}")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note a failure. One in the setting up of a test is no finding of the suite."""
    if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
        return
    error = call.excinfo.value
    with open(os.environ[REPORT], "a", encoding="utf-8") as report:
        failure = {
            "test": item.nodeid,
            "promise": call.when == "call" and is_finding(error),
            "error": f"{type(error).__name__}: {error}"[:2_000],
        }
        report.write(json.dumps(failure) + "\n")


def is_finding(error: BaseException) -> bool:
    """Say whether a suite raises *error* when it finds a promise broken: an assertion, or a refusal of the registry."""
    from eventlog.errors import ModelogError

    if isinstance(error, BaseExceptionGroup):
        return all(map(is_finding, error.exceptions))
    found: tuple[Any, ...] = (AssertionError, pytest.fail.Exception, ModelogError)
    return isinstance(error, found)
