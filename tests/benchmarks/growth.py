"""`growth`: whether a step grows faster than its input. Whole commands, from a hundred events to as many as wanted."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from measure import interleave
from place import Place
from report import Group

FLOOR = "import click, msgspec"
Contenders = dict[str, Callable[[], dict[str, Any]]]
VERBS = ("publish", "list", "verify", "as-of", "rebuild")


def run(place: Place) -> Group:
    """Run each command at each size."""
    settings = place.settings
    wanted = [size for size in (100, 1_000, 10_000, 100_000, 1_000_000) if size <= settings.growth_max]
    sizes = settings.sizes(*wanted)
    group = Group("growth", "a command ÷ the same at a tenth as many events")
    contenders: Contenders = {FLOOR: place.import_floor}
    for size in sizes:
        contenders.update(_commands(place, size))
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"growth: {what}"))
    for verb in VERBS:
        for small, large in pairwise(sizes):
            group.compare(f"{verb}, {large:,}", f"{verb}, {small:,}", target="≤ 10" if large == small * 10 else "")
    group.notes.append("each command in a process of its own; publish and rebuild work on a copy")
    return group


def _commands(place: Place, size: int) -> Contenders:
    original = place.registry(size)
    copy = place.copy(original, f"growth-{size}")
    rebuilt = place.copy(original, f"growth-rebuilt-{size}")
    artifact = str(place.artifact())
    return {
        f"publish, {size:,}": lambda: place.modelog(copy, "publish", "--artifact", artifact, "--backend", "onnx"),
        f"list, {size:,}": lambda: place.modelog(original, "list"),
        f"verify, {size:,}": lambda: place.modelog(original, "verify"),
        f"as-of, {size:,}": lambda: place.modelog(original, "active", "--as-of", str(size // 2)),
        f"rebuild, {size:,}": lambda: place.modelog(rebuilt, "rebuild"),
    }
