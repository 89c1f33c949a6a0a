"""What a request costs, in counts that do not depend on the clock: the same however long the history is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from long_history import SIZE
from support import START, Clock, Place, Randomness

from eventlog import codec, runs
from eventlog.engines import jsonl_stamp
from projections import registry_json

SYNCS = {"fdatasync": 2, "fsync": 4, "rename": 2}
"""Journal and head; each of two derived files and its directory."""

CALLS = ("open", "close", "read", "pread", "readv", "pwrite", "fstat", "fsync", "fdatasync", "rename", "unlink")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often the operating system was asked for what, and how many entries were decoded."""
    counts: Counter[str] = Counter()

    def count(module: object, name: str, many: Callable[..., int] = lambda *_: 1) -> None:
        real = getattr(module, name)

        def counting(*arguments: object, **settings: object) -> object:
            counts[name] += many(*arguments)
            return real(*arguments, **settings)

        monkeypatch.setattr(module, name, counting)

    for name in CALLS:
        count(os, name)
    count(codec, "decode")
    count(runs, "decode_activations", lambda entries, *_: len(entries))
    return counts


def _later(number: int) -> Clock:
    return Clock(START + timedelta(days=1 + number))


def _publish(place: Place, counted: Counter[str], number: int) -> Counter[str]:
    registry = place.open(random_bytes=Randomness(f"c{number}"), now=_later(number))
    artifact = place.artifact("counted", b"counted")
    counted.clear()
    registry.publish_model(artifact, backend="b", actor="ana")
    return Counter(counted)


def test_a_publish_makes_six_syncs_and_two_renames(place: Place, counted: Counter[str]) -> None:
    """Nothing is synced twice, and nothing that must survive is not; what nobody vouches for is synced once more."""
    place.publish("first")

    counts = _publish(place, counted, 0)

    assert {name: counts[name] for name in SYNCS} == SYNCS
    (place.registry_dir / jsonl_stamp.NAME).unlink()
    counts = _publish(place, counted, 1)
    assert {name: counts[name] for name in SYNCS} == {**SYNCS, "fdatasync": 3}, "the head, whoever left it, too"


def test_a_publish_costs_the_same_however_long_the_history_is(
    long: Place, counted: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a new process: no more calls behind three times as many entries, and no more entries decoded."""
    monkeypatch.setattr(registry_json, "LAG_DIVISOR", 2)
    long.open().rebuild()
    short = [_publish(long, counted, number) for number in range(6)]
    registry = long.open(now=_later(50))
    while len(long.lines()) < 3 * SIZE:
        long.publish("more", registry=registry)
    long.open().rebuild()

    longer = [_publish(long, counted, 100 + number) for number in range(6)]

    assert max(sum(counts.values()) for counts in longer) <= max(sum(counts.values()) for counts in short)
    assert max(counts["fsync"] for counts in longer) == 3, "state.json and both directories: registry.json may lag"


def test_a_group_of_threads_shares_its_syncs(place: Place, counted: Counter[str]) -> None:
    """Requests that wait together are appended as one: fewer syncs than one after the other would take."""
    import threading

    place.publish("first")
    registry = place.open()
    registry.list_models()  # it knows its settings
    paths = [place.artifact(f"t{number}") for number in range(8)]
    threads = [threading.Thread(target=registry.publish_model, args=(path,), kwargs={"backend": "b"}) for path in paths]
    counted.clear()

    with registry._threads:
        for thread in threads:
            thread.start()
        while len(registry._commits.asked) < len(paths):
            pass
    for thread in threads:
        thread.join()

    assert len(place.open().list_models()) == 9
    assert {name: counted[name] for name in SYNCS} == SYNCS
