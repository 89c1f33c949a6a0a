"""Forged entries: every step changes what the journal says, before it is sealed again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from forged_files import (
    FILE_STEPS,
    Files,
    Forged,
    Step,
    fitting_anchors,
    lost_file,
    no_anchors,
)
from odd_json import TEXTS, mutated, mutated_bytes, odd_value

ENTRY_BYTES_MAX = 65_535
OTHER_JOURNAL = b"urn:uuid:11111111-2222-4333-8444-555555555555"


def odd_entry(forged: Forged, random: Random) -> None:
    """Change an entry as a JSON document."""
    index = random.randrange(len(forged.bodies))
    forged.bodies[index] = _one_line(mutated(forged.bodies[index] + b"}", random).removesuffix(b"}"))


def odd_bytes(forged: Forged, random: Random) -> None:
    """Change an entry as bytes."""
    index = random.randrange(len(forged.bodies))
    forged.bodies[index] = _one_line(mutated_bytes(forged.bodies[index], random))


def odd_metadata(forged: Forged, random: Random) -> None:
    """Let a model say something odd about its data, in the one spelling that is accepted or in another."""
    text = random.choice((random.choice(TEXTS), str(odd_value(random)))).encode("utf-8", "surrogatepass")
    key = random.choice((b'"a"', b'"a"', b'"a="', b'"a:"', '"\u202e\u0007"'.encode(), b'"\x7f"', b'"\\u001b"', b'""'))
    _substitute(forged, rb'"dataset_metadata":\{', b'"dataset_metadata":{%b:%b,' % (key, text), random, tidy=True)


def odd_text(forged: Forged, random: Random) -> None:
    """Put an odd text in the place of one that people see."""
    field = random.choice(
        ("subject", "backend", "actor", "reason", "artifact_path", "id", "sha256", "artifact_path_hex", "kept_as")
    )
    text = random.choice(TEXTS).encode("utf-8", "surrogatepass")
    _substitute(forged, rb'"%b":"[^"]*"' % field.encode(), b'"%b":%b' % (field.encode(), text), random)


def odd_time(forged: Forged, random: Random) -> None:
    """Put an odd time in the place of one."""
    times = "9999-12-31T23:59:59.999999 0001-01-01T00:00:00 1969-12-31T23:59:59 2026-02-30T00:00:00 2026-01-01T24:00:00"
    text = random.choice((*times.split(), "2016-12-31T23:59:60", "2026-01-01T00:00:00.0000001", "", "-1"))
    zone = random.choice(("Z", "Z", "Z", "+00:00", "-23:59", "z", ""))
    _substitute(forged, rb'"time":"[^"]*"', f'"time":"{text}{zone}"'.encode(), random)


def odd_type(forged: Forged, random: Random) -> None:
    """Name a type, a version or a format that is not known, or not the entry's."""
    names = "model.published.v2 model.published.v1 model.rolled_back.v1 journal.created.v1 journal.recovered.v1 x"
    _substitute(forged, rb'"type":"[^"]*"', f'"type":"{random.choice(names.split())}"'.encode(), random)
    if random.randrange(3) == 0:
        _substitute(forged, rb'"format_version":\d+', b'"format_version":%d' % random.choice((0, 2, 2**63, -1)), random)


def huge_entry(forged: Forged, random: Random) -> None:
    """Make an entry as long as one may be, or longer."""
    index = random.randrange(len(forged.bodies))
    wanted = ENTRY_BYTES_MAX - 149 + random.choice((-1, 0, 1, 70_000))
    surplus = max(0, wanted - len(forged.bodies[index]))
    forged.bodies[index] = re.sub(rb'("actor":"[^"]*)"', rb'\1%b"' % (b"a" * surplus), forged.bodies[index], count=1)


def dropped(forged: Forged, random: Random) -> None:
    """Leave an entry out."""
    del forged.bodies[random.randrange(len(forged.bodies))]
    forged.bodies = forged.bodies or [b'{"a":1']


