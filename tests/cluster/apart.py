"""
A program of a test in namespaces of its own: mounts, networks and processes go away with it, however it ends.

It gets its terms as JSON and prints a report as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXIT_NOT_AVAILABLE = 77
SECONDS_MAX = 3600
_APART = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private")
_APART += ("--net", "--pid", "--fork", "--kill-child")


def not_available(what: str) -> None:
    """Skip, but never where continuous integration runs."""
    assert not os.environ.get("CI"), f"continuous integration does this: {what}"
    pytest.skip(what)


def run_apart(program: Path, top: Path, *tools: str, **terms: Any) -> dict[str, Any]:
    """
    Run *program*, and return its report.

    Args:
        top: a directory that it may write to.

        tools: commands that it needs.

        terms: as JSON.
    """
    for tool in (_APART[0], "unshare", *tools):
        if shutil.which(tool) is None:
            not_available(f"{tool}: not installed")
    if subprocess.run([*_APART, "true"], check=False).returncode != 0:
        not_available("no process may have namespaces of its own here")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "COV_"))}
    done = subprocess.run(
        [*_APART, sys.executable, "-B", program, top, json.dumps(terms)],
        cwd=REPOSITORY,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    if done.returncode == EXIT_NOT_AVAILABLE:
        not_available(done.stderr)
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)
    return report
