"""What the machine itself takes: a write and its sync, a typed decode, a hash. All else is measured against it."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from typing import Any

import msgspec
from serving import each, isolated, serve, timed

BYTES_OF_PAIR = 400
CHUNK_BYTES = 64 << 10
BUFFER_BYTES = 256 << 20
_files: dict[str, int] = {}


def pairs(directory, count, files):
    """Append 400 bytes and `fdatasync`, *count* times on each of so many files in turn; seconds of one turn."""
    data = b"x" * (BYTES_OF_PAIR - 1) + b"\n"
    descriptors = [_opened(os.path.join(directory, f"floor-{number}")) for number in range(files)]

    def turn(_):
        for descriptor in descriptors:
            os.write(descriptor, data)
            os.fdatasync(descriptor)

    return {"seconds": each(count, turn)}


def _opened(path):
    if path not in _files:
        _files[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return _files[path]


class _Data(msgspec.Struct, gc=False):
    """What any event of ours may carry; one struct for all, so that the floor is not higher than it must be."""

    backend: str | None = None
    artifact_path: str | None = None
    artifact_size_bytes: int | None = None
    sha256: str | None = None
    dataset_metadata: dict[str, Any] | None = None
    displaced: str | None = None
    reason: str | None = None
    journal_id: str | None = None
    format_version: int | None = None


class _Line(msgspec.Struct, gc=False, tag_field="type"):
    specversion: str
    sequence: str
    id: str
    source: str
    time: str
    actor: str
    data: _Data
    prev: str
    hash: str


class _Created(_Line, gc=False, tag="journal.created.v1"):
    pass


class _Published(_Line, gc=False, tag="model.published.v1", kw_only=True):
    subject: str


class _SnapshotTaken(_Line, gc=False, tag="journal.snapshot_taken.v1"):
    pass


class _RolledBack(_Line, gc=False, tag="model.rolled_back.v1", kw_only=True):
    subject: str


def decode(journal):
    """F: decode every line of a journal into a tagged union, 64 KiB at a time, and throw it away."""
    return isolated(lambda: dict(zip(("seconds", "lines"), timed(_decode, journal), strict=True)))


def _decode(journal):
    decoder = msgspec.json.Decoder(_Created | _Published | _RolledBack | _SnapshotTaken)
    lines = 0
    rest = b""
    with open(journal, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            whole, _, behind = chunk.rpartition(b"\n")
            if whole:
                lines += len(decoder.decode_lines(rest + whole))
                rest = behind
            else:
                rest += chunk
    return lines


_buffer = b""


def hashing(size_bytes):
    """Hash so many bytes that are in memory already, with OpenSSL's SHA-256."""
    global _buffer  # noqa: PLW0603 - made once, outside of what is measured
    if not _buffer:
        _buffer = os.urandom(1 << 20) * (BUFFER_BYTES >> 20)
    return {"seconds": timed(_hash, size_bytes)[0]}


def _hash(size_bytes):
    digest = sha256()
    view = memoryview(_buffer)
    for done in range(0, size_bytes, BUFFER_BYTES):
        digest.update(view[: min(BUFFER_BYTES, size_bytes - done)])
    return digest.hexdigest()


def versions():
    """Return what this interpreter is made of."""
    import ssl
    from importlib.metadata import version

    openssl = " ".join(ssl.OPENSSL_VERSION.split()[1:2])
    return {
        "Python": sys.version.split()[0],
        "OpenSSL": openssl,
        "msgspec": msgspec.__version__,
        "click": version("click"),
    }


if __name__ == "__main__":
    serve(pairs, decode, hashing, versions)
