"""
What each repair would do to a journal, and why that is proven; or the refusal. Reads only.

A *witness* is something that says how long the journal was and how its last entry hashed: the head, and the anchors in
files derived from it. A plan is made with the lock held (or, for a dry run, without it), and carried out by
`eventlog.repair`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from eventlog import chain
from eventlog import repair_evidence as evidence
from eventlog.engines.jsonl_assembly import Assembly, Line, head_of, in_place
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_repair import JsonlRepair
from eventlog.errors import RefusedError
from eventlog.events import Data, JournalRepaired, JournalRewound, Remembered
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX


class Plan(Struct, frozen=True):
    """
    What is to be done.

    Attributes:
        found, steps: what is wrong and what will be done, in words.

        lines: what the journal is to hold, of *assembly*.

        head: what is acknowledged of them; a head file that says anything else goes to quarantine.

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


def discard_tail(
    files: JsonlRepair, copy: int | None, witnesses: evidence.Witnesses, request: evidence.Request
) -> Plan:
    """Take out what stands behind the head and cannot be an interrupted append; nothing acknowledged is touched."""
    survey, assembly, lines, anchors = evidence.examined(files, witnesses, request)
    head = survey.head
    if head is None:
        raise RefusedError(
            f"{request.where}: expected a head that says where the tail begins, got none: {evidence.OTHER_WAYS}"
        )
    if not survey.sound:
        raise RefusedError(evidence.lost(request, survey, f"the {head.size} entries that the head acknowledges"))
    evidence.check_agreement(request, lines, anchors)
    if any(item.anchor.size > head.size for item in anchors):
        raise RefusedError(
            f"{request.where}: expected a head for {max(item.anchor.size for item in anchors)} entries, as an anchor "
            f"remembers, got one for {head.size}: run repair --rebuild-head"
        )
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
    confirmed = [Remembered("journal.head", head.size, head.hash), *evidence.remembered(anchors)]
    data = JournalRepaired("discard-tail", confirmed, request.reason)
    return Plan(found, steps, assembly, lines, head, "bad-lines", data)


def rebuild_head(
    files: JsonlRepair, copy: int | None, witnesses: evidence.Witnesses, request: evidence.Request
) -> Plan:
    """Write a head for the lines that verify, if an anchor agrees with them and nothing else stands behind them."""
    survey, assembly, lines, anchors = evidence.examined(files, witnesses, request)
    if survey.head is not None and not survey.sound:
        raise RefusedError(evidence.lost(request, survey, f"the {survey.head.size} entries that the head acknowledges"))
    evidence.check_agreement(request, lines, anchors)
    newest = max((item.anchor.size for item in anchors), default=0)
    if survey.head is not None and survey.head.size >= newest:
        if survey.verified.size - survey.head.size > APPEND_ENTRIES_MAX:
            raise RefusedError(
                f"{request.where}: expected an anchor for the {survey.verified.size - survey.head.size} entries behind "
                "the head, got none: repair --accept-rewind --reason … goes on with them"
            )
        return _nothing(assembly, lines, survey.head, f"the head is good: {survey.head.size} entries")
    if not anchors:
        raise RefusedError(
            f"{request.where}: expected an anchor that says how long the journal was, got none "
            f"(in registry.json, or the runtime checkpoint of --state-dir): {evidence.OTHER_WAYS}"
        )
    if survey.verified.end_bytes != survey.size_bytes:
        raise RefusedError(
            f"{request.where}: expected nothing behind the {survey.verified.size} entries that verify, got "
            f"{survey.size_bytes - survey.verified.end_bytes} bytes at offset {survey.verified.end_bytes}, "
            f"which may have been acknowledged: {evidence.OTHER_WAYS}"
        )
    found = "the head is missing or damaged" if survey.head is None else f"the head says {survey.head.size} entries"
    confirmed = max(anchors, key=lambda item: item.anchor.size)
    steps = [
        f"write a head for {survey.verified.size} entries; {confirmed.where} confirms the first {newest}, "
        "and nothing says whether there were more than stand there"
    ]
    data = JournalRepaired("rebuild-head", evidence.remembered(anchors), request.reason)
    return Plan(found, steps, assembly, lines, survey.verified, "replaced", data)


