"""`receipt`: the proof that a model was published."""

from __future__ import annotations

from projections.evidence import issue_receipt
from scripts import options, output
from scripts.declared import Argument, Option, verb


@verb(
    Argument("model_id"),
    Option("--to", "destination", metavar="FILE", help="Write it there.  [default: ARTIFACT.tlog-proof]"),
    options.SHOWN,
    *options.COMMON,
)
def command(
    model_id: str,
    destination: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Write the proof that a model was published, beside its artifact.

    It needs a signed tree head: publish with --sign-key. Whoever has the receipt, the model's file and the public key
    can check with verify-receipt, and without this registry, that it was published, when and by whom.
    """
    issued = issue_receipt(
        model_id,
        registry_dir,
        options.paired_state_dir(registry_dir, state_dir),
        destination=destination,
        journal=journal,
    )
    fields = [
        ("receipt", issued.path),
        ("model", issued.model_id),
        ("position", str(issued.position)),
        ("origin", issued.origin),
        ("entries", str(issued.size)),
        ("root", issued.root),
    ]
    return output.print_report(issued, fields, output_format, done=True)
