"""
What is traced: commands on a registry in some condition, and what must hold of every disk they may leave behind.

Each scenario is a real command under strace. Where a process is killed, what it had not synced stays pending while the
next command runs, and the power fails only then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from check_state import Expected, Request
from disk_model import Disk, states_of
from strace_log import NotUnderstoodError, Op, Tree
from workshop import HEAD, JOURNAL, REGISTRY_JSON, STATE_JSON, Workshop

from projections import RuntimeStateManager

Then = Literal["another publish", "asked again", "rebuild"]
"""What the next command is after a kill."""


@dataclass(frozen=True)
class Trace:
    """
    What one or more commands did, and what they were asked.

    Attributes:
        start: durable before.

        history: every entry that was ever written, in order.

        acknowledged: how many of them were acknowledged before.

        requests: to be asked again after the crash.

        torn: bytes behind the acknowledged entries at the start; they must not vanish.

        versions: for each projection what a running system showed, one after the other.

        killed_at: how many operations the first process made; power cuts before that are another trace's.
    """

    name: str
    start: Tree
    ops: list[Op]
    history: list[bytes]
    acknowledged: int = 0
    requests: tuple[Request, ...] = ()
    torn: bytes = b""
    versions: dict[str, list[bytes | None]] = field(default_factory=dict)
    killed_at: int = 0

    def expected(self, count: int) -> Expected:
        """Return what must hold after a power cut when *count* operations had been made."""
        said = [op.path for op in self.ops[:count] if op.kind == "ack"]
        subjects = [json.loads(entry).get("subject") for entry in self.history]
        last = {subject: place + 1 for place, subject in enumerate(subjects)}
        acknowledged = max([self.acknowledged, *(last[model_id] for model_id in said)])
        return Expected(self.history, acknowledged, self.requests, self.torn, self._versions(count))

    def _versions(self, count: int) -> dict[str, frozenset[bytes | None]]:
        """Return what each projection may be: what it ever was, and the newest alone once the command has said so."""
        if any(op.kind == "ack" for op in self.ops[:count]):
            return {path: frozenset(versions[-1:]) for path, versions in self.versions.items()}
        return {path: frozenset(versions) for path, versions in self.versions.items()}

    def states(self, stride: int) -> dict[tuple[tuple[str, bytes | None], ...], int]:
        """Return every distinct crash state, with the latest moment at which it is possible: most is promised there."""
        found = {tuple(tree.items()): count for count, tree in states_of(self.start, self.ops, stride)}
        return {state: count for state, count in found.items() if count >= self.killed_at}


class Scenarios:
    """Builds each scenario once, by its name."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._known: dict[str, Trace] = {}
        self._trees: list[Tree] = []

    def get(self, name: str) -> Trace:
        """Return the scenario *name*, traced now unless it was asked for before."""
        if name not in self._known:
            self._known[name] = BUILDERS[name](self)
        return self._known[name]

    def to_copy(self, name: str, *, is_directory: bool) -> str:
        """Return the path of an artifact that is published with a copy."""
        return self._workshop.to_copy(name, is_directory=is_directory)

    def key(self) -> str:
        """Return the path of a key that signs artifacts."""
        return self._workshop.key()

    def killed(self, first: Trace, count: int, then: Then) -> Trace:
        """Return *first* killed after *count* operations, and then what somebody does next."""
        self._workshop.put(_live(first.start, first.ops[:count]))
        requests = first.requests
        if then == "rebuild":
            more = self._workshop.trace("rebuild")
        elif then == "asked again":
            more = self._trace(requests[0])
        else:
            requests = (*requests, self._request("after the kill"))
            more = self._trace(requests[-1])
        name = f"{first.name}, killed after {count}, then {then}"
        ops = [*first.ops[:count], *more]
        return self._finish(replace(first, name=name, ops=ops, requests=requests, killed_at=count))

    def base(self, publishes: int) -> Tree:
        """Return a disk after so many publishes, with a runtime that keeps values of its own."""
        while len(self._trees) <= publishes:
            number = len(self._trees)
            self._workshop.put(self._trees[-1] if self._trees else {})
            if number == 1:
                manager = RuntimeStateManager(self._workshop.runtime)
                manager.record_checkpoint(
                    entrypoint="serve", mode="live", config_path="serve.toml", metadata={"own": 1}
                )
            if number:
                self._workshop.open().publish_model(self._workshop.artifact(f"base-{number}"), backend="base")
            self._trees.append(self._workshop.tree())
        return dict(self._trees[publishes])

    def publish(
        self,
        name: str,
        start: Tree,
        *,
        acknowledged: int,
        torn: bytes = b"",
        artifact: str | None = None,
        key: str | None = None,
    ) -> Trace:
        """Trace a publish on *start*; of an *artifact* that is named, with a copy; with a *key*, signed."""
        self._workshop.put(start)
        request = replace(self._request(name), key=key)
        if artifact is not None:
            request = replace(request, artifact_path=artifact, copy=True)
        return self._finish(Trace(name, start, self._trace(request), [], acknowledged, (request,), torn))

    def rollback(self, name: str, start: Tree, *, acknowledged: int) -> Trace:
        """Trace a rollback on *start*."""
        self._workshop.put(start)
        request = Request(f"request: {name}", None, "")
        return self._finish(Trace(name, start, self._trace(request), [], acknowledged, (request,)))

    def removal(self, name: str, start: Tree, *, is_directory: bool) -> Trace:
        """Trace the removal of a copy that is needed no longer."""
        self._workshop.put(start)
        registry = self._workshop.open()
        artifact = self._workshop.to_copy(name, is_directory=is_directory)
        model = registry.publish_model(artifact, backend="base", copy=True)
        registry.publish_model(self._workshop.artifact("base-1"), backend="base", copy=True)
        registry.publish_model(self._workshop.artifact("base-2"), backend="base", copy=True)
        registry.retire(model.model_id, reason="old")
        start, size = self._workshop.tree(), registry.catalog().size
        return self._finish(Trace(name, start, self._workshop.trace("gc"), [], size))

    def _request(self, name: str) -> Request:
        return Request(f"request: {name}", self._workshop.artifact(name), "traced")

    def _trace(self, request: Request) -> list[Op]:
        if request.artifact_path is None:
            return self._workshop.trace("rollback", "--id", request.id)
        words = ("--artifact", request.artifact_path, "--backend", request.backend, "--id", request.id)
        words += ("--copy",) if request.copy else ()
        words += ("--sign-key", request.key) if request.key is not None else ()
        return self._workshop.trace("publish", *words)

    def _finish(self, trace: Trace) -> Trace:
        """Make sure that the operations lead to what is really there, and add what can be read from it."""
        tree = self._workshop.tree()
        if _live(trace.start, trace.ops) != tree:
            raise NotUnderstoodError(f"{trace.name}: the operations do not lead to what is on the disk")
        history = (tree[JOURNAL] or b"").split(b"\n")[:-1]
        versions = {path: list(_contents(trace, path)) for path in (REGISTRY_JSON, STATE_JSON)}
        return replace(trace, history=history, versions=versions)


