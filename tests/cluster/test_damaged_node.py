"""One node has a damaged store: whoever reads through it is told, no entry is left out, and a new store mends it."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from direct_reads import stored_on
from faults_harness import leading, read_afresh
from nats.errors import NoServersError
from nats_cluster import NODES, NatsCluster, wait_for
from support import LONG, entries, flip

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.engines.jsonl import JsonlJournal
from eventlog.errors import JournalDamagedError, UnreachableError
from eventlog.journal import APPEND_BYTES_MAX

SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
SMALL_ENTRIES = 800
FLIPS = 8
ROUNDS = 15 if LONG else 1
LARGE_BYTES = 40_000
LARGE_ENTRIES = 250
"""Together more than a block of 8 MiB: the damaged one is not the last."""

CHECKSUM_BYTES = 8
PUSHED_SECONDS = 0.3
ANSWERS_SECONDS = 5.0
"""After so long a node that has come back answers reads."""

NOTICED_SECONDS = 30.0
"""A node that is back answers every third reading, and not at once."""

Tally = Callable[[str, int], None]


@dataclass(frozen=True)
class Stored:
    """A journal on a cluster, and what it holds."""

    cluster: NatsCluster
    name: str
    entries: list[bytes]

    @property
    def stream(self) -> str:
        return f"REGISTRY_{self.name}"

    def blocks(self, node: int) -> list[Path]:
        """Return the files in which a node has the entries."""
        place = self.cluster.stores[node] / "jetstream" / "$G" / "streams" / self.stream / "msgs"
        return sorted(place.glob("*.blk"), key=lambda path: int(path.stem))

    def url(self, node: int) -> str:
        """Return the URL with one node alone."""
        return f"nats://{self.cluster.hosts.split(',')[node]}/{self.name}"

    def append(self, more: Sequence[bytes], directory: Path) -> None:
        """Append, and remember what."""
        with closing(open_journal(self.cluster.url(self.name), directory=str(directory))) as journal:
            journal.refresh()
            step = APPEND_BYTES_MAX // (2 * len(more[0]))
            for first in range(0, len(more), min(step, 400)):
                part = more[first : first + min(step, 400)]
                journal.append(part, expected_size=len(self.entries))
                self.entries.extend(part)

    def notices(self, node: int, size: int, directory: Path) -> bool:
        """
        Say whether a mirror that has *size* entries is told of the damage when it reads on through a node.

        Other nodes may answer as well, or instead; whoever does, no entry is left out.
        """
        with closing(JsonlJournal(str(directory), mirror_of=self.stream)) as mirror:
            for first in range(0, size, 200):
                mirror.append(self.entries[first : min(first + 200, size)], expected_size=first)
        with closing(open_journal(self.url(node), directory=str(directory))) as journal:
            with _listening() as told, suppress(UnreachableError):  # the node has just been started
                if size % 2:
                    journal.wait(PUSHED_SECONDS)  # then it is pushed, by whichever node
                try:
                    journal.refresh()
                except JournalDamagedError as error:
                    told.append(str(error))
            found = list(journal.read())
        assert found == self.entries[: len(found)], f"an entry was left out behind {size}"
        assert len(found) >= size, f"the mirror had {size} entries, and has {len(found)}"
        return any("run doctor" in text for text in told)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Give a list of what is said to people meanwhile."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("modelog").addHandler(handler)
    try:
        yield told
    finally:
        logging.getLogger("modelog").removeHandler(handler)


def test_damaged_node(own_cluster: NatsCluster, tmp_path: Path, tally: Tally) -> None:
    """
    Bits of a node's store turn over while it is down: it leaves out single entries, or the rest of a block.

    Whoever reads on just before such an entry, and is answered by that node, is told to run doctor, by an error, or by
    a warning where another node then had all; unless it has mended itself, or shows nothing behind the damage either.
    Or it dies. Appends go on, unless it is that node which leads. With a new store it has all.
    """
    small, large, randomness = _small(own_cluster, tmp_path), _large(own_cluster, tmp_path), random.Random(SEED)
    for number in range(ROUNDS):
        node = (leading(own_cluster, small.stream) + 1) % NODES
        own_cluster.kill(node, signal.SIGTERM)
        damaged = {small.name: _flip_some(small, node, randomness)}
        damaged[large.name] = [_flip_in_first_block(large, node, randomness)]
        _start_damaged(own_cluster, node)

        for stored in (small, large):
            path = tmp_path / f"{stored.name}{number}"
            silent = _until_noticed(stored, node, damaged[stored.name], path, tally)
            if silent and not _has_died(own_cluster, node):
                _check_silent(node, stored, silent)
        if leading(own_cluster, small.stream) != node:  # one that leads is asked what there is, and may know of less
            _append_more(small, tmp_path, f"beside{number}")
        own_cluster.kill(node)
        own_cluster.wipe(node)
        own_cluster.start(node)
        _append_more(small, tmp_path, f"after{number}")
        _wait_until_full(node, [small, large])
    _check_whole(node, [small, large])


def test_damaged_log_of_a_node(own_cluster: NatsCluster, tmp_path: Path, tally: Tally) -> None:
    """Bits turn over anywhere else in the store, such as the consensus log: no entry is left out, appends go on."""
    small = _small(own_cluster, tmp_path)
    randomness = random.Random(SEED)
    for number in range(20 if LONG else 1):
        node = randomness.randrange(NODES)
        own_cluster.kill(node, randomness.choice((signal.SIGTERM, signal.SIGKILL)))
        for path in sorted((own_cluster.stores[node] / "jetstream" / "$SYS").rglob("*.blk")):
            if path.stat().st_size:
                flip(path, randomness.randrange(8 * path.stat().st_size))
                tally("cluster: bits turned over in a consensus log", 1)
        _start_damaged(own_cluster, node)
        for again in range(6):
            small.notices(node, again, tmp_path / f"probe{number}-{again}")
        _append_more(small, tmp_path, f"after{number}")
        _wait_until_full(node, [small])
        assert read_afresh(own_cluster.url(small.name), tmp_path / f"afresh{number}") == small.entries


def _append_more(stored: Stored, path: Path, mark: str) -> None:
    stored.append(entries(20, chain.hash_of(stored.entries[-1]), mark=mark), path / "small")


def _small(cluster: NatsCluster, path: Path) -> Stored:
    stored = Stored(cluster, "small", [])
    stored.append(entries(SMALL_ENTRIES), path / "small")
    return stored


def _large(cluster: NatsCluster, path: Path) -> Stored:
    stored, found, prev = Stored(cluster, "large", []), [], chain.GENESIS
    for number in range(LARGE_ENTRIES):
        found.append(chain.seal(b'{"n":%d,"text":"%b"' % (number, b"x" * LARGE_BYTES), prev))
        prev = chain.hash_of(found[-1])
    stored.append(found, path / "large")
    return stored


def _flip_some(stored: Stored, node: int, randomness: random.Random) -> list[int]:
    """Turn over a bit in each of some stored entries, their frames included; return the entries' positions."""
    (block,) = stored.blocks(node)
    data = block.read_bytes()
    positions = sorted(randomness.sample(range(1, len(stored.entries) - 1), FLIPS))
    for position in positions:
        before, entry = stored.entries[position - 1], stored.entries[position]
        start = data.index(before) + len(before) + CHECKSUM_BYTES
        end = data.index(entry) + len(entry) + CHECKSUM_BYTES
        flip(block, randomness.randrange(8 * start, 8 * end))
    return positions


