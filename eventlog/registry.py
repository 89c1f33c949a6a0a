"""
The registry: publish, roll back, review, rebuild; and all questions that `queries` answers.

How a request is carried out, and where its point of no return is, stands in `requests`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from eventlog import artifacts, decisions, identity
from eventlog import dataset_metadata as metadata_rules
from eventlog.artifact_taken import Taken
from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Decision, FindEvent, Terms
from eventlog.errors import ModelogError, ModelRegistryError, RefusedError, refused_by
from eventlog.file_digest import Progress
from eventlog.model import ModelMetadata, published_here
from eventlog.model_id import check_model_id
from eventlog.retention import Retention
from eventlog.training_events import Training

if TYPE_CHECKING:
    from eventlog.training import TrainingRun


class _OtherSettingsError(ModelRegistryError):
    """The settings are not those under which the artifact was taken: take it again."""


class ModelRegistry(Retention):
    """
    Publishes models, rolls back, and answers from the journal. Threads may share one; processes open their own.

    `eventlog.requests.RegistryRequests` says what it is made of, `eventlog.queries.RegistryQueries` what it answers.

    Arguments as of `eventlog.serving.Serving`.
    """

    def publish_model(
        self,
        artifact_path: str | os.PathLike[str],
        *,
        backend: str,
        dataset_metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        expect_active: str | None = None,
        take_over: bool = False,
        dry_run: bool = False,
        training: Training | None = None,
        progress: Progress | None = None,
    ) -> ModelMetadata:
        """
        Record a model and make it active.

        Args:
            artifact_path: a regular file, or a directory of them; it is hashed.

            backend: printable text.

            dataset_metadata: JSON values; see `eventlog.dataset_metadata.checked`.

            copy: keep a copy, which is then the model's artifact; None for what the registry's settings say.

            actor, reason: who publishes, the user and host of this process by default; and why.

            request_id: the same id with the same request gives the same answer, however often.

            expect_active: refuse unless this model (or `none`) is active at the moment of the append.

            take_over: let a runtime checkpoint that follows another journal follow this one.

            dry_run: decide, and change nothing.

            training: how it came about; see `training_run`.

            progress: called with bytes hashed and bytes in all.

        Raises RefusedError, JournalDamagedError: nothing changed; OutcomeUnknownError: ask again with the same
            `request_id`; ProjectionLagError: it is recorded; a derived file is behind.
        """
        wanted = {"artifact": artifact_path, "backend": backend, "expect_active": expect_active}
        with self.on_record("publish", wanted, actor=actor, reason=reason, request_id=request_id, dry_run=dry_run):
            terms = self._terms(actor, reason, request_id, expect_active)
            with refused_by("backend"):
                identity.check_text("backend", backend)
            with refused_by("metadata"):
                metadata = metadata_rules.checked({} if dataset_metadata is None else dataset_metadata)
            prepare = partial(decisions.publish, backend=backend, dataset_metadata=metadata, training=training)
            while True:
                keeps = self._keeps_copies() if copy is None else copy
                taking = self._taking(artifact_path, progress, copy=keeps, dry_run=dry_run)
                with suppress(_OtherSettingsError), taking as taken:
                    decide = partial(_under_settings, keeps if copy is None else None, taken, prepare, self.read_event)
                    return self._publish(taken, decide, terms, take_over, dry_run)

    def training_run(
        self,
        *,
        backend: str,
        dataset_metadata: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        **terms: Any,
    ) -> TrainingRun:
        """
        Publish what a block leaves as `run.artifact`, with how long it took, the git commit and the host.

        A block that ends with an error is recorded as a failed run, and the error goes on. Without a block, call
        `publish` or `fail` of what is returned.

        Args:
            backend, dataset_metadata: as in `publish_model`.

            run_id: of the run, such as a scheduler's; with the same id a model is published once, however often the
                run is tried, and `run.model` says so from the start. Random by default.

            terms: what else `publish_model` takes, but for the id.

        Raises, at the end of the block, as `publish_model`, and RefusedError where `run.artifact` was not set: nothing
            was recorded.
        """
        from eventlog import training  # noqa: PLC0415 - few train

        return training.TrainingRun(self, backend=backend, dataset_metadata=dataset_metadata, run_id=run_id, **terms)

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
        progress: Progress | None = None,
    ) -> ModelMetadata:
        """
        Make an older model active again, once its artifact is found with its recorded hash.

        Args:
            model_id: the target; None for the model that was active before the present one.

            actor, reason, request_id, expect_active, take_over, dry_run, progress: as in `publish_model`.

        Returns the target, with the path where its bytes are on this machine. Where it is active already, nothing is
        recorded. Raises as `publish_model`.
        """
        wanted = {"model_id": model_id, "expect_active": expect_active}
        hashed: dict[str, artifacts.Artifact] = {}

        @refused_by("artifact")
        def verify_artifact(catalog: Catalog, target: str) -> str:
            model = catalog.model(target)
            if target not in hashed:
                hashed[target] = self._places.locate(catalog.published[target], progress)
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
            model = self._carry_out(prepare, terms, take_over, dry_run)
        with suppress(ModelogError), self._threads:  # it is done: that it cannot be read again does not undo it
            return published_here(self._replay.catalog.published[model.model_id], self._replay.home)
        return model

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
            size = self._replay.settle().size  # a subscriber may read on
            self._tell_subscribers(None, rebuild=True)
            return size

    def _publish(
        self, taken: Taken, prepare: Callable[[Terms], Decide], terms: Terms, take_over: bool, dry_run: bool
    ) -> ModelMetadata:
        """Publish what was taken; whatever can be refused is, before anything is kept."""
        with ExitStack() as stack:
            if taken.must_keep and not dry_run:
                self._rehearse(prepare, terms, take_over)
                with refused_by("artifact"):
                    stack.enter_context(self._places.in_use(taken))
                    taken.keep()
            return self._carry_out(prepare, terms, take_over, dry_run, taken.check_unchanged)

    @contextmanager
    def _taking(
        self, path: str | os.PathLike[str], progress: Progress | None, *, copy: bool, dry_run: bool
    ) -> Iterator[Taken]:
        """Give the artifact that is to be published; whatever is wrong with it is refused as that."""
        with ExitStack() as stack:
            with refused_by("artifact"):
                taken = stack.enter_context(self._places.taking(path, progress, copy=copy, dry_run=dry_run))
            yield taken

    def _keeps_copies(self) -> bool:
        """Say whether the settings, as far as they are known, ask for copies; if they are others is found out later."""
        if self._replay.catalog.size == 0:
            with self._threads, suppress(ModelogError):  # what is wrong with the journal is told later
                self._replay.catch_up()
        return self._replay.catalog.settings.copy


def _under_settings(
    keeps: bool | None, taken: Taken, prepare: Callable[..., Decide], find_event: FindEvent, terms: Terms
) -> Decide:
    """
    Return the function that decides to publish what was *taken*.

    Args:
        keeps: whether it was taken because the settings ask for copies, or do not; where they do no longer, deciding
            raises `_OtherSettingsError`. None where nobody asked the settings.
    """
    decide = prepare(terms, taken.artifact, contents=taken.contents, signature=taken.signature, find_event=find_event)

    def decide_under_settings(catalog: Catalog, now: datetime) -> Decision:
        if keeps not in (None, catalog.settings.copy):
            raise _OtherSettingsError(f"{catalog.where}: the settings have changed: ask again")
        return decide(catalog, now)

    return decide_under_settings
