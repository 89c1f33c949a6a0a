"""Repairs, restores and unbundling that a power cut interrupts: where each starts, what is run, what is asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenarios import Scenarios
from strace_log import Op, Tree
from workshop import HEAD, JOURNAL, MODELS, RUNTIME, Workshop

from projections import backup_registry, repair_registry, restore_registry
from projections.bundles import bundle_models, unbundle

GARBAGE = b"garbage that no crash leaves\n"
_SETTINGS = {"lock_timeout_seconds": 5.0}


@dataclass(frozen=True)
class Maintenance:
    """
    One traced command.

    Attributes:
        start: durable before.

        truth: the entries that must be in the journal at the end, byte for byte, at its beginning.

        surplus: bytes of the journal that must be in quarantine at the end.

        events: the types of events that follow the truth at the end.

        again: does the same once more, from Python.

        announced: half of it never looks like a whole history; else it is one, the beginning of what it will be.
    """

    start: Tree
    ops: list[Op]
    truth: bytes
    surplus: bytes
    events: list[str]
    again: Callable[[], object]
    announced: bool = True


def build(name: str, made: Scenarios, workshop: Workshop) -> Maintenance:
    """Trace the command *name* on its own starting point."""
    copy = _copy(made, workshop)
    whole = made.base(3)
    truth = whole[JOURNAL] or b""
    if name == "restore":
        return _restored(made, workshop, {}, copy, truth)
    if name == "restore onto a prefix":
        return _restored(made, workshop, made.base(1), copy, truth)
    if name == "unbundle":
        return _unbundled(made, workshop, {}, truth)
    if name == "unbundle onto a prefix":
        return _unbundled(made, workshop, made.base(1), truth)
    words, start, surplus, events = _repair(name, made, copy, truth)
    if name.startswith("accept-rewind"):
        truth = made.base(2)[JOURNAL] or b""
    workshop.put(start)
    ops = workshop.trace("repair", *words)
    action = "from-copy" if words[0] == "--from" else words[0].removeprefix("--")

    def again() -> object:
        return repair_registry(
            action, workshop.models, workshop.runtime, copy=copy if action == "from-copy" else None, reason="r",
            **_SETTINGS,
        )  # fmt: skip

    return Maintenance(start, ops, truth, surplus, events, again)


def _repair(name: str, made: Scenarios, copy: str, truth: bytes) -> tuple[list[str], Tree, bytes, list[str]]:
    start = made.base(3)
    if name == "discard-tail":
        start[JOURNAL] = truth + GARBAGE
        return ["--discard-tail", "--reason", "r"], start, GARBAGE, ["journal.recovered.v1", "journal.repaired.v1"]
    if name == "rebuild-head":
        del start[HEAD]
        return ["--rebuild-head", "--reason", "r"], start, b"", ["journal.recovered.v1", "journal.repaired.v1"]
    if name == "from-copy":
        lines = truth.splitlines(keepends=True)
        bad = b"#" + lines[1][1:]
        start[JOURNAL] = b"".join([lines[0], bad, *lines[2:]])
        return ["--from", copy, "--reason", "r"], start, bad, ["journal.recovered.v1", "journal.repaired.v1"]
    older = made.base(2)
    if name == "accept-rewind, head alone":
        older = {path: data for path, data in older.items() if data is None or path == JOURNAL}
        start = older | {HEAD: start[HEAD]}
        return ["--accept-rewind", "--reason", "r"], start, b"", ["journal.recovered.v1", "journal.rewound.v1"]
    start = {path: data for path, data in start.items() if path.startswith(RUNTIME)}
    start |= {path: data for path, data in older.items() if path.startswith(MODELS)}
    return ["--accept-rewind", "--reason", "r"], start, b"", ["journal.rewound.v1"]


def _restored(made: Scenarios, workshop: Workshop, start: Tree, copy: str, truth: bytes) -> Maintenance:
    workshop.put(start)
    ops = workshop.trace("restore", copy)

    def again() -> object:
        return restore_registry(copy, workshop.models, workshop.runtime, **_SETTINGS)

    return Maintenance(start, ops, truth, b"", [], again)


def _unbundled(made: Scenarios, workshop: Workshop, start: Tree, truth: bytes) -> Maintenance:
    """Take a bundle of a file, which was published by its path; the name of its place is no part of the disk."""
    path = Path(workshop.artifact("marker")).parent / "b.tar"
    if not path.exists():
        workshop.put(made.base(3))
        bundle_models((), path, workshop.models)
    workshop.put(start)
    ops = workshop.trace("unbundle", str(path))

    def again() -> object:
        return unbundle(path, workshop.models, workshop.runtime, **_SETTINGS)

    return Maintenance(start, ops, truth, b"", [], again, announced=False)


def _copy(made: Scenarios, workshop: Workshop) -> str:
    """Return the path of a backup of three publishes, beside the disk."""
    path = Path(workshop.artifact("marker")).parent / "backup"
    if not path.exists():
        workshop.put(made.base(3))
        backup_registry(path, workshop.models)
    return str(path)
