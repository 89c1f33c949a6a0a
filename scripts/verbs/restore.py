"""`restore`: bring a registry up to a backup."""

from __future__ import annotations

from eventlog.log import log
from projections.maintenance import restore_registry
from scripts import interrupts, options, output
from scripts.declared import Argument, verb


@verb(Argument("source", metavar="SRC"), options.DRY, options.WAITING, options.SHOWN, *options.LOCAL)
def command(
    source: str, dry_run: bool, lock_timeout: float, output_format: str, registry_dir: str, state_dir: str | None
) -> int:
    """
    Bring an empty registry, or one that SRC continues, up to SRC; never over newer or other history.

    SRC is a backup or any other copy of a registry directory. It is verified before anything is written.
    """
    report = restore_registry(
        source,
        registry_dir,
        options.paired_state_dir(registry_dir, state_dir),
        dry_run=dry_run,
        lock_timeout_seconds=lock_timeout,
        point_of_no_return=interrupts.holder(),
    )
    fields = [
        ("source", report.source),
        ("journal", report.journal_id),
        ("entries before", str(report.size_before)),
        ("entries", str(report.size)),
        ("hash", report.hash),
    ]
    told = output.print_report(report, fields, output_format, done=report.done)
    if dry_run:
        log.info("dry run: nothing was changed")
    elif report.size == report.size_before:
        log.info("%s has nothing that is not in %s already", source, registry_dir)
    return told
