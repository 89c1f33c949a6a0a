"""Once a command looks at a registry it needs no more of Python's own files; lacking one would look like a bug."""

from __future__ import annotations

import pytest
from fault_promises import check
from fault_scenarios import NAMES, build
from real_command import WITHOUT_LATE_IMPORTS, Program
from support import Place


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_imported_late(name: str, program: Program, fast_place: Place) -> None:
    """Where every later import fails, a command does what it always does."""
    scenario = build(fast_place)[name]
    scenario.put(fast_place)

    outcome = program.run(fast_place, scenario.words, first=WITHOUT_LATE_IMPORTS)

    assert outcome.status == 0, outcome.err
    if scenario.kind != "reads":
        check(fast_place, scenario, outcome)
