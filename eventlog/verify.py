"""
The whole audit: the journal from its first byte, what other files remember of it, and the files derived from it.

Every command and every fault test that asks "is this history good?" calls `verify`. It only reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, ModelogError, RefusedError
from eventlog.journal import Subscriber
from eventlog.replay import Replay

Verdict = Literal["intact", "damaged", "cannot tell"]


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
        verdict: `intact` where the journal and all anchors agree.

        level: how far that claim reaches; see `reach`.

        reach: the level in words, and what would be needed for more.

        size, hash, journal_id: of the part that verified.

        anchors: the files outside the journal that agree with it.
    """

    verdict: Verdict
    level: Literal["none", "L0", "L1", "L2"]
    reach: str
    journal_id: str | None
    size: int
    hash: str
    anchors: list[str]
    findings: list[Finding]


_REACH = {
    "none": "nothing can be said of this journal",
    "L0": "the bytes parse; nothing says how many there were",
    "L1": "chain and head are intact; no file in another directory confirms it, "
    "so a directory that was set back to an earlier state would look the same",
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
    anchors: list[str] = []
    outside = False
    try:
        found = [item for subscriber in subscribers for item in subscriber.anchors()]
        catalog = replay.catch_up()
        foreign = replay.check_anchors(found)
        if catalog.size == 0:
            nothing = RefusedError(f"{catalog.where}: expected a journal, got none: check --registry-dir")
            raise replay.lost(foreign[0]) if foreign else nothing
        anchors = [item.where for item in found if item not in foreign]
        outside = any(not item.binding for item in found if item not in foreign)
        findings += [
            Finding("derived", f"{item.where}: follows journal {item.anchor.journal_id}, not this one")
            for item in foreign
        ]
        findings += [Finding("derived", line) for subscriber in subscribers for line in subscriber.audit()]
    except JournalDamagedError as error:
        findings.append(Finding("damage", str(error), error.position, error.offset_bytes))
    except ModelogError as error:
        findings.append(Finding("unreadable", str(error)))
    notices = replay.journal.notices()
    findings += [Finding("notice", notice.what) for notice in notices]
    findings += [
        Finding("notice", f"entry {position}: its time is before an earlier entry's", position)
        for position in replay.catalog.backward
    ]
    headless = any(notice.extent_unknown for notice in notices)
    return _report(replay.catalog, anchors, outside, findings, headless=headless)


def _report(catalog: Catalog, anchors: list[str], outside: bool, findings: list[Finding], *, headless: bool) -> Report:
    kinds = {finding.kind for finding in findings}
    verdict: Verdict = "damaged" if "damage" in kinds else "cannot tell" if "unreadable" in kinds else "intact"
    level: Literal["none", "L0", "L1", "L2"] = "L2" if outside else "L1"
    if verdict != "intact":
        level = "none"
    elif headless:
        level = "L0"
    return Report(verdict, level, _REACH[level], catalog.journal_id, catalog.size, catalog.hash, anchors, findings)
