"""
A registry's and a runtime's files while somebody forges them: entries first, then what stands around them.

Every forgery is a list of steps, each with a seed of its own, so that a failing one can be made smaller by leaving
steps out. Between the two kinds of steps the chain is sealed again and a head is written that fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from random import Random

from odd_json import mutated, mutated_bytes, odd_value

from eventlog import chain
from eventlog.engines.jsonl_head import SLOT_BYTES, Head, format_slot

JOURNAL, HEAD, REGISTRY_JSON, STATE_JSON = "m/journal.jsonl", "m/journal.head", "m/registry.json", "s/state.json"
QUARANTINE = "m/quarantine"
Files = dict[str, bytes]


class Forged:
    """
    What is forged.

    Attributes:
        files: content by path; of a path that ends in `/` it is a directory.

        bodies: the entries without their links.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.bodies = [chain.body_of(line) for line in files[JOURNAL].split(b"\n")[:-1]]

    def seal(self) -> None:
        """Make the journal out of the entries, with hashes that are right, and a head that fits."""
        entries, prev = [], chain.GENESIS
        for body in self.bodies:
            entries.append(chain.seal(body, prev))
            prev = chain.hash_of(entries[-1])
        self.files[JOURNAL] = b"".join(entry + b"\n" for entry in entries)
        self.files[HEAD] = format_slot(self.head()) * 2

    def head(self) -> Head:
        """Return the head that fits the entries."""
        lines = self.files[JOURNAL].split(b"\n")[:-1]
        if not lines:
            return Head()
        return Head(len(lines), len(self.files[JOURNAL]), lines[-1][-66:-2].decode("ascii", "replace"))


Step = Callable[[Forged, Random], None]


def no_anchors(forged: Forged, random: Random) -> None:
    """Remove what remembers the journal."""
    del random
    forged.files.pop(REGISTRY_JSON, None)
    forged.files.pop(STATE_JSON, None)


def fitting_anchors(forged: Forged, random: Random) -> None:
    """Let both derived files remember just this journal."""
    del random
    head = forged.head()
    for path, key in ((REGISTRY_JSON, b"applied_size"), (STATE_JSON, b"size")):
        content = forged.files.get(path, b"")
        content = re.sub(rb'("%b": ?)[0-9]+' % key, rb"\g<1>%d" % head.size, content, count=1)
        forged.files[path] = re.sub(rb'("hash": ?)"[^"]*"', rb'\g<1>"%b"' % head.hash.encode(), content, count=1)


def odd_anchors(forged: Forged, random: Random) -> None:
    """Change one of the derived files."""
    path = random.choice((REGISTRY_JSON, STATE_JSON))
    forged.files[path] = mutated(forged.files.get(path, b"{}"), random)


def odd_derived_file(forged: Forged, random: Random) -> None:
    """Put something else in the place of a derived file."""
    forged.files[random.choice((REGISTRY_JSON, STATE_JSON))] = str(odd_value(random)).encode("utf-8", "surrogatepass")


def odd_head(forged: Forged, random: Random) -> None:
    """Change the head's bytes, or leave the file out."""
    head = forged.files.get(HEAD, b"")
    kind = random.randrange(5)
    if kind == 0:
        forged.files.pop(HEAD, None)
    elif kind == 1:
        forged.files[HEAD] = head[:SLOT_BYTES] + bytes(SLOT_BYTES)
    elif kind == 2:
        forged.files[HEAD] = bytes(random.randrange(2 * SLOT_BYTES))
    else:
        forged.files[HEAD] = mutated_bytes(head, random)


def other_head(forged: Forged, random: Random) -> None:
    """Let one slot or both claim something else, with a checksum that is right."""
    lines = forged.files[JOURNAL].split(b"\n")[:-1]
    fitting = forged.head()
    kept = lines[: random.randrange(len(lines) + 1)]
    size, end_bytes = len(kept), sum(map(len, kept)) + len(kept)
    stated = kept[-1][-66:-2].decode("ascii", "replace") if kept else chain.GENESIS
    other = random.choice(
        (
            Head(size, end_bytes, stated if len(stated) == 64 else chain.GENESIS),
            Head(fitting.size + random.choice((-1, 1, 10**19)), fitting.end_bytes, fitting.hash),
            Head(fitting.size, fitting.end_bytes + random.choice((-1, 1, 10**18, 10**19)), fitting.hash),
            Head(fitting.size, fitting.end_bytes, "f" * 64),
            Head(),
        )
    )
    slots = [format_slot(other), format_slot(random.choice((fitting, other)))]
    random.shuffle(slots)
    forged.files[HEAD] = b"".join(slots)


def torn_tail(forged: Forged, random: Random) -> None:
    """Put something behind the acknowledged entries."""
    prev = forged.head().hash
    sealed = chain.seal(random.choice(forged.bodies or [b"{"]), prev)
    rest = random.choice(
        (sealed + b"\n", sealed, sealed[: random.randrange(len(sealed))], bytes(9), b"x\n", b"\n", b"\xff")
    )
    forged.files[JOURNAL] += rest


def broken_line(forged: Forged, random: Random) -> None:
    """Change the journal's bytes without sealing it again."""
    forged.files[JOURNAL] = mutated_bytes(forged.files[JOURNAL], random)


def unlinked_line(forged: Forged, random: Random) -> None:
    """Let a line name another one before it, with hashes that are right from there on."""
    lines = forged.files[JOURNAL].split(b"\n")[:-1]
    if not lines:
        return
    index = random.randrange(len(lines))
    prev = random.choice((chain.GENESIS, "f" * 64, lines[0][-66:-2].decode("ascii", "replace")))
    for number in range(index, len(lines)):
        lines[number] = chain.seal(chain.body_of(lines[number]), prev)
        prev = chain.hash_of(lines[number])
    forged.files[JOURNAL] = b"".join(line + b"\n" for line in lines)
    forged.files[HEAD] = format_slot(forged.head()) * 2


def odd_quarantine(forged: Forged, random: Random) -> None:
    """Put a file where recovery keeps what it took out: a true one, a false one, or one with an odd name."""
    torn = random.choice((b"", b"torn", bytes(3)))
    offset = random.choice((0, len(forged.files[JOURNAL]), 10**20 - 1))
    name = f"{offset:020d}-{len(torn)}-{sha256(torn).hexdigest()}.{random.choice(('no-newline', 'nul-bytes', 'other'))}"
    odd = (
        name,
        "0" + name,
        name.upper(),
        name[:-3],
        f"\x1b[31m{name}"[:200],
        "a\nb",
        "\u202e",
        "\udcff",
        " ",
        "-" * 240,
    )
    name = random.choice((name, name, name, *odd))
    suffix = random.choice((".pending", ".pending", "", ".pending.new", ".pending/"))
    path = f"{QUARANTINE}/{name}{suffix}"
    if not {path.removesuffix("/"), path + "/"} & set(forged.files):
        forged.files[path] = random.choice((torn, torn, b"other"))


def lost_file(forged: Forged, random: Random) -> None:
    """Leave a file out."""
    forged.files.pop(random.choice((JOURNAL, HEAD, REGISTRY_JSON, STATE_JSON)), None)
    forged.files.setdefault("m/", b"")


FILE_STEPS: Sequence[Step] = (
    *(odd_anchors, odd_anchors, odd_derived_file, odd_head, other_head, other_head, torn_tail, torn_tail),
    *(broken_line, unlinked_line, odd_quarantine, odd_quarantine),
)
"""What is done after sealing; `lost_file` comes last if at all, because the others look at the files."""
