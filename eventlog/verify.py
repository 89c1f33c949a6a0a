"""
The whole audit: the journal from its first byte, what other files remember of it, and the files derived from it.

Where it is asked to, also every artifact. Every command and every fault test that asks "is this history good?" calls
`verify`. It only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from eventlog import anchors, artifact_audit, reach
from eventlog.artifact_audit import ArtifactProblem
from eventlog.catalog import Catalog
from eventlog.confirmation import Confirmed, Trust, confirm
from eventlog.errors import MEND_LINES, JournalDamagedError, ModelogError, RefusedError
from eventlog.events import Event, JournalRewound, ModelPublished, ModelRolledBack
from eventlog.file_digest import Progress
from eventlog.journal import Anchor, FoundAnchor, Journal, Notice, Subscriber
from eventlog.reach import Level
from eventlog.replay import Replay

Verdict = Literal["intact", "damaged", "cannot tell"]


class Finding(Struct, frozen=True):
    """
    Something that is not as it should be.

    Attributes:
        kind: `damage` to acknowledged history; `unreadable` for what this program cannot judge; `artifact` for a file
            that is gone or not the published one; `derived` for a file that can be rebuilt; `notice` for what does no
            harm.

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
            acknowledged is not there, or a writer refuses; `cannot tell` where nothing says how much there should be,
            or something could not be read. Artifacts, where they were asked for, count like the journal.

        level: how far that claim reaches; see `reach`.

        reach: the level in words, and what would be needed for more.

        size, hash, journal_id: of the part that verified.

        anchors: the files outside the journal that agree with it.

        set_aside: what a person knowingly set aside, so that it is no witness any more: the anchors of entries that
            were given up, the journals that a runtime followed before. One line each; somebody who forges history
            could claim such a thing.

        artifacts: how many models had their artifact compared with its recorded hash, which are all but those whose
            artifact is gone as it should be; None where it was not asked for.
    """

    verdict: Verdict
    level: Level
    reach: str
    journal_id: str | None
    size: int
    hash: str
    anchors: list[str]
    set_aside: list[str]
    findings: list[Finding]
    artifacts: int | None = None


def verify(
    replay: Replay,
    subscribers: Sequence[Subscriber],
    *,
    trust: Trust | None = None,
    artifacts: bool = False,
    progress: Progress | None = None,
) -> Report:
    """
    Audit a journal.

    Args:
        replay: fresh, so that everything is read.

        subscribers: whose anchors are compared and whose files are audited.

        trust: whose signatures count, for the levels L3 and L4.

        artifacts: also compare every artifact with the hash that was recorded of it.

        progress: called with bytes of artifacts done and bytes in all.

    Never raises for what it finds; an `OSError` means that it could not look.
    """
    unread: list[str] = []
    found = [item for subscriber in subscribers for item in subscriber.anchors(lambda error: unread.append(str(error)))]
    catalog, agreeing, findings = _compared(replay, subscribers, found, unread)
    notices = replay.journal.notices()
    findings += [Finding(_kind(notice), notice.what) for notice in notices]
    history = _verdict(findings)
    headless = any(notice.extent_unknown for notice in notices)
    confirmed: list[Confirmed] = []
    if trust is not None and history == "intact":
        confirmed, failed = confirm(replay, trust)
        findings += [_damage(error, replay.journal) for error in failed]
        history = _verdict(findings)
    level = reach.level(catalog, agreeing, confirmed, intact=history == "intact", headless=headless)
    findings += [Finding("unreadable", line) for line in dict.fromkeys(unread)]
    findings += _backward(catalog)
    removed: set[str] = set()
    if artifacts:
        removed = artifact_audit.removed(catalog, replay.past)
        findings += [_artifact(problem) for problem in artifact_audit.audit(catalog, progress, without=removed)]
    return Report(
        _verdict(findings),
        level,
        reach.in_words(level, catalog, agreeing, confirmed),
        catalog.journal_id,
        catalog.size,
        catalog.hash,
        list(dict.fromkeys([item.where for item in agreeing] + [item.where for item in confirmed])),
        [line for event in catalog.set_aside for line in _set_aside(event)],
        findings,
        len(catalog.published) - len(removed) if artifacts else None,
    )


def _compared(
    replay: Replay, subscribers: Sequence[Subscriber], found: list[FoundAnchor], unread: list[str]
) -> tuple[Catalog, list[FoundAnchor], list[Finding]]:
    """Read the journal and compare it with *found* and the derived files: what verified, who agrees, what does not."""
    catalog = replay.catalog
    try:
        replay.catch_up()
        foreign = [item for item in anchors.check(replay, found) if not catalog.covers(item.anchor)]
        if catalog.size == 0:
            nothing = RefusedError(f"{catalog.where}: expected a journal, got none: check --registry-dir")
            raise anchors.lost(replay, foreign[0]) if foreign else nothing
        elsewhere = tuple(item.where for item in foreign)
        audited = [
            line for subscriber in subscribers for line in subscriber.audit(lambda error: unread.append(str(error)))
        ]
        told = [line for line in audited if not line.startswith(elsewhere)]
    except JournalDamagedError as error:
        return _salvaged(replay), [], [_damage(error, replay.journal)]
    except ModelogError as error:
        return catalog, [], [Finding("unreadable", str(error))]
    agreeing = [item for item in found if item.anchor.size > 0 and _is_of(item.anchor, catalog)]
    derived = [*map(_foreign, foreign), *told]
    return catalog, agreeing, [Finding("derived", line) for line in derived if line not in unread]


def _salvaged(replay: Replay) -> Catalog:
    """Return the state up to the first entry that does not fit."""
    catalog = Catalog(replay.journal.where, home=replay.home)
    with suppress(ModelogError):
        for entry in replay.journal.salvage():
            catalog.apply(entry)
    return catalog


def _damage(error: JournalDamagedError, journal: Journal) -> Finding:
    """Say where the damage is, also where whoever found it knew only the entry, or only the byte."""
    what = str(error)
    if what.endswith(": run verify"):
        what = what.removesuffix("run verify") + MEND_LINES
    position, offset, size = error.position, error.offset_bytes, error.size_bytes
    if position is None and offset is not None:
        first = offset
        position, _, _ = _place(journal, lambda _, end: end > first)
    elif position is not None and offset is None:
        _, offset, size = _place(journal, lambda count, _: count == position)
    line = None if position is None else position + 1
    return Finding("damage", what, position, line, offset, size, error.expected, error.actual)


def _place(journal: Journal, here: Callable[[int, int], bool]) -> tuple[int, int, int | None]:
    """Return entry, offset and size of the first entry for which *here* (its position, its end) holds; or the end."""
    position = offset = 0
    with suppress(ModelogError):
        for entry in journal.salvage():
            if here(position, offset + len(entry) + 1):
                return position, offset, len(entry)
            position, offset = position + 1, offset + len(entry) + 1
    return position, offset, None


def _artifact(problem: ArtifactProblem) -> Finding:
    return Finding(
        "unreadable" if problem.problem == "unreadable" else "artifact",
        f"{problem.problem}: {problem.what}",
        problem.position,
        problem.position + 1,
        expected=problem.expected,
        actual=problem.actual,
    )


def _backward(catalog: Catalog) -> list[Finding]:
    """Say where the time goes backwards: once, because one event of a wrong clock may precede thousands."""
    if catalog.backward is None:
        return []
    first, _, count = catalog.backward
    more = count - 1
    also = f"; {more} later ones, too" if more else ""
    return [Finding("notice", f"entry {first}: its time is before an earlier entry's{also}", first, first + 1)]


def _set_aside(event: Event) -> list[str]:
    """Say who set which anchor aside, and why."""
    who = f"entry {event.position}, {event.time:%Y-%m-%d %H:%M:%S} UTC, {event.actor}"
    if isinstance(event.data, JournalRewound):
        given_up = [f"the {item.size} entries that {item.where} remembered" for item in event.data.remembered]
        return [f"{who}: gave up {item}: {event.data.reason}" for item in given_up or ["what nobody remembered"]]
    assert isinstance(event.data, ModelPublished | ModelRolledBack), "only these take over"
    anchor = event.data.took_over
    assert anchor is not None, "only these are in `set_aside`"
    why = f": {event.data.reason}" if event.data.reason else ""
    return [f"{who}: took over a runtime that had followed journal {anchor.journal_id} for {anchor.size} entries{why}"]


def _foreign(item: FoundAnchor) -> str:
    return (
        f"{item.where}: follows journal {item.anchor.journal_id}, not this one: "
        "check --state-dir, or publish with --take-over"
    )


def _is_of(anchor: Anchor, catalog: Catalog) -> bool:
    return anchor.journal_id == catalog.journal_id and not catalog.gave_up(anchor)


def _kind(notice: Notice) -> Literal["damage", "unreadable", "notice"]:
    if notice.extent_unknown:
        return "unreadable"
    return "damage" if notice.blocks_writing else "notice"


def _verdict(findings: list[Finding]) -> Verdict:
    kinds = {finding.kind for finding in findings}
    return "damaged" if kinds & {"damage", "artifact"} else "cannot tell" if "unreadable" in kinds else "intact"
