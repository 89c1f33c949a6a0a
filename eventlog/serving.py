"""What a runtime asks of a registry: the files of a model, just checked; and to be kept up to date."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from eventlog import identity, journal_decisions
from eventlog.administration import Administration
from eventlog.artifact_places import ArtifactPlaces
from eventlog.artifacts import Artifact
from eventlog.catalog_state import ACTIVE
from eventlog.errors import ProjectionLagError, RefusedError
from eventlog.events import Event, RuntimeLoaded
from eventlog.file_digest import Progress
from eventlog.log import log
from eventlog.model import ModelMetadata, published_by
from eventlog.model_id import check_model_id

WATCH_WAIT_SECONDS = 1.0


class Loaded:
    """
    A model whose bytes have just been checked; as a path (`os.fspath`, `open`) it is where they are.

    Attributes:
        model: the six attributes.

        path: of the file or directory, absolute.

        position: of the event by which it became active; None where it was loaded by its id.
    """

    def __init__(self, model: ModelMetadata, artifact: Artifact, position: int | None = None) -> None:
        self.model = model
        self.position = position
        self.path = artifact.path
        self._artifact = artifact

    def __fspath__(self) -> str:
        """Return the path."""
        return self.path

    def check_unchanged(self) -> None:
        """Raise RefusedError where something has changed since it was checked."""
        self._artifact.check_unchanged()


class Serving(Administration):
    """
    See the module.

    Args:
        places: where artifacts are.

        arguments, settings: as `eventlog.requests.RegistryRequests`.
    """

    def __init__(self, *arguments: Any, places: ArtifactPlaces | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._places = places or ArtifactPlaces()

    def load(self, model_id: str, *, full: bool = False, progress: Progress | None = None) -> Loaded:
        """
        Return a published model and where its bytes are, which have just been checked against the journal.

        Args:
            full: hash them in any case; else those that look as they did when they were last hashed are believed.

            progress: called with bytes hashed and bytes in all.

        Raises as `list_models`, and RefusedError where there is no such model, or its bytes are not there.
        """
        model, event = self._published(model_id)
        return Loaded(model, self._places.check(event, progress, full=full))

    def open_active(self, *, full: bool = False, progress: Progress | None = None) -> Loaded:
        """Do as `load` for the model that is active. Raises RefusedError, too, where none is."""
        with self._threads:
            catalog = self.catalog()
            activation = catalog.active.get(ACTIVE)
            if activation is None:
                raise RefusedError(f"{catalog.where}: expected an active model, got none: publish first")
            event = catalog.published[activation.model_id]
            model = published_by(event, catalog.home)
        return Loaded(model, self._places.check(event, progress, full=full), activation.position)

    def signature_path(self, model_id: str | None = None) -> str:
        """
        Return where the signature of a model is, by default of the active one, just checked against the journal.

        Raises as `load` and `open_active`, and RefusedError where nobody signed it, or the signature is not there.
        """
        with self._threads:
            wanted = self.catalog().active_id() if model_id is None else model_id
            _, event = self._published(wanted or "none")
        return self._places.signature_path(event)

    def watch(
        self,
        seen: int | None = None,
        *,
        debounce_seconds: float = 0.1,
        wait: Callable[[float], object] | None = None,
    ) -> Iterator[Loaded]:
        """
        Yield the active model as `open_active` does, and each that takes its place from then on; for ever.

        A model whose bytes are not there is not yielded: that is told, and it is looked at again until they are, or
        another model is active. So whoever uses what came last uses what was checked.

        Args:
            seen: the `position` of the last one that was dealt with: what has become active since then is yielded,
                also where it is the same model again. None: what is active now comes first.

            debounce_seconds: activations that follow one another within that time are one, the last.

            wait: called with the most seconds to wait before the next look; by default, the journal says when.

        Raises:
            JournalDamagedError: as `list_models`.

            RefusedError: as `list_models` at the first look, or fewer events than *seen* have happened, or
                *debounce_seconds* are no time; later it is told, and tried again.
        """
        if not 0 <= debounce_seconds < math.inf:
            raise RefusedError(f"debounce_seconds: expected 0 or more seconds, got {debounce_seconds!r}")
        size = self.catalog().size
        if seen is not None and not 0 <= seen < size:
            raise RefusedError(
                f"{self._replay.journal.where}: expected a position below {size} that was seen, got {seen}: "
                "where that many were seen before, the journal was rewound: run verify"
            )
        return self._watched(-1 if seen is None else seen, debounce_seconds, wait or self.wait)

    def _watched(self, seen: int, debounce_seconds: float, wait: Callable[[float], object]) -> Iterator[Loaded]:
        problem = ""
        while True:
            try:
                if self._active_position() > seen:
                    until = time.monotonic() + debounce_seconds
                    while (left := until - time.monotonic()) > 0:
                        wait(left)
                    loaded = self.open_active()
                    seen, problem = loaded.position or 0, ""
                    yield loaded
                    continue
            except RefusedError as error:
                if str(error) != problem:
                    log.warning("%s: the model before stays", error)
                problem = str(error)
            wait(WATCH_WAIT_SECONDS)

    def _active_position(self) -> int:
        """Return where the active model became active; before the first position where none is."""
        with self._threads:
            activation = self.catalog().active.get(ACTIVE)
        return -1 if activation is None else activation.position

    def _published(self, model_id: str) -> tuple[ModelMetadata, Event]:
        """Return a model and its publication, both acknowledged. Raises as `load`."""
        if model_id != "none":
            check_model_id(model_id)
        with self._threads:  # another thread may be about to append what it has folded already
            catalog = self.catalog()
            event = catalog.publication(model_id)
            return published_by(event, catalog.home), event

    def report_loaded(
        self,
        loaded: Loaded,
        *,
        runtime: str,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that a runtime uses what it got from `open_active` or `watch`; return that event.

        Args:
            runtime: which one; printable text.

            actor, reason, request_id: as in `ModelRegistry.publish_model`.

        Raises as `publish_model`, and RefusedError where it was loaded by its id.
        """
        if not isinstance(loaded, Loaded):
            raise TypeError(f"loaded: expected what open_active or watch gives, got {type(loaded).__name__}")
        if loaded.position is None:
            raise RefusedError("loaded: expected the active model, from open_active or watch, got another")
        terms = self._terms(actor, reason, request_id)
        data = RuntimeLoaded(
            identity.check_text("runtime", runtime), loaded.position, loaded.model.sha256, terms.reason
        )
        model_id = loaded.model.model_id
        return self._record(lambda terms: journal_decisions.load(terms, model_id, data, self.read_event), terms)

    def fetch(self, model_id: str, *, progress: Progress | None = None) -> str:
        """
        Return the path of a model's file on this machine, just hashed; with an artifact store, that of a copy of ours.

        Raises as `list_models`, and RefusedError where there is no such model, or no such file.
        """
        return self._places.fetch(self._published(model_id)[1], progress).path

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
            size = catalog.size  # a subscriber may read on
            self._tell_subscribers(None)
            return size, model
