"""
Rounds of kill -9: in each, three writers and a bystander work on a registry and are killed over and over.

Every other round starts with no registry, so that its creation is killed; the others with two models, so that there is
something to roll back to.

A program, because it forks: `python kill_rounds.py DIRECTORY SEED KILLS` prints as JSON how often a kill fell where, or
fails with what was broken. The moment of a kill is drawn evenly from the time that the command takes and a bit more,
and while there is no journal from the time until there is one; these times are followed as the load changes.
"""

from __future__ import annotations

import json
import logging
import random
import select
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from forked_command import ForkedCommand
from kill_history import History, Request
from workshop import JOURNAL, REGISTRY_JSON, STATE_JSON, Workshop

from projections import verify_registry
from scripts.manage_models import main

WRITERS = 3
KILLS_A_ROUND = 30
ARTIFACTS = 4
COPIES = 0.4
"""The part of the publishes that keep a copy."""

BYSTANDERS = {"list": ("--output", "json"), "verify": ("--output", "json"), "rebuild": ()}
BYSTANDER_STATUSES = {"list": {0}, "verify": {0, 2, 5}, "rebuild": {0, 2}}
"""2 before there is a journal; while others write, an audit may find a derived file behind."""

CREATION = "creation"
"""What a writer is killed in while there is no journal; it is over when there is one."""

LATE = 0.2
"""The part of the kills that shall come too late: after the answer, or after the creation."""

STEP = 0.3
"""How quickly the moments follow the load; 0 would be never."""


