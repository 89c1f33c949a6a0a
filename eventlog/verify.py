"""
The whole audit: the journal from its first byte, what other files remember of it, and the files derived from it.

Where it is asked to, also every artifact. Every command and every fault test that asks "is this history good?" calls
`verify`. It only reads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from eventlog import artifact_audit
from eventlog.artifact_audit import ArtifactProblem
from eventlog.artifacts import Progress
from eventlog.catalog import Catalog
from eventlog.errors import MEND_LINES, JournalDamagedError, ModelogError, RefusedError
from eventlog.journal import FoundAnchor, Notice, Subscriber
from eventlog.replay import Replay

Verdict = Literal["intact", "damaged", "cannot tell"]
Level = Literal["none", "L0", "L1", "L2"]


class Finding(Struct, frozen=True):
    """
    Something that is not as it should be.

    Attributes:
        kind: `damage` to acknowledged history; `unreadable` for what this program cannot judge; `artifact` for a file
            that is not the published one; `derived` for a file that can be rebuilt; `notice` for what does no harm.

        position: of the entry, 0-based, as far as it is known; *line*, where it stands in the file, is one more.

        offset_bytes, size_bytes: the bytes of the journal file, as far as they are known.

        expected, actual: as far as it is one value each, such as a hash.
    """

    kind: Literal["damage", "unreadable", "artifact", "derived", "notice"]
    what: str
    position: int | None = None
    line: int | None = None
    offset_bytes: int | None = None
    size_bytes: int | None = None
    expected: str | None = None
    actual: str | None = None


class Report(Struct, frozen=True):
    """
    What `verify` found.

    Attributes:
        verdict: `intact` where the journal and all anchors agree and a writer would go on; `damaged` where something
            acknowledged is not there, or a writer refuses; `cannot tell` where nothing says how much there should be.
            Artifacts, where they were asked for, count like the journal.

        level: how far that claim reaches; see `reach`.

        reach: the level in words, and what would be needed for more.

        size, hash, journal_id: of the part that verified.

        anchors: the files outside the journal that agree with it.

        artifacts: how many models had their artifact compared with its recorded hash; None where it was not asked for.
    """

    verdict: Verdict
    level: Level
    reach: str
    journal_id: str | None
    size: int
    hash: str
    anchors: list[str]
    findings: list[Finding]
    artifacts: int | None = None


_REACH = {
    "none": "the journal as a whole cannot be relied on; list --verified-prefix shows what verifies",
    "L0": "the bytes parse; nothing says how many there were",
    "L1": "chain and head are intact; no file in another directory confirms it, "
    "so a directory that was set back to an earlier state would look the same: name the runtime's with --state-dir",
    "L2": "chain and head are intact and agree with a file outside the registry directory; "
    "somebody who can write both directories could still have recomputed every hash",
}


def verify(
    replay: Replay,
    subscribers: Sequence[Subscriber],
    *,
    artifacts: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    Audit a journal.

    Args:
        replay: fresh, so that everything is read.

        subscribers: whose anchors are compared and whose files are audited.

        artifacts: also compare every artifact with the hash that was recorded of it.

        progress: called with bytes of artifacts done and bytes in all.

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
        agreeing = [
            item for item in found if item.anchor.journal_id == catalog.journal_id and not catalog.gave_up(item.anchor)
        ]
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
        findings.append(_damage(error))
    except ModelogError as error:
        findings.append(Finding("unreadable", str(error)))
    notices = replay.journal.notices()
    findings += [Finding(_kind(notice), notice.what) for notice in notices]
    findings += [
        Finding("notice", f"entry {position}: its time is before an earlier entry's", position, position + 1)
        for position in catalog.backward
    ]
    if artifacts:
        findings += [_artifact(problem) for problem in artifact_audit.audit(catalog, progress)]
    headless = any(notice.extent_unknown for notice in notices)
    report = _report(catalog, agreeing, findings, headless=headless)
    return replace(report, artifacts=len(catalog.published)) if artifacts else report


def _salvaged(replay: Replay) -> Catalog:
    """Return the state up to the first entry that does not fit."""
    catalog = Catalog(replay.journal.where)
    with suppress(ModelogError):
        for entry in replay.journal.salvage():
            catalog.apply(entry)
    return catalog


def _damage(error: JournalDamagedError) -> Finding:
    what = str(error)
    if what.endswith(": run verify"):
        what = what.removesuffix("run verify") + MEND_LINES
    line = None if error.position is None else error.position + 1
    return Finding(
        "damage", what, error.position, line, error.offset_bytes, error.size_bytes, error.expected, error.actual
    )


def _artifact(problem: ArtifactProblem) -> Finding:
    return Finding(
        "artifact",
        f"{problem.problem}: {problem.what}",
        problem.position,
        problem.position + 1,
        expected=problem.expected,
        actual=problem.actual,
    )


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
    history: Verdict = "damaged" if "damage" in kinds else "cannot tell" if "unreadable" in kinds else "intact"
    verdict: Verdict = "damaged" if "artifact" in kinds else history
    beside = os.path.dirname(os.path.realpath(catalog.where))
    outside = [item for item in agreeing if os.path.dirname(os.path.realpath(item.where)) != beside]
    level: Level = "L2" if outside else "L1"
    if history != "intact":
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
