"""`verify-receipt`: check that a file was published, without a registry."""

from __future__ import annotations

from typing import Any

import msgspec

from eventlog.events import ModelPublished
from eventlog.receipt import SUFFIX, Proven
from projections.evidence import verify_receipt
from scripts import keyfiles, options, output, progress
from scripts.declared import Argument, Option, verb


@verb(
    Argument("artifact", metavar="FILE"),
    Option("--receipt", metavar="RECEIPT", help=f"The receipt.  [default: FILE{SUFFIX}]"),
    Option(
        "--public-key",
        required=True,
        variable="MODELOG_PUBLIC_KEY",
        metavar="KEY",
        help="The public key of the journal, or the file it stands in.",
    ),
    options.SHOWN,
    options.LOG_LEVEL_UNSEEN,
)
def command(artifact: str, receipt: str | None, public_key: str, output_format: str) -> int:
    """Check that FILE is a model that was published, when and by whom; needs its receipt and a public key alone."""
    key = keyfiles.read_public(public_key)
    with progress.hashing() as hashing:
        proven = verify_receipt(artifact + SUFFIX if receipt is None else receipt, artifact, key, hashing)
    told = _told(proven)
    fields = [(name, "none" if value is None else str(value)) for name, value in told.items()]
    return output.print_report(told, [("verdict", "published"), *fields], output_format)


def _told(proven: Proven) -> dict[str, Any]:
    event = proven.event
    data = event.data
    assert isinstance(data, ModelPublished), "a receipt proves nothing else"
    return {
        "model_id": event.subject,
        "backend": data.backend,
        "sha256": data.sha256,
        "published_at": msgspec.to_builtins(event.time),
        "actor": event.actor,
        "reason": data.reason,
        "position": event.position,
        "origin": proven.head.origin,
        "signed_size": proven.head.size,
        "root": proven.head.root.hex(),
    }
