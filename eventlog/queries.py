"""Questions answered from the journal, each after everything acknowledged was verified. Changes nothing on disk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from logging import getLogger

from eventlog import codec
from eventlog.catalog import Catalog, ModelMetadata
from eventlog.errors import JournalDamagedError, ModelogError, RefusedError
from eventlog.events import Event
from eventlog.journal import FoundAnchor, Journal, Subscriber
from eventlog.replay import Replay

_log = getLogger("modelog")


class RegistryQueries:
    """
    Answers from a journal. Threads may share one; processes open their own.

    Args:
        replay: the journal and its fold.

        subscribers: whose files witness how long the journal already was.
    """

    def __init__(self, replay: Replay, subscribers: Sequence[Subscriber] = ()) -> None:
        self._replay = replay
        self._subscribers = subscribers
        self._threads = threading.RLock()

    def list_models(self) -> list[ModelMetadata]:
        """
        Return all models, newest publication first.

        Raises:
            JournalDamagedError: nothing can be shown that is sure to be true.

            RefusedError: the journal cannot be read.
        """
        with self._threads:
            catalog = self.catalog()
            return [catalog.model(model_id) for model_id in reversed(catalog.published)]

    def get_active_model(self) -> ModelMetadata | None:
        """Return the model that is active, or None before the first publish. Raises as `list_models`."""
        with self._threads:
            catalog = self.catalog()
            model_id = catalog.active_id()
            return None if model_id is None else catalog.model(model_id)

    def catalog(self) -> Catalog:
        """Return the state after all acknowledged events, checked against the anchors. Raises as `list_models`."""
        with self._threads:
            return self._checked(self._anchors())

    def verified_prefix(self) -> tuple[Catalog, ModelogError | None]:
        """
        Return the state of a damaged journal up to the first entry that does not fit, and what is wrong with it.

        For people who look at damage: what was acknowledged behind that entry is not shown, and no request is
        decided on it. The error is None where nothing is wrong.

        Raises:
            RefusedError: the journal cannot be read, or a file that alone might tell of damage.
        """
        journal = self._replay.journal
        catalog = Catalog(journal.where)
        problem: ModelogError | None = None
        unread: list[ModelogError] = []
        try:
            self._checked(self._anchors(unread.append))
            if unread:
                raise unread[0]
        except JournalDamagedError as error:
            problem = error
        try:
            for entry in islice(journal.salvage(), _acknowledged_size(journal)):
                catalog.apply(entry)
        except ModelogError as error:
            problem = problem or error
        return catalog, problem

    def read_event(self, position: int) -> Event:
        """Return the event at *position*, below the catalog's size. Raises as `list_models`."""
        journal = self._replay.journal
        if self._replay.catalog.size <= position:
            self.catalog()
        for entry in journal.read(position, position + 1):
            return codec.decode(entry, position, self._replay.catalog.journal_id, journal.where)
        raise RefusedError(f"{journal.where}: expected a position below {self._replay.catalog.size}, got {position}")

    def _anchors(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[FoundAnchor]:
        return [item for subscriber in self._subscribers for item in subscriber.anchors(unreadable)]

    def _checked(self, found: list[FoundAnchor]) -> Catalog:
        catalog = self._replay.catch_up()
        for item in self._replay.check_anchors(found):
            if catalog.size == 0:
                raise self._replay.lost(item)
            _log.warning("%s: follows journal %s, not this one", item.where, item.anchor.journal_id)
        return catalog


def _acknowledged_size(journal: Journal) -> int | None:
    """Return how many entries a head that can be read acknowledges, or None."""
    try:
        return min(journal.tail().size, sys.maxsize)
    except ModelogError:
        return None
