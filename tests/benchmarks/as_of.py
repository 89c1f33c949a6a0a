"""`as-of`: which model was active at a moment, beside reading everything."""

from __future__ import annotations

from measure import interleave
from place import Place
from report import Group

EVENTS = 100_000
FULL = "Replay.catch_up"
PERCENTS = (10, 50, 90)


def run(place: Place) -> Group:
    """Ask in a registry that is opened anew each time, at three places of its history."""
    (events,) = place.settings.sizes(EVENTS)
    group = Group("as-of", f"catalog(as_of=K) in {events:,} events ÷ a full verified replay")
    directory = str(place.registry(events))
    ours = place.ours()
    positions = {f"as of {events * percent // 100:,}": events * percent // 100 for percent in PERCENTS}
    contenders = {FULL: lambda: ours.call("replay", directory=directory)}
    for name, position in positions.items():
        contenders[name] = lambda at=position: ours.call("as_of", directory=directory, position=at)
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"as-of: {what}"))
    for name in positions:
        group.compare(name, FULL, target=place.settings.target("≤ 0.5", size=events, of=EVENTS))
    group.notes.append("each in a process of its own, with what it imports imported before")
    return group
