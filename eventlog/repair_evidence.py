"""
What is known of a journal that may be damaged, and what its witnesses say; the refusals where they do not agree.

A *witness* is something that says how long the journal was and how its last entry hashed: the head, and the anchors in
files derived from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct

from eventlog import anchors, chain, codec
from eventlog.artifact_path import path_to_text
from eventlog.catalog import Catalog
from eventlog.engines.jsonl_assembly import Assembly, Line
from eventlog.engines.jsonl_head import Head
from eventlog.engines.jsonl_repair import JsonlRepair, Survey
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import Remembered
from eventlog.journal import FoundAnchor

OTHER_WAYS = "try repair --from COPY; where no copy has it all, repair --accept-rewind --reason … (with --from, too)"


class Request(Struct, frozen=True):
    """What was asked for: which repair of which journal, why, and from which copy."""

    action: str
    where: str
    reason: str | None
    copy: str | None


class Witnesses(Struct, frozen=True):
    """The anchors that were found."""

    anchors: list[FoundAnchor]

    def of(self, catalog: Catalog) -> list[FoundAnchor]:
        """
        Return those that count for the journal that *catalog* is folded from.

        Raises RefusedError where a file beside the journal can only belong to another one.
        """
        for item in self.anchors:
            if item.binding and item.anchor.journal_id != catalog.journal_id:
                raise RefusedError(anchors.replaced(catalog.where, catalog.journal_id, item))
        return [
            item
            for item in self.anchors
            if item.anchor.journal_id == catalog.journal_id and not catalog.gave_up(item.anchor)
        ]


def examined(
    files: JsonlRepair, witnesses: Witnesses, request: Request
) -> tuple[Survey, Assembly, list[Line], list[FoundAnchor]]:
    """Return what stands there, the lines that verify from the first on, and the anchors of that journal."""
    survey, assembly = files.survey(), files.assembly()
    lines = assembly.back_from(survey.verified.hash, survey.verified.size)
    if not lines:
        raise RefusedError(lost(request, survey, "a first entry"))
    return survey, assembly, lines, witnesses.of(folded(assembly, lines, request))


def proven(
    assembly: Assembly, head: Head | None, witnesses: Witnesses, request: Request
) -> tuple[list[Line], list[FoundAnchor]]:
    """
    Return the lines that lead back from the furthest witness, and the anchors that count for them.

    The head goes first, because the lines that it leads to may say that an anchor was given up.

    Raises:
        RefusedError: a line is nowhere, or there is no witness.
    """
    targets = [] if head is None else [(head.size, head.hash)]
    here = ids_of_first(assembly)
    known = here or {item.anchor.journal_id for item in witnesses.anchors if item.binding}
    anchors = [item.anchor for item in witnesses.anchors if not known or item.anchor.journal_id in known]
    targets += sorted(((anchor.size, anchor.hash) for anchor in anchors), reverse=True)
    lines = _back_from_first(assembly, targets, request)
    catalog = folded(assembly, lines, request)
    check_identity(here, witnesses, catalog)
    counting = witnesses.of(catalog)
    further = [(item.anchor.size, item.anchor.hash) for item in counting if item.anchor.size > len(lines)]
    if further:
        lines = _back_from_first(assembly, [max(further)], request)
    return lines, counting


def _back_from_first(assembly: Assembly, targets: list[tuple[int, str]], request: Request) -> list[Line]:
    """Return the lines that lead to the first of *targets* that can be reached at all."""
    failure: RefusedError | None = None
    for size, newest in targets:
        try:
            if lines := assembly.back_from(newest, size):
                return lines
        except RefusedError as error:
            failure = failure or error
    if failure is not None:
        raise RefusedError(f"{request.where}: cannot be put together: {failure}: {OTHER_WAYS}") from failure
    raise RefusedError(
        f"{request.where}: expected a head or an anchor that says how the journal ended, got none: "
        "restore a backup into an empty directory"
    )


def ids_of_first(assembly: Assembly) -> set[str]:
    """Return the ids of the journals that the lines standing in the damaged file say they belong to."""
    found = {codec.journal_id_of(assembly.entry(line)) for line in assembly.lines_of_first()}
    return {journal_id for journal_id in found if journal_id is not None}


def check_identity(here: set[str], witnesses: Witnesses, catalog: Catalog) -> None:
    """Refuse a history from a copy, where the damaged file (*here*, its `ids_of_first`) or an anchor names another."""
    ids = here or {item.anchor.journal_id for item in witnesses.anchors if not catalog.covers(item.anchor)}
    if ids and ids != {catalog.journal_id}:
        raise RefusedError(
            f"{catalog.where}: expected entries of journal {', '.join(sorted(ids))}, got those of "
            f"{catalog.journal_id}: the copy is foreign, or --state-dir follows another journal"
        )


def folded(assembly: Assembly, lines: Sequence[Line], request: Request) -> Catalog:
    """Return the state after *lines*, as far as they make sense as history. Raises UnsupportedFormatError."""
    catalog = Catalog(request.where)
    with suppress(JournalDamagedError):
        for entry in assembly.entries(lines):
            catalog.apply(entry[:-1])
    return catalog


def history(assembly: Assembly, lines: Sequence[Line], request: Request) -> Catalog:
    """Return the state after *lines*. Raises RefusedError where one cannot follow what happened before."""
    catalog = Catalog(request.where)
    for entry in assembly.entries(lines):
        try:
            catalog.apply(entry[:-1])
        except JournalDamagedError as error:
            raise RefusedError(f"{error}: {OTHER_WAYS}") from error
    return catalog


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
            raise RefusedError(
                f"{request.where}: {what}: if that file was changed, {item.forget} and run rebuild; else {OTHER_WAYS}"
            )


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
    return [Remembered(path_to_text(item.where)[0], item.anchor.size, item.anchor.hash) for item in anchors]
