"""Where the fuzzer starts: a few valid inputs for each law, the words it may use, and changes that know structure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import bundle_laws
import file_laws
import journal_laws
from odd_json import NUMBERS, OTHERS, TEXTS, mutated, mutated_bytes

from eventlog import chain
from eventlog.engines.jsonl_head import Head, format_slot

Law = Callable[[bytes], bool]
Change = Callable[[bytes, Random], bytes]

_GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "format1"
_WORDS = (
    "specversion sequence id source type subject time actor data prev hash journal_id format_version backend "
    "artifact_path artifact_size_bytes sha256 dataset_metadata displaced reason took_over artifact_path_hex "
    "offset_bytes size_bytes kept_as model.published.v1 model.rolled_back.v1 journal.recovered.v1 journal.created.v1 "
    "urn:uuid: journal applied_size size metadata active_model entrypoint mode"
)


_SUBJECT = re.compile(rb'"subject":"([^"]*)"')


@dataclass(frozen=True)
class Target:
    """
    What is fuzzed.

    Attributes:
        law: what must hold.

        seeds: inputs that it accepts.

        change: makes one input of another.

        bytes_max: of an input.
    """

    law: Law
    seeds: list[bytes]
    change: Change
    bytes_max: int


def golden_bodies() -> list[bytes]:
    """Return the entries of the golden journal without their links."""
    return [chain.body_of(line) for line in (_GOLDEN / "journal.jsonl").read_bytes().split(b"\n")[:-1]]


def changed_document(data: bytes, random: Random) -> bytes:
    """Change a JSON document; a sealed body lacks its closing brace."""
    if data.endswith(b"}}"):
        return mutated(data, random)
    return mutated(data + b"}", random).removesuffix(b"}")


def changed_lines(data: bytes, random: Random) -> bytes:
    """Change one of several lines, or their order."""
    lines = data.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(6)
    if kind == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    elif kind == 2:
        del lines[one]
    elif kind == 3:
        lines[one] = lines[one][1:] if lines[one][:1] == b"+" else b"+" + lines[one]
    elif lines[one][:1] == b"+":
        lines[one] = b"+" + changed_document(lines[one][1:], random)
    else:
        lines[one] = mutated_bytes(lines[one], random)
    return b"\n".join(lines)


def changed_pairs(data: bytes, random: Random) -> bytes:
    """Change the JSON of one `KEY:=JSON`, or bytes."""
    lines = data.split(b"\n")
    index = random.randrange(len(lines))
    key, typed, value = lines[index].partition(b":=")
    lines[index] = key + typed + mutated(value, random) if typed else mutated_bytes(lines[index], random)
    return b"\n".join(lines)


def targets() -> dict[str, Target]:
    """Return what is fuzzed, by name."""
    bodies = golden_bodies()
    again = re.sub(rb'"displaced":[^,}]*', b'"displaced":"%b"' % _SUBJECT.findall(bodies[1])[0], bodies[1])
    again = again.replace(b"00000000000000000001", b"00000000000000000002").replace(b'"id":"', b'"id":"x')
    folded = b"\n".join(b"+" + body for body in bodies)
    small = b'+{"a":1\n+{"b":2\n+{"c":3\n'
    typed = [b"a=b", b"rows:=1024", 'text:="\u00e9\\u0000"\nlist:=[1,-2.5e3,null,{"a":[true]}]'.encode(), b"a=:=\n=:=b"]
    slots = [format_slot(Head(size, 400 * size, f"{size:064x}")) for size in (0, 7, 8, 10**17)]
    derived = [
        b'{"format_version":1,"journal":{"id":"a","applied_size":3,"hash":"b"},"models":[]}',
        b'{"journal":{"id":"a","applied_size":3},"metadata":{"active_model":{"journal":{"id":"a","size":3,"hash":"b"}}}}',
        b'{"entrypoint":"a","mode":"b","config_path":"c","created_at":"2026-01-02T03:04:05Z","metadata":{"x":1e2}}',
        (_GOLDEN / "registry.json").read_bytes(),
    ]
    return {
        "entry": Target(journal_laws.entry, bodies, changed_document, 2_000),
        "fold": Target(
            journal_laws.fold, [folded, b"\n".join(b"+" + body for body in (*bodies[:2], again))], changed_lines, 9_000
        ),
        "head": Target(journal_laws.head, [slots[0] * 2, slots[1] + slots[2], slots[3] + slots[2]], mutated_bytes, 300),
        "tail": Target(journal_laws.tail, [small, small[:-1], small + b"torn", small + b"\0\0"], changed_lines, 1_000),
        "scan": Target(
            journal_laws.scan, [small, small + b"torn", b"+" + b"a" * 500 + b"\n" + small], changed_lines, 800
        ),
        "anchors": Target(file_laws.anchors, derived, mutated, 2_000),
        "metadata": Target(file_laws.metadata, typed, changed_pairs, 2_000),
        "bundle": Target(bundle_laws.bundle, bundle_laws.seeds(), bundle_laws.changed, 9_000),
    }


def broken(data: bytes) -> bool:
    """Hold for all but few inputs; what the harness is tested with."""
    assert b"model" not in data, "a law that is broken on purpose"
    return False


BROKEN = Target(broken, [b"x"], mutated_bytes, 100)


def dictionary() -> str:
    """Return words and odd values in libFuzzer's dictionary format."""
    words = [*(f'"{word}"' for word in _WORDS.split()), *NUMBERS, *TEXTS, *OTHERS, ":=", "+", "=", "}", '{"a":', "["]
    spelled = {"".join(f"\\x{byte:02x}" for byte in word.encode("utf-8", "surrogatepass")) for word in words if word}
    return "".join(f'"{word}"\n' for word in sorted(spelled))
