"""`keys`: which keys may sign a journal's tree heads, from which position to which."""

from __future__ import annotations

from typing import Any

import msgspec

from eventlog import signed_note
from eventlog.events import Event
from eventlog.key_events import KeyAdded, KeyRevoked
from scripts import keyfiles, options, output, rows
from scripts.declared import Argument, Group, Option, verb
from scripts.table import print_table

CHANGING = (
    options.SIGNING,
    options.REPEATABLE,
    *options.EXPLAINED,
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
COLUMNS = ("key", "added_position", "revoked_position", "endorsed_by")


@verb(options.TRUSTING, options.SHOWN, *options.COMMON)
def list_keys(
    public_key: str | None, output_format: str, registry_dir: str, state_dir: str | None, journal: str | None
) -> None:
    """List all keys in the order in which they were added."""
    catalog = options.open_for_reading(registry_dir, state_dir, journal, public_key).catalog()
    found = [
        dict(zip(COLUMNS, (key, standing.added, standing.revoked, standing.data.endorsed_by), strict=True))
        for key, standing in catalog.keys.items()
    ]
    if output_format != "table":
        rows.print_rows(found, COLUMNS, output_format)
    elif found:
        words = [["" if value is None else str(value) for value in row.values()] for row in found]
        print_table(("KEY", "ADDED", "REVOKED", "ENDORSED BY"), words)


@verb(
    Argument("key", metavar="KEY"),
    Option(
        "--endorse-with", metavar="FILE", help="A private key that may sign now: who trusts it may trust the new one."
    ),
    *CHANGING,
)
def add_key(
    key: str,
    endorse_with: str | None,
    sign_key: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    **terms: Any,
) -> int:
    """Let KEY, a public key or its file, sign tree heads from now on."""
    public = signed_note.parse_public_key(keyfiles.read_public(key, "KEY"), "KEY")
    endorser = None
    if endorse_with is not None:
        endorser = signed_note.parse_private_key(keyfiles.read_private(endorse_with), "--endorse-with")
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, sign_key=sign_key)
    return _told(registry.add_key(public, endorser=endorser, **terms), output_format)


@verb(Argument("key", metavar="KEY"), *CHANGING)
def revoke_key(
    key: str,
    sign_key: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    **terms: Any,
) -> int:
    """Let KEY sign no tree head of more entries than there are now; what it signed before stays good."""
    public = signed_note.parse_public_key(keyfiles.read_public(key, "KEY"), "KEY")
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, sign_key=sign_key)
    return _told(registry.revoke_key(public, **terms), output_format)


command = Group(
    "List, add and revoke the keys that may sign tree heads; by position, and each change is an event.",
    {"list": list_keys, "add": add_key, "revoke": revoke_key},
)


def _told(event: Event, output_format: str) -> int:
    data = event.data
    assert isinstance(data, KeyAdded | KeyRevoked), "only these are recorded here"
    told = {
        "position": event.position,
        "event_id": event.id,
        "time": msgspec.to_builtins(event.time),
        "type": event.type,
        "key": data.key,
        "actor": event.actor,
        "reason": data.reason,
    }
    fields = [(name, "none" if value is None else str(value)) for name, value in told.items()]
    return output.print_report(told, fields, output_format, done=True)
