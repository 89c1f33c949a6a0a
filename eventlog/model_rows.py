"""
Models many at a time; their rows, as `registry.json` has them, and the hash by which a snapshot tells what these are.

    rows_hash after a snapshot = SHA-256(rows_hash of the snapshot before ‖ the rows of the models published since)

The hash before stands there as 64 hex digits, or as 64 zeros where there is none; each row ends in a comma and a
newline. So rows that lie anywhere are proven, block by block, without the entries they were made of.

So they are handed on in blocks: some rows, each with its `ROW_END`, as they stand in the file; what is done with a
block is done with all of it at once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import islice
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from eventlog.artifact_path import KEPT, located, path_to_text
from eventlog.chain import GENESIS
from eventlog.dataset_metadata import copied
from eventlog.events import Event
from eventlog.model import ModelMetadata, published_by, shown
from eventlog.runs import StoredPublication, event_of

ROW_START = b'{"model_id":"'
ROW_BREAK = b",\n"
ROW_END = b"}" + ROW_BREAK
"""What each row of a block ends in; nowhere else in it, for in JSON a newline is spelled."""

Take = Callable[[int], bytes]
"""Returns the next so many rows as a block: what somebody says they are."""

_PIECE = 256

_PATHS_ARE_UTF8 = sys.getfilesystemencoding() == "utf-8"
_ODD_BYTE = b"\\\\x"
_KEPT_MARK = b'"artifact_path":"%b/' % KEPT.encode()
_KEPT_PATH = (
    rb'(?m)^(\{"model_id":"[^"]*","backend":"(?:[^"\\]|\\.)*","artifact_path":")'
    rb'(%b/(?:sha256|trees)/([0-9a-f]{2})/(\3[0-9a-f]{62})","sha256":"\4")' % KEPT.encode()
)
_encoder = msgspec.json.Encoder()
_attributes = attrgetter(
    "subject", "data.backend", "data.artifact_path", "data.sha256", "time", "data.dataset_metadata"
)
_path_hex = attrgetter("data.artifact_path_hex")


class _Row(Struct, frozen=True, gc=False):
    """What `ModelMetadata` has, made by the thousand."""

    model_id: str
    backend: str
    artifact_path: str
    sha256: str
    created_at: Any
    dataset_metadata: dict[str, Any]


def block_of(publications: Sequence[StoredPublication | Event], *, odd: bool = True) -> bytes:
    """
    Return the rows of the models that *publications* published.

    Args:
        odd: some may have paths that are not UTF-8.
    """
    some: Sequence[Any] = publications  # each has the data of a publication
    if odd and any(map(_path_hex, some)):
        rows: list[Any] = list(map(shown, map(event_of, some)))
    else:
        rows = [
            _Row(one.subject, (it := one.data).backend, it.artifact_path, it.sha256, one.time, it.dataset_metadata)
            for one in some
        ]
    return _encoder.encode_lines(rows).replace(b"\n", ROW_BREAK)


def blocks_of(publications: Iterable[StoredPublication | Event]) -> Iterator[bytes]:
    """Yield the same, some at a time, so that memory stays bounded."""
    left = iter(publications)
    while some := list(islice(left, _PIECE)):
        yield block_of(some)


def rows_in(block: bytes) -> list[bytes]:
    """Return each row without its end, so without its last brace: whoever shows a row can say more in it."""
    return block.split(ROW_END)[:-1]


def array_of(block: bytes) -> bytes:
    """Return the rows as a JSON array."""
    return b"".join((b"[", memoryview(block)[: -len(ROW_BREAK)], b"]"))


def models_of(publications: Sequence[StoredPublication | Event], home: str | None = None) -> list[ModelMetadata]:
    """Return the models that *publications* published; the receiver's own; *home* as in `eventlog.model.path_of`."""
    if any(map(_path_hex, publications)) or not _PATHS_ARE_UTF8:
        return [published_by(event_of(publication), home) for publication in publications]
    return [
        ModelMetadata(model_id, backend, located(path, digest, home), digest, time, copied(metadata))
        for model_id, backend, path, digest, time, metadata in map(_attributes, publications)
    ]


def models_in(block: bytes, home: str | None = None) -> list[ModelMetadata] | None:
    """Return the models of the rows; None where a path may not be what a row has: that only spells odd bytes out."""
    text = array_of(located_rows(block, home))
    return None if _ODD_BYTE in text or not (_PATHS_ARE_UTF8 or text.isascii()) else _decoder().decode(text)


@cache
def _decoder() -> msgspec.json.Decoder[list[ModelMetadata]]:
    return msgspec.json.Decoder(list[ModelMetadata])


def located_rows(block: bytes, home: str | None) -> bytes:
    """Return *block* with the paths of artifacts that the registry keeps as they are on this machine."""
    if home is None or _KEPT_MARK not in block:
        return block
    start = _encoder.encode(os.path.join(path_to_text(home)[0], ""))[1:-1].replace(b"\\", b"\\\\")
    return re.sub(_KEPT_PATH, rb"\1%b\2" % start, block)


def hash_behind(prev: str, block: bytes) -> str:
    """Return the hash that a snapshot tells which stands the rows of *block* behind the one that tells *prev*."""
    digest = sha256(prev.encode())
    digest.update(block)
    return digest.hexdigest()


def none_claimed() -> Take:
    """Return what takes the rows of nobody's file."""
    return lambda count: b""


class RowsHash:
    """
    The hash of the rows so far, for a fold.

    Args:
        prev: what the newest snapshot tells.

        known: what the next one tells, for a fold that begins just before it.
    """

    def __init__(self, prev: str = GENESIS, *, known: str | None = None) -> None:
        self._digest = sha256(prev.encode())
        self._known = known

    def __eq__(self, other: object) -> bool:
        """Say whether the rows so far are the same."""
        return isinstance(other, RowsHash) and self.hexdigest() == other.hexdigest()

    __hash__ = None  # type: ignore[assignment]

    def extend(self, publications: Sequence[StoredPublication | Event], *, odd: bool = True) -> bytes:
        """
        Go on by the rows of *publications*, and return them; not before a snapshot that is known.

        Args:
            odd: some may have paths that are not UTF-8.
        """
        assert self._known is None, "its own entry comes first"
        rows = block_of(publications, odd=odd)
        self._digest.update(rows)
        return rows

    def hexdigest(self) -> str:
        """Return what a snapshot tells here."""
        return self._known or self._digest.hexdigest()
