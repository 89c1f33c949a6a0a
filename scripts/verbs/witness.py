"""`witness`: remember the newest tree head, and refuse what does not extend it."""

from __future__ import annotations

import sys

from eventlog import durable
from eventlog.witness import REQUEST_BYTES_MAX
from projections.evidence import observe
from scripts import keyfiles, options, output
from scripts.declared import Option, verb


@verb(
    Option("--state", required=True, metavar="FILE", help="What the witness keeps; in a directory of its own."),
    Option(
        "--public-key",
        "public_keys",
        required=True,
        multiple=True,
        variable="MODELOG_PUBLIC_KEY",
        metavar="KEY",
        help="The journal's public key, or its file. May be repeated, for a journal whose key has changed.",
    ),
    Option("--key", metavar="FILE", help="The witness's private key (keygen --witness): it signs what it has seen."),
    Option(
        "--request", metavar="FILE", help="What prove-consistency printed, - for stdin.  [default: read the registry]"
    ),
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    state: str,
    public_keys: tuple[str, ...],
    key: str | None,
    request: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Remember the newest tree head of a journal in FILE, and refuse one that does not extend what was seen before.

    Run it as another user or on another machine, after each publish or from time to time. What it keeps is written
    durably before it answers.
    """
    seen = observe(
        state,
        [keyfiles.read_public(item) for item in public_keys],
        request=None if request is None else _read(request),
        sign_key=None if key is None else keyfiles.read_private(key),
        registry_dir=registry_dir,
        state_dir=options.paired_state_dir(registry_dir, state_dir),
        journal=journal,
        lock_timeout_seconds=lock_timeout,
    )
    told = {
        "state": state,
        "origin": seen.head.origin,
        "entries_before": seen.before,
        "entries": seen.head.size,
        "root": seen.head.root.hex(),
    }
    return output.print_report(told, [(name, str(value)) for name, value in told.items()], output_format, done=True)


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(REQUEST_BYTES_MAX + 1)
    with durable.refusing(path):
        return durable.read_file(path, bytes_max=REQUEST_BYTES_MAX)
