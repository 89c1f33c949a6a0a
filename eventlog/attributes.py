"""What a condition names: an attribute of a row, or a key of nested metadata. Pure."""

from __future__ import annotations

from typing import Any

from eventlog.where import MISSING


def find_in(attributes: dict[str, Any], metadata: dict[str, Any], path: tuple[str, ...]) -> Any:
    """
    Return what *path* leads to: one of *attributes*, or else *metadata*, whose keys may themselves have dots in them.

    `metadata.KEY` means the metadata even where an attribute has that name.
    """
    if path[0] in attributes:
        return _descend(attributes[path[0]], path[1:])
    found = _descend(metadata, path)
    if found is MISSING and path[0] == "metadata" and len(path) > 1:
        found = _descend(metadata, path[1:])
    return found


def _descend(value: Any, path: tuple[str, ...]) -> Any:
    """Follow *path* into nested objects; a key with dots in it is found as well."""
    if not path:
        return value
    if isinstance(value, dict):
        for count in range(1, len(path) + 1):
            key = ".".join(path[:count])
            if key in value:
                found = _descend(value[key], path[count:])
                if found is not MISSING:
                    return found
    return MISSING
