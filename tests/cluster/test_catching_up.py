"""A machine that is far behind reads on in steps that its mirror can take, however much is pushed to it at once."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest
from nats_cluster import NatsCluster
from support import entries

from eventlog import chain
from eventlog.engines import open_journal
from eventlog.journal import APPEND_BYTES_MAX, APPEND_ENTRIES_MAX

PUSHED_SECONDS = 1.0
_LARGE_BYTES = 60_000


def _large(count: int) -> list[bytes]:
    found, prev = [], chain.GENESIS
    for number in range(count):
        found.append(chain.seal(b'{"n":%d,"text":"%b"' % (number, b"x" * _LARGE_BYTES), prev))
        prev = chain.hash_of(found[-1])
    return found


@pytest.mark.parametrize("kind", ["many", "large"])
def test_more_is_pushed_than_one_append_can_hold(cluster: NatsCluster, tmp_path: Path, kind: str) -> None:
    """A follower that was busy while entries came has all of them after one refresh, and its mirror is the history."""
    stored = entries(3 * APPEND_ENTRIES_MAX) if kind == "many" else _large(2 * APPEND_BYTES_MAX // _LARGE_BYTES)
    step = 1_000 if kind == "many" else 100
    url = cluster.url(f"behind{os.urandom(4).hex()}")
    with (
        closing(open_journal(url, directory=str(tmp_path / "writer"))) as writer,
        closing(open_journal(url, directory=str(tmp_path / "follower"))) as follower,
    ):
        for first in range(0, len(stored), step):
            writer.append(stored[first : first + step], expected_size=first)

        follower.wait(10)
        time.sleep(PUSHED_SECONDS)
        follower.refresh()

        assert list(follower.read()) == stored
    ours, theirs = ((tmp_path / name / "journal.jsonl").read_bytes() for name in ("follower", "writer"))
    assert ours == theirs
