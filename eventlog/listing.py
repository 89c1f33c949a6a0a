"""The models of a catalog as people ask for them: which, in which order, how many. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.events import ModelPublished
from eventlog.history import find_in
from eventlog.where import MISSING, Condition

ATTRIBUTES = (
    "model_id",
    "backend",
    "artifact_path",
    "artifact_size_bytes",
    "sha256",
    "created_at",
    "active",
    "position",
    "actor",
    "reason",
    "displaced",
)
"""What a model may be filtered and sorted by, beside its metadata."""


class Listing(Struct, frozen=True):
    """
    What is wanted.

    Attributes:
        where: what must hold for a model.

        sort: names as in a condition, each with `-` before it for the greatest first; what a model does not have comes
            last. Where all are equal, and where there are none, the newest publication comes first.

        reverse: the other way round, but for what a model does not have.

        limit: only so many, the first of those in that order; None for all.
    """

    where: Condition | None = None
    sort: tuple[str, ...] = ()
    reverse: bool = False
    limit: int | None = None


def models(catalog: Catalog, listing: Listing) -> list[str]:
    """Return the ids of the models that are wanted, in the order that is wanted."""
    ids = list(catalog.published) if listing.reverse else list(reversed(catalog.published))
    if listing.where is not None:
        ids = [model_id for model_id in ids if listing.where.holds(finder(catalog, model_id))]
    for name in reversed(listing.sort):  # each sort keeps the order of the one before among equals
        ids = _sorted(catalog, ids, name.removeprefix("-"), name.startswith("-") != listing.reverse)
    return ids if listing.limit is None else ids[: listing.limit]


def finder(catalog: Catalog, model_id: str) -> Callable[[tuple[str, ...]], Any]:
    """Return the function that finds what a condition names: an attribute of a model, else its metadata."""
    event = catalog.published[model_id]
    assert isinstance(event.data, ModelPublished), "only these are in `published`"
    data = event.data
    attributes = {
        "model_id": model_id,
        "backend": data.backend,
        "artifact_path": data.artifact_path,
        "artifact_size_bytes": data.artifact_size_bytes,
        "sha256": data.sha256,
        "created_at": event.time,
        "active": model_id == catalog.active_id(),
        "position": event.position,
        "actor": event.actor,
        "reason": data.reason,
        "displaced": data.displaced,
    }
    return lambda path: find_in(attributes, data.dataset_metadata, path)


def _sorted(catalog: Catalog, ids: Sequence[str], name: str, greatest_first: bool) -> list[str]:
    path = tuple(name.split("."))
    there: list[tuple[tuple[int, Any], str]] = []
    missing: list[str] = []
    for model_id in ids:
        value = finder(catalog, model_id)(path)
        if value is MISSING or value is None:
            missing.append(model_id)
        else:
            there.append((_key(value), model_id))
    there.sort(key=lambda pair: pair[0], reverse=greatest_first)
    return [model_id for _, model_id in there] + missing


def _key(value: Any) -> tuple[int, Any]:
    """Return what orders values of any kind: false and true, numbers, text, times, and the rest as it is spelled."""
    kinds: tuple[type | tuple[type, ...], ...] = (bool, (int, float), str, datetime)
    for rank, kind in enumerate(kinds):
        if isinstance(value, kind):
            return rank, value
    return len(kinds), msgspec.json.encode(value, order="deterministic")
