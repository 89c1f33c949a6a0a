"""`settings`: how a registry behaves where a request does not say; each change is an event."""

from __future__ import annotations

from typing import Any

import msgspec

from scripts import options, output
from scripts.declared import Option, verb

_ANSWERS = {"on": True, "off": False}


@verb(
    Option("--copy", choices=tuple(_ANSWERS), help="Whether publish keeps a copy of the artifact."),
    *options.EXPLAINED,
    options.REPEATABLE,
    options.SIGNING,
    options.TRUSTING,
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    copy: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    public_key: str | None,
    sign_key: str | None,
    lock_timeout: float,
    **terms: Any,
) -> int:
    """Show the settings of a registry, or record that they are others from now on."""
    if copy is None:
        found = options.open_for_reading(registry_dir, state_dir, journal, public_key).catalog().settings
    else:
        keys = {"sign_key": sign_key, "public_key": public_key}
        registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **keys)
        found = registry.change_settings(copy=_ANSWERS[copy], **terms)
    told = {"copy": found.copy}
    words = [(name, "on" if value else "off") for name, value in told.items()]
    return output.print_report(msgspec.to_builtins(told), words, output_format, done=True)