class Spans:
    """Within which time a kill is drawn, by what is killed, in seconds; follows how long that takes."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(lambda: 0.02, {CREATION: 0.004})

    def draw(self, what: str, randomness: random.Random) -> float:
        """Return how long a command may live."""
        return randomness.uniform(0, self._seconds[what])

    def note(self, what: str, *, late: bool) -> None:
        """Draw from a shorter time if the kill came too late, else from a longer one."""
        self._seconds[what] *= 1 - STEP * (1 - LATE) if late else 1 + STEP * LATE


class Round:
    """One registry, from its creation to its audit."""

    def __init__(self, workshop: Workshop, randomness: random.Random, spans: Spans, tally: Counter[str]) -> None:
        workshop.put({})
        self._workshop = workshop
        self._journal = workshop.disk / JOURNAL
        self._registry_json = workshop.disk / REGISTRY_JSON
        self._state_json = workshop.disk / STATE_JSON
        self._randomness = randomness
        self._spans = spans
        self._tally = tally
        self._history = History()
        self._running: dict[ForkedCommand, Request | None] = {}
        self._creating: set[ForkedCommand] = set()

    def run(self, kills: int, *, begun: bool) -> None:
        """Let so many commands be killed; then ask again for whatever was not answered, and audit."""
        try:
            if begun:
                self._finish([self._publish(), self._publish()])
            for number in range(kills):
                while len(self._running) <= WRITERS and number + len(self._running) < kills:
                    self._start()
                self._look_at(self._next_that_ended())
            self._settle()
            self._audit()
        finally:
            for command in self._running:
                command.abort()

    def _start(self) -> None:
        """Start a command where one is missing: a bystander, or a writer with a new request or one made before."""
        if None in self._running.values():
            request = self._request()
            argv = request.argv
        else:
            request, verb = None, self._randomness.choice(list(BYSTANDERS))
            argv = self._argv(verb, *BYSTANDERS[verb])
        creating = request is not None and not self._journal.exists()
        command = ForkedCommand(argv, self._spans.draw(CREATION if creating else argv[0], self._randomness))
        self._running[command] = request
        if creating:
            self._creating.add(command)

    def _argv(self, verb: str, *words: str) -> tuple[str, ...]:
        return (verb, "--registry-dir", str(self._workshop.models), "--state-dir", str(self._workshop.runtime), *words)

    def _request(self) -> Request:
        """Return a new request, or now and then one that was killed, but none that is running."""
        killed = [request for request in self._history.unsettled() if request not in self._running.values()]
        if killed and self._randomness.random() < 0.25:
            return self._randomness.choice(killed)
        publishes = [request for request in self._history.acknowledged() if request.argv[0] == "publish"]
        if len(publishes) >= 2 and self._randomness.random() < 0.3:
            return self._new_request("rollback")
        return self._publish()

    def _publish(self) -> Request:
        number = self._randomness.randrange(ARTIFACTS)
        if self._randomness.random() < COPIES:
            artifact = self._workshop.to_copy(f"copied-{number}", is_directory=number % 2 == 0)
            return self._new_request("publish", "--artifact", artifact, "--backend", "b", "--copy")
        artifact = self._workshop.artifact(f"artifact-{number}")
        return self._new_request("publish", "--artifact", artifact, "--backend", "b")

    def _new_request(self, verb: str, *words: str) -> Request:
        id = f"request-{len(self._history.requests)}"
        argv = self._argv(verb, "--id", id, "--lock-timeout", "100", *words)
        self._history.requests[id] = request = Request(id, argv, time.monotonic())
        return request

    def _next_that_ended(self) -> ForkedCommand:
        """Take what the running commands say until one of them says no more."""
        descriptors = {command.descriptor: command for command in self._running}
        while True:
            for descriptor in select.select(list(descriptors), [], [])[0]:
                command = descriptors[descriptor]
                if not command.take():
                    return command
                request = self._running[command]
                if request is not None and command.answer is not None:
                    request.answer(command.answer, time.monotonic())

    def _look_at(self, command: ForkedCommand) -> None:
        """Hold a command that was killed, and what it left, to the promises."""
        request = self._running.pop(command)
        self._judge(command, request)
        if request is not None:
            self._tally[self._where(command, request)] += 1
        self._tally[f"kill -9 of {command.verb}"] += 1
        if command in self._creating:
            self._spans.note(CREATION, late=self._journal.exists())
        else:
            self._spans.note(command.verb, late=command.status is not None)
        self._read()

    def _judge(self, command: ForkedCommand, request: Request | None) -> None:
        """Hold what a command said to what it may say."""
        said = command.end()
        assert "Traceback" not in said, said
        self._tally["kill -9 between the entry and the head"] += said.count(" of an interrupted append")
        allowed = BYSTANDER_STATUSES[command.verb] if request is None else {0}
        assert command.status in {None, *allowed}, f"{command.verb}: status {command.status}: {said}"
        if command.verb == "list" and command.answer is not None:
            answered = [r.model_id for r in self._history.acknowledged() if r.acknowledged < command.started]
            missing = set(answered) - {model["model_id"] for model in json.loads(command.answer)}
            assert missing == set(), f"list shows {command.answer!r}, but not {missing}"

    def _where(self, command: ForkedCommand, request: Request) -> str:
        """Say where the kill fell."""
        if command.answer is not None:
            return "kill -9 after the acknowledgement"
        try:
            journal = self._journal.read_bytes()
        except FileNotFoundError:
            return "kill -9 before there was a journal"
        recorded = f'"id":"{request.id}"'.encode() in journal
        return "kill -9 with the entry written" if recorded else "kill -9 before the entry was written"

    def _read(self) -> None:
        """Read as a new process would, while the others go on."""
        promised = self._history.acknowledged()
        self._history.check([change.event.id for change in self._workshop.open().history()], promised)
        for path in (self._registry_json, self._state_json):
            with suppress(FileNotFoundError):
                json.loads(path.read_bytes())

    def _settle(self) -> None:
        """Ask again, three at a time, for all that was not answered and for one that was; each must be done now."""
        again = self._history.unsettled() + self._history.acknowledged()[-1:]
        again.sort(key=lambda request: request.argv[0])  # publishes first, so that a rollback has somewhere to go
        for start in range(0, len(again), WRITERS):
            self._finish(again[start : start + WRITERS])
        self._tally["kill -9, then settled by a retry"] += len(again)

    def _finish(self, requests: Sequence[Request]) -> None:
        """Carry out requests, all at once, and leave them alone."""
        self._running.update((ForkedCommand(request.argv, None), request) for request in requests)
        while self._running:
            command = self._next_that_ended()
            self._judge(command, self._running.pop(command))
            assert command.answer is not None, f"{command.verb}: no answer"

    def _audit(self) -> None:
        """One more publish works; then all is there once, intact, and the derived files come back as they were."""
        self._finish([self._publish()])
        self._read()
        report = verify_registry(self._workshop.models, self._workshop.runtime)
        assert (report.verdict, report.level, report.findings) == ("intact", "L2", []), report
        lines = self._journal.read_bytes().splitlines()
        events = [json.loads(line) for line in lines]
        self._history.check_settled([(event["id"], event.get("subject")) for event in events])
        self._tally["kill -9: events recorded"] += len(events)
        self._rebuild()
        self._go_back_to_copies()

    def _go_back_to_copies(self) -> None:
        """Whatever was published with a copy can be had again, whoever takes away what was published."""
        shutil.rmtree(self._workshop.copied, ignore_errors=True)
        registry = self._workshop.open()
        copies = [model for model in registry.list_models() if str(self._workshop.models) in model.artifact_path]
        for model in copies:
            assert registry.rollback(model.model_id) == model
            assert registry.open_active(full=True).path == model.artifact_path
        self._tally["kill -9: rollbacks to a model that was published with a copy"] += len(copies)
        incoming = self._workshop.models / "artifacts" / "incoming"
        registry.publish_model(self._workshop.artifact("last"), backend="b", copy=True)
        assert list(incoming.iterdir()) == [], "what a killed copy leaves is taken away by the next"

    def _rebuild(self) -> None:
        before = self._derived()
        self._registry_json.unlink()
        self._state_json.unlink()
        self._workshop.open().rebuild()
        assert self._derived() == before

    def _derived(self) -> tuple[bytes, object]:
        """Return what can be derived from the journal; the runtime checkpoint also says when it was written."""
        return self._registry_json.read_bytes(), json.loads(self._state_json.read_bytes())["metadata"]


def warm_up(workshop: Workshop) -> None:
    """Import and run once whatever a command needs, so that no fork has to."""
    logging.getLogger("modelog").addHandler(logging.NullHandler())  # what a reader notices is not for the terminal
    where = ("--registry-dir", str(workshop.models), "--state-dir", str(workshop.runtime))
    publish = ("--artifact", workshop.artifact("warm"), "--backend", "b")
    for verb, words in (("publish", publish), ("publish", publish), ("rollback", ()), *BYSTANDERS.items()):
        assert main([verb, *where, *words]) == 0


def torture(root: Path, seed: int, kills: int) -> Counter[str]:
    """Return how often a kill fell where."""
    workshop, randomness, spans, tally = Workshop(root), random.Random(seed), Spans(), Counter[str]()
    warm_up(workshop)
    for number, start in enumerate(range(0, kills, KILLS_A_ROUND)):
        Round(workshop, randomness, spans, tally).run(min(kills - start, KILLS_A_ROUND), begun=number % 2 == 1)
        tally["kill -9: registries begun"] += 1
    return tally


if __name__ == "__main__":
    stdout = sys.stdout
    sys.stdout = sys.stderr
    print(json.dumps(torture(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), file=stdout)
