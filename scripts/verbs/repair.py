"""`repair`: mend a damaged journal, as far as that can be proven."""

from __future__ import annotations

from eventlog.log import log
from eventlog.repair import Action, RepairReport
from projections.maintenance import repair_registry
from scripts import interrupts, options, output
from scripts.declared import Option, UsageError, verb


@verb(
    Option("--discard-tail", flag=True, help="Take out bytes behind the acknowledged ones that block writers."),
    Option("--rebuild-head", flag=True, help="Write a lost head anew, if an anchor agrees with the journal."),
    Option("--from", "copy", metavar="COPY", help="Take the lines whose hashes fit from a copy of the journal."),
    Option("--accept-rewind", flag=True, help="Knowingly go on from less than was acknowledged; needs a --reason."),
    options.DRY,
    *options.EXPLAINED,
    options.WAITING,
    options.SHOWN,
    *options.LOCAL,
)
def command(
    discard_tail: bool,
    rebuild_head: bool,
    copy: str | None,
    accept_rewind: bool,
    dry_run: bool,
    actor: str | None,
    reason: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
) -> int:
    """
    Mend a damaged journal, as far as that can be proven; `verify` says which repair it needs.

    What is taken out of the journal is kept in quarantine/, and the repair itself is recorded in the history.
    """
    chosen: list[Action] = []
    if discard_tail:
        chosen.append("discard-tail")
    if rebuild_head:
        chosen.append("rebuild-head")
    if accept_rewind:
        chosen.append("accept-rewind")
    elif copy is not None:
        chosen.append("from-copy")
    if len(chosen) != 1:
        raise UsageError(
            "expected one of --discard-tail, --rebuild-head, --from COPY and --accept-rewind (which may have --from), "
            f"got {' and '.join(chosen) or 'none'}: verify says which"
        )
    report = repair_registry(
        chosen[0],
        registry_dir,
        options.paired_state_dir(registry_dir, state_dir),
        copy=copy,
        reason=reason,
        actor=actor,
        dry_run=dry_run,
        lock_timeout_seconds=lock_timeout,
        point_of_no_return=interrupts.holder(),
    )
    told = output.print_report(report, _fields(report), output_format, done=report.done)
    if not report.done:
        log.info("%s: nothing was changed", "dry run" if report.steps else "nothing to repair")
    return told


def _fields(report: RepairReport) -> list[tuple[str, str]]:
    fields = [("repair", report.action), ("found", report.found)]
    fields += [("did" if report.done else "would", step) for step in report.steps]
    fields += [
        (
            "kept" if report.done else "would keep",
            f"{item.size_bytes} bytes at offset {item.offset_bytes} {item.kept_as}",
        )
        for item in report.removed
    ]
    fields += [("entries", str(report.size)), ("hash", report.hash)]
    if report.position is not None:
        fields.append(("recorded", f"at position {report.position}"))
    if report.verification is not None:
        fields.append(("verdict", report.verification.verdict))
    return fields
