"""
What users of other trackers and registries reported after crashes and with many processes, one test for each thread.

| thread         | what happened there                                                                              |
|----------------|--------------------------------------------------------------------------------------------------|
| mlflow#6339    | `meta.yaml` was emptied before it was written: a failed write, or a reader in between, lost it     |
| mlflow#5222    | processes on one file store read what others were just writing                                   |
| mlflow#3052    | a server was interrupted in the middle of a line; then no run was shown at all                   |
| sacred#283     | of runs started at the same time, some died because another took the same directory              |
| aim#2869       | runs side by side left a corrupt repository                                                      |
| dvc#8621       | a lock file outlived its process, and every later command was refused                            |
| ollama#7515    | one empty manifest made listing and pulling of everything fail                                   |
| hydraflow#245  | processes that started first together each set up the same store, and failed                     |
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Run
from support import LONG, START, Place, fill, outcome_of
from together import together

from eventlog import locking
from eventlog.engines import open_journal
from eventlog.errors import ProjectionLagError
from eventlog.events import JournalCreated
from projections import verify_registry

ROUNDS = 100 if LONG else 6
PROCESSES = 8
CUT_STRIDE = 1 if LONG else 9
CALLS = ("open", "pwrite", "fsync", "fdatasync", "rename", "unlink", "close", "ftruncate")
INTACT = ("intact", "L2", [])


def _verdict(place: Place) -> tuple[str, str, list[Any]]:
    report = verify_registry(place.registry_dir, place.state_dir)
    return report.verdict, report.level, report.findings


def test_mlflow_6339_metadata_emptied_for_a_moment(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after every single system call of a publish, a derived file holds the old bytes or the new ones."""
    fill(place, 3)
    seen: dict[Path, list[bytes]] = {place.registry_json: [], place.state_json: []}

    def look() -> None:
        for path, states in seen.items():
            if (data := path.read_bytes()) not in states:
                states.append(data)

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            look()
            result = real(*arguments, **options)
            look()
            return result

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, watched(getattr(os, name)))
        place.publish("new")

    assert [len(states) for states in seen.values()] == [2, 2]
    assert all(json.loads(data) for states in seen.values() for data in states)


