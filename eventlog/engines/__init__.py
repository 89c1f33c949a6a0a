"""
The journal engines, by URL scheme. An engine's module is imported when a journal of its kind is opened, not before.

A plain path is a directory that holds a JSONL journal; `memory:` is a journal that ends with the process; `nats://` is
one on a cluster.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, cast

from eventlog.errors import RefusedError
from eventlog.journal import Journal

ENGINES = {
    "file": ("eventlog.engines.jsonl", "JsonlJournal"),
    "memory": ("eventlog.engines.memory", "MemoryJournal"),
    "nats": ("eventlog.engines.jetstream", "JetStreamJournal"),
}
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):")


def open_journal(url: str, **settings: Any) -> Journal:
    """
    Open the journal that *url* names; nothing is read or created yet.

    Args:
        url: a directory, `file:DIRECTORY`, `memory:`, or `nats://HOST:PORT,…/NAME`.

        settings: what the engine's class takes by keyword, e.g. `lock_timeout_seconds`.

    Raises:
        RefusedError: no engine has this scheme.
    """
    match = _SCHEME.match(url)
    scheme, rest = (match[1], url[match.end() :]) if match else ("file", url)
    if scheme not in ENGINES:
        raise RefusedError(f"{url!r}: expected a directory or one of the schemes {', '.join(ENGINES)}, got {scheme!r}")
    module, name = ENGINES[scheme]
    arguments = (rest,) if rest else ()
    return cast(Journal, getattr(import_module(module), name)(*arguments, **settings))
