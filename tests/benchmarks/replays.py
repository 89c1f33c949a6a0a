"""`replay`: reading the whole history, every hash checked, beside F: the same file decoded and thrown away."""

from __future__ import annotations

from measure import interleave
from place import Place
from report import Group

EVENTS = 1_000_000
FLOOR, CHECKS = "F, typed decode", "the checks alone"
TARGETS = {"Replay.catch_up": "≤ 2.3", "verify": "≤ 1.4", "RFC 6962 root": "≤ 2.4"}


def run(place: Place) -> Group:
    """Measure the fold, the command `verify`, the Merkle root, and what memory they take."""
    settings = place.settings
    (events,) = settings.sizes(settings.replay_events)
    group = Group("replay", f"{events:,} events ÷ F, which decodes their journal and throws it away")
    directory = place.registry(events)
    ours, floors = place.ours(), place.floors()
    journal = directory / "models" / "journal.jsonl"
    contenders = {
        FLOOR: lambda: floors.call("decode", journal=str(journal)),
        CHECKS: lambda: ours.call("checks", directory=str(directory)),
        "Replay.catch_up": lambda: ours.call("replay", directory=str(directory)),
        "verify": lambda: place.modelog(directory, "verify"),
        "RFC 6962 root": lambda: ours.call("root", directory=str(directory)),
    }
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"replay: {what}"))
    for name, target in TARGETS.items():
        group.compare(name, FLOOR, target=settings.target(target, size=events, of=EVENTS))
    group.compare(CHECKS, FLOOR)
    group.compare("Replay.catch_up", CHECKS)
    group.state("Replay.catch_up: memory it grew by", "Replay.catch_up", "grown_mib", "MiB")
    group.state("verify: peak memory", "verify", "peak_mib", "MiB", target="≤ 25")
    state = "Replay.catch_up: state, for each event"
    held = settings.target("≤ 150", size=events, of=EVENTS)
    group.state(state, "Replay.catch_up", "held_bytes", "bytes", target=held, factor=1 / events)
    line = journal.stat().st_size / events
    group.notes.append(f"a line has {line:.0f} bytes; each round is in a process of its own; all of it in page cache")
    group.notes.append(f"{CHECKS}: hash, link, types, spelling, row of each line, many at a time; nothing is kept")
    group.notes.append("the peak memory of verify includes the interpreter; the root is computed from lines in memory")
    return group
