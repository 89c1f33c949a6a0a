"""`import-journal`: move a local journal into a cluster."""

from __future__ import annotations

from eventlog.transfer import Transfer
from projections.maintenance import import_journal
from scripts import options, output
from scripts.declared import UsageError, verb


@verb(options.DRY, options.WAITING, options.SHOWN, *options.COMMON)
def command(
    dry_run: bool,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Move the registry's journal into the cluster that --journal names; its directory then holds the mirror.

    It is verified before the first entry is stored. If it is interrupted, run it again: it goes on where it was.
    """
    if journal is None:
        raise UsageError("expected --journal nats://HOST:PORT,…/NAME: where to")
    runtime = options.paired_state_dir(registry_dir, state_dir)
    report = import_journal(registry_dir, journal, runtime, dry_run=dry_run, lock_timeout_seconds=lock_timeout)
    return output.print_report(report, fields_of(report), output_format, done=report.done)


def fields_of(report: Transfer) -> list[tuple[str, str]]:
    """Return a report in words, name and value."""
    return [
        ("source", report.source),
        ("target", report.target),
        ("journal", report.journal_id),
        ("entries before", str(report.size_before)),
        ("entries", str(report.size)),
        ("hash", report.hash),
    ]
