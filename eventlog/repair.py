"""
Repairs that a person asks for. What cannot be proven is refused, with what to try next; every repair is an event.

| action          | mends                                      | proven by                                             |
|-----------------|--------------------------------------------|-------------------------------------------------------|
| `discard-tail`  | bytes behind the head that no crash leaves | head and anchors: nothing acknowledged is touched     |
| `rebuild-head`  | a head that is missing, damaged or too old | an anchor that the lines agree with                   |
| `from-copy`     | lines changed, cut off, deleted, mixed up  | the hash of the last acknowledged entry               |
| `accept-rewind` | nothing: goes on from what there is        | nobody; the event says what the head and anchors said |

Bytes that go are in `quarantine/` before they go; the event that tells of a repair comes into place together with what
was repaired. A repair that is cut short can be asked for again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from eventlog import batch, durable, identity
from eventlog.artifact_path import path_to_text
from eventlog.decisions import Terms
from eventlog.engines.jsonl import JOURNAL, JsonlJournal
from eventlog.engines.jsonl_repair import JsonlRepair
from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError
from eventlog.journal import DiscardedTail, Subscriber
from eventlog.repair_evidence import Request, Witnesses, history
from eventlog.repair_plans import PLANS, Plan
from eventlog.replay import Replay, catch_up_all
from eventlog.verify import Report, verify

Action = Literal["discard-tail", "rebuild-head", "from-copy", "accept-rewind"]
Wiring = tuple[Replay, Sequence[Subscriber]]


class RepairReport(Struct, frozen=True):
    """
    What a repair did, or would do.

    Attributes:
        action: as asked for.

        done: whether anything was changed; not for a dry run, and not where nothing was wrong.

        found: what was wrong, or that nothing was, in words.

        steps: what was done or would be, in words.

        removed: the bytes that were taken out and where they are kept; for a dry run without hash and place.

        size, hash: of the acknowledged entries afterwards.

        position: of the event that records the repair, or None.

        verification: the audit afterwards, or None where nothing was changed.
    """

    action: str
    done: bool
    found: str
    steps: list[str]
    removed: list[DiscardedTail]
    size: int
    hash: str
    position: int | None = None
    verification: Report | None = None


class Repairs:
    """
    Repairs the journal of one registry.

    Args:
        wire: opens it anew: the journal with its fold, and the subscribers whose files are witnesses.

        now, random_bytes, point_of_no_return: as in `eventlog.registry.ModelRegistry`.
    """

    def __init__(
        self,
        wire: Callable[[], Wiring],
        *,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes] = os.urandom,
        point_of_no_return: Callable[[], None] = lambda: None,
    ) -> None:
        self._wire = wire
        self._now = now
        self._random_bytes = random_bytes
        self._point_of_no_return = point_of_no_return

    def run(
        self,
        action: Action,
        *,
        terms: Terms,
        copy: str | None = None,
        dry_run: bool = False,
    ) -> RepairReport:
        """
        Carry out one repair.

        Args:
            terms: who, under which id, and why; a reason is required to accept a rewind.

            copy: a journal file, or a directory with one; for `from-copy`, and where wanted for `accept-rewind`.

        Raises:
            RefusedError: it cannot be proven, or the disk did not let us. The journal is as it was.

            OutcomeUnknownError: it is not known whether the repair is complete. Nothing is lost; the same can be
                asked again.

            ProjectionLagError: repaired and recorded; a derived file is behind.
        """
        replay, subscribers = self._wire()
        journal = replay.journal
        if not isinstance(journal, JsonlJournal):
            raise RefusedError(f"{journal.where}: expected a journal in a file, got another engine's")
        witnesses = Witnesses([item for subscriber in subscribers for item in subscriber.anchors()])
        copied_from = None if copy is None else path_to_text(copy)[0]
        request = Request(action, journal.where, terms.reason, copied_from)
        with _opened(copy) as copied:
            with journal.repairing(dry_run=True) as files:  # so that a refusal does not even create a lock
                report = self._rehearsed(files, PLANS[action](files, copied, witnesses, request), request, terms)
            if dry_run or not report.steps:
                return report
            with journal.repairing(dry_run=False) as files:
                report = self._installed(files, PLANS[action](files, copied, witnesses, request), request, terms)
        return self._looked_at(report, terms) if report.steps else report

    def _rehearsed(self, files: JsonlRepair, plan: Plan, request: Request, terms: Terms) -> RepairReport:
        """Return what would be done; refuse an event that could not be stored. Without steps nothing is to be done."""
        removed = []
        if plan.data is not None:
            self._seal(plan, request, terms)(())
            removed = files.surplus(plan.assembly, plan.lines, plan.keep_as)
        return _report(plan, request, removed)

    def _installed(self, files: JsonlRepair, plan: Plan, request: Request, terms: Terms) -> RepairReport:
        """Do what *plan* says, and return it."""
        if plan.data is None:
            return _report(plan, request, [])
        seal = self._seal(plan, request, terms)
        self._point_of_no_return()
        try:
            removed = files.install(plan.assembly, plan.lines, plan.head, plan.keep_as, seal)
        except (OutcomeUnknownError, KeyboardInterrupt) as error:
            raise OutcomeUnknownError(f"{str(error) or 'interrupted'}: run verify, then ask again") from error
        return _report(plan, request, removed)

    def _seal(self, plan: Plan, request: Request, terms: Terms) -> Callable[[Sequence[DiscardedTail]], list[bytes]]:
        """Return what seals the event of *plan*, behind the lines it keeps; refuse lines that are no history."""
        assert plan.data is not None, "only called with something to record"
        catalog, data, now = history(plan.assembly, plan.lines, request), plan.data, self._now()
        new_id = partial(identity.new_uuid, self._random_bytes)
        return lambda discarded: [
            entry for _, entry in batch.sealed(catalog, data, None, terms, now, discarded, new_id)
        ]

    def _looked_at(self, report: RepairReport, terms: Terms) -> RepairReport:
        """Bring the derived files up to date, and look at it all again."""
        replay, subscribers = self._wire()
        try:
            replay.catch_up()
            lag = catch_up_all(subscribers)
            position = replay.catalog.positions.get(terms.request_id)
            replay, subscribers = self._wire()
            verification = verify(replay, subscribers)
        except KeyboardInterrupt as error:
            raise ProjectionLagError(
                "repaired and recorded; interrupted before the derived files: run rebuild"
            ) from error
        if lag:
            raise ProjectionLagError(f"repaired, but a derived file is behind: {'; '.join(lag)}: run rebuild")
        return replace(
            report,
            done=True,
            size=verification.size,
            hash=verification.hash,
            position=position,
            verification=verification,
        )


def _report(plan: Plan, request: Request, removed: list[DiscardedTail]) -> RepairReport:
    return RepairReport(request.action, False, plan.found, plan.steps, removed, plan.head.size, plan.head.hash)


@contextmanager
def _opened(copy: str | None) -> Iterator[int | None]:
    """Open the journal file of a copy."""
    if copy is None:
        yield None
        return
    path = durable.checked_path(copy, "--from")
    with durable.refusing(path):
        if os.path.isdir(path):
            path = os.path.join(path, JOURNAL)
        descriptor = durable.open_regular(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
