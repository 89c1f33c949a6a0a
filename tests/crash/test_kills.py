"""
kill -9 at any moment of many commands at once: nothing acknowledged is lost, doubled, reordered or invented.

Three writers and a bystander (`list`, `verify` or `rebuild`) work on one registry. After each kill a reader looks;
after thirty, what was not answered is asked again, the registry is audited, and a new one is begun. Half of the
registries are in memory, where much happens in little time, and half on a disk, where most kills fall into a sync.
`MODELOG_TEST_SEED` chooses other moments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support import LONG

SHARDS = 16 if LONG else 2
KILLS = 1_250 if LONG else 300
SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
LEAST = {
    "kill -9 before there was a journal": 1,
    "kill -9 before the entry was written": KILLS // 10,
    "kill -9 with the entry written": KILLS // 100,
    "kill -9 after the acknowledgement": KILLS // 60,
    "kill -9, then settled by a retry": KILLS // 10,
    "kill -9 of publish": KILLS // 4,
    "kill -9 of rollback": KILLS // 60,
    "kill -9 of list": KILLS // 60,
    "kill -9 of verify": KILLS // 60,
    "kill -9 of rebuild": KILLS // 60,
}
_ROOT = Path(__file__).resolve().parents[2]
_MEMORY = "/dev/shm"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_kill_at_any_moment(shard: int, tmp_path: Path, tally: Callable[[str, int], None]) -> None:
    """Whatever is killed when, all that was acknowledged is there, once and in order, and the next command works."""
    memory = _MEMORY if shard % 2 == 0 and os.access(_MEMORY, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=memory, prefix="modelog-kills-") as name:
        found = rounds(Path(name).resolve(), seed=1_000 * SEED + shard)

    for what, count in found.items():
        tally(what, count)
    assert sum(found[f"kill -9 of {verb}"] for verb in ("publish", "rollback", "list", "verify", "rebuild")) == KILLS
    rare = {what: found.get(what, 0) for what, least in LEAST.items() if found.get(what, 0) < least}
    assert rare == {}, f"too few to say anything; all: {found}"


def rounds(root: Path, seed: int) -> dict[str, int]:
    """Run `kill_rounds` in a process of its own, which has no threads and forks quickly."""
    script = Path(__file__).with_name("kill_rounds.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELOG_", "COV_"))}
    done = subprocess.run(
        [sys.executable, str(script), str(root), str(seed), str(KILLS)],
        cwd=_ROOT,
        env={**environment, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert done.returncode == 0, f"with seed {seed}: {done.stderr[-5_000:]}"
    counts: dict[str, int] = json.loads(done.stdout)
    return counts
