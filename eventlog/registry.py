"""
The registry: publish, roll back, review, rebuild; and all questions that `queries` answers.

How a request is carried out, and where its point of no return is, stands in `requests`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from eventlog import artifacts, decisions, identity
from eventlog import dataset_metadata as metadata_rules
from eventlog.artifact_places import ArtifactPlaces
from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Terms
from eventlog.errors import ProjectionLagError, RefusedError, refused_by
from eventlog.events import Event, check_model_id
from eventlog.key_events import KeyRevoked
from eventlog.model import ModelMetadata
from eventlog.refusals import RecordedRequests

if TYPE_CHECKING:
    from eventlog.signed_note import PrivateKey, PublicKey


class ModelRegistry(RecordedRequests):
    """
    Publishes models, rolls back, and answers from the journal. Threads may share one; processes open their own.

    `eventlog.requests.RegistryRequests` says what it is made of, `eventlog.queries.RegistryQueries` what it answers.

    Args:
        places: where artifacts are.

        arguments, settings: as `eventlog.requests.RegistryRequests`.
    """

    def __init__(self, *arguments: Any, places: ArtifactPlaces | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._places = places or ArtifactPlaces()

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
        wanted = {"artifact": artifact_path, "backend": backend, "expect_active": expect_active}
        with self.on_record("publish", wanted, actor=actor, reason=reason, request_id=request_id, dry_run=dry_run):
            terms = self._terms(actor, reason, request_id, expect_active)
            with refused_by("backend"):
                identity.check_text("backend", backend)
            with refused_by("metadata"):
                metadata = metadata_rules.checked(dataset_metadata or {})
            with refused_by("artifact"):
                artifact = self._places.take(artifact_path, progress, share=not dry_run)

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
        wanted = {"model_id": model_id, "expect_active": expect_active}
        hashed: dict[str, artifacts.Artifact] = {}

        @refused_by("artifact")
        def verify_artifact(catalog: Catalog, target: str) -> str:
            model = catalog.model(target)
            if target not in hashed:
                hashed[target] = self._places.locate(model, progress)
                if not dry_run:
                    self._places.share(hashed[target])
            found = hashed[target]
            found.check_unchanged()
            if os.path.realpath(model.artifact_path) != found.path and not self._places.holds(found.path):
                raise RefusedError(f"artifact {model.artifact_path}: leads elsewhere since it was hashed: try again")
            return found.sha256

        def prepare(terms: Terms) -> Decide:
            return decisions.rollback(terms, model_id, self.read_event, verify_artifact)

        with self.on_record("rollback", wanted, actor=actor, reason=reason, request_id=request_id, dry_run=dry_run):
            if model_id is not None:
                with refused_by("target"):
                    check_model_id(model_id)
            terms = self._terms(actor, reason, request_id, expect_active)
            return self._carry_out(prepare, terms, take_over, dry_run)

    def review(
        self,
        position: int | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that somebody examined the history up to and with the entry at *position*; return that event.

        Args:
            position: None for the newest entry there is now.

            actor, reason, request_id: as in `publish_model`; the reason says what was found.

        Raises as `publish_model`.
        """
        terms = self._terms(actor, reason, request_id)
        with self._threads:
            catalog = self.catalog()
            examined = catalog.size - 1 if position is None else position

            def prepare(terms: Terms) -> Decide:
                return decisions.review(terms, examined, position, self.read_event)

            return self._record(prepare, terms)

    def add_key(
        self,
        key: PublicKey,
        *,
        endorser: PrivateKey | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that *key* may sign tree heads from now on; return that event.

        Args:
            endorser: a key that may sign now; whoever trusts it may then trust the new one.

            actor, reason, request_id: as in `publish_model`.

        Raises as `publish_model`.
        """
        terms = replace(self._terms(actor, reason, request_id), key=None)
        from eventlog import keys  # noqa: PLC0415 - few registries have keys

        keys.check_kind(key)
        with self._threads:
            journal_id = self.catalog().journal_id
            if journal_id is None:
                raise RefusedError(
                    f"{self._replay.journal.where}: expected a journal, got none: publish with --sign-key"
                )
            data = keys.added(key, journal_id, endorser, terms.reason)
            return self._record(lambda terms: decisions.change_key(terms, data, self.read_event), terms)

    def revoke_key(
        self,
        key: PublicKey,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that *key* may sign no tree head of more entries than there are now; return that event.

        Raises as `publish_model`.
        """
        terms = replace(self._terms(actor, reason, request_id), key=None)
        data = KeyRevoked(str(key), terms.reason)
        return self._record(lambda terms: decisions.change_key(terms, data, self.read_event), terms)

    def fetch(self, model_id: str, *, progress: artifacts.Progress | None = None) -> str:
        """
        Return the path of a model's file on this machine, just hashed; with an artifact store, that of a copy of ours.

        Raises as `list_models`, and RefusedError where there is no such model, or no such file.
        """
        check_model_id(model_id)
        catalog = self.catalog()
        if model_id not in catalog.published:
            raise RefusedError(f"{catalog.where}: expected a published model, got {model_id!r}: see list")
        return self._places.fetch(catalog.model(model_id), progress).path

    def sync(self, ready: Callable[[ModelMetadata], object] = lambda model: None) -> tuple[int, ModelMetadata | None]:
        """
        Bring the derived files up to the journal, as a publish would; return its size and the active model.

        Args:
            ready: called with the active model before any file names it; raises where it cannot be used here.

        Raises:
            UnreachableError: a journal on a cluster cannot be reached, and nothing of it is here.

            ProjectionLagError: a file could not be written, or *ready* has refused: files name the model before.

            JournalDamagedError: as `list_models`. Files are as they were.
        """
        with self._threads:
            catalog, model = self.catalog(), None
            while catalog.active_id() != (model and model.model_id):  # also where it changes meanwhile
                model = catalog.model(catalog.active_id() or "")
                try:
                    ready(model)
                except RefusedError as error:
                    raise ProjectionLagError(f"{model.model_id} cannot be used here: {error}") from error
                catalog = self._replay.settle()
            self._tell_subscribers(None)
            return catalog.size, model

    def rebuild(self) -> int:
        """
        Throw the derived files' content away and fold it again; return the journal's size.

        Raises:
            RefusedError: there is no journal, or no head that says how long it is.

            JournalDamagedError: as `list_models`.

            ProjectionLagError: a file could not be written.
        """
        with self._threads:
            catalog = self.catalog()
            if catalog.size == 0:
                raise RefusedError(f"{self._replay.journal.where}: expected a journal to rebuild from, got none")
            if self._signing is not None:
                decisions.check_key(catalog, self._signing)
            if any(notice.extent_unknown for notice in self._replay.journal.notices()):
                raise RefusedError(
                    f"{self._replay.journal.where}: nobody knows whether it is whole, so no file may vouch for it: "
                    "run repair --rebuild-head"
                )
            self._replay.settle()
            self._tell_subscribers(None, rebuild=True)
            return self._replay.catalog.size
