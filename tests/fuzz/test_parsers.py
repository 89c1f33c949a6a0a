"""
Coverage-guided fuzzing of every parser of stored or typed bytes, with atheris; the laws are in the modules beside this.

Another seed: `MODELOG_TEST_SEED=<integer>`. An input that breaks a law is printed as hex; it is tried again by
`python -c 'from fuzz_seeds import targets; targets()["TARGET"].law(bytes.fromhex("HEX"))'` in this directory.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz_seeds import targets
from support import LONG

HARNESS = Path(__file__).with_name("fuzz_harness.py")
SEED = int(os.environ.get("MODELOG_TEST_SEED", "0"))
TARGETS = targets()
RUNS = {
    "entry": 100_000,
    "fold": 50_000,
    "head": 130_000,
    "tail": 40_000,
    "scan": 20_000,
    "anchors": 10_000,
    "metadata": 40_000,
    "bundle": 10_000,
}
"""Inputs by default, in all 400,000; more for the faster ones."""

SHARDS, FACTOR = (8, 25) if LONG else (1, 1)
TRIED = re.compile(r"^tried (\d+) accepted (\d+)$", re.MULTILINE)
Tally = Callable[[str, int], None]

if platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
    pytest.skip("atheris has wheels for x86_64 and glibc only", allow_module_level=True)


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("name", RUNS)
def test_fuzzed(name: str, shard: int, tmp_path: Path, tally: Tally) -> None:
    """No input breaks a law, hangs, or raises anything but the project's errors; enough of them are accepted."""
    runs = RUNS[name] * FACTOR // SHARDS
    seed = 1 + SEED * SHARDS + shard
    corpus = tmp_path / "corpus"
    corpus.mkdir()

    done = fuzz(name, corpus, f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={tmp_path}/found-")

    found = sorted(tmp_path.glob("found-*"))
    said = done.stdout + done.stderr[-3_000:]
    assert not found, f"{name}, seed {seed}: {[path.read_bytes().hex() for path in found]} breaks the law:\n{said}"
    assert done.returncode == 0, f"{name}, seed {seed}: exit {done.returncode}:\n{said}"
    counts = TRIED.search(done.stdout)
    assert counts is not None, said
    tried, accepted = int(counts[1]), int(counts[2])
    assert tried >= runs
    assert accepted >= runs // 100, f"{name}: only {accepted} of {tried} got through the parser"
    tally("inputs fuzzed into the parsers, coverage-guided", tried)
    tally("inputs fuzzed into the parsers that a parser accepted", accepted)


def fuzz(name: str, corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the harness as a process of its own, in the corpus' parent directory."""
    ours = ("MODELOG_", "PYTHON")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-B", str(HARNESS), name, str(corpus), *options],
        cwd=corpus.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=1_800,
        check=False,
    )


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    """What the fuzzer starts from is accepted, so that it starts behind the first check."""
    target = TARGETS[name]

    accepted = [target.law(seed) for seed in target.seeds]

    assert accepted.count(True) >= (len(accepted) + 1) // 2


def test_every_target_is_fuzzed() -> None:
    """A target without a number of runs would be forgotten."""
    assert set(RUNS) == set(TARGETS)


def test_a_broken_law_is_found(tmp_path: Path) -> None:
    """The harness notices an input that breaks a law, ends with a failure and leaves the input behind."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()

    done = fuzz("broken", corpus, "-runs=100000", "-seed=1", f"-artifact_prefix={tmp_path}/found-")

    (found,) = tmp_path.glob("found-*")
    assert done.returncode != 0
    assert b"model" in found.read_bytes()
    assert "AssertionError: a law that is broken on purpose" in done.stdout + done.stderr
