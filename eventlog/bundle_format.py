"""
What a bundle is, byte for byte: a plain tar, whose first member says what the others are. Pure.

    bundle.json                        format, journal, segment, models, and every other member with size and SHA-256
    tree_head.note                     the signed tree head, where there is one
    receipts/<model id>.tlog-proof     then also one of each model, in the order of publication
    journal.jsonl                      the entries of the segment, as they are
    artifacts/sha256/<2 hex>/<64 hex>  the files of the models, and the manifests of directories, by hash

Decision: headers are written here, not by `tarfile`, and a reader computes the header that must stand there and
compares all 512 bytes. So there is one spelling of a bundle on every version of Python, and nothing in a header is
believed: no link, no device, no other name, no extension can be said in it. Cost: 20 lines; any tar program reads it.

Source: POSIX ustar; a size from 8 GiB on is written as GNU and BSD tar do, in base 256.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from eventlog import receipt
from eventlog.artifact_path import DIGEST, kept_path
from eventlog.errors import RefusedError
from eventlog.model_id import is_model_id

FORMAT = "modelog-bundle-v1"
TABLE, NOTE, JOURNAL = "bundle.json", "tree_head.note", "journal.jsonl"
TABLE_BYTES_MAX = 64 << 20
BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
_OCTAL_MAX = 8**11
_SIZE = re.compile(rb"[0-7]{11}\0")
_encoder = msgspec.json.Encoder()


class Start(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the segment begins: behind so many entries, the last of them with this hash."""

    size: int
    hash: str


class End(Struct, frozen=True, forbid_unknown_fields=True):
    """Where it ends: so many entries, the last with this hash; *root*: 64 hex, of the tree over all of them."""

    size: int
    hash: str
    root: str


class Member(Struct, frozen=True, forbid_unknown_fields=True):
    """A file in the bundle."""

    name: str
    size_bytes: int
    sha256: str


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """
    What `bundle.json` says.

    Attributes:
        models: the ids of those whose artifacts are in the bundle, in the order of publication.

        members: all others, in their order.
    """

    format: str
    journal_id: str
    start: Start
    end: End
    models: list[str]
    members: list[Member]

    def encoded(self) -> bytes:
        """Return the bytes of `bundle.json`."""
        return _encoder.encode(self) + b"\n"

    def size_bytes(self) -> int:
        """Return the size of the whole bundle."""
        sizes = [len(self.encoded()), *(member.size_bytes for member in self.members)]
        return sum(BLOCK_BYTES + size + padding(size) for size in sizes) + len(END)

    def artifacts(self) -> list[Member]:
        """Return the members that are artifacts."""
        return [member for member in self.members if member.name == artifact_name(member.sha256)]


def artifact_name(digest: str) -> str:
    """Return the name of the file with a hash, where the registry that gets it keeps it, too."""
    return kept_path(digest, is_directory=False)


def receipt_name(model_id: str) -> str:
    """Return the name of a model's receipt."""
    return f"receipts/{model_id}{receipt.SUFFIX}"


def padding(size_bytes: int) -> int:
    """Return how many zeros follow a member of that size."""
    return -size_bytes % BLOCK_BYTES


def header(name: str, size_bytes: int) -> bytes:
    """Return the 512 bytes before a member; owner, time and everything else that may differ are zero."""
    size = b"%011o\0" % size_bytes if size_bytes < _OCTAL_MAX else b"\x80" + size_bytes.to_bytes(11, "big")
    before = name.encode().ljust(100, b"\0") + b"0000444\0" + 2 * b"0000000\0" + size + b"00000000000\0"
    behind = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + 2 * b"0000000\0" + bytes(167)
    return before + b"%06o\0 " % sum(before + b" " * 8 + behind) + behind


def table_size(block: bytes, where: str) -> int:
    """Return the size of `bundle.json`, whose header *block* is. Raises RefusedError where it is none."""
    field = block[124:136]
    size_bytes = int(field[:-1], 8) if _SIZE.fullmatch(field) else 0
    if block != header(TABLE, size_bytes) or not 0 < size_bytes <= TABLE_BYTES_MAX:
        raise RefusedError(f"{where}: expected a bundle, which begins with {TABLE}, got another file")
    return size_bytes


def parse(data: bytes, where: str) -> Table:
    """
    Return what `bundle.json` says.

    Raises:
        RefusedError: it is not what `Table.encoded` writes, or names what cannot be in a bundle, or in that order.
    """
    where = f"{where}: {TABLE}"
    try:
        table = msgspec.json.decode(data, type=Table)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise RefusedError(f"{where}: expected {FORMAT}, got {' '.join(str(error).split()):.200}") from None
    if table.format != FORMAT:
        raise RefusedError(f"{where}: expected {FORMAT}, got {table.format!r:.80}: a newer program may read it")
    if table.encoded() != data:
        raise RefusedError(f"{where}: expected the one spelling of it, got another")
    if not 0 <= table.start.size <= table.end.size or table.end.size == 0:
        raise RefusedError(f"{where}: expected a segment, got entries {table.start.size} to {table.end.size}")
    if not all(map(is_model_id, table.models)) or len(set(table.models)) != len(table.models):
        raise RefusedError(f"{where}: expected each model once, got {table.models!r:.200}")
    if any(member.size_bytes < 0 or not DIGEST.fullmatch(member.sha256) for member in table.members):
        raise RefusedError(f"{where}: expected a size and a SHA-256 of each member, got another")
    _check_names(table, where)
    return table


def _check_names(table: Table, where: str) -> None:
    names = [member.name for member in table.members]
    signed = [NOTE, *map(receipt_name, table.models)] if NOTE in names else []
    first = [*signed, JOURNAL]
    kept = table.members[len(first) :]
    digests = [member.sha256 for member in kept]
    wanted = first + list(map(artifact_name, digests))
    if names != wanted or digests != sorted(set(digests)):
        odd = next((got for got, name in zip(names, wanted, strict=False) if got != name), "others, or another order")
        raise RefusedError(f"{where}: expected {', '.join(first)} and artifacts by hash, got {odd!r:.200}")


def framed(name: str, size_bytes: int, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a member with what stands around it."""
    yield header(name, size_bytes)
    yield from parts
    yield bytes(padding(size_bytes))
