"""
Many processes at once: what all of them were told fits one order, the journal's, and that order fits their clocks.

32 writers publish, go back, ask again and share ids, a quarter of them through the command line; 8 readers look
meanwhile, through registries that stay open and fresh ones. Every operation notes when it was asked for and answered.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import msgspec
from history_checker import Entry, Read, Write, violations
from machine_runs import SEED
from support import LONG, Place

from projections import open_registry, verify_registry
from scripts.manage_models import main

WRITERS = 32
READERS = 8
OPERATIONS = 200 if LONG else 12
SECONDS_MAX = 900
PAUSE_SECONDS_MAX = 0.02
FIRST = ("first 0", "first 1")
"""Requests of the parent, so that there is always a model to go back to."""

TO_NAMED = "rollback to a named model"
"""What may record nothing, because that model is active already."""

_fork = multiprocessing.get_context("fork")

Call = Callable[[str, str, str | None], str]
"""Carries out (kind, id, target) and returns the model id."""


class Story(msgspec.Struct):
    """What one process did and was told."""

    writes: list[Write] = []
    reads: list[Read] = []
    failures: list[str] = []


def _digest(model_ids: list[str]) -> str:
    """Return what stands for a list of models, newest first."""
    return sha256(" ".join(model_ids).encode()).hexdigest()[:16]


# The writers


def _through_registry(place: Place, artifact: Path) -> Call:
    """A registry that stays open."""
    registry = open_registry(place.registry_dir, place.state_dir, lock_timeout_seconds=SECONDS_MAX)

    def call(kind: str, request_id: str, target: str | None) -> str:
        if kind == "publish":
            return registry.publish_model(artifact, backend="b", actor="t", request_id=request_id).model_id
        return registry.rollback(target, actor="t", request_id=request_id).model_id

    return call


def _through_command(place: Place, artifact: Path) -> Call:
    """The command line, anew each time."""
    places = ["--registry-dir", str(place.registry_dir), "--state-dir", str(place.state_dir)]

    def call(kind: str, request_id: str, target: str | None) -> str:
        words = ["--artifact", str(artifact), "--backend", "b"] if kind == "publish" else []
        words += ["--model-id", target] if target else []
        words += ["--actor", "t", "--id", request_id, "--lock-timeout", str(SECONDS_MAX), "--log-level", "error"]
        with redirect_stdout(io.StringIO()) as output:
            status = main([kind, *places, *words])
        assert status == 0, f"{kind} {request_id}: exit status {status}"
        model_id: str = json.loads(output.getvalue())["model_id"]
        return model_id

    return call


def _write(place: Place, number: int) -> Story:
    """Carry out `OPERATIONS` requests; two neighbours have the same artifact, and each third id in common."""
    random, story = Random(f"{SEED} {number}"), Story()
    artifact = place.root / f"a{number // 2}"
    call = (_through_registry if number % 4 else _through_command)(place, artifact)
    known: list[str] = []
    published: list[str] = []
    for count in range(OPERATIONS):
        request_id = f"{number // 2} both {count}" if count % 3 == 0 else f"{number} {count}"
        kind, target, chance = "publish", None, random.random()
        if count % 3 and chance < 0.1:
            request_id = random.choice(published)
        elif count % 3 and chance < 0.5:
            kind, target = "rollback", random.choice([None, *known])
        invoked = time.monotonic_ns()
        try:
            subject = call(kind, request_id, target)
        except Exception as error:
            story.failures.append(f"{type(error).__name__}: {error}")
            continue
        story.writes.append(Write(request_id, TO_NAMED if target else kind, invoked, time.monotonic_ns(), subject))
        if target not in (None, subject):
            story.failures.append(f"{request_id}: asked for {target}, got {subject}")
        if kind == "publish":
            known.append(subject)
            published.append(request_id)
    return story


# The readers


def _read(place: Place, number: int) -> Story:
    """Look over and over with a registry that was just opened and one that stays, until the writers are done."""
    random, story = Random(f"{SEED} reader {number}"), Story()
    staying = open_registry(place.registry_dir, place.state_dir)
    while not (place.root / "done").exists():
        fresh = random.random() < 0.3
        registry = open_registry(place.registry_dir, place.state_dir) if fresh else staying
        reader = f"reader {number}, {'fresh' if fresh else 'staying'}"
        for what in random.sample(("active", "list"), 2):
            invoked = time.monotonic_ns()
            if what == "active":
                active = registry.get_active_model()
                answer = active.model_id if active else None
            else:
                answer = _digest([model.model_id for model in registry.list_models()])
            story.reads.append(Read(reader, what, answer, invoked, time.monotonic_ns()))
        time.sleep(random.uniform(0, PAUSE_SECONDS_MAX))
    return story


# The processes, and what they say together


def _process(place: Place, act: Callable[[Place, int], Story], number: int, begin: object) -> BaseProcess:
    """Start a process that waits until all are there, acts, and leaves its story in a file."""

    def body() -> None:
        try:
            begin.wait(SECONDS_MAX)
            story = act(place, number)
            _story_path(place, act, number).write_bytes(msgspec.json.encode(story))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    process = _fork.Process(target=body)
    process.start()
    return process


def _story_path(place: Place, act: Callable[[Place, int], Story], number: int) -> Path:
    return place.root / f"story{act.__name__}{number}"


def _run(place: Place) -> Story:
    """Let all processes act at once, and return what they did, all together."""
    begin = _fork.Barrier(WRITERS + READERS)
    writers = [_process(place, _write, number, begin) for number in range(WRITERS)]
    readers = [_process(place, _read, number, begin) for number in range(READERS)]
    for process in writers:
        process.join(SECONDS_MAX)
    (place.root / "done").touch()
    for process in readers:
        process.join(SECONDS_MAX)
    assert [process.exitcode for process in writers + readers] == [0] * (WRITERS + READERS)
    together = Story()
    for act, count in ((_write, WRITERS), (_read, READERS)):
        for number in range(count):
            story = msgspec.json.decode(_story_path(place, act, number).read_bytes(), type=Story)
            together.writes += story.writes
            together.reads += story.reads
            together.failures += story.failures
    return together


def _told(place: Place) -> tuple[list[Entry], list[dict[str, str | None]]]:
    """Return the journal's entries, and what readers are to be told after each number of them."""
    entries, published = [], []
    states: list[dict[str, str | None]] = [{"active": None, "list": _digest([])}]
    for line in place.lines():
        event = json.loads(line)
        kind = {"model.published.v1": "publish", "model.rolled_back.v1": "rollback"}.get(event["type"], "none")
        entries.append(Entry(event["id"], kind, event.get("subject"), event["data"].get("displaced")))
        if kind == "publish":
            published.insert(0, event["subject"])
        states.append({"active": event.get("subject", states[-1]["active"]), "list": _digest(published)})
    return entries, states


