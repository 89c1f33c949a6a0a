"""
What a directory holds, as bytes: a line for each file, in one spelling. Their SHA-256 stands for the whole.

    modelog-manifest-v1
    {"path":"config.json","size_bytes":570,"sha256":"<64 hex>"}
    {"path":"weights/part-1.safetensors","size_bytes":4194304,"sha256":"<64 hex>"}

Lines are sorted by the bytes of the path; parts of a path are divided by `/`. Directories without files do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from eventlog.artifact_path import DIGEST
from eventlog.errors import RefusedError

HEADER = b"modelog-manifest-v1\n"
FILES_MAX = 100_000
BYTES_MAX = 64 << 20
_NAME_BYTES_MAX, _PATH_BYTES_MAX = 255, 3_000


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file: its path below the directory, how many bytes, and their SHA-256 in 64 hex."""

    path: str
    size_bytes: int
    sha256: str


_lines = msgspec.json.Decoder(File)
_encoder = msgspec.json.Encoder()


def encode(files: Iterable[File]) -> bytes:
    """Return the manifest of *files*, in whatever order they come."""
    return HEADER + _encoder.encode_lines(sorted(files, key=lambda file: file.path.encode()))


def decode(data: bytes, where: str) -> list[File]:
    """
    Return the files of a manifest.

    Raises:
        RefusedError: it is not what `encode` writes, or a path in it leads out of the directory, or does not fit the
            others.
    """
    refuse = _refusing(where)
    if not data.startswith(HEADER) or len(data) > BYTES_MAX:
        raise refuse(f"{HEADER.decode().strip()} of at most {BYTES_MAX} bytes", "something else")
    try:
        files = _lines.decode_lines(data[len(HEADER) :])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise refuse("a manifest", " ".join(str(error).split())[:200]) from None
    if encode(files) != data or not files:
        raise refuse("the one spelling of a manifest", "another one")
    check([file.path for file in files], where)
    for file in files:
        if not DIGEST.fullmatch(file.sha256) or file.size_bytes < 0:
            raise refuse("a size and a SHA-256 for each file", f"{file.size_bytes} and {file.sha256:.80}")
    return files


def check(paths: list[str], where: str) -> None:
    """Raise RefusedError unless files with these *paths* can lie in one directory, and nowhere else."""
    refuse = _refusing(where)
    if len(paths) > FILES_MAX:
        raise refuse(f"at most {FILES_MAX} files", f"{len(paths)}")
    taken = set(paths)
    if len(taken) != len(paths):
        raise refuse("each path once", "one of them twice")
    for path in paths:
        try:
            raw = path.encode()
        except UnicodeEncodeError:
            raise refuse("names in UTF-8", f"{path!r:.200}") from None
        parts = raw.split(b"/")
        if (
            any(part in (b"", b".", b"..") or len(part) > _NAME_BYTES_MAX for part in parts)
            or b"\0" in raw
            or len(raw) > _PATH_BYTES_MAX
        ):
            raise refuse("paths below the directory", f"{path!r:.200}")
        while (path := path.rpartition("/")[0]) != "":
            if path in taken:
                raise refuse("a file or a directory", f"both as {path!r:.200}")


def difference(wanted: Iterable[File], found: Iterable[File]) -> str | None:
    """Return the first thing in which *found* differs from *wanted*, in words; None where it does not."""
    expected, got = ({file.path: file for file in files} for files in (wanted, found))
    for path in sorted(expected.keys() | got.keys()):
        if path not in got:
            return f"{path!r:.200}: expected a file, got none"
        if path not in expected:
            return f"{path!r:.200}: expected no such file, got one"
        if expected[path] != got[path]:
            return f"{path!r:.200}: expected sha256 {expected[path].sha256}, got {got[path].sha256}"
    return None


def _refusing(where: str) -> Callable[[str, str], RefusedError]:
    return lambda expected, got: RefusedError(f"{where}: expected {expected}, got {got}")
