"""`unbundle`: bring a registry what a bundle holds."""

from __future__ import annotations

from eventlog.errors import RefusedError
from eventlog.log import log
from projections.bundles import unbundle
from scripts import interrupts, options, output, progress
from scripts.declared import Argument, verb


@verb(
    Argument("source", metavar="FILE"),
    options.DRY,
    options.TRUSTING,
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    source: str,
    dry_run: bool,
    public_key: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Bring an empty registry, or one that FILE continues, what FILE holds; never over newer or other history.

    FILE is what bundle wrote. All of it is verified before anything is written; with --public-key, also that this key
    or one that it endorsed has signed it. If it is interrupted, run it again.
    """
    if journal is not None:
        raise RefusedError(
            "--journal: expected a registry in a directory, got one on a cluster: unbundle without it into another "
            "directory, and move that with import-journal"
        )
    with progress.hashing() as hashing:
        report = unbundle(
            source,
            registry_dir,
            options.STATE_DIR if state_dir is None else state_dir,
            public_key=public_key,
            dry_run=dry_run,
            lock_timeout_seconds=lock_timeout,
            progress=hashing,
            point_of_no_return=interrupts.holder(),
        )
    fields = [
        ("bundle", report.bundle),
        ("journal", report.journal_id),
        ("entries before", str(report.size_before)),
        ("entries", str(report.size)),
        ("hash", report.hash),
        ("models", " ".join(report.models)),
        ("signed by --public-key", "yes" if report.signed_by_trusted else "not asked for"),
    ]
    told = output.print_report(report, fields, output_format, done=report.done)
    if dry_run:
        log.info("dry run: nothing was changed")
    elif report.size == report.size_before:
        log.info("%s has no entry that is not in %s already", source, registry_dir)
    return told
