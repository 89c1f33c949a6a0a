"""`backup`: copy the history, verified, beside running writers."""

from __future__ import annotations

from projections.maintenance import backup_registry
from scripts import options, output
from scripts.declared import Argument, verb


@verb(Argument("destination", metavar="DEST"), options.SHOWN, *options.COMMON)
def command(destination: str, output_format: str, registry_dir: str, state_dir: str | None, journal: str | None) -> int:
    """
    Copy the acknowledged history into the new directory DEST, also while others publish.

    Anybody can check it with `sha256sum -c SHA256SUMS`. Artifacts are not in it.
    """
    runtime = options.paired_state_dir(registry_dir, state_dir)
    report = backup_registry(destination, registry_dir, runtime, journal=journal)
    fields = [
        ("backup", report.destination),
        ("journal", report.journal_id),
        ("entries", str(report.size)),
        ("bytes", str(report.size_bytes)),
        ("hash", report.hash),
    ]
    return output.print_report(report, fields, output_format, done=True)
