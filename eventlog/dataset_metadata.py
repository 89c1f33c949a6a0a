"""What may stand in `dataset_metadata`: JSON that every reader understands alike; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eventlog.errors import RefusedError

DEPTH_MAX = 32
_CONTAINERS = (dict, list)
INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 64) - 1


def checked(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return *metadata* as plain JSON values: what a reader of the journal will get back.

    Raises:
        RefusedError: names the key whose value is not JSON: NaN, infinities, lone surrogates, keys that are not text
            or empty, integers outside 64 bits, nesting deeper than `DEPTH_MAX`, other types.
    """
    if not isinstance(metadata, Mapping):
        raise RefusedError(f"metadata: expected a mapping, got {type(metadata).__name__}")
    return {_key(key, "metadata"): _value(value, f"metadata {key!r:.80}", 1) for key, value in metadata.items()}


def too_deep(metadata: Mapping[str, Any]) -> bool:
    """Say whether stored *metadata* nests deeper than `checked` lets it."""
    level: list[Any] = list(metadata.values())
    for _ in range(DEPTH_MAX):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def parse_pair(text: str) -> tuple[str, Any]:
    """
    Return key and value of `KEY=VALUE` (a string) or `KEY:=JSON` (typed, as in HTTPie).

    Raises:
        RefusedError: no `=`, no key, or no JSON behind `:=`.
    """
    key, separator, value = text.partition("=")
    typed = key.endswith(":")
    key = key.removesuffix(":")
    if not separator or not key:
        raise RefusedError(f"--metadata: expected KEY=VALUE or KEY:=JSON, got {text!r:.200}")
    if not typed:
        return key, value
    try:
        return key, _strict_json(value)
    except RecursionError as error:
        raise RefusedError(f"--metadata: {key[:80]}: expected at most {DEPTH_MAX} levels, got more") from error
    except ValueError as error:
        raise RefusedError(
            f"--metadata: expected JSON behind {key[:80]}:=, got {value[:80]!r}: {error}: for text leave out the colon"
        ) from error


def _strict_json(text: str) -> Any:
    """Parse JSON; a key that stands twice, which parsers resolve in different ways, raises ValueError. So does NaN."""
    import json  # noqa: PLC0415 - msgspec takes the last of two equal keys; only typed metadata pays for this import

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


def copied(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return a copy that its receiver may change."""
    return {key: _copied(value) if type(value) in _CONTAINERS else value for key, value in metadata.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return copied(value)
    return [_copied(item) for item in value] if isinstance(value, list) else value


def parse_pairs(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return all pairs as one mapping; a key given twice raises `RefusedError`."""
    metadata: dict[str, Any] = {}
    for text in texts:
        key, value = parse_pair(text)
        if key in metadata:
            raise RefusedError(f"--metadata: expected each key once, got {key!r:.200} twice")
        metadata[key] = value
    return metadata


def _value(value: Any, where: str, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise RefusedError(f"{where}: expected at most {DEPTH_MAX} levels of nesting, got more")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise RefusedError(f"{where}: expected an integer of at most 64 bits, got {value.bit_length()} bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RefusedError(f"{where}: expected a finite number, got {value!r}")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key, where): _value(item, f"{where}.{key:.80}", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise RefusedError(f"{where}: expected a JSON value, got {type(value).__name__}")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key:
        raise RefusedError(f"{where}: expected keys that are text and not empty, got {key!r:.80}")
    return _text(key, where)


def _text(text: str, where: str) -> str:
    try:
        return text.encode().decode()  # plain text, also of a member of a text enumeration
    except UnicodeEncodeError:
        raise RefusedError(f"{where}: expected text that is UTF-8, got {text!r:.200}") from None
