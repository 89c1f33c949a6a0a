"""
An ONNX model without its weights: a message of protocol buffers, of which only the fields' headers are read.

Source: `onnx.proto` of ONNX 1.23; the encoding of protocol buffers, protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod

from eventlog.contents import KINDS_MAX, TEXT_CHARACTERS_MAX, Contents, MalformedError, counted, read_at, short

FIELDS_MAX = 500_000
_BLOCK_BYTES = 1 << 16
_NUMBER, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TYPES = (
    *("UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16"),
    *("DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ"),
    *("FLOAT8E5M2", "FLOAT8E5M2FNUZ", "UINT4", "INT4", "FLOAT4E2M1", "FLOAT8E8M0", "UINT2", "INT2"),
)


def describe(descriptor: int, size_bytes: int) -> Contents:
    """Return what a ModelProto says; of its graph the initializers count. Raises MalformedError, OSError."""
    reader = _Reader(descriptor)
    producer, version = "", ""
    opsets: dict[str, int] = {}
    tensors: list[tuple[int, str]] = []
    graphs = versions = 0
    for number, at, stop in reader.fields(0, size_bytes):
        if number == 1 and stop < 0:
            versions += 1
        elif number == 2 and stop >= 0:
            producer = reader.text(at, stop)
        elif number == 3 and stop >= 0:
            version = reader.text(at, stop)
        elif number == 7 and stop >= 0:
            graphs += 1
            tensors += [_tensor(reader, *place) for kind, *place in reader.fields(at, stop) if kind == 5]
        elif number == 8 and stop >= 0 and len(opsets) < KINDS_MAX:
            domain, opset = _opset(reader, at, stop)
            opsets[domain] = opset
    if not versions or graphs != 1:
        raise MalformedError("expected a model with a version of the format and a graph, got something else")
    return Contents(
        "onnx",
        tensors=len(tensors),
        parameters=sum(count for count, _ in tensors),
        dtypes=counted(name for _, name in tensors),
        opsets=dict(sorted(opsets.items())),
        producer=" ".join(filter(None, (producer, version))) or None,
    )


def _tensor(reader: _Reader, at: int, stop: int) -> tuple[int, str]:
    """Return how many elements a TensorProto has, and of which type."""
    sizes: list[int] = []
    kind = 0
    if stop < 0:
        raise MalformedError("expected a tensor, got a number")
    for number, start, end in reader.fields(at, stop):
        if number == 1 and end < 0:
            sizes.append(start)
        elif number == 1:
            sizes += reader.varints(start, end)
        elif number == 2 and end < 0:
            kind = start
    if len(sizes) > KINDS_MAX or any(size >= 1 << 63 for size in sizes):
        raise MalformedError(f"expected a tensor of at most {KINDS_MAX} dimensions, got another")
    return prod(sizes), _TYPES[kind] if kind < len(_TYPES) else f"TYPE{kind}"[:24]


def _opset(reader: _Reader, at: int, stop: int) -> tuple[str, int]:
    domain, version = "", 0
    for number, start, end in reader.fields(at, stop):
        if number == 1 and end >= 0:
            domain = reader.text(start, end)
        elif number == 2 and end < 0:
            version = start
    return domain or "ai.onnx", min(version, (1 << 63) - 1)


class _Reader:
    """Reads a few bytes at a time from blocks that are read at once, and counts the fields."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._start = 0
        self._block = b""
        self._left = FIELDS_MAX

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """Return a number, and where it ends."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte(at, stop)
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (1 << 64) - 1, at
        raise MalformedError("expected a number of at most 10 bytes, got more")

    def varints(self, at: int, stop: int) -> list[int]:
        """Return the numbers that stand one behind the other, as many as may be; more are too many."""
        found: list[int] = []
        while at < stop and len(found) <= KINDS_MAX:
            value, at = self.varint(at, stop)
            found.append(value)
        return found

    def fields(self, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield the number of each field of a message, and where its value stands, or the value of a number."""
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise MalformedError(f"expected at most {FIELDS_MAX} fields, got more")
            key, at = self.varint(at, stop)
            number, wire = key >> 3, key & 7
            if wire == _NUMBER:
                value, at = self.varint(at, stop)
                yield number, value, -1
                continue
            if wire == _BYTES:
                length, at = self.varint(at, stop)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise MalformedError(f"expected a field of a kind that is used, got kind {wire}")
            if length > stop - at or number == 0:
                raise MalformedError("expected a field within its message, got one that goes on behind it")
            yield number, at, at + length
            at += length

    def text(self, at: int, stop: int) -> str:
        """Return a short text."""
        data = read_at(self._descriptor, at, min(stop - at, 4 * TEXT_CHARACTERS_MAX))
        return short(data.decode("utf-8", "replace"))

    def _byte(self, at: int, stop: int) -> int:
        if at >= stop:
            raise MalformedError("expected a field within its message, got one that goes on behind it")
        if not self._start <= at < self._start + len(self._block):
            self._start, self._block = at, os.pread(self._descriptor, _BLOCK_BYTES, at)
            if not self._block:
                raise MalformedError("expected more bytes, got the end of the file")
        return self._block[at - self._start]
