"""`concurrency`: eight writers at once, as threads and as processes, and how many of their calls fail; peers too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import venvs
from measure import CannotRunError, Limits, interleave
from place import Place
from report import COUNT, Group, digits

WRITERS = 8
PUBLISHES = 200
TARGETS = {"8 threads": "≥ 2.5", "8 processes": "≥ 1.8"}
PEER_PUBLISHES = 25
PEER_SECONDS_MAX = 10
PEER_ROUNDS = 3
ONE = "one writer"


def run(place: Place) -> Group:
    """Measure publishes a second, and count errors."""
    group = Group("concurrency", "publishes a second ÷ those of one writer; each storm into an empty registry")
    count = place.settings.publishes
    artifact = str(place.artifact())
    ours = place.ours()

    def storm(call: str, **words: Any) -> dict[str, float]:
        directory = place.scratch("storm")
        return _of_one(ours.call(call, directory=str(directory), artifact=artifact, **words))

    processes = {"count": count, "seconds_max": 600}
    contenders: dict[str, Callable[[], dict[str, float]]] = {
        ONE: lambda: storm("storm_of_processes", processes=1, count=WRITERS * count, seconds_max=600),
        "8 threads": lambda: storm("storm_of_threads", threads=WRITERS, count=count),
        "8 processes": lambda: storm("storm_of_processes", processes=WRITERS, **processes),
    }
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"concurrency: {what}"))
    for name, target in TARGETS.items():
        wanted = place.settings.target(target, size=count, of=PUBLISHES)
        group.compare(name, ONE, target=wanted, inverse=True, each="publish")
    for name in TARGETS:
        group.state(f"{name}: of {WRITERS * count:,}", name, "errors", COUNT, target="≤ 0")
    group.notes.append(
        f"{WRITERS} times {count} publishes, by one writer as many; whatever is not there afterwards is an error"
    )
    if place.settings.peers:
        _peers(place, group)
    return group


def _of_one(answer: dict[str, Any]) -> dict[str, float]:
    """Add what one publish took; a storm in which nothing was done took for ever."""
    if not answer["done"]:
        raise CannotRunError(f"nothing was published: {answer['error']}")
    tried = answer["done"] + answer["errors"]
    share = 100 * answer["errors"] / tried
    return {**answer, "storm_seconds": answer["seconds"], "seconds": answer["seconds"] / answer["done"], "share": share}


def _peers(place: Place, group: Group) -> None:
    """Let eight processes of each peer register at once, a few times, and note the first error that each met."""
    met: dict[str, str] = {}

    def storm(name: str) -> dict[str, float]:
        worker = place.peer(name, str(place.scratch("storm")))
        words = {"processes": WRITERS, "count": PEER_PUBLISHES, "seconds_max": PEER_SECONDS_MAX}
        answer = worker.call("storm_of_processes", **words)
        worker.close()
        met[name] = answer["error"] or met.get(name, "")
        return _of_one(answer)

    names = [name for name in venvs.PEERS if name != "model_signing"]
    limits = Limits(min(PEER_ROUNDS, place.settings.rounds), place.settings.seconds_max)
    contenders = {name: lambda name=name: storm(name) for name in names}
    found = interleave(contenders, limits, lambda what: place.say(f"concurrency, peers: {what}"))
    for name, series in found.items():
        group.series[f"{name}, 8 processes"] = series
        group.state(f"{name}, 8 processes: failed calls", f"{name}, 8 processes", "share", "%")
        if series.median() and not series.failure:
            rate = f"{digits(1 / (series.median() or 1))} publishes a second"
            group.rows[-1].detail = rate
            if met.get(name):
                group.notes.append(f"{name}: {' '.join(met[name].split())[:100]}")
    ours = group.series["8 processes"].median()
    group.notes.append(
        f"peers: {WRITERS} times {PEER_PUBLISHES} calls within {PEER_SECONDS_MAX} s, {limits.rounds} rounds; "
        f"ours does {digits(1 / (ours or 1))} a second so"
    )
