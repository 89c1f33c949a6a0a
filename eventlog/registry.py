"""
The registry: decide on the folded state, append, tell the subscribers. The append is the point of no return.

    hash artifact → catch up → decide → lock → catch up → decide → append | → unlock → subscribers catch up

Left of the bar a request may be refused, with nothing changed. Right of it a subscriber may only lag.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from logging import getLogger
from typing import Any

from msgspec.structs import replace

from eventlog import artifacts, decisions, identity
from eventlog import dataset_metadata as metadata_rules
from eventlog.batch import RECOVERY_ID_START
from eventlog.catalog import Catalog, ModelMetadata, model_of
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import ProjectionLagError, RefusedError
from eventlog.events import ModelPublished, ModelRolledBack, check_model_id
from eventlog.journal import FoundAnchor, Subscriber
from eventlog.queries import RegistryQueries
from eventlog.replay import Replay, catch_up_all
from eventlog.transaction import Transaction

_log = getLogger("modelog")


def utc_now() -> datetime:
    """Return the time of our clock, in UTC."""
    return datetime.now(UTC)


class ModelRegistry(RegistryQueries):
    """
    Publishes models, rolls back, and answers from the journal. Threads may share one; processes open their own.

    Args:
        replay: the journal and its fold.

        subscribers: told after each append, and whenever an answer was already there.

        now: the clock; must return aware UTC times.

        random_bytes: for new ids.

        point_of_no_return: called when from now on something will have happened; a program may want to hold
            interrupts until the call is over.
    """

    def __init__(
        self,
        replay: Replay,
        subscribers: Sequence[Subscriber] = (),
        *,
        now: Callable[[], datetime] = utc_now,
        random_bytes: Callable[[int], bytes] = os.urandom,
        point_of_no_return: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(replay, subscribers)
        self._now = now
        self._random_bytes = random_bytes
        self._point_of_no_return = point_of_no_return
        self._transaction = Transaction(replay, now, random_bytes, point_of_no_return)

    def publish_model(
        self,
        artifact_path: str | os.PathLike[str],
        *,
        backend: str,
        dataset_metadata: Mapping[str, Any] | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        expect_active: str | None = None,
        take_over: bool = False,
        dry_run: bool = False,
        progress: artifacts.Progress | None = None,
    ) -> ModelMetadata:
        """
        Record a model and make it active.

        Args:
            artifact_path: a regular file; it is hashed, not copied.

            backend: printable text.

            dataset_metadata: JSON values; see `eventlog.dataset_metadata.checked`.

            actor: who publishes; the user and host of this process by default.

            reason: why.

            request_id: the same id with the same request gives the same answer, however often.

            expect_active: refuse unless this model (or `none`) is active at the moment of the append.

            take_over: let a runtime checkpoint that follows another journal follow this one.

            dry_run: decide, and change nothing.

            progress: called with bytes hashed and bytes in all.

        Raises:
            RefusedError, JournalDamagedError: nothing changed.

            OutcomeUnknownError: ask again with the same `request_id`.

            ProjectionLagError: it is recorded; a derived file is behind.
        """
        terms = self._terms(actor, reason, request_id, expect_active)
        identity.check_text("backend", backend)
        metadata = metadata_rules.checked(dataset_metadata or {})
        artifact = artifacts.hash_artifact(artifact_path, progress)

        def prepare(terms: Terms) -> Decide:
            return decisions.publish(terms, artifact, backend, metadata, self.read_event)

        return self._carry_out(prepare, terms, take_over, dry_run, artifact.check_unchanged)

    def rollback(
        self,
        model_id: str | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        expect_active: str | None = None,
        take_over: bool = False,
        dry_run: bool = False,
        progress: artifacts.Progress | None = None,
    ) -> ModelMetadata:
        """
        Make an older model active again, once its artifact is found with its recorded hash.

        Args:
            model_id: the target; None for the model that was active before the present one.

            actor, reason, request_id, expect_active, take_over, dry_run, progress: as in `publish_model`.

        Returns the target. Where it is active already, nothing is recorded. Raises as `publish_model`.
        """
        if model_id is not None:
            check_model_id(model_id)
        terms = self._terms(actor, reason, request_id, expect_active)
        hashed: dict[str, artifacts.Artifact] = {}

        def verify_artifact(catalog: Catalog, target: str) -> str:
            model = catalog.model(target)
            if target not in hashed:
                hashed[target] = artifacts.hash_artifact(model.artifact_path, progress)
            found = hashed[target]
            found.check_unchanged()
            if os.path.realpath(model.artifact_path) != found.path:
                raise RefusedError(f"artifact {model.artifact_path}: leads elsewhere since it was hashed: try again")
            if found.sha256 != model.sha256:
                raise RefusedError(
                    f"artifact {found.path}: expected sha256 {model.sha256} of {target}, got {found.sha256}: "
                    "put the published file back, or roll back to another model"
                )
            return found.sha256

        def prepare(terms: Terms) -> Decide:
            return decisions.rollback(terms, model_id, self.read_event, verify_artifact)

        return self._carry_out(prepare, terms, take_over, dry_run)

    def rebuild(self) -> int:
        """
        Throw the derived files' content away and fold it again; return the journal's size.

        Raises:
            RefusedError: there is no journal, or no head that says how long it is.

            JournalDamagedError: as `list_models`.

            ProjectionLagError: a file could not be written.
        """
        with self._threads:
            if self.catalog().size == 0:
                raise RefusedError(f"{self._replay.journal.where}: expected a journal to rebuild from, got none")
            if any(notice.extent_unknown for notice in self._replay.journal.notices()):
                raise RefusedError(
                    f"{self._replay.journal.where}: nobody knows whether it is whole, so no file may vouch for it: "
                    "run repair --rebuild-head"
                )
            self._replay.settle()
            self._tell_subscribers(None, rebuild=True)
            return self._replay.catalog.size

    # How a change is carried out

    def _terms(self, actor: str | None, reason: str | None, request_id: str | None, expect_active: str | None) -> Terms:
        if expect_active not in (None, "none"):
            check_model_id(expect_active or "")
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
        )

    def _carry_out(
        self,
        prepare: Callable[[Terms], Decide],
        terms: Terms,
        take_over: bool,
        dry_run: bool,
        last_look: Callable[[], None] = lambda: None,
    ) -> ModelMetadata:
        """Decide without the lock; then, unless the answer is there or it is a dry run, decide and append under it."""
        with self._threads:
            found = self._anchors()
            catalog = self._replay.catch_up()
            terms = self._admit(self._replay.check_anchors(found), terms, take_over)
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
                self._say(decision, "would be recorded")
                return _preview(decision, catalog, now)
            if decision.data is None:
                decision = decide(self._replay.settle(), now)
            if decision.data is not None:
                decision = self._transaction.run(decide, terms, last_look)
            self._say(decision, "recorded")
            model = catalog.model(decision.model_id)
            self._tell_subscribers(model)
            return model

    def _admit(self, foreign: list[FoundAnchor], terms: Terms, take_over: bool) -> Terms:
        """Refuse a runtime checkpoint that follows another journal, or note in the terms that it is taken over."""
        for item in foreign:
            _log.warning("%s: follows journal %s, not this one", item.where, item.anchor.journal_id)
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
            _log.info("%s: was recorded at position %d already", model_id, decision.position)
        elif isinstance(decision.data, (ModelPublished, ModelRolledBack)):
            _log.info("%s: %s as active, in place of %s", model_id, done, decision.data.displaced or "no model")
        else:
            _log.info("%s: is active already: nothing was recorded", model_id)

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