def _flip_in_first_block(stored: Stored, node: int, randomness: random.Random) -> int:
    """Turn over a bit of an entry in the first of several blocks, which are all looked at when the node starts."""
    first, *others = stored.blocks(node)
    assert others, "there are several blocks"
    position = randomness.randrange(10, 100)
    start = first.read_bytes().index(stored.entries[position])
    flip(first, 8 * start + randomness.randrange(8 * LARGE_BYTES))
    (first.parent / "index.db").unlink()  # as where the node was not stopped, but killed
    return position


def _start_damaged(cluster: NatsCluster, node: int) -> None:
    """Start a node that may die of its damage, such as of a length that it believes and has no memory for."""
    try:
        cluster.start(node, healthy=False)
    except AssertionError:
        assert _has_died(cluster, node), "it runs, and says nothing"


def _has_died(cluster: NatsCluster, node: int) -> bool:
    process = cluster.processes[node]
    return process is None or process.poll() is not None


def _until_noticed(stored: Stored, node: int, positions: Sequence[int], path: Path, tally: Tally) -> list[int]:
    """Read on just before each position until somebody is told; return those that nobody was told of for long."""
    left, deadline = list(positions), time.monotonic() + NOTICED_SECONDS
    tally("cluster: bits turned over in a node's store", len(left))
    for number in count():
        for position in tuple(left):
            if stored.notices(node, position, path / f"{number}-{position}"):
                left.remove(position)
            tally("cluster: readings beside a damaged store", 1)
        if not left or time.monotonic() > deadline or _has_died(stored.cluster, node):
            break
    return left


def _check_silent(node: int, stored: Stored, positions: Sequence[int]) -> None:
    """Hold of *positions* that nobody was told of that the node has them, or shows nothing behind them either."""
    with _alone(stored.cluster, node) as host:
        try:
            found = dict(stored_on(host, stored.stream))
        except NoServersError:
            assert _has_died(stored.cluster, node), "it runs, and cannot be reached"
            return
    for position in positions:
        got = found.get(position + 1)
        assert got in (None, stored.entries[position]), f"seed {SEED}: nobody was told that {position} is wrong"
        assert got or max(found, default=0) <= position, f"seed {SEED}: nobody was told that {position} is missing"


def _wait_until_full(node: int, journals: Sequence[Stored]) -> None:
    """Wait until a node says that it has everything; before that, no other one may lose anything."""
    for stored in journals:

        def is_full(stored: Stored = stored) -> bool:
            with suppress(OSError, KeyError):
                return bool(stored.cluster.streams(node)[stored.stream]["state"]["messages"] == len(stored.entries))
            return False

        wait_for(f"node {node} has all of {stored.name}", is_full)


def _check_whole(node: int, journals: Sequence[Stored]) -> None:
    """Hold of a node that it has everything."""
    with _alone(journals[0].cluster, node) as host:
        for stored in journals:
            found = wait_for(f"node {node} answers", lambda stored=stored: stored_on(host, stored.stream))
            assert found == list(enumerate(stored.entries, 1))


@contextmanager
def _alone(cluster: NatsCluster, node: int) -> Iterator[str]:
    """Kill the other nodes meanwhile, as soon as this one answers reads; give its address."""
    time.sleep(ANSWERS_SECONDS)
    others = [other for other in range(NODES) if other != node]
    for other in others:
        cluster.kill(other)
    yield cluster.hosts.split(",")[node]
    cluster.start(*others)
