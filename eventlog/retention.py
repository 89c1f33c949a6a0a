"""How long models are kept: which are retired, which are held, and what is removed of the artifacts kept here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from eventlog import retention_decisions
from eventlog.catalog import Catalog
from eventlog.decisions import Decision, Terms
from eventlog.errors import ProjectionLagError, RefusedError
from eventlog.events import Event
from eventlog.file_digest import Progress
from eventlog.log import log
from eventlog.model_id import check_model_id
from eventlog.retention_events import (
    ArtifactRemoved,
    Marked,
    ModelHeld,
    ModelReinstated,
    ModelReleased,
    ModelRetired,
)
from eventlog.serving import Serving
from eventlog.vault import Vault

if TYPE_CHECKING:
    from eventlog.claims import Claims
    from eventlog.vault_sweep import Removal, Sweep


class Reclaimed(Struct, frozen=True):
    """
    What was removed, or would be; and why other models that are retired keep their artifact.

    Attributes:
        kept: by model id, in words.

        left: what no model names, and was not asked for.
    """

    removed: list[Removal]
    kept: dict[str, str]
    left: list[Removal]


class _NeededError(RefusedError):
    """An artifact that was to be removed is needed now."""


class Retention(Serving):
    """See the module; arguments as of `eventlog.serving.Serving`."""

    def retire(self, model_id: str, *, reason: str, actor: str | None = None, request_id: str | None = None) -> Event:
        """
        Record that a model is not to become active again, and that its artifact may go; return the event that says so.

        Nothing is removed before `gc`.

        Args:
            model_id: of a model that is not active.

            reason, actor, request_id: as in `ModelRegistry.publish_model`.

        Where it is retired already, nothing is recorded. Raises as `publish_model`.
        """
        return self._mark(model_id, ModelRetired(reason), actor, request_id)

    def reinstate(
        self, model_id: str, *, reason: str, actor: str | None = None, request_id: str | None = None
    ) -> Event:
        """Record that a retired model is so no longer; as `retire`."""
        return self._mark(model_id, ModelReinstated(reason), actor, request_id)

    def hold(self, model_id: str, *, reason: str, actor: str | None = None, request_id: str | None = None) -> Event:
        """Record that the artifact of a model is not to be removed, whatever else is said of it; as `retire`."""
        return self._mark(model_id, ModelHeld(reason), actor, request_id)

    def release(self, model_id: str, *, reason: str, actor: str | None = None, request_id: str | None = None) -> Event:
        """Record that a held model is so no longer; as `retire`."""
        return self._mark(model_id, ModelReleased(reason), actor, request_id)

    def gc(
        self,
        *,
        unnamed: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> Reclaimed:
        """
        Remove the artifacts that are kept here and needed no longer; each removal is an event, recorded before it.

        Needed is the artifact of a model that is active, or was just before that, or is held, or is not retired, or was
        active so recently that the settings keep it. Files elsewhere, such as in a store, are not touched.

        Args:
            unnamed: also remove what no model names. A publish that was killed leaves such a thing; but where an older
                backup was restored, it may be all that there is of a model that the history no longer knows.

            dry_run: say what would be removed, and change nothing.

            actor, reason: as in `publish_model`.

            progress: called with the bytes checked and the bytes in all of what is to be removed.

        Raises:
            RefusedError, JournalDamagedError: there is no history, or it is not whole, or a copy that is needed is
                missing, or one that is to be removed is damaged: nothing was removed.

            ProjectionLagError: as `publish_model`, or something is recorded as removed and still there, or not all was
                removed; the next time it is.
        """
        vault = self._places.vault()
        with _scratch() if dry_run else nullcontext() as scratch:
            with self._threads:
                self._check_history()
            if not dry_run:
                vault.clear_incoming()
            sweep = self._sweep(vault, scratch)
        wanted = [removal for removal in sweep.removals if removal.models or unnamed]
        _check_all(sweep, wanted, progress)
        removed = wanted
        if not dry_run and wanted:
            with vault.in_use(alone=True):
                removed = self._removed(vault, {removal.sha256 for removal in wanted}, self._terms(actor, reason, None))
        left = [removal for removal in sweep.removals if removal not in wanted]
        return Reclaimed(removed, sweep.claims.retired_but_kept(self._now()), left)

    def _mark(self, model_id: str, data: Marked, actor: str | None, request_id: str | None) -> Event:
        check_model_id(model_id)
        if not isinstance(data.reason, str) or not data.reason.strip():
            raise RefusedError(f"reason: expected why, in words, got {data.reason!r}")
        terms = self._terms(actor, data.reason, request_id)
        return self._record(lambda terms: retention_decisions.mark(terms, model_id, data, self.read_event), terms)

    def _check_history(self) -> None:
        """Verify all of the history from its first byte; refuse where there is none: nothing says what is needed."""
        catalog = self.catalog()
        if catalog.size == 0:
            raise RefusedError(f"{catalog.where}: expected a journal, which says what is needed, got none")
        self._quiet_replay().catch_up(catalog.size)

    def _sweep(self, vault: Vault, fetched_into: str | None = None) -> Sweep:
        """Return what is kept and what is needed of it. What comes meanwhile is neither."""
        from eventlog.claims import Claims  # noqa: PLC0415 - few remove anything
        from eventlog.vault_sweep import Sweep  # noqa: PLC0415

        files, trees = vault.stored()
        with self._threads:
            catalog = self._replay.catch_up()
            claims = Claims(files | trees, catalog.settings)
            self._go_on(claims, catalog)
        return Sweep(vault, (files, trees), claims, self._now(), self._places.fetcher(fetched_into))

    def _go_on(self, claims: Claims, catalog: Catalog) -> None:
        for event in self._replay.past.events(claims.size, catalog.size):
            claims.apply(event)

    def _removed(self, vault: Vault, checked: set[str], terms: Terms) -> list[Removal]:
        """Remove what was *checked*, and is still not needed; nobody else keeps anything meanwhile."""
        sweep = self._sweep(vault)
        done: list[Removal] = []
        for removal in sweep.removals:
            if removal.sha256 in checked:
                try:
                    with _telling_what_is_done(done):
                        self._record_removal(sweep.claims, removal, terms)
                except _NeededError as error:
                    log.warning("%s: kept", error)
                    continue
                done.append(removal)
                with _telling_what_is_done(done):
                    sweep.remove(removal)
                self._places.forget(removal.sha256)
        return done

    def _record_removal(self, claims: Claims, removal: Removal, terms: Terms) -> None:
        *also, model_id = removal.models or [""]
        data = ArtifactRemoved(removal.sha256, removal.size_bytes, removal.files, terms.reason, also)

        def decide(catalog: Catalog, now: datetime) -> Decision:
            self._go_on(claims, catalog)
            needed = claims.why_kept(removal.sha256, now)
            if needed or catalog.settings != claims.settings:
                why = ", ".join(f"{name} is {words}" for name, words in needed.items()) or "the settings are others"
                raise _NeededError(f"artifact {removal.sha256}: needed now: {why}")
            return Decision(model_id, data)

        self._record(lambda _: decide, self._terms(terms.actor, terms.reason, None))


@contextmanager
def _scratch() -> Iterator[str]:
    """Give a directory for what is only fetched to look at it; it goes with all that is in it."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - few remove anything

    with TemporaryDirectory() as path:
        yield path


@contextmanager
def _telling_what_is_done(done: Sequence[Removal]) -> Iterator[None]:
    """Say of a refusal that comes when something is recorded already that this is so."""
    try:
        yield
    except RefusedError as error:
        if not done or isinstance(error, _NeededError):
            raise
        raise ProjectionLagError(
            f"{len(done)} removals are recorded, but not all is done: {error}: mend that, then run gc again"
        ) from error


def _check_all(sweep: Sweep, wanted: Sequence[Removal], progress: Progress | None) -> None:
    total, done = sum(removal.size_bytes for removal in wanted), 0
    for removal in wanted:
        sweep.check(removal)
        done += removal.size_bytes
        if progress is not None:
            progress(done, total)
