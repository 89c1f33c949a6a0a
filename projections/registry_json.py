"""
journal → `registry.json`: all models in one file that any program can read.

    {"format_version":1,"journal":{"id":…,"applied_size":N,"hash":…},"active_model_id":…,"models":[
    {"model_id":…,"backend":…,"artifact_path":…,"sha256":…,"created_at":…,"dataset_metadata":…}
    ]}

Models stand in the order of publication, one a line, so that a new one adds a line. The bytes depend on the journal
alone: written on after every event or folded once from zero, they are the same.

*Decision: a long file may lag.* It can only be replaced as a whole, so to keep it up to date after each event would
cost more and more: 0.9 s a publish at 100,000 models. Up to 1,024 entries that is done. A longer file is written again
as soon as a sixteenth of the entries is missing in it, and by `rebuild`; so a publish costs the same on average however
long the history is. `applied_size` says how far the file has got, and what the runtime reads is never late.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from eventlog import durable, locking
from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.journal import Anchor
from eventlog.log import Once
from eventlog.model_rows import ROW_BREAK, ROW_END, Take, block_of, rows_in
from projections.projection import Stored, Writing, is_due

if TYPE_CHECKING:
    from eventlog.rows_beside import RowsBeside

NAME = "registry.json"
START_BYTES_MAX = 4_096
FRESH_ENTRIES_MAX = 1_024
LAG_DIVISOR = 16
_MODELS = b',"models":[\n'
_END = b"\n]}\n"
_PART_BYTES = 66 << 10
"""Longer than a row whose path has no odd bytes; and so little that the memory is used again, part after part."""

BYTES_MAX = 1 << 30


class _Applied(Struct):
    id: str
    applied_size: int
    hash: str


class _Start(Struct):
    """The part of the file that says how far it has got."""

    journal: _Applied


class RegistryJson:
    """
    The projection into `DIRECTORY/registry.json`; see `projections.projection.Projection`.

    Args:
        directory: the registry's, where the journal is.

        lock_timeout_seconds: how long to wait for another writer of the file.
    """

    binding = True
    forget = "move it away"

    def __init__(self, directory: str, *, lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS) -> None:
        self.where = os.path.join(directory, NAME)
        self._directory = directory
        self._locked = partial(locking.locked_directory, directory, timeout_seconds=lock_timeout_seconds)
        self._rows = Rows()
        self._odd = Once()
        self._beside: RowsBeside | None = None

    def stored(self) -> Stored:
        """Look how far the file has got, and read the rest when it is known what there should be."""
        return Stored(self.anchor(), self._agrees)

    def _agrees(self, catalog: Catalog) -> bool:
        """Say whether the file is, byte for byte, what *catalog* gives; memory stays bounded."""
        with durable.refusing(self.where):
            try:
                beside = self._beside
                if beside is not None and beside.is_all_of(start_of(catalog), len(catalog.published)):
                    return True
                return same_bytes(durable.read_parts(self.where, bytes_max=BYTES_MAX), parts(catalog))
            except FileNotFoundError:
                return False

    def anchor(self) -> Anchor | None:
        """Return how far the file has got, from its start alone."""
        with durable.refusing(self.where):
            try:
                return self._anchor_in(durable.read_start(self.where, START_BYTES_MAX))
            except FileNotFoundError:
                return None

    def beside(self) -> "RowsBeside | None":
        """Return what compares the file, as it is now, with the rows that a fold makes; None where there is none."""
        from eventlog.rows_beside import RowsBeside  # noqa: PLC0415 - only whoever reads everything

        with suppress(OSError, RefusedError):
            start, separator, _ = durable.read_start(self.where, START_BYTES_MAX).partition(_MODELS)
            if os.lstat(self.where).st_size <= BYTES_MAX:
                self._beside = RowsBeside(self.where, len(start) + len(separator), _END)
        return self._beside

    def claimed_rows(self) -> Take:
        """Return what takes the rows that the file has, whatever they are worth; none where it cannot be read."""
        return _Claimed(self._parts_of_rows()).take

    def _parts_of_rows(self) -> Iterator[bytes]:
        with suppress(OSError, RefusedError):
            parts = durable.read_parts(self.where, bytes_max=BYTES_MAX, part_bytes=_PART_BYTES)
            _, separator, first = next(parts, b"").partition(_MODELS)
            if separator:
                yield from chain([first], parts)

    def may_lag(self, applied: Anchor, catalog: Catalog) -> bool:
        """Say so of a long file that lacks but a small part; see the top of the module."""
        missing = catalog.size - applied.size
        return applied.size >= FRESH_ENTRIES_MAX and missing * LAG_DIVISOR < catalog.size

    def _anchor_in(self, start: bytes) -> Anchor | None:
        """Return what the start of the file says; the rest is only asked for where it is not as we write it."""
        start, separator, _ = start.partition(_MODELS)
        try:
            data = start + b"}" if separator else durable.read_file(self.where, bytes_max=BYTES_MAX)
            journal = msgspec.json.decode(data, type=_Start).journal
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._odd.warning(f"{self.where}: not understood and not used ({error}): run rebuild")
            return None
        self._odd.warning(None)
        return Anchor(journal.id, journal.applied_size, journal.hash)

    def writing(self, catalog: Catalog, *, rebuild: bool) -> Writing:
        """Say how the file is brought up to *catalog*, never back behind what it holds."""

        def is_needless() -> bool:
            applied = self.anchor()
            near = applied is not None and self.may_lag(applied, catalog) and not catalog.gave_up(applied)
            return not is_due(applied, catalog, rebuild=rebuild) or (near and not rebuild)

        return Writing(self._directory, self._locked, is_needless, lambda: parts(catalog, self._rows.of(catalog)))


class _Claimed:
    """The rows in *parts* of a file, taken one block after another, whatever they are worth."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._part = b""
        self._row_bytes = 0

    def take(self, count: int) -> bytes:
        """Return the next *count* rows, or what there is of them."""
        taken: list[bytes] = []
        missing = count
        while missing > 0 and (self._part or self._read()):
            found, end = _lines_in(self._part, missing, missing * self._row_bytes)
            taken.append(self._part[:end])
            self._part = self._part[end:]
            missing -= found
        block = b"".join(taken)
        self._row_bytes = len(block) // max(1, count)
        return block[:-1] + ROW_BREAK if block.endswith(b"}\n") else block  # the last one has no comma

    def _read(self) -> bool:
        """Read on; what has no line that ends is given up."""
        self._part = next(self._parts, b"")
        if b"\n" not in self._part:
            self._part, self._parts = b"", iter(())
        return self._part != b""


