"""The linter, the formatter and the type checker agree; their configuration and its reasons are in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["ruff", "check", "."], "run `ruff check --fix .` and mend the rest by hand"),
        (["ruff", "format", "--check", "."], "run `ruff format .`"),
        (["mypy"], "mend the types; an ignore needs its code and a reason"),
    ],
    ids=["ruff check", "ruff format", "mypy"],
)
def test_tool_is_content(words, remedy):
    """It exits with 0 on the whole project."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"{remedy}:\n{done.stdout}{done.stderr}"