def _live(start: Tree, ops: Sequence[Op]) -> Tree:
    disk = Disk(start)
    for op in ops:
        disk.take(op)
    return disk.live()


def _contents(trace: Trace, path: str) -> Iterator[bytes | None]:
    """Yield what a running system ever showed at *path*; None where it showed no file."""
    disk = Disk(trace.start)
    yield trace.start.get(path)
    for op in trace.ops:
        disk.take(op)
        if path in (op.path, op.target):
            yield disk.live().get(path)


def _first(made: Scenarios) -> Trace:
    return made.publish("first publish", {}, acknowledged=0)


def _second(made: Scenarios) -> Trace:
    return made.publish("second publish", made.base(1), acknowledged=2)


def _rollback(made: Scenarios) -> Trace:
    return made.rollback("rollback", made.base(2), acknowledged=3)


def _torn_tail(made: Scenarios) -> Trace:
    """An append before was cut in the middle of its entry, and nobody has looked since."""
    start, later = made.base(1), made.base(2)
    whole = (later[JOURNAL] or b"")[len(start[JOURNAL] or b"") :]
    torn = whole[: len(whole) // 2]
    start[JOURNAL] = (start[JOURNAL] or b"") + torn
    return made.publish("publish over a torn tail", start, acknowledged=2, torn=torn)


def _unacknowledged(made: Scenarios) -> Trace:
    """An append before wrote and synced its entry, but never said so."""
    start = {**made.base(1), JOURNAL: made.base(2)[JOURNAL]}
    return made.publish("publish after an unacknowledged entry", start, acknowledged=2)


def _bad_slot(made: Scenarios) -> Trace:
    """An append before was cut while it wrote the head."""
    start = made.base(2)
    older, newer = made.base(1)[HEAD] or b"", start[HEAD] or b""
    changed = next(place for place in range(len(older)) if older[place] != newer[place])
    start = {**made.base(1), JOURNAL: start[JOURNAL], HEAD: newer[: changed + 1] + older[changed + 1 :]}
    return made.publish("publish after a torn head", start, acknowledged=2)


def _no_projections(made: Scenarios) -> Trace:
    start = made.base(1)
    del start[REGISTRY_JSON], start[STATE_JSON]
    return made.publish("publish without projections", start, acknowledged=2)


def _copy(made: Scenarios) -> Trace:
    artifact = made.to_copy("file", is_directory=False)
    return made.publish("publish with a copy", made.base(1), acknowledged=2, artifact=artifact)


def _copied_directory(made: Scenarios) -> Trace:
    artifact = made.to_copy("directory", is_directory=True)
    return made.publish("publish of a directory with a copy", made.base(1), acknowledged=2, artifact=artifact)


def _gc(made: Scenarios) -> Trace:
    return made.removal("gc", made.base(1), is_directory=False)


def _gc_of_a_directory(made: Scenarios) -> Trace:
    return made.removal("gc of a directory", made.base(1), is_directory=True)


def _signed(made: Scenarios) -> Trace:
    return made.publish("publish with a signature", made.base(1), acknowledged=2, key=made.key())


BUILDERS: dict[str, Callable[[Scenarios], Trace]] = {
    "first": _first,
    "second": _second,
    "rollback": _rollback,
    "torn-tail": _torn_tail,
    "unacknowledged-entry": _unacknowledged,
    "torn-head": _bad_slot,
    "no-projections": _no_projections,
    "copy": _copy,
    "copied-directory": _copied_directory,
    "gc": _gc,
    "gc-directory": _gc_of_a_directory,
    "signed": _signed,
}
