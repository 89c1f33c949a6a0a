"""`export-journal`: copy the journal of a cluster into a directory."""

from __future__ import annotations

from projections.maintenance import export_journal
from scripts import options, output
from scripts.declared import Argument, UsageError, verb
from scripts.verbs.import_journal import fields_of


@verb(Argument("destination", metavar="DEST"), options.DRY, options.WAITING, options.SHOWN, *options.COMMON)
def command(
    destination: str,
    dry_run: bool,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Copy the journal that --journal names into the directory DEST, as a journal of its own, with the same hashes.

    DEST is empty, or holds the beginning of the same journal: if it was interrupted, it goes on where it was.
    """
    if journal is None:
        raise UsageError("expected --journal nats://HOST:PORT,…/NAME: where from")
    report = export_journal(destination, registry_dir, journal, dry_run=dry_run, lock_timeout_seconds=lock_timeout)
    return output.print_report(report, fields_of(report), output_format, done=report.done)
