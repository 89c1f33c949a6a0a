"""The state of a registry, after everything acknowledged was verified; what all questions begin with. Only reads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import islice
from typing import Self

from eventlog import anchors, durable
from eventlog.catalog import Catalog
from eventlog.clock import utc_now
from eventlog.errors import JournalDamagedError, ModelogError, RefusedError
from eventlog.events import Event, ModelPublished, ModelRolledBack, activation_of
from eventlog.file_state import Looks, settled
from eventlog.journal import FoundAnchor, Journal, Subscriber
from eventlog.log import log
from eventlog.model import ModelMetadata
from eventlog.replay import Replay
from eventlog.retention_events import ArtifactRemoved
from eventlog.snapshot import Activation

AsOf = int | str | datetime | None
"""A moment: a position, an aware time, either as text; None for now. See `eventlog.moments`."""


class RegistryReader:
    """
    Answers from a journal. Threads may share one; processes open their own.

    Args:
        replay: the journal and its fold.

        subscribers: whose files witness how long the journal already was.

        now: the clock; must return aware UTC times.

        checks: called with the newest state whenever it was read; raise what an answer must not be given for.
    """

    _opened_in: str | None = None
    """The working directory, where a path of the registry's depends on it."""

    def __init__(
        self,
        replay: Replay,
        subscribers: Sequence[Subscriber] = (),
        *,
        now: Callable[[], datetime] = utc_now,
        checks: Sequence[Callable[[Catalog], None]] = (),
    ) -> None:
        self._checks = checks
        self._replay = replay
        self._subscribers = subscribers
        self._now = now
        self._threads = threading.RLock()
        self._derived_files = [path for item in subscribers for path in item.files()]
        self._stays = False
        self._settled: tuple[Looks, int] | None = None

    def __enter__(self) -> Self:
        """Return this."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Let go what is open, such as the connection to a cluster; the next call opens it again."""
        self._replay.journal.close()

    def wait(self, seconds: float) -> None:
        """Return as soon as there may be something new in the journal; after *seconds* at the latest."""
        self._replay.journal.wait(seconds)

    def catalog(self, as_of: AsOf = None) -> Catalog:
        """
        Return the state after all acknowledged events, checked against the anchors; or what it was at a moment.

        What it is now goes on with this object: where threads share it, they may be about to append what is in it.

        Raises as `list_models`.
        """
        with self._threads:
            return self._replay.at(self._size_at(as_of))

    def _now_checked(self) -> Catalog:
        """
        Return the state after all that there is, verified.

        Where each file still looks as it did when that was done, and nothing but the files decides, it still is so.
        """
        journal = self._replay.journal
        files = journal.files() if self._stays and not self._checks else ()
        self._stays = True  # whoever asks once need not look
        looks = settled([*files, *self._derived_files]) if files else None
        if self._settled == (looks, self._replay.catalog.size) and not self._replay.half_changed:
            return self._replay.catalog
        self._settled = None
        catalog, foreign = self._compared(self._anchors())
        self._refuse_lost(catalog, foreign)
        if looks is not None and not foreign and not journal.notices() and journal.files():
            self._settled = looks, catalog.size
        return catalog

    def get_active_model(self, *, as_of: AsOf = None) -> ModelMetadata | None:
        """Return the model that is active, or was at a moment; None before the first publish. As `list_models`."""
        with self._threads:
            catalog = self.catalog(as_of)
            model_id = catalog.active_id()
            return None if model_id is None else catalog.model(model_id)

    def published_by_request(self, request_id: str) -> ModelMetadata | None:
        """Return the model that a request with this id has published, or None. Raises as `list_models`."""
        from eventlog import identity  # noqa: PLC0415 - few ask

        identity.check_text("request id", request_id)
        with self._threads:
            catalog = self.catalog()
            position = catalog.positions.get(request_id)
            event = None if position is None else self.read_event(position)
            published = event is not None and isinstance(event.data, ModelPublished)
            return catalog.model(event.subject or "") if event is not None and published else None

    def displacement(self, model_id: str, catalog: Catalog) -> Activation | None:
        """
        Return the latest activation of another model that displaced a published one; None where that is active.

        Args:
            catalog: the state that is asked about, of this registry.

        Raises as `list_models`.
        """
        if catalog.active_id() == model_id:
            return None
        found: Activation | None = None
        for event in self._replay.past.naming(b'"displaced":"%b"' % model_id.encode(), 0, catalog.size):
            if isinstance(event.data, ModelPublished | ModelRolledBack) and event.data.displaced == model_id:
                found = activation_of(event, event.data)
        return found

    def removal(self, model_id: str, catalog: Catalog) -> int | None:
        """
        Return the position of the newest event by which a published model's artifact was removed; None for none.

        Args:
            catalog: as in `displacement`.
        """
        text = b'"data":{"sha256":"%b"' % catalog.model(model_id).sha256.encode()
        found = None
        if catalog.marks.count:
            for event in self._replay.past.naming(text, 0, catalog.size):
                if isinstance(event.data, ArtifactRemoved) and model_id in event.data.models(event.subject):
                    found = event.position
        return found

    def verified_prefix(self) -> tuple[Catalog, ModelogError | None]:
        """
        Return the state of a damaged journal up to the first entry that does not fit, and what is wrong with it.

        For people who look at damage: what was acknowledged behind that entry is not shown, and no request is
        decided on it. The error is None where nothing is wrong.

        Raises:
            RefusedError: the journal cannot be read, or a file that alone might tell of damage.
        """
        journal = self._replay.journal
        catalog = Catalog(journal.where, home=self._replay.home)
        problem: ModelogError | None = None
        unread: list[ModelogError] = []
        try:
            self._refuse_lost(*self._compared(self._anchors(unread.append)))
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
        catalog = self._replay.catalog
        if catalog.size <= position:
            catalog = self.catalog()
        for event in self._replay.past.events(position, position + 1):
            return event
        raise RefusedError(f"{catalog.where}: expected a position below {catalog.size}, got {position}")

    def _size_at(self, as_of: AsOf, what: str = "as_of") -> int:
        """Verify everything, and return how much of it had happened at a moment, which is called *what*."""
        with self._threads:
            if as_of is None:
                return self._now_checked().size
            from eventlog import moments  # noqa: PLC0415 - most questions are about now

            moment = moments.moment_of(as_of, what)
            return moments.size_at(moment, self._now_checked(), self._now(), self._replay.past, what)

    def _anchors(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[FoundAnchor]:
        if self._opened_in is not None:
            with durable.refusing("working directory"):
                now_in = os.getcwd()
            if now_in != self._opened_in:
                raise RefusedError(
                    f"{self._replay.journal.where}: expected the working directory in which it was opened, "
                    f"{self._opened_in}, got {now_in}: open the registry with absolute directories"
                )
        return [item for subscriber in self._subscribers for item in subscriber.anchors(unreadable)]

    def _refuse_lost(self, catalog: Catalog, foreign: list[FoundAnchor]) -> None:
        """Raise `JournalDamagedError` where other files remember a journal and there is none; else tell of them."""
        for item in foreign:
            if catalog.size == 0:
                raise anchors.lost(self._replay, item)
            log.warning("%s: follows journal %s, not this one", item.where, item.anchor.journal_id)

    def _compared(self, found: list[FoundAnchor]) -> tuple[Catalog, list[FoundAnchor]]:
        """Read on, compare with the anchors, and return the state and the anchors of other journals."""
        catalog = self._replay.catch_up()
        foreign = anchors.check(self._replay, found)
        for check in self._checks:
            check(catalog)
        return catalog, foreign


def _acknowledged_size(journal: Journal) -> int | None:
    """Return how many entries a head that can be read acknowledges, or None."""
    try:
        return min(journal.tail().size, sys.maxsize)
    except ModelogError:
        return None
