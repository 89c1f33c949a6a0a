"""A registry whose history has several snapshots, what may be asked of it, and what may happen to it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from unittest.mock import patch

from support import Clock, Place, Randomness, reseal

from eventlog import chain
from eventlog.catalog import Catalog
from eventlog.engines import jsonl_stamp, open_journal
from eventlog.history import Criteria
from projections import ModelRegistry

ENTRIES = 6
SIZE = 45


def write(place: Place, size: int, *, clock: Clock | None = None) -> None:
    """Publish, roll back and review at random, each time as a new process, until there are *size* entries."""
    chance, number = random.Random(5), 0
    clock = clock or Clock()
    while not place.journal.exists() or len(place.lines()) < size:
        registry = place.open(now=clock, random_bytes=Randomness(f"r{number}"))
        models = registry.list_models()
        kind = chance.random()
        if kind < 0.6 or len(models) < 2:
            place.publish(f"a{number % 7}", registry=registry, request_id=f"p{number}", actor=f"u{number % 3}")
        elif kind < 0.9:
            target = chance.choice(models).model_id
            registry.rollback(target, request_id=f"b{number}", reason="because")
        else:
            registry.review(reason="looked", request_id=f"v{number}")
        number += 1


def restamp(place: Place) -> None:
    """Make the stamp that of the files as they are now, as the last writer would have left it."""
    (head,) = {open_journal(str(place.registry_dir))._reader.acknowledged()}  # type: ignore[attr-defined]
    jsonl_stamp.put(str(place.registry_dir / jsonl_stamp.NAME), head, os.stat(place.journal))


def began(place: Place) -> int:
    """Return how many entries a new process does not fold."""
    with patch.object(Catalog, "begin", autospec=True, side_effect=Catalog.begin) as begin:
        place.open().catalog()
    return max((call.args[2] for call in begin.call_args_list), default=0)


def whole(place: Place) -> ModelRegistry:
    """Return the registry as somebody who begins at zero sees it."""
    registry = place.open()
    registry._replay._whole = True
    return registry


def state(catalog: Catalog) -> tuple[object, ...]:
    names = ("journal_id", "size", "hash", "active", "taken_over", "given_up", "latest_time", "backward", "keys")
    published = list(catalog.published.events())
    assert published == list(catalog.published.events(newest_first=True))[::-1]
    assert len(published) == len(catalog.published)
    return (
        *(getattr(catalog, name) for name in names),
        (catalog.offset_bytes, catalog.snapshot),
        published,
        (catalog.published.newest, catalog.published.in_order),
        [catalog.positions.get(f"{kind}{number}") for kind in "pbv" for number in range(SIZE)],
    )


def answers(registry: ModelRegistry) -> dict[str, object]:
    """Return all that may be asked, as it was at each moment."""
    size = registry.catalog().size
    found: dict[str, object] = {"now": state(registry.catalog())}
    for position in range(size):
        catalog = registry.catalog(position)
        found[f"as of {position}"] = state(catalog)
        found[f"event {position}"] = registry.read_event(position)
    for event in registry.catalog().published.events():
        model_id = event.subject or ""
        found[f"blame {model_id}"] = registry.blame(model_id)
        found[f"displaced {model_id}"] = registry.displacement(model_id, registry.catalog())
        found[f"as of {event.time}"] = state(registry.catalog(event.time))
    found["history"] = list(registry.history())
    found["filtered"] = list(registry.history(Criteria(actors=("u1",)), newest_first=True, limit=3))
    found["diff"] = registry.diff(3, size - 2)
    return found


def damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield damages of a journal: bits, cuts, lines taken out, doubled, swapped, forged and sealed anew."""
    for bit in range(0, len(data) * 8, 997):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(flipped)
    for size_bytes in range(0, len(data), 701):
        yield f"cut to {size_bytes}", data[:size_bytes]
        yield f"NULs from {size_bytes} on", data[:size_bytes] + b"\0" * (len(data) - size_bytes)
    lines = data.splitlines(keepends=True)
    for at in range(0, len(lines) - 1, 3):
        edits = {
            "taken out": [*lines[:at], *lines[at + 1 :]],
            "doubled": [*lines[: at + 1], *lines[at:]],
            "swapped": [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]],
            "forged": [*lines[:at], lines[at].replace(b'"actor":"', b'"actor":"x', 1), *lines[at + 1 :]],
        }
        for kind, edited in edits.items():
            yield f"line {at} {kind}", b"".join(edited)
            yield f"line {at} {kind}, sealed anew", b"".join(reseal(edited, max(0, at - 1)))


def forged(lines: list[bytes], at: int) -> list[bytes]:
    """Return the lines with one forged and sealed, and none of those behind it."""
    line = lines[at].replace(b'"actor":"', b'"actor":"x', 1)[:-1]
    return [*lines[:at], chain.seal(chain.body_of(line), chain.prev_of(line)) + b"\n", *lines[at + 1 :]]
