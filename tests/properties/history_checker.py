"""
Decides whether a concurrent history is strictly serialisable; the journal's own order is the only candidate order.

An operation happens somewhere between its invocation and its response. Writes happen in the order of the journal, which
must respect real time. Each answer must be the state after some number of entries (a *size*) that is not before any
write or answer that was over when it was asked for, nor behind a write that nobody had begun when it was given. Taking
the smallest such size, in the order of invocations, is right whenever any choice is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import accumulate

from msgspec import Struct


class Entry(Struct, frozen=True):
    """What the journal tells: the id of the request, the model that became active and the one it displaced."""

    id: str
    kind: str
    subject: str | None = None
    displaced: str | None = None


class Write(Struct, frozen=True):
    """An acknowledged change: its id, when it was asked for and answered, and the model that it answered."""

    id: str
    kind: str
    invoked: int
    returned: int
    subject: str


class Read(Struct, frozen=True):
    """An answer to *what*, a key of the states. A reader asks one thing after another, so it can never go back."""

    reader: str
    what: str
    answer: str | None
    invoked: int
    returned: int


NEVER = float("inf")


def violations(
    entries: Sequence[Entry], states: Sequence[Mapping[str, str | None]], writes: Sequence[Write], reads: Sequence[Read]
) -> list[str]:
    """Return what is wrong, one line each; *states* are what readers are told after 0, 1, … entries."""
    begun = _moments(entries, writes, lambda write: write.invoked, -NEVER)
    over = _moments(entries, writes, lambda write: write.returned, NEVER)
    return [
        *_wrong_entries(entries),
        *_wrong_writes(entries, writes),
        *_wrong_order(entries, begun, over),
        *_wrong_reads(states, reads, begun, over),
    ]


def _wrong_entries(entries: Sequence[Entry]) -> list[str]:
    """Each change displaces the model that was active just before it, and no id stands twice."""
    wrong, active, seen = [], None, set()
    for position, entry in enumerate(entries):
        if entry.id in seen:
            wrong.append(f"entry {position}: {entry.id} stands twice")
        if entry.subject is not None and entry.displaced != active:
            wrong.append(f"entry {position}: displaced {entry.displaced}, but {active} was active")
        seen.add(entry.id)
        active = entry.subject or active
    return wrong


def _wrong_writes(entries: Sequence[Entry], writes: Sequence[Write]) -> list[str]:
    """What was acknowledged is in the journal as it was answered; what is in the journal was asked for."""
    told, asked = {entry.id: entry for entry in entries}, {write.id for write in writes}
    wrong = [f"{entry.id}: nobody asked for it" for entry in entries if entry.subject and entry.id not in asked]
    for write in writes:
        entry = told.get(write.id)
        if entry is None:
            wrong.append(f"{write.id}: acknowledged, but not in the journal")
        elif (entry.kind, entry.subject) != (write.kind, write.subject):
            wrong.append(
                f"{write.id}: answered {write.kind} of {write.subject}, recorded {entry.kind} of {entry.subject}"
            )
    return wrong


def _wrong_order(entries: Sequence[Entry], begun: Sequence[float], over: Sequence[float]) -> list[str]:
    """A change that was answered before another one was asked for stands before it."""
    latest = accumulate(begun, max, initial=-NEVER)
    return [
        f"{entry.id}: was over before something ahead of it in the journal began"
        for entry, end, begin in zip(entries, over, latest, strict=False)
        if end < begin
    ]


def _wrong_reads(
    states: Sequence[Mapping[str, str | None]], reads: Sequence[Read], begun: Sequence[float], over: Sequence[float]
) -> list[str]:
    """Each answer was true at some moment between question and answer, and no later answer is older."""
    wrong: list[str] = []
    latest_begun = list(accumulate(begun, max, initial=-NEVER))
    finished: list[tuple[float, int]] = [(end, size) for size, end in enumerate(over, 1)]
    heapify(finished)
    at_least = 0
    for read in sorted(reads, key=lambda read: read.invoked):
        while finished and finished[0][0] < read.invoked:
            at_least = max(at_least, heappop(finished)[1])
        size = at_least
        while size < len(states) and states[size][read.what] != read.answer:
            size += 1
        if size == len(states) or latest_begun[size] > read.returned:
            moments = f"[{read.invoked}, {read.returned}]"
            wrong.append(f"{read.reader}: {read.what} was {read.answer} at no moment of {moments} that fits the others")
        else:
            heappush(finished, (read.returned, size))
    return wrong


def _moments(
    entries: Sequence[Entry], writes: Sequence[Write], moment: Callable[[Write], int], otherwise: float
) -> list[float]:
    """Return for each entry the first such moment of a request with its id; *otherwise* where there is none."""
    first: dict[str, float] = {}
    for write in writes:
        first[write.id] = min(moment(write), first.get(write.id, NEVER))
    return [first.get(entry.id, otherwise) for entry in entries]
