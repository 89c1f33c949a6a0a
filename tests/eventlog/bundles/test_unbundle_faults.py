"""
Every call to the operating system fails, and at every one the process dies: asked again, unbundling ends as ever.

Whatever happens: the journal over there is the beginning of the bundle's, no entry is there without the artifacts that
came with it, and nothing is called done that was not durable.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import pytest
from carrying import Hosts, without_empty
from support import LONG, outcome_of, quiet

from eventlog.engines import checks, jsonl_head
from eventlog.engines.jsonl_head import Head
from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError
from projections import verify_registry

WRITES = ("pwrite", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "mkdir", "link", "chmod", "fchmod", "rmdir")
READS = ("open", "close", "read", "pread", "readv", "fstat", "lstat", "stat", "listdir")
STRIDE = 1 if LONG else 29
Tally = Callable[[str, int], None]


class Calls:
    """Counts calls of `os`, and lets the one with a number end as *meet* has it."""

    def __init__(self, at: int, meet: Callable[[], object]) -> None:
        self.count = 0
        self._at = at
        self._meet = meet

    @contextmanager
    def armed(self, names: tuple[str, ...], *, for_good: bool = False) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in names:
                patch.setattr(os, name, self._counted(getattr(os, name), for_good=for_good))
            yield

    def _counted(self, real: Callable[..., Any], *, for_good: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._at or (for_good and 0 < self._at < self.count):
                self._meet()
            return real(*args, **kwargs)

        return call


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def contents(hosts: Hosts) -> dict[str, bytes]:
    """Return what lies over there; of the head what it says, and nothing of what tells of this disk alone."""
    found = without_empty(hosts.there.root)
    head = jsonl_head.parse(found.pop("m/journal.head")).newest
    assert head is not None
    kept = {name: data for name, data in found.items() if name != "m/journal.stamp" and "checked" not in name}
    return {**kept, "head": jsonl_head.format_slot(head)}


def check_between(hosts: Hosts, start: int) -> None:
    """See that what is there is a beginning, and that its artifacts are there before it."""
    whole, found = hosts.here.journal.read_bytes(), b""
    if hosts.there.head.exists() and hosts.there.journal.exists():
        found = hosts.there.journal.read_bytes()
    assert whole.startswith(found), "the journal is no beginning of what it will be"
    if found.count(b"\n") > start:
        kept = hosts.there.kept()
        assert {sha256(data).hexdigest() for data in kept.values()} == set(kept)
        assert {b"a", b"c" * 2000, b"e", b"{}"} < set(kept.values()), "an entry came before its artifacts"


@pytest.fixture(params=["onto nothing", "onto a beginning"])
def begun(
    request: pytest.FixtureRequest, fast_hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Hosts, int]]:
    """A host that has nothing, or the beginning; and how many entries that has. Two entries are appended at once."""
    hosts = fast_hosts
    monkeypatch.setattr(checks, "PIECE_ENTRIES_MAX", 2)
    if request.param != "onto nothing":
        hosts.bundle()
        hosts.take()
        hosts.here.publish("new")
    hosts.bundle(*hosts.models)
    with quiet(monkeypatch):
        yield hosts, 0 if request.param == "onto nothing" else 6


@pytest.mark.parametrize("names", [WRITES, READS])
@pytest.mark.parametrize(("meet", "for_good"), [(full, False), (broken, True)])
def test_every_call_fails(
    begun: tuple[Hosts, int], names: tuple[str, ...], meet: Callable[[], None], for_good: bool, tally: Tally
) -> None:
    """What the error says is true: where it is refused nothing but artifacts has come; asked again, all is there."""
    hosts, start = begun
    before = hosts.there.files()
    counting = Calls(0, meet)
    with counting.armed(names):
        assert outcome_of(hosts.take) is None
    wanted = contents(hosts)
    met = set()
    numbers = range(1, counting.count + 1, STRIDE if names is READS else 1)
    for number in numbers:
        hosts.there.put(before)
        with Calls(number, meet).armed(names, for_good=for_good):
            error = outcome_of(hosts.take)
        met.add(type(error))
        check_between(hosts, start)
        if isinstance(error, RefusedError):
            _check_refused(hosts, before)
        hosts.take()
        assert contents(hosts) == wanted, f"call {number}: {error!r}"
    tally("calls of an unbundle failing, once or for good", len(numbers))
    if names is WRITES:
        assert met >= {RefusedError, OutcomeUnknownError, ProjectionLagError}
    assert verify_registry(hosts.there.registry_dir, hosts.there.state_dir, artifacts=True).findings == []


def _check_refused(hosts: Hosts, before: dict[str, bytes]) -> None:
    """Journal, head and derived files are as they were, or an empty journal was begun, with an empty head."""
    found = {name: data for name, data in hosts.there.files().items() if "artifacts" not in name and data}
    empty = jsonl_head.format_slot(Head()) * 2
    changed = {name: data for name, data in found.items() if data != empty}
    assert changed == {name: data for name, data in before.items() if data and "artifacts" not in name}


def test_killed_at_every_call(begun: tuple[Hosts, int], tally: Tally) -> None:
    """Whatever was done is a beginning; the next one finishes it, and takes away what was left behind."""
    hosts, start = begun
    before = hosts.there.files()
    counting = Calls(0, full)
    with counting.armed(WRITES):
        hosts.take()
    wanted = contents(hosts)
    for number in range(1, counting.count + 1):
        hosts.there.put(before)
        child = os.fork()
        if child == 0:
            with Calls(number, lambda: os.kill(os.getpid(), signal.SIGKILL)).armed(WRITES):
                hosts.take()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        check_between(hosts, start)
        hosts.take()
        assert contents(hosts) == wanted, f"killed at call {number}"
    tally("kills of an unbundle, at each call that changes something", counting.count)
