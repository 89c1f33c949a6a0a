"""
The test of the tests: each planted bug is found.

By default each bug meets the one part of its designated suite that finds it quickest. With `MODELOG_TEST_LENGTH=long`
in the environment every bug meets every suite, and what `tests/README.md` says is found must be found;
`MODELOG_REFRESH_MATRIX=1` does the same and writes what was found into that file. An empty cell is no claim: some
suites are lucky now and then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import detection_matrix
import pytest
from copied_tree import ROOT, copy_source, plant, run
from planted_bugs import BUGS, HERE, SUITES, Bug
from support import LONG

REFRESH = os.environ.get("MODELOG_REFRESH_MATRIX") == "1"
WHOLE = LONG or REFRESH
SECONDS_MAX = 600
"""A suite that takes longer does not find the bug."""


class Attempt(NamedTuple):
    """A bug, a suite, and which of its tests are run."""

    bug: Bug
    suite: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.bug.name} - {self.suite}"


ATTEMPTS = (
    [Attempt(bug, suite, tests) for bug in BUGS for suite, tests in SUITES.items()]
    if WHOLE
    else [Attempt(bug, bug.suite, bug.tests) for bug in BUGS]
)
CONTROLS = SUITES if WHOLE else {"tail table": SUITES["tail table"]}
"""What must pass without a bug; for the others the ordinary run around this one says so."""


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_a_bug_is_found(attempt: Attempt, tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """A suite that says it would find the bug, does."""
    tree = tmp_path / "tree"
    copy_source(tree)
    plant(attempt.bug.patch, tree)
    cell = (attempt.bug.name, attempt.suite)

    outcome = run(tree, attempt.tests, seconds_max=SECONDS_MAX)

    if REFRESH:
        detection_matrix.note(cell, outcome.found)
    if attempt.suite == attempt.bug.suite or (not REFRESH and cell in detection_matrix.read()):
        assert outcome.found, f"{attempt}: not found: {outcome}"
    tally("planted bugs met by a suite", 1)
    tally("planted bugs found by a suite", int(outcome.found))


@pytest.mark.parametrize("control", CONTROLS)
def test_without_a_bug_nothing_is_found(control: str, tmp_path: Path) -> None:
    """In the same kind of copy the same tests pass: it is the bug that they find."""
    tree = tmp_path / "tree"
    copy_source(tree)

    outcome = run(tree, CONTROLS[control], seconds_max=SECONDS_MAX)

    assert outcome.passed, f"{control}: {outcome}"


def test_every_patch_is_in_the_table() -> None:
    """Nothing that is planted is forgotten."""
    assert sorted(HERE.glob("*.patch")) == sorted(bug.patch for bug in BUGS)


def test_every_suite_is_there() -> None:
    """A column is about files that exist; a suite that was moved is found by nobody."""
    paths = [path for suite in SUITES.values() for path in suite]

    assert [path for path in paths if not (ROOT / path.partition("::")[0]).exists()] == []


@pytest.mark.skipif(REFRESH, reason="the matrix is being written anew")
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_matrix_has_the_designated_suite(bug: Bug) -> None:
    """What the matrix says is what is held to it: the designated suite of each bug has its `x`."""
    assert bug.suite in SUITES
    assert (bug.name, bug.suite) in detection_matrix.read(), "run with MODELOG_REFRESH_MATRIX=1"


@pytest.mark.skipif(REFRESH, reason="the matrix is being written anew")
def test_the_matrix_has_every_bug_and_suite() -> None:
    """It stands in the text as it would be written."""
    text = detection_matrix.README.read_text("utf-8")

    assert detection_matrix.render(detection_matrix.read()) in text, "run with MODELOG_REFRESH_MATRIX=1"
