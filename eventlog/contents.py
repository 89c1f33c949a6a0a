"""What is in a model's file, as an event tells it; and how headers are read, which are other people's bytes."""

import os
from collections.abc import Iterable

from msgspec import Struct

HEADER_BYTES_MAX = 16 << 20
TEXT_CHARACTERS_MAX = 200
KINDS_MAX = 64
"""So many types of tensors, sets of operators and dimensions are told, or taken for possible."""


class Contents(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    What is in a file, or in the files of a directory.

    Attributes:
        format: `safetensors`, `onnx`, `gguf`, `hdf5`, `npy`, `zip`, `pickle`; several with `+` between them.

        unsafe: to load it may run code that is in it.

        tensors, parameters: how many there are; of ONNX, the initializers of the graph.

        dtypes: how many tensors there are of each type, by the format's own names.

        opsets: the version of each set of operators, by its domain; the default domain is `ai.onnx`.

        producer: what wrote it, in its own words.
    """

    format: str
    unsafe: bool = False
    tensors: int | None = None
    parameters: int | None = None
    dtypes: dict[str, int] = {}
    opsets: dict[str, int] = {}
    producer: str | None = None


class MalformedError(Exception):
    """The header is not what the format says, or is too large."""


def merged(found: Iterable[Contents]) -> Contents | None:
    """Return what is in several files together; None where there are none."""
    parts = list(found)
    if not parts:
        return None
    tensors = [part.tensors for part in parts if part.tensors is not None]
    parameters = [part.parameters for part in parts if part.parameters is not None]
    dtypes: dict[str, int] = {}
    opsets: dict[str, int] = {}
    for part in parts:
        for name, count in part.dtypes.items():
            dtypes[name] = dtypes.get(name, 0) + count
        for name, version in part.opsets.items():
            opsets[name] = max(version, opsets.get(name, 0))
    return Contents(
        "+".join(sorted({part.format for part in parts})),
        unsafe=any(part.unsafe for part in parts),
        tensors=sum(tensors) if tensors else None,
        parameters=sum(parameters) if parameters else None,
        dtypes=dict(sorted(dtypes.items())[:KINDS_MAX]),
        opsets=dict(sorted(opsets.items())[:KINDS_MAX]),
        producer=next((part.producer for part in parts if part.producer), None),
    )


def counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name comes; of so many different ones that it is no event's business, the first."""
    found: dict[str, int] = {}
    for name in names:
        found[short(name)] = found.get(short(name), 0) + 1
    return dict(sorted(found.items())[:KINDS_MAX])


def short(text: str) -> str:
    """Return a text as it may stand in an event: short, and without a lone surrogate."""
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "replace").decode()


def read_at(descriptor: int, at: int, count: int) -> bytes:
    """Return just so many bytes. Raises MalformedError where the file ends before."""
    parts: list[bytes] = []
    left = count
    while left and (part := os.pread(descriptor, left, at)):
        parts.append(part)
        at, left = at + len(part), left - len(part)
    if left:
        raise MalformedError(f"expected {count} bytes, got {count - left}")
    return b"".join(parts)
