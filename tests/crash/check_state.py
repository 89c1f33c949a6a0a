"""
What must hold of every disk that a power cut may leave: the promises, checked on one state.

Reading shows everything acknowledged and nothing that was never written, and changes nothing. The next publish works
without any repair, keeps every acknowledged entry where it was, and leaves an intact registry; what it took away is
kept and recorded. Projections are the old ones or the new ones, and rebuilding gives the same bytes. A request that is
asked again is recorded once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from strace_log import Tree
from workshop import JOURNAL, MODELS, QUARANTINE, REGISTRY_JSON, STATE_JSON, Workshop

from eventlog.engines import open_journal
from projections import verify_registry


class ViolationError(AssertionError):
    """A promise is broken."""


@dataclass(frozen=True)
class Request:
    """A publish as somebody asked for it, perhaps with a copy or signed; without an artifact it is a rollback."""

    id: str
    artifact_path: str | None
    backend: str
    copy: bool = False
    key: str | None = None


@dataclass(frozen=True)
class Expected:
    """
    What must hold of a state.

    Attributes:
        history: the entries that were ever written; any prefix with all that is acknowledged may be found.

        acknowledged: how many of them were acknowledged before the power cut.

        requests: what is asked for again.

        torn: bytes that recovery may take out of the journal, but not lose.

        versions: for each projection what it ever was, and None where it ever was missing.
    """

    history: list[bytes]
    acknowledged: int
    requests: tuple[Request, ...] = ()
    torn: bytes = b""
    versions: Mapping[str, frozenset[bytes | None]] = field(default_factory=dict)


def check(state: Tree, expected: Expected, workshop: Workshop) -> None:
    """
    Put *state* on the disk and hold it to what was promised.

    Raises:
        ViolationError: says which promise, and how it is broken.
    """
    workshop.put(state)
    with _quickly():
        for path, versions in expected.versions.items():
            with _promise(f"{path} is what it was or what it became"):
                assert state.get(path) in versions, f"got {state.get(path)!r:.200}"
        with _promise("reading works and changes nothing"):
            shown = _read(state, expected, workshop)
        with _promise("the next publish works"):
            _publish(workshop, "after the crash 1")
        found = workshop.tree()
        with _promise("what was there stays where it was, and what was taken out is kept"):
            _check_journal(state.get(JOURNAL) or b"", found, expected, shown)
        with _promise("the registry is intact"):
            _verify(workshop)
        with _promise("rebuilding gives the same files"):
            _rebuild(found, workshop)
        with _promise("one more publish works"):
            _publish(workshop, "after the crash 2")
            assert _journal(workshop.tree()).startswith(_journal(found)), "the journal must only grow"
        for request in expected.requests:
            with _promise(f"{request.id!r} is recorded once, however often it is asked"):
                _ask_again(request, workshop)


@contextmanager
def _promise(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ViolationError(f"broken: {what}: {type(error).__name__}: {error}") from error


@contextmanager
def _quickly() -> Iterator[None]:
    """Nobody else writes here, so nobody waits; what is said of each state would fill the terminal."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with mock.patch("time.sleep", return_value=None):
            yield
    finally:
        logging.disable(previous)


def _read(state: Tree, expected: Expected, workshop: Workshop) -> int:
    catalog = workshop.open().catalog()
    entries = list(open_journal(f"file:{workshop.models}").read())
    assert entries == expected.history[: len(entries)], "shows what was never written"
    assert len(entries) >= expected.acknowledged, f"shows {len(entries)} of {expected.acknowledged} acknowledged"
    assert catalog.size == len(entries), f"the catalog holds {catalog.size} of {len(entries)}"
    report = verify_registry(workshop.models, None, artifacts=True)
    missing = [finding.what for finding in report.findings if finding.kind == "artifact"]
    assert missing == [], f"recorded, and yet not kept: {missing}"
    assert workshop.tree() == state, "reading changed something"
    return len(entries)


def _publish(workshop: Workshop, name: str) -> None:
    registry = workshop.open()
    model = registry.publish_model(workshop.artifact(name), backend="check", dataset_metadata={"rows": 1})
    assert registry.catalog().active_id() == model.model_id, "the new model must be active"


def _check_journal(before: bytes, found: Tree, expected: Expected, shown: int) -> None:
    entries = _journal(found).split(b"\n")
    assert entries.pop() == b"", "the journal must end with a newline"
    kept = 0
    while kept < min(len(entries), len(expected.history)) and entries[kept] == expected.history[kept]:
        kept += 1
    assert kept >= max(expected.acknowledged, shown), f"kept {kept} of {expected.acknowledged}, of {shown} shown"
    events: list[dict[str, Any]] = [json.loads(entry) for entry in entries[kept:]]
    wanted = ["journal.created.v1"] if kept == 0 else []
    wanted += ["journal.recovered.v1"] * (len(events) - len(wanted) - 1) + ["model.published.v1"]
    assert [event["type"] for event in events] == wanted, f"got {[event['type'] for event in events]}"

    recovered = [json.loads(entry)["data"] for entry in entries if b'"type":"journal.recovered.v1"' in entry]
    for data in recovered:
        assert sha256(_bytes(found, f"{MODELS}/{data['kept_as']}")).hexdigest() == data["sha256"], "quarantine differs"
    taken = [(data["offset_bytes"], data["size_bytes"], data["sha256"]) for data in recovered]
    end = sum(len(entry) + 1 for entry in entries[:kept])
    rest = before[end:]
    if rest:
        assert (end, len(rest), sha256(rest).hexdigest()) in taken, f"{len(rest)} bytes at {end} vanished"
    if expected.torn:
        assert sha256(expected.torn).hexdigest() in {digest for _, _, digest in taken}, "the torn tail vanished"
    assert not [path for path in found if path.startswith(QUARANTINE) and path.endswith(".pending")], "still pending"


def _verify(workshop: Workshop) -> None:
    report = verify_registry(workshop.models, workshop.runtime)
    wrong = [finding.what for finding in report.findings if finding.kind != "notice"]
    assert (report.verdict, wrong) == ("intact", []), f"{report.verdict}: {wrong}"


def _rebuild(found: Tree, workshop: Workshop) -> None:
    (workshop.models / "registry.json").unlink()
    (workshop.runtime / "state.json").unlink()
    workshop.open().rebuild()
    again = workshop.tree()
    assert again[REGISTRY_JSON] == found[REGISTRY_JSON], "registry.json differs"
    old, new = (json.loads(_bytes(tree, STATE_JSON))["metadata"]["active_model"] for tree in (found, again))
    assert old == new, f"the active model differs: {old} and {new}"


def _ask_again(request: Request, workshop: Workshop) -> None:
    registry = workshop.open(None if request.key is None else Path(request.key).read_text())
    if request.artifact_path is None:
        model = registry.rollback(request_id=request.id)
    else:
        model = registry.publish_model(
            request.artifact_path, backend=request.backend, copy=request.copy, request_id=request.id
        )
    events = [json.loads(entry) for entry in _journal(workshop.tree()).split(b"\n")[:-1]]
    assert [event["subject"] for event in events if event["id"] == request.id] == [model.model_id]


def _journal(tree: Tree) -> bytes:
    return _bytes(tree, JOURNAL)


def _bytes(tree: Tree, path: str) -> bytes:
    data = tree.get(path)
    assert data is not None, f"{path} is missing"
    return data
