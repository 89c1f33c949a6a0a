"""`peers`: what every registry can do, at 1,000 models: a cold list, a list in process, registering and activating."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import venvs
from measure import CannotRunError, interleave
from place import Place
from report import Group
from worker import CONTENDERS, Worker

MODELS = 1_000
FLOOR = "import click, msgspec"
PAIR = "one write + fdatasync"
COLD, REGISTER, LIST = "cold list", "register and activate", "list in process"
OURS = {
    COLD: ("ours", "ours, json"),
    REGISTER: ("ours, journal only", "ours, whole publish", "ours, artifact synced too"),
    LIST: ("ours", "ours, every hash checked"),
}
TARGETS = {
    (COLD, "mlflow", "ours"): "≥ 35",
    (REGISTER, "mlflow", "ours, journal only"): "≥ 50",
    (REGISTER, "mlflow", "ours, artifact synced too"): "≥ 5",
    (LIST, "mlflow", "ours, every hash checked"): "≥ 15",
}
LIKE_FOR_LIKE = {COLD: "ours", REGISTER: "ours, whole publish", LIST: "ours"}
"""What a peer's call is nearest to; eventsourcing stores an event and nothing else, so it is nearest to a journal."""

COUNTS = {REGISTER: 20, LIST: 5}
Contenders = dict[str, Callable[[], dict[str, Any]]]


def run(place: Place) -> Group:
    """Measure ours beside each peer, and how many times as long each peer takes."""
    (models,) = place.settings.sizes(MODELS)
    group = Group("peers", f"a peer at {models:,} models ÷ ours")
    rows: dict[str, Contenders] = {COLD: {}, REGISTER: {}, LIST: {}}
    _ours(place, models, rows)
    names = [name for name in venvs.PEERS if name != "model_signing"] if place.settings.peers else []
    for name in names:
        _peer(place, name, models, rows)
    for row, contenders in rows.items():
        found = interleave(contenders, place.limits(*names), lambda what, row=row: place.say(f"peers, {row}: {what}"))
        group.series.update({f"{row}: {name}": series for name, series in found.items()})
        for name in names:
            for own in OURS[row]:
                target = place.settings.target(_target(row, name, own), size=models, of=MODELS)
                group.compare(f"{row}: {name}", f"{row}: {own}", target=target)
                group.rows[-1].against = own
    group.notes += [
        "a peer that takes more than 4 s a call runs in three rounds only",
        "ours hashes the artifact, MLflow, trackio and GTO do not look at it; BentoML copies it and syncs nothing",
        "eventsourcing lists from its cache in process, without a copy, and from a snapshot when it is cold",
        "none of the peers checks a hash when it lists",
    ]
    return group


def _target(row: str, name: str, own: str) -> str:
    """Return the target of a peer's call beside one of ours: to be ahead, where they do the same."""
    like = "ours, journal only" if (row, name) == (REGISTER, "eventsourcing") else LIKE_FOR_LIKE[row]
    return TARGETS.get((row, name, own), "≥ 1" if own == like else "")


def _ours(place: Place, models: int, rows: dict[str, Contenders]) -> None:
    original = place.registry(models)
    copies = {name: str(place.copy(original, f"peers-{name}")) for name in ("journal", "publish", "synced")}
    artifact, own_artifact = str(place.artifact()), str(shutil.copy(place.artifact(), place.scratch("peers-artifact")))
    ours, floors = place.ours(), place.floors()
    here = str(place.scratch("peers-floor"))
    count = COUNTS[REGISTER]
    rows[COLD].update(
        {
            FLOOR: place.import_floor,
            "ours": lambda: place.modelog(original, "list"),
            "ours, json": lambda: place.modelog(original, "list", "--output", "json"),
        }
    )
    synced = {"directory": copies["synced"], "artifact": own_artifact, "count": count, "durable": True}
    rows[REGISTER].update(
        {
            PAIR: lambda: floors.call("pairs", directory=here, count=count, files=1),
            "ours, journal only": lambda: ours.call("append_event", directory=copies["journal"], count=count),
            "ours, whole publish": lambda: ours.call(
                "publish", directory=copies["publish"], artifact=artifact, count=count
            ),
            "ours, artifact synced too": lambda: ours.call("publish", **synced),
        }
    )
    rows[LIST].update(
        {
            "ours": lambda: ours.call("list_warm", directory=str(original), count=COUNTS[LIST]),
            "ours, every hash checked": lambda: ours.call("list_verified", directory=str(original), count=COUNTS[LIST]),
        }
    )


def _peer(place: Place, name: str, models: int, rows: dict[str, Contenders]) -> None:
    """Prepare a peer's registry, once, and add what it can run; where it cannot, that is what its row says."""
    try:
        place.say(f"preparing {name}")
        directory = place.copy(_prepared(place, name, models), f"peers-{name}")
        worker = place.peer(name, str(directory))
        cold = worker.call("cold")
    except CannotRunError as error:
        for contenders in rows.values():
            contenders[name] = _raising(error)
        return
    rows[COLD][name] = lambda: place.command(cold["argv"], cold["environment"])
    rows[REGISTER][name] = _counted(worker, "register", COUNTS[REGISTER])
    rows[LIST][name] = _counted(worker, "list_all", COUNTS[LIST])


def _counted(worker: Worker, call: str, count: int) -> Callable[[], dict[str, Any]]:
    """Return a contender that is called once a round if one call takes long, else several times."""
    took: list[float] = []

    def run() -> dict[str, Any]:
        answer = worker.call(call, count=count if took and took[-1] < 0.2 else 1)
        took.append(answer["seconds"])
        return answer

    return run


def _raising(error: CannotRunError) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        raise error

    return run


def _prepared(place: Place, name: str, models: int) -> Path:
    """Return the directory of a peer's registry, made anew when its pin or its script has changed."""
    directory = place.root / "data" / f"peer-{name}-{models}"
    script = (CONTENDERS / f"peer_{name}.py").read_bytes()
    mark, made_of = directory.with_suffix(".made-of.txt"), f"{' '.join(venvs.PEERS[name])} {sha256(script).hexdigest()}"
    if not (mark.exists() and mark.read_text() == made_of):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        worker = place.peer(name, str(directory))
        worker.call("prepare", models=models)
        worker.close()
        mark.write_text(made_of)
    return directory
