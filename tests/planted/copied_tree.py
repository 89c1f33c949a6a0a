"""A copy of the source as it stands, a bug planted in it, and a suite run there in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from witness import REPORT

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("eventlog", "projections", "scripts", "tests")
OUTPUT_BYTES_MAX = 4_000
_LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*")


@dataclass(frozen=True)
class Outcome:
    """
    How a run ended.

    Attributes:
        status: the exit status of pytest, or None where it ran out of time.

        failures: what `witness` noted of the tests that failed.

        output: the last of what pytest printed.
    """

    status: int | None
    failures: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""

    @property
    def found(self) -> bool:
        """Whether the suite ran, and found a promise broken; an import error or the like is no such thing."""
        return self.status == 1 and bool(self.failures) and all(failure["promise"] for failure in self.failures)

    @property
    def passed(self) -> bool:
        """Whether tests ran and none failed."""
        return self.status == 0

    def __str__(self) -> str:
        status = "out of time" if self.status is None else f"exit status {self.status}"
        return "\n".join([status, *map(str, self.failures), self.output])


def copy_source(target: Path) -> None:
    """Copy what a suite needs to run, with all changes that are not committed."""
    target.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", target)
    for folder in COPIED:
        shutil.copytree(ROOT / folder, target / folder, ignore=_LEFT_OUT)


def plant(patch: Path, tree: Path) -> None:
    """Apply *patch* to *tree*; what does not apply fails the test, because a bug that is not there proves nothing."""
    # a repository around the tree would make git skip files that are not below its own directory
    environment = {**_environment(), "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(patch)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    name = patch.relative_to(ROOT) if patch.is_relative_to(ROOT) else patch
    assert done.returncode == 0, (
        f"{name} does not apply to the source: {done.stderr.strip()}: commit your work, write the bug into the source, "
        f"then renew the patch: git diff -U1 > {name} && git checkout eventlog projections scripts"
    )


def run(tree: Path, tests: Sequence[str], *, seconds_max: float) -> Outcome:
    """Run *tests* in *tree* until the first failure; after *seconds_max* it is killed with all that it started."""
    report = tree.parent / f"{tree.name}.report"
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-p", "witness"]
    options += [f"--basetemp={tree.parent / f'{tree.name}.tmp'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,
        env={**_environment(), "PYTHONPATH": str(tree / "tests" / "planted"), REPORT: str(report)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        return Outcome(None)
    finally:
        _end(process)
    failures = [json.loads(line) for line in report.read_text("utf-8").splitlines()] if report.exists() else []
    return Outcome(process.returncode, failures, output[-OUTPUT_BYTES_MAX:].decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the run, also writers that it forked and lost."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "PYTEST_", "COV_"))}
