"""Acknowledgements that do not come, hundreds of times: an append is there once or not, and asking again settles it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from cluster_client import APPENDS, acknowledge_within
from faults_harness import Clients, Verdict, clients, read_afresh
from history_of_appends import REFUSED
from lossy_proxy import FATES, PASS, lossy_proxy
from nats_cluster import NatsCluster
from support import LONG, entries

from eventlog.engines import open_journal
from eventlog.engines.jetstream_api import NoReplyError
from eventlog.engines.jetstream_link import Link
from eventlog.errors import ConflictError, OutcomeUnknownError, UnreachableError

SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
LOSSY_REQUESTS = 1_500 if LONG else 30
HURRIED_REQUESTS = 2_000 if LONG else 80
ENTRIES = 2_000 if LONG else 60
STORED = "stored"
WAIT_SECONDS = 0.15
"""For an acknowledgement; on a sound network it comes within 0.01 s."""

GIVE_UP_SECONDS = 0.4
NO_TIME_SECONDS = 0.001
"""Hardly an acknowledgement comes as quickly."""


def test_lost_and_late_acknowledgements(
    cluster: NatsCluster, tmp_path: Path, tally: Callable[[str, int], None]
) -> None:
    """
    Half of all appends, or their acknowledgements, are lost, late or cut off on the way; four machines write.

    Two of them leave it to the engine to find out; two are told that the outcome is unknown, and ask again. Each event
    is in the journal once.
    """
    name = f"lossy{os.urandom(4).hex()}"
    with (
        clients(tmp_path / "clients", cluster.url(name)) as machines,
        lossy_proxy(cluster.hosts.split(","), seed=SEED) as proxy,
    ):
        terms = {"journal": f"nats://{proxy.hosts}/{name}", "reply_seconds": WAIT_SECONDS, "requests": LOSSY_REQUESTS}
        machines.write("patient0", "patient1", **terms)
        machines.write("impatient0", "impatient1", append_seconds=GIVE_UP_SECONDS, abandon=True, **terms)
        verdict = _settled(machines, 4 * LOSSY_REQUESTS, tally)

    for fate, count in proxy.tried.items():
        tally(f"cluster: appends through a bad network: {fate}", count)
    assert verdict.counts()["cluster: tries of unknown outcome"] > 0, f"seed {SEED}: nobody was told"
    assert set(proxy.tried) == {PASS, *FATES}, f"seed {SEED}: {proxy.tried}"


def test_no_time_for_an_answer(cluster: NatsCluster, tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """Who waits no longer than an acknowledgement takes learns the outcome by asking again, for every single event."""
    name = f"hurried{os.urandom(4).hex()}"
    with clients(tmp_path / "clients", cluster.url(name)) as machines:
        terms = {"reply_seconds": NO_TIME_SECONDS, "requests": HURRIED_REQUESTS}
        machines.write("one", "other", append_seconds=NO_TIME_SECONDS, **terms)
        machines.write("patient", **terms)
        verdict = _settled(machines, 3 * HURRIED_REQUESTS, tally)

    assert verdict.counts()["cluster: requests settled by asking again"] > HURRIED_REQUESTS / 4


def test_what_an_append_says_is_true(
    cluster: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Callable[[str, int], None]
) -> None:
    """
    Two machines append to the journal itself, through a bad network: stored is stored, at that position.

    A conflict, or an unreachable cluster, means that the entry is not there and never will be.
    """
    monkeypatch.setattr(Link, "request", Link.request)
    acknowledge_within(WAIT_SECONDS)
    name = f"true{os.urandom(4).hex()}"
    with lossy_proxy(cluster.hosts.split(","), seed=SEED) as proxy, ThreadPoolExecutor(2) as pool:
        url = f"nats://{proxy.hosts}/{name}"
        said = [*chain(*pool.map(lambda machine: list(_appends(url, tmp_path / machine)), ("here", "there")))]

    found = {entry: position for position, entry in enumerate(read_afresh(cluster.url(name), tmp_path / "afresh"))}
    for entry, position, outcome in said:
        if outcome == STORED:
            assert found.get(entry) == position, f"seed {SEED}: stored at {position}, and is at {found.get(entry)}"
        elif outcome in REFUSED:
            assert entry not in found, f"seed {SEED}: {outcome}, and yet it is at {found.get(entry)}"
    assert set(found) <= {entry for entry, _, _ in said}, f"seed {SEED}: entries that nobody appended"
    for outcome, count in Counter(outcome for _, _, outcome in said).items():
        tally(f"cluster: appends to the journal itself: {outcome}", count)


def test_a_refusal_does_not_settle_what_was_unknown(
    cluster: NatsCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first try was stored and its acknowledgement lost, a refusal of the second says nothing of it."""
    request, refused = Link.request, b'{"error":{"code":400,"err_code":10047,"description":"insufficient storage"}}'
    tries = 0

    async def unlucky(self: Link, subject: str, *arguments: Any) -> bytes:
        nonlocal tries
        tries += subject.startswith(APPENDS)
        if subject.startswith(APPENDS) and tries > 1:
            return refused
        answer = await request(self, subject, *arguments)
        if subject.startswith(APPENDS):
            raise NoReplyError("no answer", sent=True)
        return answer

    url, stored = cluster.url(f"refused{os.urandom(4).hex()}"), entries(2)
    with closing(open_journal(url, directory=str(tmp_path / "m"), append_timeout_seconds=GIVE_UP_SECONDS)) as journal:
        journal.append(stored[:1], expected_size=0)
        monkeypatch.setattr(Link, "request", unlucky)
        with pytest.raises(OutcomeUnknownError):
            journal.append(stored[1:], expected_size=1)
        journal.refresh()

        assert list(journal.read()) == stored


def _appends(url: str, directory: Path) -> Iterator[tuple[bytes, int, str]]:
    """Yield entries that were appended, where, and what was said."""
    with closing(open_journal(url, directory=str(directory), append_timeout_seconds=GIVE_UP_SECONDS)) as journal:
        for number in range(ENTRIES):
            with suppress(UnreachableError):
                journal.refresh()
            tail = journal.tail()
            (entry,) = entries(1, tail.hash, mark=f"{directory.name}{number}")
            try:
                journal.append([entry], expected_size=tail.size)
                yield entry, tail.size, STORED
            except (ConflictError, UnreachableError, OutcomeUnknownError) as error:
                yield entry, tail.size, type(error).__name__


def _settled(machines: Clients, requests: int, tally: Callable[[str, int], None]) -> Verdict:
    """Wait until so many requests were made, and return what was found good."""
    machines.settle(stop=False, seconds=60 + requests)
    verdict = machines.judge()
    assert len(verdict.requests) == requests
    for what, count in verdict.counts().items():
        tally(what, count)
    tally("cluster: appends without an acknowledgement in time", machines.late_acknowledgements())
    return verdict