@pytest.mark.parametrize("name", ["registry.json", "state.json"])
def test_mlflow_6339_metadata_emptied_by_a_failed_write(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A disk that is full while a derived file is written leaves the old one whole, and the event is recorded."""
    fill(place, 3)
    before, real = place.files(), os.pwrite

    def failing(descriptor: int, data: bytes, offset: int) -> int:
        if name in os.readlink(f"/proc/self/fd/{descriptor}"):
            real(descriptor, bytes(data)[:7], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing)
        error = outcome_of(lambda: place.publish("new", request_id="new"))
    after = place.files()

    assert isinstance(error, ProjectionLagError)
    assert [path for path in after if path.endswith(name)] == [path for path in before if path.endswith(name)]
    assert all(after[path] == before[path] for path in before if path.endswith(name))
    assert after.keys() == before.keys()
    assert place.ids()[-1] == "new"
    place.open().rebuild()
    assert _verdict(place) == INTACT


def test_mlflow_5222_race_on_the_file_system(place: Place) -> None:
    """While processes publish, a program that reads the derived files finds whole JSON that only ever grows."""
    place.publish("first")
    publishes = 60 if LONG else 12

    def look() -> tuple[int, int]:
        models = json.loads(place.registry_json.read_bytes())
        active = json.loads(place.state_json.read_bytes())["metadata"]["active_model"]
        assert models["models"][-1]["model_id"]
        return models["journal"]["applied_size"], active["journal"]["size"]

    def work(number: int) -> None:
        if number < 3:
            try:
                for count in range(publishes):
                    place.publish(f"w{number}-{count}", registry=place.open(lock_timeout_seconds=60.0))
            finally:
                (place.root / f"done{number}").touch()
            return
        sizes = [look()]
        while len(list(place.root.glob("done*"))) < 3:
            sizes.append(look())
        for column in zip(*sizes, look(), strict=True):
            assert list(column) == sorted(column)
            assert column[-1] == 2 + 3 * publishes

    together(5, work)

    assert _verdict(place) == INTACT


def test_mlflow_3052_half_a_line_and_nothing_is_shown(place: Place, run: Run) -> None:
    """Wherever a line was interrupted, everything before it is shown, and the next publish works."""
    models = fill(place, 4) and place.open().list_models()
    start = place.files()
    place.publish("new", request_id="new")
    line = place.lines()[-1]

    for cut in range(1, len(line), CUT_STRIDE):
        place.put(start)
        place.journal.write_bytes(start["m/journal.jsonl"] + line[:cut])
        shown = run("list", "--output", "json")
        assert (shown.status, "never acknowledged and are not shown" in shown.err) == (0, True), cut
        assert [model["model_id"] for model in shown.json] == [model.model_id for model in models], cut
        assert run("publish", "--artifact", str(place.artifact("next")), "--backend", "b").status == 0, cut
        assert _verdict(place) == INTACT, cut


def test_sacred_283_same_name_at_the_same_time(place: Place) -> None:
    """Processes that publish the same bytes in the same moment by the clock each get a model of their own."""
    place.artifact("same")

    for attempt in range(ROUNDS):
        top = Place(place.root / f"{attempt}")
        top.root.mkdir()

        def publish(number: int, top: Place = top) -> None:
            registry = top.open(now=lambda: START, lock_timeout_seconds=60.0)
            model = registry.publish_model(place.root / "same", backend="b", actor="t")
            (top.root / f"got{number}").write_text(model.model_id)

        together(PROCESSES, publish)
        got = {path.read_text() for path in top.root.glob("got*")}
        assert len(got) == PROCESSES
        assert {model.model_id for model in top.open().list_models()} == got
        assert _verdict(top) == INTACT


def test_aim_2869_runs_side_by_side_corrupt_the_repository(place: Place) -> None:
    """Processes that publish, roll back and rebuild side by side leave an intact registry with all of it."""
    fill(place, 4)
    rounds = 40 if LONG else 6

    def work(number: int) -> None:
        for count in range(rounds):
            registry = place.open(lock_timeout_seconds=60.0)
            place.publish(f"w{number}-{count}", registry=registry, request_id=f"{number}-{count}")
            registry.rollback(actor="t", request_id=f"back {number}-{count}")
            registry.rebuild()

    together(4, work)

    ids = place.ids()
    assert len(ids) == len(set(ids))
    published = {f"{number}-{count}" for number in range(4) for count in range(rounds)}
    assert published <= set(ids)
    assert _verdict(place) == INTACT


def test_dvc_8621_stale_lock(place: Place) -> None:
    """Locks of a process that was killed keep nobody out, no file is left that could go stale, and none is heeded."""
    fill(place, 3)
    for directory in (place.registry_dir, place.state_dir):
        for name in ("lock", ".lock", "journal.jsonl.lock"):
            (directory / name).write_text("999999999\n")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def hold() -> None:
        with (
            open_journal(str(place.registry_dir)).exclusive(),
            locking.locked_directory(str(place.registry_dir), timeout_seconds=0),
            locking.locked_directory(str(place.state_dir), timeout_seconds=0),
        ):
            theirs.send("held")
            theirs.recv()

    holder = context.Process(target=hold, daemon=True)
    holder.start()
    assert ours.poll(30), "the holder could not take the locks"
    before = place.files().keys()
    holder.kill()
    holder.join(60)

    place.publish("new", registry=place.open(lock_timeout_seconds=0.0))

    assert place.files().keys() == before
    assert _verdict(place) == INTACT


@pytest.mark.parametrize("names", [["registry.json"], ["state.json"], ["registry.json", "state.json"], ["artifacts"]])
def test_ollama_7515_one_empty_file_wedges_everything(place: Place, run: Run, names: list[str]) -> None:
    """A file that a crash left empty is told of; everything is still listed, and the next publish mends what it can."""
    fill(place, 4)
    expected = run("list", "--output", "json").out
    targets = {"registry.json": [place.registry_json], "state.json": [place.state_json]}
    targets["artifacts"] = sorted(place.root.glob("a?"))
    emptied = [path for name in names for path in targets[name]]
    for path in emptied:
        path.write_bytes(b"")

    listed = run("list", "--output", "json")
    published = run("publish", "--artifact", str(place.artifact("new")), "--backend", "b")

    assert emptied
    assert (listed.status, listed.out, published.status) == (0, expected, 0)
    assert all(str(path) in listed.err for path in emptied if path.suffix == ".json")
    assert _verdict(place) == INTACT


def test_hydraflow_245_parallel_first_start(place: Place, tally: Callable[[str, int], None]) -> None:
    """Processes that all find no registry and create it together: none fails, and it is created once."""
    for attempt in range(ROUNDS):
        top = Place(place.root / f"{attempt}")
        top.root.mkdir()

        def publish(number: int, top: Place = top) -> None:
            top.publish(f"a{number}", registry=top.open(lock_timeout_seconds=60.0), request_id=f"{number}")

        together(PROCESSES, publish)
        events = [top.event(position) for position in range(PROCESSES + 1)]
        created = [event.position for event in events if isinstance(event.data, JournalCreated)]
        assert created == [0]
        assert {event.id for event in events[1:]} == {f"{number}" for number in range(PROCESSES)}
        assert _verdict(top) == INTACT

    tally("processes that created one registry together", ROUNDS * PROCESSES)