def from_copy(files: JsonlRepair, copy: int | None, witnesses: evidence.Witnesses, request: evidence.Request) -> Plan:
    """Put the acknowledged lines together from the journal and a copy; the newest witness proves each of them."""
    survey, assembly = files.survey(), files.assembly(copy)
    lines, anchors = evidence.proven(assembly, survey.head, witnesses, request)
    evidence.check_agreement(request, lines, anchors)
    head = survey.head
    if head is not None and head != head_of(lines[: head.size]):
        raise RefusedError(
            f"{request.where}: {evidence.parted('the head', head.size, head.hash)}: {evidence.OTHER_WAYS}"
        )
    if head is None or head.size < len(lines):
        head = head_of(lines)
    more = assembly.forward_from(lines[-1].hash, file=0, stop_at_fork=True)
    if len(more) > APPEND_ENTRIES_MAX:
        raise RefusedError(
            f"{request.where}: expected at most one append behind {len(lines)} entries, got {len(more)} more: "
            "the head may be an old one: run repair --rebuild-head"
        )
    whole = [*lines, *more]
    whole = whole[: max(len(lines), evidence.folded(assembly, whole, request).size)]
    if in_place(lines) and survey.head == head:
        return _nothing(assembly, whole, head, f"all {head.size} acknowledged entries are in their place")
    taken = [position for position, line in enumerate(whole) if line.file]
    found = f"{survey.verified.size} of {head.size} acknowledged entries verify from the first on"
    steps = [f"take {len(taken)} of {len(whole)} entries from the copy: {_ranges(taken)}"] if taken else []
    steps.append(f"write the journal anew with {len(whole)} entries; other bytes of it go to quarantine")
    confirmed = [Remembered("journal.head", survey.head.size, survey.head.hash)] if survey.head else []
    data = JournalRepaired("from-copy", [*confirmed, *evidence.remembered(anchors)], request.reason, request.copy)
    return Plan(found, steps, assembly, whole, head, "replaced", data)


def accept_rewind(
    files: JsonlRepair, copy: int | None, witnesses: evidence.Witnesses, request: evidence.Request
) -> Plan:
    """Go on from the entries that follow one another from the first on, whatever the witnesses say."""
    if not request.reason:
        raise RefusedError("--accept-rewind: expected a --reason for giving up acknowledged history, got none")
    survey, assembly = files.survey(), files.assembly(copy)
    try:
        lines: Sequence[Line] = assembly.forward_from(chain.GENESIS)
    except RefusedError as error:
        raise RefusedError(f"{request.where}: {error}: two histories: repair from one of them alone") from error
    lines = lines[: evidence.folded(assembly, lines, request).size]
    if not lines:
        raise RefusedError(
            f"{request.where}: expected at least a first entry to go on from, got none: restore a backup, "
            "or name an older one with repair --accept-rewind --from COPY --reason …; "
            "to begin a new history, move this directory away and publish with --take-over"
        )
    head = survey.head
    sure = lines if head is None else lines[: head.size]  # a rewind that was never acknowledged gave nothing up
    catalog = evidence.folded(assembly, sure, request)
    if copy is not None:
        evidence.check_identity(evidence.ids_of_first(assembly), witnesses, catalog)
    anchors = witnesses.of(catalog)
    lost = evidence.remembered(
        [item for item in anchors if not evidence.holds(lines, item.anchor.size, item.anchor.hash)]
    )
    if head is not None and head != head_of(lines[: head.size]):
        lost.insert(0, Remembered("journal.head", head.size, head.hash))
    reached = head is not None and all(item.anchor.size <= head.size for item in anchors)
    if head is not None and reached and not lost and survey.refusal is None and survey.sound:
        return _nothing(assembly, lines, head, "nothing that was acknowledged is missing")
    newest = head_of(lines)
    witnessed = max((item.size for item in lost), default=newest.size)
    acknowledged = "how many were acknowledged nobody says" if head is None else f"{witnessed} were acknowledged"
    found = f"{newest.size} entries follow one another from the first on; {acknowledged}"
    steps = [f"go on from {newest.size} entries; everything else in the journal goes to quarantine"]
    steps += [f"give up what {item.where} remembers: {item.size} entries up to {item.hash}" for item in lost]
    data = JournalRewound(request.reason, lost, request.copy)
    return Plan(found, steps, assembly, lines, newest, "rewound", data)


PLANS: dict[str, Callable[[JsonlRepair, int | None, evidence.Witnesses, evidence.Request], Plan]] = {
    "discard-tail": discard_tail,
    "rebuild-head": rebuild_head,
    "from-copy": from_copy,
    "accept-rewind": accept_rewind,
}


def _nothing(assembly: Assembly, lines: Sequence[Line], head: Head, found: str) -> Plan:
    return Plan(found, [], assembly, lines, head, "replaced", None)


def _ranges(positions: Sequence[int]) -> str:
    """Return `3, 7-9` for 3, 7, 8, 9."""
    parts: list[list[int]] = []
    for position in positions:
        if parts and position == parts[-1][1] + 1:
            parts[-1][1] = position
        else:
            parts.append([position, position])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
