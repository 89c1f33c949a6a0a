"""`verify`: audit the journal and the derived files."""

from __future__ import annotations

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
    options.SHOWN,
    *options.COMMON,
)
def command(
    artifacts: bool,
    witness: str | None,
    witness_key: str | None,
    public_key: str | None,
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
            witness_key=None if witness_key is None else keyfiles.read_public(witness_key),
        )
    told = output.print_report(report, fields_of(report), output_format)
    behind = any(finding.kind == "derived" for finding in report.findings)
    return STATUS_BY_VERDICT[report.verdict] or (STATUS_DERIVED if behind else told)


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
