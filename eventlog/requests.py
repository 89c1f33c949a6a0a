"""
How a request becomes an event: decide on the folded state, append, tell the subscribers; refusals on record.

    catch up → decide → lock → catch up → decide → append | → unlock → subscribers catch up

Left of the bar a request may be refused, with nothing changed. Right of it a subscriber may only lag.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from msgspec.structs import replace

from eventlog import decisions, identity
from eventlog.batch import RECOVERY_ID_START
from eventlog.catalog import Catalog
from eventlog.clock import utc_now
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import (
    ConflictError,
    LockTimeoutError,
    ModelogError,
    ProjectionLagError,
    RefusedError,
    UnsupportedFormatError,
    refused_by,
)
from eventlog.events import Event, ModelPublished, ModelRolledBack, RequestRefused, check_model_id
from eventlog.journal import FoundAnchor, Subscriber
from eventlog.log import log
from eventlog.model import ModelMetadata, model_of
from eventlog.queries import RegistryQueries
from eventlog.replay import Replay, catch_up_all
from eventlog.transaction import Transaction


class RegistryRequests(RegistryQueries):
    """
    Carries requests out. Threads may share one; processes open their own.

    Args:
        replay: the journal and its fold.

        subscribers: told after each append, and whenever an answer was already there.

        now: the clock; must return aware UTC times.

        random_bytes: for new ids.

        point_of_no_return: called when from now on something will have happened; a program may want to hold
            interrupts until the call is over.

        record_refusals: whether a request that is refused is recorded as such.

        signing: the public key that signs tree heads; refused unless the journal knows it, or begins with it.

        checks: as in `RegistryQueries`.
    """

    def __init__(
        self,
        replay: Replay,
        subscribers: Sequence[Subscriber] = (),
        *,
        now: Callable[[], datetime] = utc_now,
        random_bytes: Callable[[int], bytes] = os.urandom,
        point_of_no_return: Callable[[], None] = lambda: None,
        record_refusals: bool = False,
        signing: str | None = None,
        checks: Sequence[Callable[[Catalog], None]] = (),
    ) -> None:
        super().__init__(replay, subscribers, now=now, checks=checks)
        self._signing = signing
        self._random_bytes = random_bytes
        self._point_of_no_return = point_of_no_return
        self._record_refusals = record_refusals
        self._transaction = Transaction(replay, now, random_bytes, point_of_no_return)

    @refused_by("terms")
    def _terms(
        self, actor: str | None, reason: str | None, request_id: str | None, expect_active: str | None = None
    ) -> Terms:
        """Return who asks, why and under which condition, checked."""
        if expect_active not in (None, "none"):
            check_model_id(expect_active or "")
        own_id = request_id is None
        request_id = identity.new_uuid(self._random_bytes) if request_id is None else request_id
        if identity.check_text("--id", request_id).startswith(RECOVERY_ID_START):
            raise RefusedError(
                f"--id {request_id!r:.80}: expected an id of your own: {RECOVERY_ID_START}… is the journal's"
            )
        return Terms(
            actor=identity.check_text("actor", identity.default_actor() if actor is None else actor),
            request_id=request_id,
            reason=None if reason is None else identity.check_utf8("reason", reason),
            expect_active=expect_active,
            key=self._signing,
            own_id=own_id,
        )

    def _carry_out(
        self,
        prepare: Callable[[Terms], Decide],
        terms: Terms,
        take_over: bool,
        dry_run: bool,
        last_look: Callable[[], None] = lambda: None,
    ) -> ModelMetadata:
        """Perform a request that is about a model, and return the model."""
        with self._threads:
            decision, now = self._perform(prepare, terms, take_over, dry_run, last_look)
            catalog = self._replay.catalog
            if dry_run:
                self._say(decision, "would be recorded")
                return _preview(decision, catalog, now)
            self._say(decision, "recorded")
            model = catalog.model(decision.model_id)
            self._tell_subscribers(model)
            return model

    def _perform(
        self,
        prepare: Callable[[Terms], Decide],
        terms: Terms,
        take_over: bool,
        dry_run: bool,
        last_look: Callable[[], None] = lambda: None,
    ) -> tuple[Decision, datetime]:
        """Decide without the lock; then, unless the answer is there or it is a dry run, decide and append under it."""
        catalog, foreign = self._compared(self._anchors())
        with refused_by("take-over"):
            terms = self._admit(foreign, terms, take_over)
        if terms.key is not None:
            decisions.check_key(catalog, terms.key)
        decide = prepare(terms)
        now = self._now()
        if now.tzinfo is None:
            raise TypeError(f"now: expected an aware time, got {now!r}")
        decision = decide(catalog, now)
        if decision.data is None and terms.took_over is not None:
            raise RefusedError("--take-over: expected a request that records something: publish with --take-over")
        self._transaction.rehearse(decision, terms, now)
        last_look()
        if dry_run:
            return decision, now
        if decision.data is None:
            decision = decide(self._replay.settle(), now)
        if decision.data is not None:
            decision = self._transaction.run(decide, terms, last_look)
        return decision, now

    def _record(self, prepare: Callable[[Terms], Decide], terms: Terms) -> Event:
        """Perform a request that is about the journal, tell the subscribers, and return its event."""
        with self._threads:
            decision, _ = self._perform(prepare, terms, take_over=False, dry_run=False)
            position = decision.position
            if position is None:
                position = self._replay.catalog.size - 1
            event = self.read_event(position)
            log.info("%s: recorded at position %d", event.type, position)
            self._tell_subscribers(None)
            return event

    @contextmanager
    def on_record(
        self,
        request: str,
        wanted: Mapping[str, object],
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
    ) -> Iterator[None]:
        """
        Record in the history that what is asked for in the block was refused, where this registry does so at all.

        A lock that was not to be had in time refuses nothing, and a dry run asks for nothing. Before the first publish
        there is no history. Where the refusal cannot be recorded, that is logged; the refusal is raised either way.

        Args:
            request: `publish` or `rollback`.

            wanted: what was asked for.
        """
        try:
            yield
        except RefusedError as error:
            passing = isinstance(error, ConflictError | LockTimeoutError | UnsupportedFormatError)
            if self._record_refusals and not dry_run and not passing:
                data = decisions.refusal(request, error, wanted, reason, request_id)
                try:
                    self._record_refusal(data, actor)
                except (ModelogError, OSError) as failed:
                    log.warning("the refusal is not recorded: %s", failed)
            raise

    def _record_refusal(self, data: RequestRefused, actor: str | None) -> None:
        try:
            terms = self._terms(actor, None, None)
        except RefusedError:
            terms = self._terms(None, None, None)
        with self._threads:
            if self.catalog().size == 0:
                log.info("the refusal is not recorded: there is no history yet")
                return
            self._transaction.run(lambda _catalog, _now: Decision("", data), terms)
            log.info("the refusal is recorded at position %d", self._replay.catalog.size - 1)
            for failure in catch_up_all(self._subscribers):
                log.warning("a derived file is behind: %s: run rebuild", failure)

    def _admit(self, foreign: list[FoundAnchor], terms: Terms, take_over: bool) -> Terms:
        """Refuse a runtime checkpoint that follows another journal, or note in the terms that it is taken over."""
        for item in foreign:
            log.warning("%s: follows journal %s, not this one", item.where, item.anchor.journal_id)
        foreign = [item for item in foreign if not self._replay.catalog.covers(item.anchor)]
        if not foreign:
            return terms
        if not take_over:
            item, mine = foreign[0], self._replay.catalog.journal_id
            here = f"journal {mine}" if mine else "none: there is no journal here, restore it from a copy if it is lost"
            raise RefusedError(
                f"{item.where}: follows journal {item.anchor.journal_id}, expected {here}: "
                "check --registry-dir and --state-dir, or pass --take-over"
            )
        return replace(terms, took_over=foreign[0].anchor)

    def _say(self, decision: Decision, done: str) -> None:
        model_id = decision.model_id
        if decision.position is not None:
            log.info("%s: was recorded at position %d already", model_id, decision.position)
        elif isinstance(decision.data, (ModelPublished, ModelRolledBack)):
            log.info("%s: %s as active, in place of %s", model_id, done, decision.data.displaced or "no model")
        else:
            log.info("%s: is active already: nothing was recorded", model_id)

    def _tell_subscribers(self, model: ModelMetadata | None, *, rebuild: bool = False) -> None:
        """Bring every subscriber up to date; try all, then report those that could not."""
        self._point_of_no_return()
        if failures := catch_up_all(self._subscribers, rebuild=rebuild):
            reasons = "; ".join(failures)
            what = f"not rebuilt: {reasons}"
            if not rebuild:
                what = f"recorded, but a derived file is behind: {reasons}: mend that, then run rebuild"
            raise ProjectionLagError(what, model=model)


def _preview(decision: Decision, catalog: Catalog, now: datetime) -> ModelMetadata:
    if isinstance(decision.data, ModelPublished):
        return model_of(decision.model_id, decision.data, now)
    return catalog.model(decision.model_id)
