"""What must hold of the derived files' parsers and of typed metadata for any bytes; see `journal_laws` for the form."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from eventlog import dataset_metadata, durable_replacement
from eventlog.errors import RefusedError, RuntimeStateError
from eventlog.journal import Anchor
from projections import RuntimeStateManager
from projections.registry_json import RegistryJson
from projections.runtime_checkpoint import RuntimeCheckpointProjection
from scripts.models import metadata_text


class _Files:
    """A registry's and a runtime's directory in memory, where there is such a thing."""

    def __init__(self) -> None:
        usable = os.access("/dev/shm", os.W_OK)
        self._directory = tempfile.TemporaryDirectory(dir="/dev/shm" if usable else None, prefix="modelog-fuzz-")
        self.root = self._directory.name
        self.registry_json = RegistryJson(self.root)
        self.manager = RuntimeStateManager(self.root)
        self.runtime = RuntimeCheckpointProjection(self.manager)

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""
        with open(os.path.join(self.root, name), "wb") as file:
            file.write(data)

    def sweep(self) -> int:
        """Remove what was moved aside, and say how many files that were."""
        names = [name for name in os.listdir(self.root) if ".broken-" in name]
        for name in names:
            os.unlink(os.path.join(self.root, name))
        return len(names)


_files: _Files | None = None


def anchors(data: bytes) -> bool:
    """Both derived files say how far they have got, or nothing; setting the active model keeps all that is not ours."""
    global _files  # noqa: PLW0603 - made by the first input, so that importing this module makes no files
    files = _files = _files or _Files()
    files.put("registry.json", data)
    files.put("state.json", data)
    found = [files.registry_json.stored().anchor, files.runtime.stored().anchor]
    assert all(anchor is None or isinstance(anchor, Anchor) for anchor in found)

    with suppress(RuntimeStateError):
        files.manager.load_checkpoint()
    old = _tokens(data)
    durable_replacement.replace_file(files.manager.where, files.manager.with_active_model(b'{"new":1.0}'))
    aside = files.sweep()
    new = _tokens(files.manager.path.read_bytes())
    assert new is not None
    metadata = dict(new.pop("metadata"))
    assert metadata.pop("active_model") == [("new", "1.0")]
    if aside == 0 and old is not None:
        kept = dict(old.pop("metadata", None) or [])
        kept.pop("active_model", None)
        assert (new, metadata) == (old, kept), "a value of the runtime's was changed or lost"
    return any(anchor is not None for anchor in found)


def _tokens(data: bytes) -> dict[str, Any] | None:
    """Return the members of a JSON object, numbers as they are spelled and objects as pairs; None where it is none."""
    try:
        pairs = json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)
        return dict(pairs)
    except (ValueError, TypeError, RecursionError):
        return None


def _without_doubles(pairs: list[tuple[str, Any]]) -> None:
    assert len({key for key, _ in pairs}) == len(pairs), "a key that stands twice was accepted"


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _integers(item)
    elif isinstance(value, int):
        yield value


def metadata(data: bytes) -> bool:
    """What was typed is refused, or stored and shown so that it can be typed again."""
    texts = tuple(data.decode("utf-8", "surrogateescape").split("\n"))
    try:
        values = dataset_metadata.parse_pairs(texts)
        accepted = dataset_metadata.checked(values)
    except RefusedError:
        return False
    assert accepted == values
    for typed in (text.partition(":=")[2] for text in texts if ":=" in text.partition("=")[0] + "="):
        json.loads(typed, object_pairs_hook=_without_doubles)
    assert dataset_metadata.checked(accepted) == accepted
    assert all(-(2**63) <= number < 2**64 for number in _integers(accepted)), "an integer of more than 64 bits"
    assert msgspec.json.decode(msgspec.json.encode(accepted)) == accepted
    typed = tuple(shlex.split(metadata_text(accepted)))
    assert repr(dataset_metadata.parse_pairs(typed)) == repr(accepted), f"shown as {typed!r}"
    return True
