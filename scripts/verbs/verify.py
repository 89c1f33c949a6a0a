"""`verify`: audit the journal and the derived files."""

from __future__ import annotations

import click
import msgspec

from eventlog.verify import Report
from projections import verify_registry
from scripts import options, output

STATUS_BY_VERDICT = {"intact": 0, "damaged": 3, "cannot tell": 2}
STATUS_DERIVED = 5


@click.command()
@options.shown
@options.common
def command(output_format: str, registry_dir: str, state_dir: str | None) -> int:
    """Audit the journal from its first byte, what other files remember of it, and the files derived from it."""
    report = verify_registry(registry_dir, options.paired_state_dir(registry_dir, state_dir))
    try:
        if output_format == "json":
            output.print_json(msgspec.to_builtins(report))
        else:
            _print_report(report)
    except BrokenPipeError:  # who reads no further still gets the verdict
        output.abandon_streams()
    behind = any(finding.kind == "derived" for finding in report.findings)
    return STATUS_BY_VERDICT[report.verdict] or (STATUS_DERIVED if behind else 0)


def _print_report(report: Report) -> None:
    fields = [
        ("verdict", report.verdict),
        ("reach", f"{report.level}: {report.reach}"),
        ("journal", report.journal_id or "none"),
        ("entries", str(report.size)),
        ("hash", report.hash),
    ]
    fields += [("agrees", where) for where in report.anchors]
    fields += [(finding.kind, finding.what) for finding in report.findings]
    output.print_fields(fields)
