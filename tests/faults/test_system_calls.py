"""
Every system call of a command that touches its files fails, with every error that fits it, once and for good.

The real command runs under strace, which fails one call at a time; then its exit status is held to its word (see
`fault_promises`). By default each call that changes, syncs or locks something fails in one way, and some of the others;
with `MODELOG_TEST_LENGTH=long` in the environment every call fails in every way that `fault_points` lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fault_points import Calls, Fault, run_with, watch
from fault_promises import check, check_tidy
from fault_scenarios import NAMES, Scenario, build
from real_command import Outcome, Program
from support import LONG, Place

from eventlog.engines import jsonl_stamp

SHARDS = 4 if LONG else 1
STRIDE = 293
CHANGES = {"pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "link"}
STATUSES_MET = {"changes": {0, 2, 4, 5}, "derives": {0, 2, 5}, "reads": {2}}
STATUSES_MET |= {kind: {0, 2, 4, 5} for kind in ("removes", "brings")}
"""What a sweep of each kind of command must have led to, or it was not aimed well."""


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", NAMES)
def test_every_system_call_fails(
    name: str, shard: int, program: Program, fast_place: Place, tally: Callable[[str, int], None]
) -> None:
    """Whatever call fails and however, the status says what is true, nothing is lost, and the next command goes on."""
    place, scenario = fast_place, build(fast_place)[name]
    calls, scenario = clean_run(program, place, scenario)
    faults = list(calls.faults())[shard::SHARDS] if LONG else list(calls.sample(STRIDE, NAMES.index(name)))
    met: Counter[int] = Counter()
    broken = []

    for fault in faults:
        scenario.put(place)
        try:
            outcome = run_with(fault, calls, program, place, scenario.words)
            met[outcome.status] += 1
            check_told(fault, calls, place, outcome, scenario.kind)
            if fault.call != "unlink":
                check_tidy(place)
            check(place, scenario, outcome, heard=fault.call != "write")
        except Exception as error:
            broken.append(f"{fault}: {type(error).__name__}: {error}")

    tally("system calls of a command failing, once or for good", len(faults))
    assert not broken, f"{name}: {len(broken)} of {len(faults)} faults break a promise:\n" + "\n".join(broken[:5])
    assert len(faults) >= (len(calls.touched) if LONG else 3)
    assert set(met) >= STATUSES_MET[scenario.kind], f"the faults led to {dict(met)} only"


def check_told(fault: Fault, calls: Calls, place: Place, outcome: Outcome, kind: str) -> None:
    """
    See that a change or a sync that failed was not passed over: then nobody may rest on what it was for.

    Left out are directories above the one that was changed, which need not be ours and may be read-only, the last step
    of a recovery, which is done again, links that a copy stands in for, and the stamp, without which all is read.
    """
    ours = fault.path.startswith((str(place.registry_dir), str(place.state_dir)))
    above = not ours or (fault.code == "EROFS" and Path(fault.path).is_dir())
    in_quarantine = fault.path.endswith(".pending") or (fault.path == str(place.quarantine) and calls.is_last(fault))
    is_copied = fault.call == "link" and fault.code in ("EPERM", "EACCES", "EMLINK") and "/artifacts/" in fault.path
    is_stamp = fault.path == str(place.registry_dir / jsonl_stamp.NAME)
    if fault.call not in CHANGES or fault.code == "EINTR" or above or in_quarantine or is_copied or is_stamp:
        return
    truth = {str(place.journal), str(place.head), str(place.registry_dir / ".journal.head.new")}
    told = (2, 4) if fault.path in truth and kind != "removes" else (2, 4, 5)  # of several removals some are recorded
    assert outcome.status in told, f"passed over, with status {outcome.status}: {outcome.err}"


def clean_run(program: Program, place: Place, scenario: Scenario) -> tuple[Calls, Scenario]:
    """Return what the command does and says where nothing fails."""
    scenario.put(place)
    calls, outcome = watch(program, place, scenario.words)
    scenario = replace(scenario, answer=outcome.out)
    check(place, scenario, outcome)
    return calls, scenario
