"""
The journal engines, by URL scheme. An engine's module is imported when a journal of its kind is opened, not before.

A plain path is a directory that holds a JSONL journal; `memory:` is a journal that ends with the process; `nats://` is
one on a cluster.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from eventlog.errors import RefusedError
from eventlog.journal import Journal

ENGINES = {
    "file": ("eventlog.engines.jsonl", "JsonlJournal"),
    "memory": ("eventlog.engines.memory", "MemoryJournal"),
    "nats": ("eventlog.engines.jetstream", "JetStreamJournal"),
}
REPLICATED = ("nats",)
"""The schemes of journals that others hold for us; what is in a directory here is a mirror of them."""

_SCHEME_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789+.-"


def open_journal(url: str, **settings: Any) -> Journal:
    """
    Open the journal that *url* names; nothing is read or created yet.

    Args:
        url: a directory, `file:DIRECTORY`, `memory:`, or `nats://HOST:PORT,…/NAME`.

        settings: what the engine's class takes by keyword, e.g. `lock_timeout_seconds`.

    Raises:
        RefusedError: no engine has this scheme, or what the engine needs is not installed.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or len(scheme) < 2 or not "a" <= scheme[0] <= "z" or scheme.strip(_SCHEME_LETTERS):
        scheme, rest = "file", url
    if scheme not in ENGINES:
        raise RefusedError(f"{url!r}: expected a directory or one of the schemes {', '.join(ENGINES)}, got {scheme!r}")
    module, name = ENGINES[scheme]
    arguments = (rest,) if rest else ()
    try:
        engine = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise RefusedError(
            f"{scheme}: expected the package {error.name}, got none: pip install 'modelog[cluster]'"
        ) from None
    return cast(Journal, engine(*arguments, **settings))


def open_mirrored(url: str, directory: str, **settings: Any) -> Journal:
    """
    Open a journal that others hold for us, with its mirror in *directory*; nothing is read or created yet.

    Raises:
        RefusedError: *url* names none, or a journal of this machine.
    """
    if not url.startswith(tuple(f"{scheme}:" for scheme in REPLICATED)):
        raise RefusedError(f"--journal: expected nats://HOST:PORT,…/NAME, got {url.partition('@')[0]!r:.80}")
    return open_journal(url, directory=directory, **settings)
