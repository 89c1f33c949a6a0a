"""
The whole audit: the journal from its first byte, what other files remember of it, and the files derived from it.

Every command and every fault test that asks "is this history good?" calls `verify`. It only reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, ModelogError, RefusedError
from eventlog.journal import FoundAnchor, Notice, Subscriber
from eventlog.replay import Replay

Verdict = Literal["intact", "damaged", "cannot tell"]
Level = Literal["none", "L0", "L1", "L2"]


class Finding(Struct, frozen=True):
    """
    Something that is not as it should be.

    Attributes:
        kind: `damage` to acknowledged history; `unreadable` for what this program cannot judge; `derived` for a file
            that can be rebuilt; `notice` for what does no harm.

        position, offset_bytes: where, as far as it is known.
    """

    kind: Literal["damage", "unreadable", "derived", "notice"]
    what: str
    position: int | None = None
    offset_bytes: int | None = None


class Report(Struct, frozen=True):
    """
    What `verify` found.

    Attributes:
        verdict: `intact` where the journal and all anchors agree and a writer would go on; `damaged` where something
            acknowledged is not there, or a writer refuses; `cannot tell` where nothing says how much there should be.

        level: how far that claim reaches; see `reach`.

        reach: the level in words, and what would be needed for more.

        size, hash, journal_id: of the part that verified.

        anchors: the files outside the journal that agree with it.
    """

    verdict: Verdict
    level: Level
    reach: str
    journal_id: str | None
    size: int
    hash: str
    anchors: list[str]
    findings: list[Finding]


_REACH = {
    "none": "the journal as a whole cannot be relied on; list --verified-prefix shows what verifies",
    "L0": "the bytes parse; nothing says how many there were",
    "L1": "chain and head are intact; no file in another directory confirms it, "
    "so a directory that was set back to an earlier state would look the same: name the runtime's with --state-dir",
    "L2": "chain and head are intact and agree with a file outside the registry directory; "
    "somebody who can write both directories could still have recomputed every hash",
}


def verify(replay: Replay, subscribers: Sequence[Subscriber]) -> Report:
    """
    Audit a journal.

    Args:
        replay: fresh, so that everything is read.

        subscribers: whose anchors are compared and whose files are audited.

    Never raises for what it finds; an `OSError` means that it could not look.
    """
    findings: list[Finding] = []
    agreeing: list[FoundAnchor] = []
    catalog = replay.catalog
    try:
        found = [item for subscriber in subscribers for item in subscriber.anchors()]
        replay.catch_up()
        foreign = [item for item in replay.check_anchors(found) if not catalog.covers(item.anchor)]
        if catalog.size == 0:
            nothing = RefusedError(f"{catalog.where}: expected a journal, got none: check --registry-dir")
            raise replay.lost(foreign[0]) if foreign else nothing
        agreeing = [item for item in found if item.anchor.journal_id == catalog.journal_id]
        findings += [Finding("derived", _foreign(item)) for item in foreign]
        elsewhere = tuple(item.where for item in foreign)
        findings += [
            Finding("derived", line)
            for subscriber in subscribers
            for line in subscriber.audit()
            if not line.startswith(elsewhere)
        ]
    except JournalDamagedError as error:
        catalog = _salvaged(replay)
        what = str(error).removesuffix(": run verify")
        findings.append(Finding("damage", what, error.position, error.offset_bytes))
    except ModelogError as error:
        findings.append(Finding("unreadable", str(error)))
    notices = replay.journal.notices()
    findings += [Finding(_kind(notice), notice.what) for notice in notices]
    findings += [
        Finding("notice", f"entry {position}: its time is before an earlier entry's", position)
        for position in catalog.backward
    ]
    headless = any(notice.extent_unknown for notice in notices)
    return _report(catalog, agreeing, findings, headless=headless)


def _salvaged(replay: Replay) -> Catalog:
    """Return the state up to the first entry that does not fit."""
    catalog = Catalog(replay.journal.where)
    with suppress(ModelogError):
        for entry in replay.journal.salvage():
            catalog.apply(entry)
    return catalog


def _foreign(item: FoundAnchor) -> str:
    return (
        f"{item.where}: follows journal {item.anchor.journal_id}, not this one: "
        "check --state-dir, or publish with --take-over"
    )


def _kind(notice: Notice) -> Literal["damage", "unreadable", "notice"]:
    if notice.extent_unknown:
        return "unreadable"
    return "damage" if notice.blocks_writing else "notice"


def _report(catalog: Catalog, agreeing: list[FoundAnchor], findings: list[Finding], *, headless: bool) -> Report:
    kinds = {finding.kind for finding in findings}
    verdict: Verdict = "damaged" if "damage" in kinds else "cannot tell" if "unreadable" in kinds else "intact"
    beside = os.path.dirname(os.path.realpath(catalog.where))
    outside = [item for item in agreeing if os.path.dirname(os.path.realpath(item.where)) != beside]
    level: Level = "L2" if outside else "L1"
    if verdict != "intact":
        level = "L0" if headless and catalog.size else "none"
    return Report(
        verdict,
        level,
        _REACH[level],
        catalog.journal_id,
        catalog.size,
        catalog.hash,
        [item.where for item in agreeing],
        findings,
    )
