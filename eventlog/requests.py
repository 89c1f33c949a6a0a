"""
How a request becomes an event: decide on the folded state, append, tell the subscribers; refusals on record.

    catch up → decide → lock → catch up → decide → append | → unlock → subscribers catch up

Left of the bar a request may be refused, with nothing changed. Right of it a subscriber may only lag.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from eventlog import decisions, identity
from eventlog.batch import RECOVERY_ID_START
from eventlog.catalog import Catalog
from eventlog.clock import utc_now
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import (
    ModelogError,
    OutcomeUnknownError,
    ProjectionLagError,
    RefusedError,
    refused_by,
)
from eventlog.events import Event, ModelPublished, ModelRolledBack
from eventlog.group_commit import GroupCommit
from eventlog.journal import FoundAnchor, Subscriber
from eventlog.log import log
from eventlog.model import ModelMetadata
from eventlog.model_id import is_model_id
from eventlog.queries import RegistryQueries
from eventlog.replay import Replay, catch_up_all
from eventlog.transaction import Asked, Transaction

_UNREAD = "recorded, but it cannot be read again: {}: run rebuild"


class _Waiting:
    """A request that a thread waits for: what is asked, and how it ended as soon as it is *settled*."""

    def __init__(
        self,
        prepare: Callable[[Terms], Decide],
        terms: Terms,
        take_over: bool = False,
        last_look: Callable[[], None] = lambda: None,
    ) -> None:
        self.prepare = prepare
        self.terms = terms
        self.take_over = take_over
        self.last_look = last_look
        self.decide: Decide | None = None
        self.decision: Decision | None = None
        self.model: ModelMetadata | None = None
        self.error: ModelogError | None = None
        self.settled = False


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
        signing: str | None = None,
        checks: Sequence[Callable[[Catalog], None]] = (),
    ) -> None:
        super().__init__(replay, subscribers, now=now, checks=checks)
        self._signing = signing
        self._random_bytes = random_bytes
        self._point_of_no_return = point_of_no_return
        self._commits = GroupCommit(self._carry_out_all, self._threads)
        self._transaction = Transaction(replay, now, random_bytes, point_of_no_return)

    @refused_by("terms")
    def _terms(
        self, actor: str | None, reason: str | None, request_id: str | None, expect_active: str | None = None
    ) -> Terms:
        """Return who asks, why and under which condition, checked."""
        if expect_active not in (None, "none") and not is_model_id(expect_active or ""):
            raise RefusedError(f"expect_active: expected a model id as in list, or 'none', got {expect_active!r:.80}")
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
        """Perform a request that is about a model, and return the model; together with those of other threads."""
        if dry_run:
            with self._threads:
                _, foreign = self._compared(self._anchors())
                decision, now = self._considered(_Waiting(prepare, terms, take_over, last_look), foreign, False)
                self._say(decision, "would be recorded")
                return decisions.preview(decision, self._replay.catalog, now)
        waiting = _Waiting(prepare, terms, take_over, last_look)
        self._commits.run(waiting)
        if waiting.decision is not None:
            self._say(waiting.decision, "recorded")
        if waiting.error is not None:
            raise waiting.error
        assert waiting.model is not None, "it is settled"
        return waiting.model

    def _rehearse(self, prepare: Callable[[Terms], Decide], terms: Terms, take_over: bool) -> None:
        """Refuse a request that can be refused as things are, before something is kept for it."""
        with self._threads:
            _, foreign = self._compared(self._anchors())
            self._considered(_Waiting(prepare, terms, take_over), foreign, False)

    def _carry_out_all(self, group: list[_Waiting]) -> None:
        """Perform the requests of *group* together, tell the subscribers once, and settle each."""
        try:
            _, foreign = self._compared(self._anchors())
            asked = [(waiting, self._perform(waiting, foreign)) for waiting in group]
            self._transaction.run_all([item for _, item in asked if item is not None])
            for waiting, item in asked:
                if item is not None:
                    waiting.decision, waiting.error = item.decision, item.error
            done = [waiting for waiting in group if waiting.decision is not None]
            for waiting in done:
                self._find_model(waiting)
            lag = self._subscribers_lag() if done else None
            for waiting in done:
                waiting.error = waiting.error if lag is None else ProjectionLagError(lag, model=waiting.model)
        except ModelogError as error:  # of the journal itself: nothing was asked of it yet
            for waiting in group:
                waiting.error = error
        except BaseException as error:
            for waiting in group:
                waiting.error = waiting.error or _unsettled(error, waiting.terms)
            raise
        finally:
            for waiting in group:
                waiting.settled = True

    def _find_model(self, waiting: _Waiting) -> None:
        """Note the model of a request that is carried out; that it cannot be read again does not undo anything."""
        assert waiting.decision is not None, "it is carried out"
        try:
            waiting.model = self._replay.catalog.model(waiting.decision.model_id)
        except ModelogError as error:
            waiting.error = ProjectionLagError(_UNREAD.format(error))

    def _perform(self, waiting: _Waiting, foreign: list[FoundAnchor]) -> Asked | None:
        """Consider a request without the lock; return it if something is to be appended, else settle it."""
        try:
            decision, now = self._considered(waiting, foreign, self._replay.catalog.size > 0)
            assert waiting.decide is not None, "it was considered"
            if decision.data is None:
                decision = waiting.decide(self._replay.settle(), now)
            if decision.data is None:
                waiting.decision = decision
                return None
            return Asked(waiting.decide, waiting.terms, waiting.last_look)
        except ModelogError as error:
            waiting.error = error
            return None

    def _considered(self, waiting: _Waiting, foreign: list[FoundAnchor], stored: bool) -> tuple[Decision, datetime]:
        """
        Decide on the state as it is, without the lock, and refuse what can be refused already.

        Args:
            foreign: the anchors of other journals.

            stored: there is a journal, and the event goes into it at once: if it cannot, that changes nothing either.
        """
        catalog = self._replay.catalog
        with refused_by("take-over"):
            terms = waiting.terms = self._admit(foreign, waiting.terms, waiting.take_over)
        if terms.key is not None:
            decisions.check_key(catalog, terms.key)
        decide = waiting.decide = waiting.prepare(terms)
        now = self._now()
        if now.tzinfo is None:
            raise TypeError(f"now: expected an aware time, got {now!r}")
        decision = decide(catalog, now)
        if decision.data is None and terms.took_over is not None:
            raise RefusedError("--take-over: expected a request that records something: publish with --take-over")
        if not stored:
            self._transaction.rehearse(decision, terms, now)
        waiting.last_look()
        return decision, now

    def _record(self, prepare: Callable[[Terms], Decide], terms: Terms) -> Event:
        """Perform a request that is about the journal, tell the subscribers, and return its event."""
        with self._threads:
            _, foreign = self._compared(self._anchors())
            waiting = _Waiting(prepare, terms)
            asked = self._perform(waiting, foreign)
            if asked is not None:
                self._transaction.run_all([asked])
                waiting.decision, waiting.error = asked.decision, asked.error
            if waiting.error is not None:
                raise waiting.error
            assert waiting.decision is not None, "it is settled"
            position = waiting.decision.position
            try:
                event = self.read_event(self._replay.catalog.size - 1 if position is None else position)
            except RefusedError as error:
                if position is not None:
                    raise
                raise ProjectionLagError(_UNREAD.format(error)) from error
            done = "recorded" if position is None else "nothing was recorded: it was already,"
            log.info("%s: %s at position %d", event.type, done, event.position)
            self._tell_subscribers(None)
            return event

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
        if (lag := self._subscribers_lag(rebuild=rebuild)) is not None:
            raise ProjectionLagError(lag, model=model)

    def _subscribers_lag(self, *, rebuild: bool = False) -> str | None:
        """Do so, and return what is to be said of those that could not, or None."""
        self._point_of_no_return()
        failures = catch_up_all(self._subscribers, rebuild=rebuild)
        if not failures:
            return None
        reasons = "; ".join(failures)
        if rebuild:
            return f"not rebuilt: {reasons}"
        return f"recorded, but a derived file is behind: {reasons}: mend that, then run rebuild"


def _unsettled(error: BaseException, terms: Terms) -> ModelogError:
    """Return what a request is told whose group ended with *error*, which some other thread raises."""
    return OutcomeUnknownError(
        f"{type(error).__name__} in another thread: not known whether the event was recorded: "
        f"retry with --id {terms.request_id}"
    )
