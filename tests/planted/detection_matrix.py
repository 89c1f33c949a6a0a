"""The matrix in `tests/README.md`: which suite finds which planted bug. A row a bug, a column a suite."""

from __future__ import annotations

import fcntl
from collections.abc import Set
from pathlib import Path

from planted_bugs import BUGS, SUITES

README = Path(__file__).resolve().parents[1] / "README.md"
_BEGIN, _END = "<!-- matrix: begin -->\n", "<!-- matrix: end -->\n"
_FOUND = "x"

Cell = tuple[str, str]
"""Names of a bug and a suite."""


def read(readme: Path = README) -> set[Cell]:
    """Return the cells that have an `x`."""
    return parse(readme.read_text("utf-8"))


def note(cell: Cell, found: bool, readme: Path = README) -> None:
    """Write one cell anew; other processes may do the same with others at the same time."""
    with readme.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        before, _, after = _split(text)
        cells = parse(text)
        file.seek(0)
        file.write(before + render(cells | {cell} if found else cells - {cell}) + after)
        file.truncate()


def parse(text: str) -> set[Cell]:
    """Return the cells that have an `x` in the matrix of *text*, whichever rows and columns it has."""
    rows = [[word.strip() for word in line.split("|")[1:-1]] for line in _split(text)[1].splitlines()]
    if not rows:
        return set()
    (_, *suites), _, *bugs = rows
    return {(bug, suite) for bug, *marks in bugs for suite, mark in zip(suites, marks, strict=True) if mark == _FOUND}


def render(cells: Set[Cell]) -> str:
    """Return the matrix; bugs and suites that are no longer in the tables are left out."""
    width = max(len(bug.name) for bug in BUGS)
    lines = [f"| {'':{width}} | {' | '.join(SUITES)} |", f"|-{'-' * width}-|"]
    lines[1] += "".join(f":{'-' * len(suite)}:|" for suite in SUITES)
    for bug in BUGS:
        marks = [f"{_FOUND if (bug.name, suite) in cells else '':^{len(suite)}}" for suite in SUITES]
        lines.append(f"| {bug.name:{width}} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def _split(text: str) -> tuple[str, str, str]:
    """Return what stands before the matrix, the matrix, and what stands behind it; the marks stay outside."""
    before, begin, rest = text.partition(_BEGIN)
    matrix, end, after = rest.partition(_END)
    assert begin, f"{README}: expected the line {_BEGIN!r}"
    assert end, f"{README}: expected the line {_END!r}"
    return before + begin, matrix, end + after
