"""
Repairs that a person asks for. What cannot be proven is refused, with what to try next; every repair is an event.

| action          | mends                                      | proven by                                             |
|-----------------|--------------------------------------------|-------------------------------------------------------|
| `discard-tail`  | bytes behind the head that no crash leaves | head and anchors: nothing acknowledged is touched     |
| `rebuild-head`  | a head that is missing, damaged or too old | an anchor that the lines agree with                   |
| `from-copy`     | lines changed, cut off, deleted, mixed up  | the hash of the last acknowledged entry               |
| `accept-rewind` | nothing: goes on from what there is        | nobody; the event says what the head and anchors said |

Bytes that go are in `quarantine/` before they go. A repair that is cut short can be asked for again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from eventlog import artifacts, chain, codec, durable
from eventlog.decisions import Decision, Terms
from eventlog.engines.jsonl import JOURNAL, JsonlJournal
from eventlog.errors import ModelogError, OutcomeUnknownError, ProjectionLagError, RefusedError
from eventlog.events import Data, Event
from eventlog.journal import DiscardedTail, Subscriber
from eventlog.repair_evidence import Request, Witnesses
from eventlog.repair_plans import PLANS, Plan
from eventlog.replay import Replay, catch_up_all
from eventlog.transaction import Transaction
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
            RefusedError: it cannot be proven, or the disk did not let us. Nothing is lost; the same can be asked again.

            OutcomeUnknownError: repaired, but it is not known whether the event was recorded.

            ProjectionLagError: repaired and recorded; a derived file is behind.
        """
        replay, subscribers = self._wire()
        journal = replay.journal
        if not isinstance(journal, JsonlJournal):
            raise RefusedError(f"{journal.where}: expected a journal in a file, got another engine's")
        witnesses = Witnesses([item for subscriber in subscribers for item in subscriber.anchors()])
        request = Request(journal.where, terms.reason, None if copy is None else artifacts.path_to_text(copy)[0])
        with _opened(copy) as copied:
            with journal.repairing(dry_run=True) as files:  # so that a refusal does not even create a lock
                plan = PLANS[action](files, copied, witnesses, request)
                if plan.data is None or dry_run:
                    removed = files.surplus(plan.assembly, plan.lines, plan.keep_as)
                    return _report(action, plan, removed if plan.data else [])
            self._rehearse(plan, terms)
            with journal.repairing(dry_run=False) as files:
                plan = PLANS[action](files, copied, witnesses, request)
                if plan.data is None:
                    return _report(action, plan, [])
                self._point_of_no_return()
                removed = files.install(plan.assembly, plan.lines, plan.head, plan.keep_as)
        return self._record(_report(action, plan, removed), plan.data, terms)

    def _rehearse(self, plan: Plan, terms: Terms) -> None:
        """Refuse now, before anything is touched, an event that could not be stored."""
        if plan.data is not None:
            event = Event(plan.head.size, terms.request_id, self._now(), terms.actor, None, plan.data)
            codec.encode(event, terms.request_id, chain.GENESIS)

    def _record(self, report: RepairReport, data: Data, terms: Terms) -> RepairReport:
        """Append the event that says what was done, bring the derived files up to date, and look at it all again."""
        replay, subscribers = self._wire()
        transaction = Transaction(replay, self._now, self._random_bytes)
        try:
            transaction.run(lambda _catalog, _now: Decision("", data), terms)
        except (ModelogError, KeyboardInterrupt) as error:
            raise OutcomeUnknownError(
                f"repaired, but the history may not say so yet: {error}: the next publish records what was taken out"
            ) from error
        lag = catch_up_all(subscribers)
        fresh, subscribers = self._wire()
        verification = verify(fresh, subscribers)
        if lag:
            raise ProjectionLagError(f"repaired, but a derived file is behind: {'; '.join(lag)}: run rebuild")
        return replace(
            report,
            done=True,
            size=verification.size,
            hash=verification.hash,
            position=replay.catalog.positions.get(terms.request_id),
            verification=verification,
        )


def _report(action: Action, plan: Plan, removed: list[DiscardedTail]) -> RepairReport:
    return RepairReport(action, False, plan.found, plan.steps, removed, plan.head.size, plan.head.hash)


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
