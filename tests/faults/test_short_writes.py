"""
A file may not grow beyond a limit, at every limit: what is written is cut short, then refused.

With `RLIMIT_FSIZE` the kernel itself writes less than it was asked to, up to the limit. Beyond it a process gets
SIGXFSZ, which Python ignores; so it must not matter whether it is ignored from the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from fault_promises import check, check_tidy
from fault_scenarios import HEAD, JOURNAL, REGISTRY_JSON, STATE_JSON, Files, build
from real_command import Program
from support import LONG, Place

SHARDS = 3 if LONG else 1
STEP_BYTES = 3
NAMES = ("first publish", "publish", "rollback", "torn tail", "unacknowledged entry", "torn head")
NAMES = NAMES if LONG else ("first publish", "publish", "torn tail")


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", NAMES)
def test_every_limit(
    name: str, shard: int, program: Program, fast_place: Place, tally: Callable[[str, int], None]
) -> None:
    """No short write is taken for success; a refusal leaves nothing behind, and status 5 only derived files."""
    place, scenario = fast_place, build(fast_place)[name]
    scenario.put(place)
    check(place, scenario, program.run(place, scenario.words))
    limits = limits_around(scenario.start, place.files())[shard::SHARDS]
    met: Counter[int] = Counter()
    broken = []

    for number, limit in enumerate(limits):
        scenario.put(place)
        under = ["prlimit", f"--fsize={limit}"]
        outcome = program.run(place, scenario.words, under=under, restore_signals=number % 2 == 0)
        met[outcome.status] += 1
        try:
            check_tidy(place)
            check(place, scenario, outcome)
        except Exception as error:
            broken.append(f"{limit} bytes: {type(error).__name__}: {error}")

    tally("file sizes at which a command's writes are cut short", len(limits))
    assert not broken, f"{name}: {len(broken)} of {len(limits)} limits break a promise:\n" + "\n".join(broken[:5])
    assert len(limits) >= (150 if LONG else 15)
    assert {0, 2} <= set(met), f"the limits led to {dict(met)} only"


def limits_around(before: Files, after: Files) -> list[int]:
    """Return limits from nothing to more than any file needs: all in small steps, or those about the files' sizes."""
    largest = max(map(len, after.values())) + 2 * STEP_BYTES
    if LONG:
        return list(range(0, largest, STEP_BYTES))
    limits = {0, 1, 64, 128, 129, largest}
    for path in (JOURNAL, HEAD, REGISTRY_JSON, STATE_JSON):
        sizes = [len(files.get(path, b"")) for files in (before, after)]
        limits.update(size + step for size in [*sizes, sum(sizes) // 2] for step in (-1, 0))
    return sorted(limit for limit in limits if limit >= 0)