def _settled(entries: list[Entry], story: Story) -> tuple[list[Write], list[Read]]:
    """Take a rollback that recorded nothing for the look at the active model that it is."""
    ids = {entry.id for entry in entries}
    writes, reads = [], list(story.reads)
    for write in story.writes:
        if write.kind == TO_NAMED and write.id not in ids:
            reads.append(Read(write.id, "active", write.subject, write.invoked, write.returned))
        else:
            kind = "rollback" if write.kind == TO_NAMED else write.kind
            writes.append(msgspec.structs.replace(write, kind=kind))
    return writes, reads


def test_concurrent_history_is_strictly_serialisable(fast_place: Place, tally: Callable[[str, int], None]) -> None:
    """No operation fails; every acknowledged one is there once, in an order that fits all clocks and all answers."""
    place = fast_place
    for number in range(WRITERS // 2):
        place.artifact(f"a{number}")
    story_before = [Write(name, "publish", 0, 1, place.publish("a0", request_id=name).model_id) for name in FIRST]

    story = _run(place)

    assert story.failures == []
    entries, states = _told(place)
    writes, reads = _settled(entries, story)
    assert violations(entries, states, [*story_before, *writes], reads) == []
    assert len(story.writes) == WRITERS * OPERATIONS
    assert len(reads) > READERS * 10
    report = verify_registry(place.registry_dir, place.state_dir)
    assert (report.verdict, report.level, report.size, report.findings) == ("intact", "L2", len(entries), [])
    kept = place.files()
    place.open().rebuild()
    assert place.files() == kept
    tally("operation of 32 concurrent writers", len(story.writes))
    tally("answer to 8 readers beside them", len(story.reads))
