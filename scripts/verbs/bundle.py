"""`bundle`: models, their history and its proofs in one file, for a host that no network reaches."""

from __future__ import annotations

from projections.bundles import bundle_models
from scripts import options, output, progress
from scripts.declared import Argument, Option, verb


@verb(
    Argument("model_ids", metavar="[MODEL_ID]...", multiple=True, required=False),
    Option(
        "--to",
        "destination",
        short="-o",
        metavar="FILE",
        required=True,
        help="Write it there; there must be no such file.",
    ),
    options.position("--since", "Leave out the first so many entries: what the other side has.", "since"),
    options.SHARING,
    options.TRUSTING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    model_ids: tuple[str, ...],
    destination: str,
    since: int | None,
    artifact_store: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Write models with their artifacts, the history and its proofs into FILE, a tar; unbundle brings them elsewhere.

    The active model comes along in any case. The same registry and words give the same bytes. Nothing is written where
    an artifact is missing or another.
    """
    with progress.hashing() as hashing:
        report = bundle_models(
            model_ids,
            destination,
            registry_dir,
            options.paired_state_dir(registry_dir, state_dir),
            since=since or 0,
            journal=journal,
            artifact_store=artifact_store,
            public_key=public_key,
            progress=hashing,
        )
    fields = [
        ("bundle", report.bundle),
        ("journal", report.journal_id),
        ("entries from", str(report.start)),
        ("entries", str(report.size)),
        ("hash", report.hash),
        ("models", " ".join(report.models)),
        ("signed", "yes" if report.signed else "no"),
        ("bytes", str(report.size_bytes)),
    ]
    return output.print_report(report, fields, output_format, done=True)
