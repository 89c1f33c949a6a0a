"""A model as people and programs see it: its attributes, and what the history says of it."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.events import Event, ModelPublished
from eventlog.model import origin_shown, shown
from eventlog.snapshot import Activation
from scripts import output, rows

if TYPE_CHECKING:
    from eventlog.reader import RegistryReader

ATTRIBUTES = ("model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata", "active")
"""The keys of `as_dict`."""

_KNOWN_MAX = 256
"""How many words are remembered: most models have the same keys, and many the same values."""


def as_dict(event: Event, catalog: Catalog) -> dict[str, Any]:
    """Return the six attributes of a model as JSON values, and whether it is active."""
    values: dict[str, Any] = msgspec.to_builtins(shown(event, catalog.home))
    return {**values, "active": event.subject == catalog.active_id()}


def metadata_text(metadata: dict[str, Any]) -> str:
    """Return metadata as it would be typed: `rows=1024 lags:=[1,2]`."""
    words = []
    for key, value in metadata.items():
        if type(value) is str:
            words.append(_word_of_text(key, value))
        elif type(value) is int and _needs_no_quotes(key):
            words.append(f"{key}:={value}")
        else:
            words.append(shlex.quote(f"{key}:={_json(value)}"))
    return " ".join(words)


@lru_cache(_KNOWN_MAX)
def _word_of_text(key: str, value: str) -> str:
    return shlex.quote(f"{key}:={_json(value)}" if key.endswith(":") else f"{key}={value}")


@lru_cache(_KNOWN_MAX)
def _needs_no_quotes(word: str) -> bool:
    return shlex.quote(word) == word


def _json(value: Any) -> str:
    return str(value) if type(value) is int else msgspec.json.encode(value).decode()


def print_model(registry: RegistryReader, catalog: Catalog, model_id: str, output_format: str) -> None:
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
        "artifact_files": event.data.artifact_files,
        "origin_path": origin_shown(event.data),
        "contents": None if event.data.contents is None else msgspec.to_builtins(event.data.contents),
        "signature": None if event.data.signature is None else msgspec.to_builtins(event.data.signature),
        "training": None if event.data.training is None else msgspec.to_builtins(event.data.training),
        "retired": catalog.marks.is_retired(model_id),
        "held": catalog.marks.is_held(model_id),
        "removed_position": registry.removal(model_id, catalog),
    }
    active = catalog.active[ACTIVE]
    history |= _activation("activated", active if active.model_id == model_id else None)
    displaced = registry.displacement(model_id, catalog)
    history |= {
        "displaced_by": None if displaced is None else displaced.model_id,
        **_activation("displaced", displaced),
    }
    history |= {"as_of_position": catalog.size - 1, "as_of_hash": catalog.hash}
    fields = {**as_dict(event, catalog), **history}
    if output_format == "json":
        output.print_json(fields)
    elif output_format != "table":
        rows.print_rows([fields], tuple(fields), output_format)
    else:
        fields["dataset_metadata"] = metadata_text(fields["dataset_metadata"])
        for name in ("contents", "signature", "training"):
            fields[name] = metadata_text(fields[name] or {}) or None
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
