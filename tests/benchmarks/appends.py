"""`append`: what durability costs. A journal append and a whole publish beside the bare writes and syncs they need."""

from __future__ import annotations

from machine import file_system
from measure import interleave
from place import Place
from report import Group

SINGLE, PAIR, TWO_PAIRS = "append of 1", "one write + fdatasync", "two write + fdatasync"
SEALED = "append of 1,000, sealed before"
BARE = "the writes and syncs of"
MODELS = 100
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def run(place: Place) -> Group:
    """Measure single and batch appends in a process that stays, and a publish in a registry of 100 models."""
    group = Group("append", "in process ÷ the bare write + fdatasync of 400 bytes")
    here = place.scratch("append")
    ours, floors = place.ours(), place.floors()
    artifact = str(place.artifact())
    (models,) = place.settings.sizes(MODELS)
    source = str(place.registry(models))

    def append(batch: int, count: int, **how: bool) -> dict[str, float]:
        return ours.call("append", directory=str(here / f"journal-{batch}-{len(how)}"), count=count, batch=batch, **how)

    def publish() -> dict[str, float]:
        where = {"source": source, "directory": str(here / "registry"), "artifact": artifact}
        return ours.call("publish_on_fresh_copy", **where, count=10)

    contenders = {
        PAIR: lambda: floors.call("pairs", directory=str(here), count=100, files=1),
        TWO_PAIRS: lambda: floors.call("pairs", directory=str(here), count=100, files=2),
        SINGLE: lambda: append(1, 100),
        "append of 100": lambda: append(100, 10),
        "append of 1,000": lambda: append(1_000, 5),
        SEALED: lambda: append(1_000, 5, sealed_before=True),
        f"publish, {models} models": publish,
        f"{BARE} one": lambda: floors.call("batches", directory=str(here), count=100, lines=1),
        f"{BARE} 100": lambda: floors.call("batches", directory=str(here), count=10, lines=100),
        f"{BARE} 1,000": lambda: floors.call("batches", directory=str(here), count=5, lines=1_000),
        f"{BARE} a publish": lambda: floors.call("publications", directory=str(here), count=10, models=models),
    }
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"append: {what}"))
    group.compare(SINGLE, TWO_PAIRS, target="≤ 1.25")
    target = place.settings.target("≤ 5", size=models, of=MODELS)
    group.compare(f"publish, {models} models", PAIR, target=target)
    group.compare("append of 100", SINGLE, target="≥ 60", inverse=True, each="event")
    group.compare("append of 1,000", SINGLE, target="≥ 350", inverse=True, each="event")
    group.compare(SEALED, SINGLE, inverse=True, each="event")
    group.compare(f"publish, {models} models", f"{BARE} a publish")
    group.compare(f"{BARE} a publish", PAIR)
    for batch in ("100", "1,000"):
        group.compare(f"{BARE} {batch}", f"{BARE} one", inverse=True, each="line")
    group.notes.append("an append takes the lock, seals its entries and moves the head; their JSON is made before")
    group.notes.append(f"{BARE} so many, or a publish: what these ask of the disk, by a loop that does nothing else")
    if file_system(here) in MEMORY_FILE_SYSTEMS:
        group.notes.append(f"{file_system(here)} keeps nothing: syncs cost nothing here, so these ratios mean nothing")
    return group
