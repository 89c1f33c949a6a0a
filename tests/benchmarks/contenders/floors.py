"""What the machine itself takes: writes and their syncs, a typed decode, a hash. All else is measured against it."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from typing import Any

import msgspec
from serving import each, isolated, serve, timed

BYTES_OF_PAIR = 400
BYTES_OF_LINE, BYTES_OF_SLOT, BYTES_OF_ROW, BYTES_OF_CHECKPOINT = 710, 128, 283, 600
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


def batches(directory, count, lines):
    """Do what the disk is asked for by an append of so many *lines*, *count* times; seconds of one line."""
    journal = _opened(os.path.join(directory, f"floor-of-{lines}"))
    head = _opened(os.path.join(directory, "floor-head"), os.O_RDWR)
    return {"seconds": each(count, lambda number: _append(journal, head, lines, number)) / lines}


def publications(directory, count, models):
    """Do what the disk is asked for by a publish into a registry of so many *models*, *count* times; seconds of one."""
    journal = _opened(os.path.join(directory, "floor-journal"))
    head = _opened(os.path.join(directory, "floor-head"), os.O_RDWR)
    files = {"models/registry.json": b"x" * BYTES_OF_ROW * models, "runtime/state.json": b"x" * BYTES_OF_CHECKPOINT}
    files = {os.path.join(directory, "floor", name): data for name, data in files.items()}
    for path in files:
        os.makedirs(os.path.dirname(path), exist_ok=True)

    def publish(number):
        _append(journal, head, 1, number)
        written = {path: os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644) for path in files}
        for path, descriptor in written.items():
            os.write(descriptor, files[path])
        for descriptor in written.values():
            os.fsync(descriptor)
            os.close(descriptor)
        for path in files:
            os.rename(path + ".new", path)
        for path in files:
            descriptor = os.open(os.path.dirname(path), os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    return {"seconds": each(count, publish)}


def _append(journal, head, lines, number):
    os.write(journal, b"x" * BYTES_OF_LINE * lines)
    os.fdatasync(journal)
    os.pwrite(head, b"x" * BYTES_OF_SLOT, BYTES_OF_SLOT * (number % 2))
    os.fdatasync(head)


def _opened(path, flags=os.O_WRONLY | os.O_APPEND):
    if path not in _files:
        _files[path] = os.open(path, flags | os.O_CREAT, 0o644)
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
    serve(pairs, batches, publications, decode, hashing, versions)
