"""
The header of a safetensors file: eight bytes of length, and JSON that says where each tensor is.

Source: the format's description, github.com/huggingface/safetensors.
"""

from __future__ import annotations

import os
from math import prod

import msgspec
from msgspec import Raw, Struct

from eventlog.contents import HEADER_BYTES_MAX, Contents, MalformedError, counted, read_at, short


class _Tensor(Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def describe(descriptor: int, size_bytes: int) -> Contents:
    """Return what the header says. Raises MalformedError, OSError."""
    length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
    if not 2 <= length <= min(size_bytes - 8, HEADER_BYTES_MAX):
        raise MalformedError(f"expected a header of 2 to {min(size_bytes - 8, HEADER_BYTES_MAX)} bytes, got {length}")
    header = read_at(descriptor, 8, length)
    try:
        entries = msgspec.json.decode(header, type=dict[str, Raw])
        metadata = msgspec.json.decode(entries.pop("__metadata__", Raw(b"{}")), type=dict[str, str])
        tensors = [msgspec.json.decode(entry, type=_Tensor) for entry in entries.values()]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"expected the header of safetensors, got {' '.join(str(error).split())[:200]}") from None
    room = size_bytes - 8 - length
    for tensor in tensors:
        first, last = tensor.data_offsets
        if any(size < 0 for size in tensor.shape) or not 0 <= first <= last <= room:
            raise MalformedError(f"expected tensors within {room} bytes, got one at {first} to {last}")
    return Contents(
        "safetensors",
        tensors=len(tensors),
        parameters=sum(prod(tensor.shape) for tensor in tensors),
        dtypes=counted(tensor.dtype for tensor in tensors),
        producer=short(metadata.get("format", "")) or None,
    )
