"""A model as people and programs see it: its attributes, and what the history says of it."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec

from eventlog.catalog import ACTIVE, Activation, Catalog
from eventlog.events import ModelPublished
from scripts import output, rows

ATTRIBUTES = ("model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata", "active")
"""The keys of `as_dict`."""


def as_dict(catalog: Catalog, model_id: str) -> dict[str, Any]:
    """Return the six attributes of a model and whether it is active."""
    return {**catalog.model(model_id).to_dict(), "active": model_id == catalog.active_id()}


def metadata_text(metadata: dict[str, Any]) -> str:
    """Return metadata as it would be typed: `rows=1024 lags:=[1,2]`."""
    pairs = [
        f"{key}={value}"
        if isinstance(value, str) and not key.endswith(":")
        else f"{key}:={msgspec.json.encode(value).decode()}"
        for key, value in metadata.items()
    ]
    return " ".join(map(shlex.quote, pairs))


def print_model(catalog: Catalog, model_id: str, output_format: str) -> None:
    """
    Print a model with who published it, when and why, what it displaced, and what displaced it.

    What is said holds as of the position and the hash that are printed with it.
    """
    event = catalog.published[model_id]
    assert isinstance(event.data, ModelPublished), "only these are in `published`"
    history: dict[str, Any] = {
        "position": event.position,
        "event_id": event.id,
        "actor": event.actor,
        "reason": event.data.reason,
        "displaced": event.data.displaced,
        "artifact_size_bytes": event.data.artifact_size_bytes,
    }
    active = catalog.active[ACTIVE]
    history |= _activation("activated", active if active.model_id == model_id else None)
    displaced = catalog.displacements.get(model_id)
    history |= {
        "displaced_by": None if displaced is None else displaced.model_id,
        **_activation("displaced", displaced),
    }
    history |= {"as_of_position": catalog.size - 1, "as_of_hash": catalog.hash}
    fields = {**as_dict(catalog, model_id), **history}
    if output_format == "json":
        output.print_json(fields)
    elif output_format != "table":
        rows.print_rows([fields], tuple(fields), output_format)
    else:
        fields["dataset_metadata"] = metadata_text(fields["dataset_metadata"])
        output.print_fields([(name, _words(value)) for name, value in fields.items()])


def _activation(what: str, activation: Activation | None) -> dict[str, Any]:
    """Return when, by whom, why and by which event something became active, or null for each."""
    if activation is None:
        return {f"{what}_{name}": None for name in ("at", "actor", "reason", "position")}
    return {
        f"{what}_at": msgspec.to_builtins(activation.time),
        f"{what}_actor": activation.actor,
        f"{what}_reason": activation.reason,
        f"{what}_position": activation.position,
    }


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
