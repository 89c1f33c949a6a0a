"""
What is known of a journal that may be damaged, and what its witnesses say; the refusals where they do not agree.

A *witness* is something that says how long the journal was and how its last entry hashed: the head, and the anchors in
files derived from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from eventlog import artifacts, chain, codec
from eventlog.catalog import Catalog
from eventlog.engines.jsonl_assembly import Assembly, Line
from eventlog.engines.jsonl_repair import JsonlRepair, Survey
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import JournalCreated, Remembered
from eventlog.journal import FoundAnchor

OTHER_WAYS = "try repair --from COPY; where there is no other copy, repair --accept-rewind --reason …"


class Request(Struct, frozen=True):
    """What was asked for: of which journal, why, and from which copy."""

    where: str
    reason: str | None
    copy: str | None


class Witnesses(Struct, frozen=True):
    """The anchors that were found."""

    anchors: list[FoundAnchor]

    def of(self, journal_id: str, where: str) -> list[FoundAnchor]:
        """Return those of the journal. Raises RefusedError where a file beside it can only belong to another one."""
        for item in self.anchors:
            if item.binding and item.anchor.journal_id != journal_id:
                raise RefusedError(
                    f"{where}: expected journal {item.anchor.journal_id}, as {item.where} remembers, got {journal_id}: "
                    "it was replaced: move it away and restore a backup"
                )
        return [item for item in self.anchors if item.anchor.journal_id == journal_id]


def examined(
    files: JsonlRepair, witnesses: Witnesses, request: Request
) -> tuple[Survey, Assembly, list[Line], list[FoundAnchor]]:
    """Return what stands there, the lines that verify from the first on, and the anchors of that journal."""
    survey, assembly = files.survey(), files.assembly()
    lines = assembly.back_from(survey.verified.hash, survey.verified.size)
    if not lines:
        raise RefusedError(lost(request, survey, "a first entry"))
    return survey, assembly, lines, witnesses.of(journal_id(assembly, lines, request), request.where)


def anchored(assembly: Assembly, witnesses: Witnesses, request: Request) -> list[tuple[int, str]]:
    """Return size and hash of what the anchors say of the journal whose first entry or sole file this still is."""
    known = {journal_id(assembly, [line], request) for line in assembly.first_lines()}
    known = known or {item.anchor.journal_id for item in witnesses.anchors if item.binding}
    anchors = [item.anchor for item in witnesses.anchors if not known or item.anchor.journal_id in known]
    if len({anchor.journal_id for anchor in anchors}) > 1:
        raise RefusedError(f"{request.where}: expected anchors of one journal, got several: name the right --state-dir")
    return [(anchor.size, anchor.hash) for anchor in anchors]


def proven(assembly: Assembly, target: tuple[int, str] | None, request: Request) -> list[Line]:
    """Return the lines that lead to the furthest witness."""
    if target is None:
        raise RefusedError(
            f"{request.where}: expected a head or an anchor that says how the journal ended, got none: "
            "restore a backup into an empty directory"
        )
    size, newest = target
    try:
        lines = assembly.back_from(newest, size)
    except RefusedError as error:
        raise RefusedError(f"{request.where}: cannot be put together: {error}: {OTHER_WAYS}") from error
    if not lines:
        raise RefusedError(f"{request.where}: expected entries, got none: restore a backup")
    return lines


def journal_id(assembly: Assembly, lines: Sequence[Line], request: Request) -> str:
    """Return the id of the journal that begins with *lines*. Raises JournalDamagedError, UnsupportedFormatError."""
    (first,) = assembly.entries(lines[:1])
    event = codec.decode(first[:-1], 0, None, request.where)
    assert isinstance(event.data, JournalCreated), "decode lets nothing else be first"
    return event.data.journal_id


def foldable(assembly: Assembly, lines: Sequence[Line], request: Request) -> int:
    """Return how many of *lines* make sense as history. Raises UnsupportedFormatError."""
    catalog = Catalog(request.where)
    try:
        for entry in assembly.entries(lines):
            catalog.apply(entry[:-1])
    except JournalDamagedError:
        pass
    return catalog.size


def holds(lines: Sequence[Line], size: int, hash_: str) -> bool:
    """Say whether *lines* begin with *size* entries of which the last has this hash."""
    if size > len(lines):
        return False
    return (lines[size - 1].hash if size else chain.GENESIS) == hash_


def check_agreement(request: Request, lines: Sequence[Line], anchors: Sequence[FoundAnchor]) -> None:
    """Refuse where an anchor remembers more or other than *lines*."""
    for item in anchors:
        if not holds(lines, item.anchor.size, item.anchor.hash):
            what = parted(item.where, item.anchor.size, item.anchor.hash)
            raise RefusedError(f"{request.where}: {what}: {OTHER_WAYS}")


def parted(who: str, size: int, hash_: str) -> str:
    """Say that a witness remembers something else."""
    return f"expected {size} entries up to hash {hash_}, as {who} remembers, got others or fewer"


def lost(request: Request, survey: Survey, what: str) -> str:
    """Say that what was acknowledged is not all there."""
    return (
        f"{request.where}: expected {what}, got {survey.verified.size} that verify, "
        f"up to offset {survey.verified.end_bytes}: {OTHER_WAYS}"
    )


def remembered(anchors: Sequence[FoundAnchor]) -> list[Remembered]:
    """Return what *anchors* say, as an event tells it."""
    return [Remembered(artifacts.path_to_text(item.where)[0], item.anchor.size, item.anchor.hash) for item in anchors]
