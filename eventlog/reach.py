"""How far the claim of an audit reaches: from bytes that parse up to what a witness elsewhere has co-signed; pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from eventlog.catalog import Catalog
from eventlog.confirmation import Confirmed
from eventlog.journal import FoundAnchor

Level = Literal["none", "L0", "L1", "L2", "L3", "L4"]

_WORDS: dict[Level, str] = {
    "none": "the journal as a whole cannot be relied on; list --verified-prefix shows what verifies",
    "L0": "the bytes parse; nothing says how many there were",
    "L1": "chain and head are intact; no file in another directory confirms it, so a directory that was set back to an "
    "earlier state would look the same (a runtime's, known through --state-dir, would tell)",
    "L2": "chain and head are intact and agree with a file outside the registry directory{part}; "
    "somebody who can write both directories could still have recomputed every hash (a --public-key would tell)",
    "L3": "a tree head agrees that was signed by a key you trust{part}; whoever has that key and can write all "
    "directories could still have rewritten history (a witness elsewhere would tell)",
    "L4": "a tree head agrees that was signed by a key you trust and co-signed by a witness you trust{part}; "
    "history up to there is what the witness has seen",
}


def level(
    catalog: Catalog, agreeing: Sequence[FoundAnchor], confirmed: Sequence[Confirmed], *, intact: bool, headless: bool
) -> Level:
    """
    Return how far the claim reaches.

    Args:
        agreeing: the anchors that agree.

        confirmed: the signed tree heads that agree.

        headless: nothing says how many entries there were.
    """
    if not intact:
        return "L0" if headless and catalog.size else "none"
    if confirmed:
        return "L4" if any(item.witnessed for item in confirmed) else "L3"
    return "L2" if _outside(catalog, agreeing) else "L1"


def in_words(level: Level, catalog: Catalog, agreeing: Sequence[FoundAnchor], confirmed: Sequence[Confirmed]) -> str:
    """Return the level in words, what would be needed for more, and how much of the journal it is about."""
    sizes = [item.anchor.size for item in _outside(catalog, agreeing)]
    if level in ("L3", "L4"):
        sizes = [item.size for item in confirmed if item.witnessed or level == "L3"]
    most = max(sizes, default=0)
    part = "" if most >= catalog.size else f", which confirms the first {most} of {catalog.size} entries"
    return _WORDS[level].format(part=part)


def _outside(catalog: Catalog, agreeing: Sequence[FoundAnchor]) -> list[FoundAnchor]:
    """Return the anchors in other directories than the journal's."""
    beside = os.path.dirname(os.path.realpath(catalog.where))
    return [item for item in agreeing if os.path.dirname(os.path.realpath(item.where)) != beside]
