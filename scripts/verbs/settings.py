"""`settings`: how a registry behaves where a request does not say; each change is an event."""

from __future__ import annotations

from typing import Any

from eventlog.snapshot import KEEP_DAYS_MAX, KEEP_LAST_MAX
from scripts import options, output
from scripts.declared import Option, verb

_ANSWERS = {"on": True, "off": False}


@verb(
    Option("--copy", choices=tuple(_ANSWERS), help="Whether publish keeps a copy of the artifact."),
    Option(
        "--keep-last",
        number=int,
        least=0,
        greatest=KEEP_LAST_MAX,
        metavar="N",
        help="gc removes none of the N models that were active last.",
    ),
    Option(
        "--keep-days",
        number=int,
        least=0,
        greatest=KEEP_DAYS_MAX,
        metavar="N",
        help="gc removes none of a model that was active within N days.",
    ),
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
    keep_last: int | None,
    keep_days: int | None,
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
    wanted: dict[str, Any] = {
        "copy": None if copy is None else _ANSWERS[copy],
        "keep_last": keep_last,
        "keep_days": keep_days,
    }
    is_change = set(wanted.values()) != {None}
    if not is_change:
        found = options.open_for_reading(registry_dir, state_dir, journal, public_key).catalog().settings
    else:
        keys = {"sign_key": sign_key, "public_key": public_key}
        registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **keys)
        found = registry.change_settings(**wanted, **terms)
    told = {"copy": found.copy, "keep_last": found.keep_last, "keep_days": found.keep_days}
    words = [("copy", "on" if found.copy else "off"), *((name, str(told[name])) for name in ("keep_last", "keep_days"))]
    return output.print_report(told, words, output_format, done=is_change)
