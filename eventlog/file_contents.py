"""
What is in a model's file, read from its header alone.

Nothing is loaded and nothing is run. A format that can run code when it is loaded (a pickle, or an archive with one) is
not looked into at all, only labelled. Every read is bounded.

Source: the opcode PROTO of the pickle protocol; the directory of an archive, by APPNOTE.TXT of PKWARE.
"""

from __future__ import annotations

import os

from eventlog import onnx_header, safetensors_header
from eventlog.contents import HEADER_BYTES_MAX, Contents, MalformedError, merged, read_at
from eventlog.log import log

_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib")
_END_BYTES_MAX = 65_557
"""The record at the end of an archive, with the longest comment."""

_MAGIC = {b"GGUF": "gguf", b"\x89HDF": "hdf5", b"\x93NUM": "npy"}


def describe(descriptor: int, size_bytes: int, name: str) -> Contents | None:
    """
    Return what is in an open file; None where its format is not known.

    Args:
        name: of the file; its ending counts where the bytes do not tell.

    Raises MalformedError, and OSError.
    """
    start = os.pread(descriptor, 512, 0)
    if _is_pickle(start) or name.lower().endswith(_PICKLE_SUFFIXES):
        return Contents("pickle", unsafe=True)
    if start.startswith(b"PK\x03\x04"):
        return Contents("zip", unsafe=_may_hold_pickle(descriptor, size_bytes))
    if start[:4] in _MAGIC:
        return Contents(_MAGIC[start[:4]])
    if name.lower().endswith(".safetensors") or (
        start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size_bytes
    ):
        return safetensors_header.describe(descriptor, size_bytes)
    if name.lower().endswith(".onnx"):
        return onnx_header.describe(descriptor, size_bytes)
    return None


def _is_pickle(start: bytes) -> bool:
    return len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5


def _may_hold_pickle(descriptor: int, size_bytes: int) -> bool:
    """Say whether a name in an archive's directory is that of a pickle; also where that cannot be told."""
    last = min(size_bytes, _END_BYTES_MAX)
    tail = read_at(descriptor, size_bytes - last, last)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        return True
    size, start = (int.from_bytes(tail[end + at : end + at + 4], "little") for at in (12, 16))
    if (
        size > HEADER_BYTES_MAX or start + size > size_bytes
    ):  # also where the numbers stand elsewhere, as they are large
        return True
    names = read_at(descriptor, start, size).lower()
    return any(ending.encode() in names for ending in (*_PICKLE_SUFFIXES, ".pt"))  # also PyTorch's, which has one


class Findings:
    """Collects what is in the files of an artifact while they are hashed; a header that is malformed is told."""

    def __init__(self) -> None:
        self._found: list[Contents] = []

    def look(self, name: str, descriptor: int, size_bytes: int) -> None:
        """Look into one file. Raises OSError."""
        try:
            found = describe(descriptor, size_bytes, name)
        except MalformedError as error:
            where = os.fsencode(name).decode("utf-8", "replace")
            log.info("%s: what is in it is not recorded, as its header cannot be read: %s", where, error)
            return
        if found is not None:
            self._found.append(found)

    def contents(self) -> Contents | None:
        """Return what is in all of them, or None where nothing is known."""
        return merged(self._found)
