"""
Every call to the operating system fails once, at every place, in several ways; then the error is held to its word.

| raised                | what must be true afterwards                                             |
|-----------------------|--------------------------------------------------------------------------|
| nothing               | the event is there, and no sync of journal or head has failed            |
| `RefusedError`        | the event is not there, and no later publish brings it back              |
| `OutcomeUnknownError` | a retry with the same id ends with the event there once                  |
| `ProjectionLagError`  | the event is there                                                       |

And always: what was acknowledged before is there, unchanged, and the journal is intact.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import Place, fill, heads_of, outcome_of

from eventlog.engines import jsonl_reader
from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError
from projections import verify_registry

WRITES = ("pwrite", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "mkdir", "fchmod", "fchown")
READS = ("open", "close", "read", "pread", "readv", "fstat", "lstat", "stat", "listdir")
MODES = ("fails", "done, then fails", "half done, then fails", "fails for good")


class Faults:
    """
    Counts the calls of some functions of `os`, and lets the call with one number fail.

    Attributes:
        count: how many calls there were.

        failed: the names of those that failed.
    """

    def __init__(self, mode: str = "fails", at: int = 0, code: int = errno.EIO) -> None:
        self.count = 0
        self.failed: set[str] = set()
        self._mode = mode
        self._at = at
        self._code = code

    @contextmanager
    def armed(self, names: tuple[str, ...]) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setattr(os, name, self._failing(name, getattr(os, name)))
            yield

    def _failing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            due = self.count == self._at or (self._mode == "fails for good" and 0 < self._at < self.count)
            if not due:
                return real(*args, **kwargs)
            self.failed.add(name)
            if name == "pwrite" and self._mode == "half done, then fails":
                real(args[0], bytes(args[1])[: len(args[1]) // 2], *args[2:])
            elif self._mode == "done, then fails" or name == "close":
                result = real(*args, **kwargs)
                if name == "open":
                    os.close(result)
            raise OSError(self._code, os.strerror(self._code))

        return call


class Scenario:
    """
    A place, what is done to it first, and the request that meets the fault.

    Attributes:
        unknown_before: the same request was made before, with an unknown outcome. A refusal cannot settle that: it
            says that this call appended nothing, and the outcome stays unknown.
    """

    request_id = "wanted"
    unknown_before = False

    def prepare(self, place: Place) -> None:
        fill(place, 3)

    def request(self, place: Place) -> None:
        place.open().publish_model(place.root / "new", backend="b", actor="t", request_id=self.request_id)


class FirstPublish(Scenario):
    def prepare(self, place: Place) -> None:
        pass


class Publish(Scenario):
    pass


class Rollback(Scenario):
    def request(self, place: Place) -> None:
        place.open().rollback(actor="t", request_id=self.request_id)


class TornTail(Scenario):
    def prepare(self, place: Place) -> None:
        super().prepare(place)
        place.journal.write_bytes(place.journal.read_bytes() + b"half")


class OneBehind(Scenario):
    """An append of somebody else was interrupted before the head said so."""

    interrupted_id = "interrupted"

    def prepare(self, place: Place) -> None:
        super().prepare(place)
        head = place.head.read_bytes()
        place.publish("new", request_id=self.interrupted_id)
        place.head.write_bytes(head)
        place.registry_json.unlink()
        place.state_json.unlink()


class Retry(OneBehind):
    """The same, and the interrupted request is made again."""

    interrupted_id = Scenario.request_id
    unknown_before = True


class BadSlot(Scenario):
    """The newest slot of the head is damaged."""

    def prepare(self, place: Place) -> None:
        super().prepare(place)
        heads = heads_of(place.lines())
        place.set_head(heads[-1], heads[-2])
        place.head.write_bytes(b"x" + place.head.read_bytes()[1:])


class FirstTornTail(Scenario):
    """The very first append was interrupted."""

    def prepare(self, place: Place) -> None:
        super().prepare(place)
        torn = place.journal.read_bytes()[:99]
        place.put({"m": b"", "m/journal.jsonl": torn})
        place.set_head(heads_of([])[0], heads_of([])[0])


SCENARIOS = (FirstPublish(), Publish(), Rollback(), TornTail(), OneBehind(), Retry(), BadSlot(), FirstTornTail())


def _settle(place: Place, scenario: Scenario, error: Exception | None, acknowledged: list[str]) -> str | None:
    """Hold the outcome to its word; return what is wrong."""
    wanted = scenario.request_id
    there = place.ids().count(wanted)
    if error is None and there != 1:
        return f"done, but there {there} times"
    if isinstance(error, ProjectionLagError) and there != 1:
        return f"recorded, but there {there} times"
    if isinstance(error, RefusedError) and not scenario.unknown_before:
        if there:
            return f"refused, but there: {error}"
        place.publish("another", request_id="another")
        if wanted in place.ids():
            return f"refused, but there after the next publish: {error}"
    elif isinstance(error, (RefusedError, OutcomeUnknownError)):
        scenario.request(place)
        if place.ids().count(wanted) != 1:
            return f"unknown, and there {place.ids().count(wanted)} times after a retry"
    elif error is not None and not isinstance(error, ProjectionLagError):
        return f"{type(error).__name__}: {error}"
    place.publish("last", request_id="last")
    ids = place.ids()
    if ids[: len(acknowledged)] != acknowledged or len(ids) != len(set(ids)):
        return f"acknowledged {acknowledged}, then {ids}"
    report = verify_registry(place.registry_dir, place.state_dir)
    return None if (report.verdict, report.findings) == ("intact", []) else f"{report.verdict}: {report.findings}"


@pytest.fixture
def place(fast_place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    return fast_place


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a reading given up, and close fails
@pytest.mark.parametrize("names", [WRITES, READS], ids=["writes", "reads"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: type(scenario).__name__)
def test_every_call_fails(place: Place, scenario: Scenario, mode: str, names: tuple[str, ...]) -> None:
    """Whatever call fails and however, the error says what is true, and nothing that was acknowledged is lost."""
    for name in ("new", "another", "last"):
        place.artifact(name)
    scenario.prepare(place)
    start, acknowledged = place.files(), place.ids() if place.journal.exists() else []
    counter = Faults()
    with counter.armed(names):
        scenario.request(place)
    problems = []

    for code in (errno.EIO, errno.ENOSPC) if names == WRITES else (errno.EIO,):
        for at in range(1, counter.count + 1):
            place.put({})
            place.put(start)
            faults = Faults(mode, at, code)
            error: Exception | None
            with faults.armed(names):
                try:
                    error = outcome_of(lambda: scenario.request(place))
                except Exception as bug:
                    error = bug
            assert faults.count >= at, "the call that should fail was not made"
            problem = _settle(place, scenario, error, acknowledged)
            if error is None and "fdatasync" in faults.failed:
                problem = "done, although the disk did not confirm it"
            if problem is not None:
                problems.append(f"call {at} of {counter.count}, {errno.errorcode[code]}: {problem}")

    assert problems == []
    assert counter.count >= 4


def _in_child(action: Callable[[], None]) -> int:
    """Carry out *action* in a process of its own, and return its exit status: 0, or 1 for an error not raised here."""
    child = os.fork()
    if child == 0:
        try:
            action()
            status = 0
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            status = 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("created", [False, True], ids=["new journal", "journal of three"])
def test_disk_full_at_every_size(fast_place: Place, created: bool) -> None:
    """A disk that takes only so many bytes: short writes are not taken for success, and a refusal leaves nothing."""
    place = fast_place
    for name in ("new", "another", "last"):
        place.artifact(name)
    if created:
        fill(place, 3)
    start, acknowledged = place.files(), place.ids() if created else []
    size_bytes = len(start.get("m/journal.jsonl", b""))
    outcomes: list[str] = []

    for limit in range(0, size_bytes + 1_400, 37):
        place.put({})
        place.put(start)
        outcome = place.root / "outcome"

        def limited(limit: int = limit, outcome: Path = outcome) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            error = outcome_of(lambda: Publish().request(place))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            outcome.write_text(type(error).__name__)

        assert _in_child(limited) == 0
        name = outcome.read_text()
        error = {"RefusedError": RefusedError("it"), "ProjectionLagError": ProjectionLagError("it")}.get(name)
        assert name in ("RefusedError", "ProjectionLagError", "NoneType")
        assert _settle(place, Publish(), error, acknowledged) is None
        outcomes.append(name)

    assert {"RefusedError", "NoneType"} <= set(outcomes)
