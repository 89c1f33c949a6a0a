"""
Deterministic simulation: one seed decides who runs when, what fails, who is killed and what a power cut leaves.

Writers (publish, roll back, ask again with the same id), readers, a rebuild and a runtime share one simulated machine.
At each call that they make to the operating system another one may go on, or something go wrong (`simulated_faults`).
Then all is calm, every request is asked again, and the whole history is held to everything that anybody was told
(`simulated_judge`).

*Decision: a disk in memory, not real files with a shadow.* It is exact: what is durable is known, not inferred. A call
costs a few microseconds. And what a power cut at this moment would leave can be looked at without one, so each
acknowledgement and each reading is held to it. The price is that the simulated calls may be wrong:
`test_simulated_disk` compares them with the real ones.

`MODELOG_TEST_SEED` shifts all seeds; `-k one_seed` then runs that one alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated_hooks import hooked
from simulated_run import FailedRunError, digest_of, runs
from support import LONG

OFFSET = int(os.environ.get("MODELOG_TEST_SEED", "0"))
SHARDS = 16 if LONG else 2
SEEDS = 3_125 if LONG else 300
FAILURES_SHOWN = 3
ROOT = Path(__file__).resolve().parents[2]

TALLIED = {
    "run": "runs, each with its own seed",
    "calls": "calls to the operating system",
    "kill": "kills",
    "power cut": "power cuts",
    "acknowledgement": "acknowledgements, each held to a power cut",
    "reading": "readings, each held to a power cut",
    "reading that only the next writer confirms": "readings that a power cut hides until the next writer comes",
}
LEAST = {
    **dict.fromkeys(("kill", "power cut", "fail", "late fail", "stall", "lost pages", "seen half"), 0.1),
    **dict.fromkeys(("short", "lost unseen", "refused", "unknown", "lags", "reading that failed"), 0.05),
    **{"acknowledgement": 8, "reading": 4, "rebuild": 0.02, "calls": 1_000},
}
"""What must be tried, for each seed."""

Tally = Callable[[str, int], None]


def run_seeds(seeds: range) -> Counter[str]:
    """Run them all; return what was tried, or fail with the first broken promises."""
    counts: Counter[str] = Counter()
    failures = []
    with hooked():
        for run in runs(seeds):
            try:
                run.run()
            except FailedRunError as error:
                failures.append(str(error))
            counts += run.counts()
    assert not failures, f"{len(failures)} of {len(seeds)} seeds\n\n" + "\n\n".join(failures[:FAILURES_SHOWN])
    return counts


@pytest.mark.parametrize("shard", range(SHARDS))
def test_seeds(shard: int, tally: Tally) -> None:
    """Whatever a seed brings, every promise holds; and the seeds bring everything that can go wrong."""
    start = OFFSET + shard * SEEDS

    counts = run_seeds(range(start, start + SEEDS))

    for what, name in TALLIED.items():
        tally(f"simulated {name}", counts[what])
    rare = {what: counts[what] for what, least in LEAST.items() if counts[what] < least * SEEDS}
    assert rare == {}, f"too little was tried: {rare}"


def test_one_seed() -> None:
    """The first seed alone: what a failure says is to be run again."""
    run_seeds(range(OFFSET, OFFSET + 1))


def test_same_seed_same_trace() -> None:
    """A seed gives the same calls in the same order, again and in another process with other hashes."""
    script = "import sys; from simulated_run import digest_of; print(*(digest_of(int(seed)) for seed in sys.argv[1:]))"
    seeds = range(OFFSET, OFFSET + 12)
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "simulation", ROOT / "tests" / "crash")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "PYTHON"))}

    first = [digest_of(seed) for seed in seeds]
    second = [digest_of(seed) for seed in reversed(seeds)][::-1]
    others = [
        subprocess.run(
            [sys.executable, "-B", "-c", script, *map(str, seeds)],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": paths, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hashes in ("1", "2")
    ]

    assert second == first
    assert others == [first, first]
    assert len(set(first)) == len(first)
