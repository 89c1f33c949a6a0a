"""The harness is not fooled: only a suite that ran and found a promise broken has found a bug."""

from __future__ import annotations

import shutil
from pathlib import Path

import detection_matrix
import pytest
from copied_tree import ROOT, copy_source, plant, run

SUITES = {
    "an assertion": ("def test_it(): assert False", True),
    "damage": ("from eventlog.errors import JournalDamagedError\ndef test_it(): raise JournalDamagedError('x')", True),
    "pytest.fail": ("import pytest\ndef test_it(): pytest.fail('x')", True),
    "a group": ("def test_it(): raise ExceptionGroup('x', [AssertionError('y')])", True),
    "nothing": ("def test_it(): pass", False),
    "a name that is gone": ("def test_it(): from eventlog import gone", False),
    "a file that is gone": ("import gone", False),
    "no syntax": ("def", False),
    "no tests": ("", False),
    "a broken fixture": ("import pytest\n@pytest.fixture\ndef x(): assert 0\ndef test_it(x): pass", False),
    "a bug of the suite": ("def test_it(): None.gone", False),
    "out of time": ("import time\ndef test_it(): time.sleep(60)", False),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source without the project's own conftest, which these tests need not."""
    found = tmp_path_factory.mktemp("copied") / "tree"
    copy_source(found)
    (found / "tests" / "conftest.py").unlink()
    return found


@pytest.mark.parametrize("name", SUITES)
def test_what_counts_as_found(name: str, tree: Path) -> None:
    """An error on the way, a test that could not be set up, and a run without end are no findings."""
    text, found = SUITES[name]
    suite = tree / "tests" / "test_small.py"
    suite.write_text(text)
    (tree.parent / "tree.report").unlink(missing_ok=True)

    outcome = run(tree, ["tests/test_small.py"], seconds_max=2 if name == "out of time" else 60)

    assert outcome.found is found, str(outcome)
    assert outcome.passed is (name == "nothing"), str(outcome)


def test_only_the_copy_is_tested(tree: Path) -> None:
    """Where the packages of another place would be imported, nothing is run."""
    suite = tree / "tests" / "test_small.py"
    suite.write_text("def test_it(): assert False")
    shutil.move(tree / "projections", tree / "away")

    outcome = run(tree, ["tests/test_small.py"], seconds_max=60)
    shutil.move(tree / "away", tree / "projections")

    assert not outcome.found
    assert outcome.status != 1, str(outcome)


def test_a_patch_that_does_not_fit_says_what_to_do(tree: Path) -> None:
    """A bug that could not be planted is not taken for one that was found."""
    patch = ROOT / "tests" / "planted" / "hash-not-checked.patch"
    plant(patch, tree)

    with pytest.raises(AssertionError, match="then renew the patch"):
        plant(patch, tree)


def test_the_matrix_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A cell that is noted changes that cell and nothing else; what is no longer in the tables is left out."""
    readme = tmp_path / "README.md"
    begin, end = "before\n<!-- matrix: begin -->\n", "<!-- matrix: end -->\nafter\n"
    readme.write_text(f"{begin}| | crash states | gone |\n|-|-|-|\n| no lock | x | x |\n| gone | x | |\n{end}")
    known, new = ("no lock", "crash states"), ("hash not checked", "bit rot")

    detection_matrix.note(new, True, readme)
    first, text = detection_matrix.read(readme), readme.read_text()
    detection_matrix.note(known, False, readme)
    second = detection_matrix.read(readme)
    detection_matrix.note(known, True, readme)

    assert (first, second) == ({known, new}, {new})
    assert readme.read_text() == text
    assert text.startswith(begin)
    assert text.endswith(end)