def doubled(forged: Forged, random: Random) -> None:
    """Let an entry stand twice, perhaps with an id of its own."""
    body = random.choice(forged.bodies)
    if random.randrange(2):
        body = re.sub(rb'"id":"[^"]*"', b'"id":"%d"' % random.getrandbits(30), body, count=1)
    forged.bodies.insert(random.randrange(len(forged.bodies) + 1), body)


def swapped(forged: Forged, random: Random) -> None:
    """Exchange two entries."""
    one, other = random.randrange(len(forged.bodies)), random.randrange(len(forged.bodies))
    forged.bodies[one], forged.bodies[other] = forged.bodies[other], forged.bodies[one]


def foreign(forged: Forged, random: Random) -> None:
    """Let an entry, or all, come from another journal."""
    pattern = rb"urn:uuid:[^\"]*"
    if random.randrange(2):
        _substitute(forged, pattern, OTHER_JOURNAL, random)
    else:
        forged.bodies = [re.sub(pattern, OTHER_JOURNAL, body) for body in forged.bodies]
        forged.bodies = [body.replace(b'"journal_id":"', b'"journal_id":"1') for body in forged.bodies]


def same_id(forged: Forged, random: Random) -> None:
    """Give two entries the same id."""
    found = re.search(rb'"id":"[^"]*"', random.choice(forged.bodies))
    _substitute(forged, rb'"id":"[^"]*"', found[0] if found else b"", random)


def renumbered(forged: Forged, random: Random) -> None:
    """Let every entry say where it stands, as a careful forger would."""
    del random
    pattern = rb'"sequence":"[^"]*"'
    forged.bodies = [re.sub(pattern, b'"sequence":"%020d"' % n, body, count=1) for n, body in enumerate(forged.bodies)]


def _substitute(forged: Forged, pattern: bytes, new: bytes, random: Random, *, tidy: bool = False) -> None:
    """Replace the first match of *pattern* in one of the entries that have one; *tidy* removes a comma too much."""
    having = [index for index, body in enumerate(forged.bodies) if re.search(pattern, body)]
    if having:
        index = random.choice(having)
        body = re.sub(pattern, lambda _: new, forged.bodies[index], count=1)
        forged.bodies[index] = _one_line(body.replace(b",}", b"}") if tidy else body)


def _one_line(body: bytes) -> bytes:
    return body.replace(b"\n", b" ")


EVENT_STEPS: Sequence[Step] = (
    *(odd_entry, odd_entry, odd_entry, odd_bytes, odd_metadata, odd_metadata, odd_text, odd_text, odd_text),
    *(odd_time, odd_type, huge_entry, dropped, doubled, swapped, foreign, same_id),
)


def steps_of(seed: int) -> list[tuple[Step, int]]:
    """Return the steps of one forgery, each with its own seed: about a third leave all entries as they are."""
    random = Random(seed)
    steps = [*random.choices(EVENT_STEPS, k=random.choice((0, 0, 1, 1, 1, 2))), *[renumbered] * random.randrange(2)]
    steps += random.choice(((no_anchors,), (fitting_anchors,), (fitting_anchors,), ()))
    steps += random.choices(FILE_STEPS, k=random.choice((0, 0, 0, 1, 1, 2)))
    steps += [lost_file] * (random.randrange(30) == 0)
    return [(step, random.getrandbits(32)) for step in steps]


def forge(base: Files, steps: Sequence[tuple[Step, int]]) -> Files:
    """Return what *steps* make of *base*: the entries are sealed again where one of them was changed."""
    forged = Forged(base)
    sealed = False
    for step, seed in steps:
        if step not in (*EVENT_STEPS, renumbered) and not sealed:
            forged.seal()
            sealed = True
        step(forged, Random(seed))
    if not sealed:
        forged.seal()
    return forged.files
