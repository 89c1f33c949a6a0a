"""What a runtime asks of a registry: the files of a model, just checked; and to be kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog.administration import Administration
from eventlog.artifact_places import ArtifactPlaces
from eventlog.artifacts import Artifact
from eventlog.errors import ProjectionLagError, RefusedError
from eventlog.events import check_model_id
from eventlog.file_digest import Progress
from eventlog.model import ModelMetadata


class Loaded:
    """
    A model whose bytes have just been checked; as a path (`os.fspath`, `open`) it is where they are.

    Attributes:
        model: the six attributes.

        path: of the file or directory, absolute.
    """

    def __init__(self, model: ModelMetadata, artifact: Artifact) -> None:
        self.model = model
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
        check_model_id(model_id)
        with self._threads:
            catalog = self.catalog()
            if model_id not in catalog.published:
                raise RefusedError(f"{catalog.where}: expected a published model, got {model_id!r}: see list")
            event, model = catalog.published[model_id], catalog.model(model_id)
        return Loaded(model, self._places.check(event, progress, full=full))

    def open_active(self, *, full: bool = False, progress: Progress | None = None) -> Loaded:
        """Do as `load` for the model that is active. Raises RefusedError, too, where none is."""
        model = self.get_active_model()
        if model is None:
            raise RefusedError(f"{self._replay.journal.where}: expected an active model, got none: publish first")
        return self.load(model.model_id, full=full, progress=progress)

    def fetch(self, model_id: str, *, progress: Progress | None = None) -> str:
        """
        Return the path of a model's file on this machine, just hashed; with an artifact store, that of a copy of ours.

        Raises as `list_models`, and RefusedError where there is no such model, or no such file.
        """
        check_model_id(model_id)
        catalog = self.catalog()
        if model_id not in catalog.published:
            raise RefusedError(f"{catalog.where}: expected a published model, got {model_id!r}: see list")
        return self._places.fetch(catalog.published[model_id], progress).path

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
