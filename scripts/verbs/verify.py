"""`verify`: audit the journal and the derived files."""

from __future__ import annotations

import time
from collections.abc import Callable

from eventlog.clock import utc_now
from eventlog.verify import Report
from projections.maintenance import verify_registry
from scripts import keyfiles, options, output, progress
from scripts.declared import Option, UsageError, verb

STATUS_BY_VERDICT = {"intact": 0, "damaged": 3, "cannot tell": 2}
STATUS_DERIVED = 5


@verb(
    Option("--artifacts", flag=True, help="Also hash every artifact and compare it with what was recorded."),
    Option("--witness", metavar="FILE", help="What a witness keeps; it must agree. Needs --public-key."),
    Option("--witness-key", metavar="KEY", help="The witness's public key, or its file; it must have signed."),
    options.TRUSTING,
    options.MEASURED,
    options.SHOWN,
    *options.COMMON,
)
def command(
    artifacts: bool,
    witness: str | None,
    witness_key: str | None,
    public_key: str | None,
    metrics_file: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """Audit the journal from its first byte, what other files remember of it, and the files derived from it."""
    if public_key is None and (witness or witness_key):
        raise UsageError("--witness and --witness-key: expected a --public-key of the journal beside them")
    if (witness is None) != (witness_key is None):
        raise UsageError("expected --witness and --witness-key together")
    measure = _measuring(metrics_file, registry_dir)
    with progress.hashing() as hashing:
        runtime = options.paired_state_dir(registry_dir, state_dir)
        report = verify_registry(
            registry_dir,
            runtime,
            journal=journal,
            artifacts=artifacts,
            progress=hashing,
            public_key=public_key,
            witness_path=witness,
            witness_key=None if witness_key is None else keyfiles.read_public(witness_key, "--witness-key"),
        )
    behind = any(finding.kind == "derived" for finding in report.findings)
    status = STATUS_BY_VERDICT[report.verdict] or (STATUS_DERIVED if behind else 0)
    measure(report, status)
    told = output.print_report(report, fields_of(report), output_format)
    return status or told


def fields_of(report: Report) -> list[tuple[str, str]]:
    """Return a report in words, name and value."""
    fields = [
        ("verdict", report.verdict),
        ("reach", f"{report.level}: {report.reach}"),
        ("journal", report.journal_id or "none"),
        ("entries", str(report.size)),
        ("hash", report.hash),
    ]
    fields += [("agrees", where) for where in report.anchors]
    fields += [("set aside", line) for line in report.set_aside]
    if report.artifacts is not None:
        fields.append(("artifacts", f"{report.artifacts} compared"))
    fields += [(finding.kind, finding.what) for finding in report.findings]
    return fields


def _measuring(path: str | None, registry_dir: str) -> Callable[[Report, int], None]:
    """Return what keeps a report and its status in a metrics file. Raises RefusedError where it never could."""
    if path is None:
        return lambda report, status: None
    from projections import metrics, metrics_file  # noqa: PLC0415 - few are monitored

    file, begun = metrics_file.MetricsFile(path, registry_dir), time.monotonic()

    def measure(report: Report, status: int) -> None:
        ended, seconds = utc_now(), time.monotonic() - begun
        found = {metrics.VERIFY: metrics.verified(report, ok=status == 0, ended=ended, seconds=seconds)}
        if report.artifacts is not None:
            found[metrics.ARTIFACTS] = metrics.compared(report, ended=ended)
        file.put(lambda: found)

    return measure
