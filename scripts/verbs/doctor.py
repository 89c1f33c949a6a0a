"""`doctor`: everything that a person should know of a registry at once."""

from __future__ import annotations

import click
import msgspec

from eventlog.doctor import Examination
from projections.maintenance import examine_registry
from scripts import options, output
from scripts.declared import verb
from scripts.verbs.verify import STATUS_BY_VERDICT, STATUS_DERIVED

STATUS_FOUND = 2
PACKAGES = ("eventlog", "projections", "scripts", msgspec.__name__, click.__name__)
"""Ours, and what we need; only what is imported can be compared with what hides it."""


@verb(options.SHOWN, *options.COMMON)
def command(output_format: str, registry_dir: str, state_dir: str | None, journal: str | None) -> int:
    """Look at the history, permissions, disks, clock, lock and packages; each finding comes with its remedy."""
    runtime = options.paired_state_dir(registry_dir, state_dir)
    settings = (*options.SETTINGS, *options.GIVEN.values())
    found = examine_registry(registry_dir, runtime, journal=journal, packages=PACKAGES, settings=settings)
    told = output.print_report(found, _fields(found), output_format)
    if found.clean:
        return told
    about = {symptom.about for symptom in found.symptoms}
    return STATUS_BY_VERDICT[found.verification.verdict] or (
        STATUS_DERIVED if about == {"derived files"} else STATUS_FOUND
    )


def _fields(found: Examination) -> list[tuple[str, str]]:
    fields = []
    for symptom in found.symptoms:
        fields += [(symptom.kind, f"{symptom.about}: {symptom.what}"), ("remedy", symptom.remedy)]
    fields.append(("looked at", ", ".join(found.looked_at)))
    count = len(found.symptoms)
    return [*fields, ("verdict", "clean" if found.clean else f"{count} finding{'s' if count > 1 else ''}")]
