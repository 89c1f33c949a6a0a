"""Two machines publish at once: whoever is second decides anew, and what each event displaced is exact."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from faults_harness import clients, read_afresh
from history_of_appends import Request, check, events_of
from nats_cluster import NatsCluster
from support import LONG

from projections import open_registry

REQUESTS = 3_000 if LONG else 300
BEGINNINGS = 40 if LONG else 6


def test_two_machines_publish_at_once(cluster: NatsCluster, tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """
    Two registries, each with a mirror of its own, publish and roll back some hundred times beside each other.

    Each request is in the journal once, in an order that agrees with the clock, and displaced the model before it.
    """
    with clients(tmp_path / "clients", cluster.url(f"two{os.urandom(4).hex()}")) as machines:
        machines.write("first", requests=1)  # so that nobody waits for the stream to be made while the other writes
        machines.settle(stop=False)
        machines.write("one", "other", requests=REQUESTS, together=True)
        machines.go()
        machines.settle(stop=False, seconds=60 + REQUESTS)
        verdict = machines.judge()

    writers = [event["actor"] for event in verdict.events]
    turns = sum(before != after for before, after in pairwise(writers))
    assert turns > REQUESTS / 30, f"they were to write at once, and took turns {turns} times"
    tally("cluster: requests of two machines at once", verdict.acknowledged)
    tally("cluster: times that another machine came next", turns)


def test_two_machines_begin_at_once(cluster: NatsCluster, tmp_path: Path) -> None:
    """Of two that make the first event of a journal one is first; the other waits for it, and goes on behind it."""
    artifact = tmp_path / "artifact"
    artifact.write_bytes(b"weights")
    for number in range(BEGINNINGS):
        journal, top = cluster.url(f"begin{os.urandom(4).hex()}"), tmp_path / str(number)
        barrier = threading.Barrier(2)

        def publish(id: str, top: Path = top, journal: str = journal, barrier: threading.Barrier = barrier) -> Request:
            with open_registry(top / id, None, journal=journal) as registry:
                barrier.wait(10)
                model = registry.publish_model(artifact, backend="b", request_id=id)
                return Request(id, 0.0, model_id=model.model_id)

        with ThreadPoolExecutor(2) as pool:
            requests = {request.id: request for request in pool.map(publish, ("one", "other"))}

        events = events_of(read_afresh(journal, top / "afresh"))
        check(events, requests)
        assert len(events) == 1 + len(requests)
