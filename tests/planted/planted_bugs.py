"""Two tables: the suites that are to find bugs, and the bugs, each a patch of the source beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

SUITES: dict[str, tuple[str, ...]] = {
    "crash states": ("tests/crash/test_crash_states.py", "tests/crash/test_maintenance_states.py"),
    "power cuts": ("tests/crash/test_power_cuts.py::test_power_cuts",),
    "failed calls": ("tests/eventlog/test_failed_writes.py",),
    "bit rot": ("tests/eventlog/engines/test_bit_rot.py", "tests/eventlog/engines/test_bit_rot_edits.py"),
    "tail table": ("tests/eventlog/engines/test_tail_table.py",),
    "serialisability": ("tests/properties/test_serialisability.py",),
    "state machines": ("tests/properties/test_journal_machine.py", "tests/properties/test_registry_machine.py"),
    "simulation": ("tests/simulation/test_simulation.py",),
    "found before": ("tests/eventlog/test_adversity.py", "tests/regressions"),
}
"""What pytest is given to run a suite; each is a column of the matrix in `tests/README.md`."""


@dataclass(frozen=True)
class Bug:
    """
    A bug, and who must find it.

    Attributes:
        name: what the matrix says; with hyphens it is the name of the patch.

        suite: the designated one; the matrix must say that it finds the bug.

        tests: the part of that suite that finds it within seconds, for the default run.
    """

    name: str
    suite: str
    tests: tuple[str, ...]

    @property
    def patch(self) -> Path:
        return HERE / f"{self.name.replace(' ', '-')}.patch"


def _power_cut(scenario: str) -> tuple[str, ...]:
    return (f"tests/crash/test_crash_states.py::test_a_power_cut[{scenario}]",)


def _failed_call(case: str) -> tuple[str, ...]:
    return (f"tests/eventlog/test_failed_writes.py::test_every_call_fails[{case}]",)


_FLIPS = "tests/eventlog/engines/test_bit_rot.py::test_every_flipped_bit_of_the_journal[0]"

BUGS = (
    Bug("no lock", "serialisability", SUITES["serialisability"]),
    Bug("no data sync", "crash states", _power_cut("second")),
    Bug("no directory sync", "crash states", _power_cut("second")),
    Bug("projection renamed unsynced", "crash states", _power_cut("second")),
    Bug("projection written in place", "crash states", _power_cut("second")),
    Bug("short write ignored", "failed calls", ("tests/eventlog/test_failed_writes.py::test_disk_full_at_every_size",)),
    Bug("OSError swallowed", "failed calls", _failed_call("Publish-fails-writes")),
    Bug("acknowledged before the sync", "crash states", _power_cut("second")),
    Bug("torn tail not healed", "tail table", SUITES["tail table"]),
    Bug("hash not checked", "bit rot", (_FLIPS,)),
    Bug("failed append left behind", "failed calls", _failed_call("Publish-done, then fails-writes")),
    Bug("same-second id collision", "serialisability", SUITES["serialisability"]),
)