def _lines_in(part: bytes, count: int, likely_bytes: int) -> tuple[int, int]:
    """Return how many lines, *count* at most, end in *part*, and where the last does; of fewer, the end of it all."""
    end = min(likely_bytes, len(part))
    found = part.count(b"\n", 0, end)
    while found > count:
        end = part.rfind(b"\n", 0, end)
        found -= 1
    while found < count:
        end = part.find(b"\n", end) + 1
        if end == 0:
            return found, len(part)
        found += 1
    return found, part.rfind(b"\n", 0, end) + 1


class Rows:
    """The rows of the models of one journal, kept by a process that writes them again and again."""

    def __init__(self) -> None:
        self._journal_id: str | None = None
        self._rows: list[bytes] = []

    def of(self, catalog: Catalog) -> list[bytes] | None:
        """Return the row of each model; None where they are not kept: there are too many, or nobody has come before."""
        is_known, self._journal_id = catalog.journal_id == self._journal_id, catalog.journal_id
        if catalog.size > FRESH_ENTRIES_MAX or not is_known:
            self._rows = []
            return None
        known = len(self._rows)
        new = catalog.published.since(known)
        if new is None:
            self._rows = list(chain.from_iterable(map(rows_in, catalog.published.rows())))
        else:
            self._rows[known:] = rows_in(block_of(new))
        return self._rows


def render(catalog: Catalog) -> bytes:
    """Return the bytes of the file for *catalog*, which has at least one entry."""
    return b"".join(parts(catalog))


def parts(catalog: Catalog, rows: list[bytes] | None = None) -> Iterator[bytes]:
    """
    Yield the same in parts, each of the rows of some hundred models or of *rows*.

    Args:
        rows: of all models, where they are known.
    """
    start = start_of(catalog)
    if rows:
        whole = [*rows]  # in one piece, and no copy of it
        whole[0] = start + whole[0]
        whole[-1] += b"}" + _END
        yield ROW_END.join(whole)
        return
    yield start
    held = b""
    for block in filter(None, catalog.published.rows()):
        if held:
            yield held
        held = block
    yield held.removesuffix(ROW_BREAK) + _END


def start_of(catalog: Catalog) -> bytes:
    """Return what stands before the first row. Raises RefusedError where there is no journal."""
    anchor = catalog.anchor()
    if anchor is None:
        raise RefusedError(f"{catalog.where}: expected a journal, got none")
    start = msgspec.json.encode(
        {
            "format_version": 1,
            "journal": {"id": anchor.journal_id, "applied_size": anchor.size, "hash": anchor.hash},
            "active_model_id": catalog.active_id(),
        }
    )
    return start[:-1] + _MODELS


def same_bytes(one: Iterator[bytes], other: Iterator[bytes]) -> bool:
    """Say whether two sequences of parts, none of which is empty, come to the same bytes."""
    left = right = memoryview(b"")
    while True:
        left, right = left or memoryview(next(one, b"")), right or memoryview(next(other, b""))
        count = min(len(left), len(right))
        if count == 0 or left[:count] != right[:count]:
            return left == right
        left, right = left[count:], right[count:]
