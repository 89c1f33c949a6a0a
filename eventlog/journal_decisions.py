"""What a request means that is about the journal itself: a review, a key, a setting. Pure, as `eventlog.decisions`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Decision, FindEvent, Terms, check_key, checked_answer, earlier_of
from eventlog.errors import RefusedError
from eventlog.events import HistoryReviewed, RuntimeLoaded
from eventlog.key_events import KeyAdded, KeyRevoked
from eventlog.snapshot import Settings, SettingsChanged
from eventlog.training_events import TrainingFailed


def review(terms: Terms, examined: int, wanted: int | None, find_event: FindEvent) -> Decide:
    """
    Return the function that decides a review.

    Args:
        examined: up to which position the history was examined.

        wanted: the same as the caller put it; None for the newest.
    """

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            data = earlier.data
            same = isinstance(data, HistoryReviewed) and data.reason == terms.reason and wanted in (None, data.position)
            return Decision("", position=checked_answer(earlier, same).position)
        if not 0 <= examined < catalog.size:
            expected = f"a position from 0 to {catalog.size - 1}" if catalog.size else "a journal to review"
            raise RefusedError(f"{catalog.where}: expected {expected}, got {'none' if examined < 0 else examined}")
        return Decision("", HistoryReviewed(examined, terms.reason))

    return decide


def change_settings(terms: Terms, change: Callable[[Settings], Settings], find_event: FindEvent) -> Decide:
    """Return the function that decides what the settings are from now on."""

    def decide(catalog: Catalog, now: datetime) -> Decision:
        wanted = change(catalog.settings)
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            data = earlier.data
            same = (
                isinstance(data, SettingsChanged)
                and data.reason == terms.reason
                and change(data.settings) == data.settings
            )
            return Decision("", position=checked_answer(earlier, same).position)
        if catalog.size == 0:
            raise RefusedError(f"{catalog.where}: expected a journal to record settings in, got none: publish first")
        return Decision("", SettingsChanged(wanted, terms.reason))

    return decide


def load(terms: Terms, model_id: str, data: RuntimeLoaded, find_event: FindEvent) -> Decide:
    """Return the function that decides whether it is recorded that a runtime uses a model."""

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            same = earlier.data == data and earlier.subject == model_id
            return Decision(model_id, position=checked_answer(earlier, same).position)
        if model_id not in catalog.published or not 0 <= data.position < catalog.size:
            raise RefusedError(f"{catalog.where}: expected a model that was active here, got {model_id!r}: see list")
        return Decision(model_id, data)

    return decide


def fail_training(terms: Terms, data: TrainingFailed, find_event: FindEvent) -> Decide:
    """Return the function that decides whether it is recorded that a training run failed."""

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            return Decision("", position=checked_answer(earlier, isinstance(earlier.data, TrainingFailed)).position)
        if catalog.size == 0:
            raise RefusedError(f"{catalog.where}: there is no history yet: publish first")
        return Decision("", data)

    return decide


def change_key(terms: Terms, data: KeyAdded | KeyRevoked, find_event: FindEvent) -> Decide:
    """Return the function that decides whether a key is added or revoked."""

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            return Decision("", position=checked_answer(earlier, earlier.data == data).position)
        standing = catalog.keys.get(data.key)
        if isinstance(data, KeyAdded):
            if standing is not None:
                raise RefusedError(
                    f"{catalog.where}: expected a new key, got {data.key}, which is known: run keys list"
                )
            if data.endorsed_by is not None:
                check_key(catalog, data.endorsed_by)
        elif standing is None or standing.revoked is not None:
            raise RefusedError(f"{catalog.where}: expected a key that may sign, got {data.key}: run keys list")
        return Decision("", data)

    return decide
