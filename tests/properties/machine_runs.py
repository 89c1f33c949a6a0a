"""
Runs a hypothesis state machine in shards, each with a seed of its own, so that every run tries the same steps.

`MODELOG_TEST_SEED` is added to every seed: another value tries other steps, the same value tries them again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
STEPS_MAX = 50
_SEED_STRIDE = 1_000
"""Seeds of one shard differ from those of the next under any small offset."""


class CountingMachine(RuleBasedStateMachine):
    """A state machine that counts what it tries, over all runs of its class."""

    tried: ClassVar[Counter[str]] = Counter()

    def count(self, what: str) -> None:
        """Note that *what* was tried once."""
        self.tried[what] += 1


def run(machine: type[CountingMachine], shard: int, runs: int) -> Counter[str]:
    """
    Let *machine* take up to `STEPS_MAX` steps in each of *runs* runs, and return what was tried.

    No example is stored: a failure is found again from the seed, which it names, and is shown in its shortest form.
    """
    number = _SEED_STRIDE * shard + SEED
    sharded = seed(number)(type(machine.__name__, (machine,), {"tried": Counter()}))
    try:
        run_state_machine_as_test(
            sharded,
            settings=settings(
                max_examples=runs,
                stateful_step_count=STEPS_MAX,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as error:
        error.add_note(f"shard {shard}, seed {number}: run again with MODELOG_TEST_SEED={SEED}")
        raise
    return sharded.tried


def noted(tried: Counter[str], minimum: dict[str, int], tally: Callable[[str, int], None], subject: str) -> None:
    """Hand *tried* to the tally, and fail where less was tried than *minimum* says: such a run shows nothing."""
    for what, count in sorted(tried.items()):
        tally(f"{subject}: {what}", count)
    lacking = {what: (count, tried[what]) for what, count in minimum.items() if tried[what] < count}
    assert lacking == {}, f"{subject}: expected at least, got: {lacking}"
