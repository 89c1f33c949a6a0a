"""
Every way to edit the journal of a specimen that we could think of; each gives the edited bytes, one after the other.

`LINE_EDITS` leave whole lines, so that a forger can seal what they give anew; `BYTE_EDITS` do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations

from specimen import SIZE, Specimen
from support import LONG, reseal

from eventlog import chain

Lines = list[bytes]
NUL_STEP = 1 if LONG else 101
NUL_RUNS = (1, 2, 64, 512, 4096)
BLOCKS = (512, 4096)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENDS = (b"\r\n", b"\r", b"\x0b", b"\x0c", b"\x00", b" ", b"\xc2\x85", b"\xe2\x80\xa8")


def dropped(specimen: Specimen) -> Iterator[Lines]:
    """Each line taken out."""
    lines = specimen.lines
    yield from ([*lines[:at], *lines[at + 1 :]] for at in range(SIZE))


def doubled(specimen: Specimen) -> Iterator[Lines]:
    """Each line there twice; the last one's copy would stand behind the head, which the tail table has."""
    lines = specimen.lines
    yield from ([*lines[: at + 1], *lines[at:]] for at in range(SIZE - 1))


def swapped(specimen: Specimen) -> Iterator[Lines]:
    """Each two lines changed places; all reversed, and turned round by one either way."""
    for first, second in combinations(range(SIZE), 2):
        lines = specimen.lines
        lines[first], lines[second] = lines[second], lines[first]
        yield lines
    lines = specimen.lines
    yield from (lines[::-1], [*lines[1:], lines[0]], [lines[-1], *lines[:-1]])


def repeated(specimen: Specimen) -> Iterator[Lines]:
    """Each line of the journal in the place of each other one."""
    for at, source in permutations(range(SIZE), 2):
        lines = specimen.lines
        lines[at] = lines[source]
        yield lines


def foreign(specimen: Specimen) -> Iterator[Lines]:
    """Each line of another registry in the place of ours, and slipped in before it."""
    lines, others = specimen.lines, specimen.foreign
    for at in range(SIZE):
        yield [*lines[:at], others[at], *lines[at + 1 :]]
        yield [*lines[:at], others[at], *lines[at:]]


def from_another_past(specimen: Specimen) -> Iterator[Lines]:
    """Each line as it would be valid there, had the journal's past gone on differently; also with all that follows."""
    lines = specimen.lines
    for at, line in specimen.forked.items():
        yield [*lines[:at], line, *lines[at + 1 :]]
        yield [*lines[:at], line, *lines[at:]]
        yield [*lines[:at], line]


def forged(specimen: Specimen) -> Iterator[Lines]:
    """Each line with another actor, of the same length, so that offsets still fit."""
    lines = specimen.lines
    for at in range(SIZE):
        forgery = lines[at].replace(b'"actor":"t"', b'"actor":"u"')
        yield [*lines[:at], forgery, *lines[at + 1 :]]


def blanked(specimen: Specimen) -> Iterator[bytes]:
    """Each line made spaces, made empty, or with an empty one before it."""
    lines = specimen.lines
    for at in range(SIZE):
        for instead in (b" " * (len(lines[at]) - 1) + b"\n", b"\n", b"\n" + lines[at]):
            yield b"".join([*lines[:at], instead, *lines[at + 1 :]])


def ended_otherwise(specimen: Specimen) -> Iterator[bytes]:
    """Each LF, and all of them, lost or made something else that some reader takes for the end of a line."""
    lines = specimen.lines
    for end in (b"", *_OTHER_ENDS):
        for at in range(SIZE):
            yield b"".join([*lines[:at], lines[at][:-1] + end, *lines[at + 1 :]])
        yield specimen.journal.replace(b"\n", end)


def encoded_otherwise(specimen: Specimen) -> Iterator[bytes]:
    """Byte order marks before each line; UTF-16 and UTF-32 of each line and of all."""
    lines, text = specimen.lines, specimen.journal.decode()
    for at in range(SIZE):
        yield b"".join([*lines[:at], BYTE_ORDER_MARK, *lines[at:]])
        for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
            yield b"".join([*lines[:at], lines[at].decode().encode(encoding), *lines[at + 1 :]])
    yield from (text.encode(name) for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"))


def slipped_in_without_newline(specimen: Specimen) -> Iterator[bytes]:
    """Bytes without an LF before each line: garbage, half a line, a whole line of ours or of another registry."""
    lines = specimen.lines
    for at in range(SIZE):
        for extra in (b"x", b" ", b"{}", lines[at][:99], lines[at][:-1], lines[at - 1][:-1], specimen.foreign[at][:-1]):
            yield b"".join([*lines[:at], extra, *lines[at:]])


def nul_runs(specimen: Specimen) -> Iterator[bytes]:
    """NULs in the place of bytes, and slipped in between bytes."""
    data = specimen.journal
    for length in NUL_RUNS:
        for start in range(0, len(data), NUL_STEP):
            yield data[:start] + bytes(min(length, len(data) - start)) + data[start + length :]
            yield data[:start] + bytes(length) + data[start:]


def blocks(specimen: Specimen) -> Iterator[bytes]:
    """Blocks of a disk or a page: zeroed, all ones, lost, each in the place of each other, each two swapped."""
    for size in BLOCKS:
        parts = [specimen.journal[start : start + size] for start in range(0, len(specimen.journal), size)]
        for at, part in enumerate(parts):
            yield from (_joined(parts, {at: instead}) for instead in (bytes(len(part)), b"\xff" * len(part), b""))
        for first, second in permutations(range(len(parts)), 2):
            yield _joined(parts, {first: parts[second]})
        for first, second in combinations(range(len(parts)), 2):
            yield _joined(parts, {first: parts[second], second: parts[first]})


def _joined(parts: Sequence[bytes], instead: dict[int, bytes]) -> bytes:
    return b"".join(instead.get(number, part) for number, part in enumerate(parts))


LINE_EDITS: dict[str, Callable[[Specimen], Iterator[Lines]]] = {
    edit.__name__: edit for edit in (dropped, doubled, swapped, repeated, foreign, from_another_past, forged)
}
BYTE_EDITS: dict[str, Callable[[Specimen], Iterator[bytes]]] = {
    edit.__name__: edit
    for edit in (blanked, ended_otherwise, encoded_otherwise, slipped_in_without_newline, nul_runs, blocks)
}


def as_it_is(lines: Lines) -> Lines:
    """No hash computed anew."""
    return lines


def each_line(lines: Lines) -> Lines:
    """Each line's own hash right, and its link as it was."""
    return [chain.seal(chain.body_of(line[:-1]), line[-141:-77].decode()) + b"\n" for line in lines]


def linked_lines(lines: Lines) -> Lines:
    """Each line's own hash right, and its link the hash that stood in the line before it."""
    hashes = [chain.GENESIS, *(chain.hash_of(line[:-1]) for line in lines[:-1])]
    return [chain.seal(chain.body_of(line[:-1]), prev) + b"\n" for line, prev in zip(lines, hashes, strict=True)]


def whole_chain(lines: Lines) -> Lines:
    """Every link and hash right from the first line on."""
    return reseal(lines)


SEALINGS: dict[str, Callable[[Lines], Lines]] = {
    sealing.__name__: sealing for sealing in (as_it_is, each_line, linked_lines, whole_chain)
}
