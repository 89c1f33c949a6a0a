"""
What each repair would do to a journal, and why that is proven; or the refusal. Reads only.

A *witness* is something that says how long the journal was and how its last entry hashed: the head, and the anchors in
files derived from it. A plan is made with the lock held (or, for a dry run, without it), and carried out by
`eventlog.repair`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from eventlog import artifacts, chain, codec
from eventlog.catalog import Catalog
from eventlog.engines.jsonl_assembly import Assembly, Line, head_of, in_place
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_repair import JsonlRepair, Survey
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import Data, JournalCreated, JournalRepaired, JournalRewound, Remembered
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, FoundAnchor

_OTHER_WAYS = "try repair --from COPY; where there is no other copy, repair --accept-rewind --reason …"


class Request(Struct, frozen=True):
    """What was asked for: of which journal, why, and from which copy."""

    where: str
    reason: str | None
    copy: str | None


class Plan(Struct, frozen=True):
    """
    What is to be done.

    Attributes:
        found, steps: what is wrong and what will be done, in words.

        lines: what the journal is to hold, of *assembly*.

        head: what the head is to say.

        keep_as: what the quarantine calls bytes that go.

        data: the event that records it; None where nothing is to be done.
    """

    found: str
    steps: list[str]
    assembly: Assembly
    lines: Sequence[Line]
    head: Head
    keep_as: str
    data: Data | None


class Witnesses(Struct, frozen=True):
    """The anchors that were found."""

    anchors: list[FoundAnchor]

    def of(self, journal_id: str, where: str) -> list[FoundAnchor]:
        """Return those of the journal. Raises RefusedError where a file beside it can only belong to another one."""
        for item in self.anchors:
            if item.binding and item.anchor.journal_id != journal_id:
                raise RefusedError(
                    f"{where}: expected journal {item.anchor.journal_id}, as {item.where} remembers, got {journal_id}: "
                    "it was replaced: move it away and restore a backup"
                )
        return [item for item in self.anchors if item.anchor.journal_id == journal_id]


def discard_tail(files: JsonlRepair, copy: int | None, witnesses: Witnesses, request: Request) -> Plan:
    """Take out what stands behind the head and cannot be an interrupted append; nothing acknowledged is touched."""
    survey, assembly, lines, anchors = _examined(files, witnesses, request)
    head = survey.head
    if head is None:
        raise RefusedError(f"{request.where}: expected a head that says where the tail begins, got none: {_OTHER_WAYS}")
    if not survey.holds(head):
        raise RefusedError(_lost(request, survey, f"the {head.size} entries that the head acknowledges"))
    _check_agreement(request, lines, anchors)
    if survey.refusal is None:
        return _nothing(assembly, lines, head, "nothing behind the head that the next publish does not mend by itself")
    behind = survey.verified.size - head.size
    if behind > APPEND_ENTRIES_MAX or survey.verified.end_bytes - head.end_bytes > APPEND_BYTES_MAX:
        raise RefusedError(
            f"{request.where}: expected at most one append behind the head, got {behind} entries that verify: "
            "the head may be an old one: run repair --rebuild-head"
        )
    found = f"behind the {head.end_bytes} acknowledged bytes: {survey.refusal}"
    surplus_bytes = survey.size_bytes - survey.verified.end_bytes
    steps = [f"take {surplus_bytes} bytes at offset {survey.verified.end_bytes} out of the journal into quarantine"]
    if behind:
        steps.append(f"keep the {behind} whole entries before them")
    confirmed = [Remembered("journal.head", head.size, head.hash), *_remembered(anchors)]
    data = JournalRepaired("discard-tail", confirmed, request.reason)
    return Plan(found, steps, assembly, lines, head, "bad-lines", data)


def rebuild_head(files: JsonlRepair, copy: int | None, witnesses: Witnesses, request: Request) -> Plan:
    """Write a head for the lines that verify, if an anchor agrees with them and nothing else stands behind them."""
    survey, assembly, lines, anchors = _examined(files, witnesses, request)
    if survey.head is not None and not survey.holds(survey.head):
        raise RefusedError(_lost(request, survey, f"the {survey.head.size} entries that the head acknowledges"))
    _check_agreement(request, lines, anchors)
    newest = max((item.anchor.size for item in anchors), default=0)
    if survey.head is not None and survey.head.size >= newest:
        return _nothing(assembly, lines, survey.head, f"the head is good: {survey.head.size} entries")
    if not anchors:
        raise RefusedError(
            f"{request.where}: expected an anchor that says how long the journal was, got none "
            f"(in registry.json, or the runtime checkpoint of --state-dir): {_OTHER_WAYS}"
        )
    if survey.verified.end_bytes != survey.size_bytes:
        raise RefusedError(
            f"{request.where}: expected nothing behind the {survey.verified.size} entries that verify, got "
            f"{survey.size_bytes - survey.verified.end_bytes} bytes at offset {survey.verified.end_bytes}, "
            f"which may have been acknowledged: {_OTHER_WAYS}"
        )
    found = "the head is missing or damaged" if survey.head is None else f"the head says {survey.head.size} entries"
    confirmed = max(anchors, key=lambda item: item.anchor.size)
    steps = [
        f"write a head for {survey.verified.size} entries; {confirmed.where} confirms the first {newest}, "
        "and nothing says whether there were more than stand there"
    ]
    data = JournalRepaired("rebuild-head", _remembered(anchors), request.reason)
    return Plan(found, steps, assembly, lines, survey.verified, "replaced", data)


def from_copy(files: JsonlRepair, copy: int | None, witnesses: Witnesses, request: Request) -> Plan:
    """Put the acknowledged lines together from the journal and a copy; the newest witness proves each of them."""
    survey, assembly = files.survey(), files.assembly(copy)
    targets = [] if survey.head is None else [(survey.head.size, survey.head.hash)]
    targets += _anchored(assembly, witnesses, request)
    lines = _proven(assembly, max(targets, default=None), request)
    journal_id = _journal_id(assembly, lines, request)
    anchors = witnesses.of(journal_id, request.where)
    _check_agreement(request, lines, anchors)
    head = survey.head
    if head is not None and not _holds(lines, head.size, head.hash):
        raise RefusedError(f"{request.where}: {_parted('the head', head.size, head.hash)}: {_OTHER_WAYS}")
    if head is None or head.size < len(lines):
        head = head_of(lines)
    more = assembly.forward_from(lines[-1].hash, file=0)
    if len(more) > APPEND_ENTRIES_MAX:
        raise RefusedError(
            f"{request.where}: expected at most one append behind {len(lines)} entries, got {len(more)} more: "
            "the head may be an old one: run repair --rebuild-head"
        )
    whole = [*lines, *more]
    if in_place(lines) and survey.head == head:
        return _nothing(assembly, whole, head, f"all {head.size} acknowledged entries are in their place")
    taken = [position for position, line in enumerate(whole) if line.file]
    found = f"{survey.verified.size} of {head.size} acknowledged entries verify from the first on"
    steps = [f"take {len(taken)} of {len(whole)} entries from the copy: {_ranges(taken)}"] if taken else []
    steps.append(f"write the journal anew with {len(whole)} entries; other bytes of it go to quarantine")
    confirmed = [Remembered("journal.head", survey.head.size, survey.head.hash)] if survey.head else []
    data = JournalRepaired("from-copy", [*confirmed, *_remembered(anchors)], request.reason, request.copy)
    return Plan(found, steps, assembly, whole, head, "replaced", data)


def accept_rewind(files: JsonlRepair, copy: int | None, witnesses: Witnesses, request: Request) -> Plan:
    """Go on from the entries that follow one another from the first on, whatever the witnesses say."""
    if not request.reason:
        raise RefusedError("--accept-rewind: expected a --reason for giving up acknowledged history, got none")
    survey, assembly = files.survey(), files.assembly(copy)
    try:
        lines: Sequence[Line] = assembly.forward_from(chain.GENESIS)
    except RefusedError as error:
        raise RefusedError(f"{request.where}: {error}: two histories: repair from one of them alone") from error
    lines = lines[: _foldable(assembly, lines, request)]
    if not lines:
        raise RefusedError(
            f"{request.where}: expected at least a first entry to go on from, got none: restore a backup; "
            "to begin a new history, move this directory away and publish with --take-over"
        )
    anchors = witnesses.of(_journal_id(assembly, lines, request), request.where)
    given_up = [item for item in anchors if not _holds(lines, item.anchor.size, item.anchor.hash)]
    remembered = _remembered(given_up)
    head = survey.head
    if head is not None and not _holds(lines, head.size, head.hash):
        remembered.insert(0, Remembered("journal.head", head.size, head.hash))
    if head is not None and not remembered and survey.refusal is None and survey.holds(head):
        return _nothing(assembly, lines, head, "nothing that was acknowledged is missing")
    newest = head_of(lines)
    witnessed = max((item.size for item in remembered), default=newest.size)
    acknowledged = "how many were acknowledged nobody says" if head is None else f"{witnessed} were acknowledged"
    found = f"{newest.size} entries follow one another from the first on; {acknowledged}"
    steps = [f"go on from {newest.size} entries; everything else in the journal goes to quarantine"]
    steps += [f"give up what {item.where} remembers: {item.size} entries up to {item.hash}" for item in remembered]
    data = JournalRewound(request.reason, remembered, request.copy)
    return Plan(found, steps, assembly, lines, newest, "rewound", data)


PLANS: dict[str, Callable[[JsonlRepair, int | None, Witnesses, Request], Plan]] = {
    "discard-tail": discard_tail,
    "rebuild-head": rebuild_head,
    "from-copy": from_copy,
    "accept-rewind": accept_rewind,
}


def _examined(
    files: JsonlRepair, witnesses: Witnesses, request: Request
) -> tuple[Survey, Assembly, list[Line], list[FoundAnchor]]:
    """Return what stands there, the lines that verify from the first on, and the anchors of that journal."""
    survey, assembly = files.survey(), files.assembly()
    lines = assembly.back_from(survey.verified.hash, survey.verified.size)
    if not lines:
        raise RefusedError(_lost(request, survey, "a first entry"))
    return survey, assembly, lines, witnesses.of(_journal_id(assembly, lines, request), request.where)


def _anchored(assembly: Assembly, witnesses: Witnesses, request: Request) -> list[tuple[int, str]]:
    """Return size and hash of what the anchors say of the journal whose first entry or sole file this still is."""
    known = {_journal_id(assembly, [line], request) for line in assembly.first_lines()}
    known = known or {item.anchor.journal_id for item in witnesses.anchors if item.binding}
    anchors = [item.anchor for item in witnesses.anchors if not known or item.anchor.journal_id in known]
    if len({anchor.journal_id for anchor in anchors}) > 1:
        raise RefusedError(f"{request.where}: expected anchors of one journal, got several: name the right --state-dir")
    return [(anchor.size, anchor.hash) for anchor in anchors]


def _proven(assembly: Assembly, target: tuple[int, str] | None, request: Request) -> list[Line]:
    """Return the lines that lead to the furthest witness."""
    if target is None:
        raise RefusedError(
            f"{request.where}: expected a head or an anchor that says how the journal ended, got none: "
            "restore a backup into an empty directory"
        )
    size, newest = target
    try:
        lines = assembly.back_from(newest, size)
    except RefusedError as error:
        raise RefusedError(f"{request.where}: cannot be put together: {error}: {_OTHER_WAYS}") from error
    if not lines:
        raise RefusedError(f"{request.where}: expected entries, got none: restore a backup")
    return lines


def _journal_id(assembly: Assembly, lines: Sequence[Line], request: Request) -> str:
    (first,) = assembly.entries(lines[:1])
    event = codec.decode(first[:-1], 0, None, request.where)
    assert isinstance(event.data, JournalCreated), "decode lets nothing else be first"
    return event.data.journal_id


def _foldable(assembly: Assembly, lines: Sequence[Line], request: Request) -> int:
    """Return how many of *lines* make sense as history. Raises UnsupportedFormatError."""
    catalog = Catalog(request.where)
    try:
        for entry in assembly.entries(lines):
            catalog.apply(entry[:-1])
    except JournalDamagedError:
        pass
    return catalog.size


def _holds(lines: Sequence[Line], size: int, hash_: str) -> bool:
    if size > len(lines):
        return False
    return (lines[size - 1].hash if size else chain.GENESIS) == hash_


def _check_agreement(request: Request, lines: Sequence[Line], anchors: Sequence[FoundAnchor]) -> None:
    """Refuse where an anchor remembers more or other than *lines*."""
    for item in anchors:
        if not _holds(lines, item.anchor.size, item.anchor.hash):
            what = _parted(item.where, item.anchor.size, item.anchor.hash)
            raise RefusedError(f"{request.where}: {what}: {_OTHER_WAYS}")


def _parted(who: str, size: int, hash_: str) -> str:
    return f"expected {size} entries up to hash {hash_}, as {who} remembers, got others or fewer"


def _lost(request: Request, survey: Survey, what: str) -> str:
    return (
        f"{request.where}: expected {what}, got {survey.verified.size} that verify, "
        f"up to offset {survey.verified.end_bytes}: {_OTHER_WAYS}"
    )


def _nothing(assembly: Assembly, lines: Sequence[Line], head: Head, found: str) -> Plan:
    return Plan(found, [], assembly, lines, head, "replaced", None)


def _remembered(anchors: Sequence[FoundAnchor]) -> list[Remembered]:
    return [Remembered(artifacts.path_to_text(item.where)[0], item.anchor.size, item.anchor.hash) for item in anchors]


def _ranges(positions: Sequence[int]) -> str:
    """Return `3, 7-9` for 3, 7, 8, 9."""
    parts: list[list[int]] = []
    for position in positions:
        if parts and position == parts[-1][1] + 1:
            parts[-1][1] = position
        else:
            parts.append([position, position])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
