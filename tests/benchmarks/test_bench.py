"""The benchmark computes what it says, and runs; nothing is asserted of how fast anything is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import measure
import pytest
import report
import venvs
from measure import CannotRunError, Limits, Series, Spread, interleave, order, ratio, spread
from report import Group, Report, Row

ROOT = Path(__file__).resolve().parents[2]


def series(*seconds: float | None, name: str = "s") -> Series:
    """Return what a contender took."""
    return Series(name, [None if value is None else {"seconds": value} for value in seconds])


def command(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark's one command."""
    environment = {**os.environ, **settings}
    argv = [sys.executable, "-m", "scripts.bench", *words]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_every_contender_runs_once_a_round_and_each_begins_in_its_turn():
    """So none always runs behind the same other; the round before the first one warms up and is not kept."""
    calls: list[str] = []

    def contender(name: str):
        return lambda: calls.append(name) or {"seconds": float(len(calls))}

    found = interleave({name: contender(name) for name in "abc"}, Limits(rounds=3))

    assert "".join(calls) == "abc" + "bca" + "cab" + "abc"
    assert [sample["seconds"] for sample in found["a"].samples] == [6.0, 8.0, 10.0]
    assert order(["a", "b"], 3) == ["b", "a"]


def test_a_contender_that_cannot_run_says_why_and_stops_nobody():
    """What it could not measure is shown, not left out."""

    def broken() -> dict[str, float]:
        raise CannotRunError("no such package")

    found = interleave({"ours": lambda: {"seconds": 1.0}, "theirs": broken}, Limits(rounds=9))

    assert found["theirs"].failure == "no such package"
    assert found["theirs"].samples == [None] * 9
    assert len(found["ours"].values("seconds")) == 9


def test_a_slow_peer_sits_out_and_a_long_row_ends(monkeypatch):
    """Every loop is bounded: slow ones run three rounds, and a row that takes too long at least three."""
    now = [0.0]

    def taking(seconds: float):
        def run() -> dict[str, float]:
            now[0] += seconds
            return {"seconds": seconds}

        return run

    contenders = {"ours": taking(1.0), "theirs": taking(measure.SLOW_SECONDS + 1)}

    sitting = interleave(contenders, Limits(9, 1e9, frozenset({"theirs"})), clock=lambda: now[0])
    ending = interleave(contenders, Limits(9, 1.0), clock=lambda: now[0])

    assert [len(one.values("seconds")) for one in sitting.values()] == [9, measure.ROUNDS_OF_SLOW]
    assert [len(one.values("seconds")) for one in ending.values()] == [measure.ROUNDS_MIN] * 2


def test_a_ratio_is_taken_within_each_round():
    """A machine that slows down during one round changes both numbers, and the ratio not at all."""
    assert ratio(series(2.0, 20.0, 2.0), series(1.0, 10.0, 1.0)) == Spread(2.0, 2.0, 2.0, 3)
    assert ratio(series(2.0, None, 3.0), series(1.0, 1.0, 1.0)) == Spread(2.5, 2.25, 2.75, 2)
    assert ratio(series(None), series(1.0)) is None


def test_the_spread_is_the_middle_half():
    """Median and quartiles, of one value that value, of none nothing."""
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0, 1)
    assert spread([]) is None


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        ("≤ 1.2", 1.2, True),
        ("≤ 1.2", 1.21, False),
        ("≥ 350", 400.0, True),
        ("≥ 350", 349.0, False),
        ("", 1.0, None),
        ("≤ 0", 0.0, True),
    ],
)
def test_a_target_is_met_or_missed(target, value, met):
    """By the median alone."""
    assert Row("a", "b", Spread(value, value, value, 1), target=target).met is met


def a_report() -> Report:
    group = Group("cold", "a title", series={"a": series(3.0, 3.0), "b": series(1.5, 1.5), "c": series(None, None)})
    group.series["c"].failure = "no wheel"
    group.compare("a", "b", target="≤ 1.2")
    group.compare("c", "b")
    group.state("errors", "a", "seconds", "MiB")
    return Report("2026-01-02", {"cores": "2 cores"}, {"modelog": "0.1"}, {"rounds": 2}, [group])


def test_the_table_says_what_was_met_missed_and_not_run():
    """A row has the ratio, its spread, the target and the medians; one that could not run has the reason."""
    headings, *lines = report.table(a_report()).splitlines()[4:]

    assert [" ".join(line.split()) for line in lines[:2]] == [
        f"a b 2.00{report.TIMES} 2.00 {report.DASH} 2.00 ≤ 1.2 MISSED 3.00 s : 1.50 s 2",
        "c b cannot run s: no wheel 0",
    ]
    assert "3.00 MiB" in lines[2]
    assert headings.index("rounds") == lines[0].rindex("2")


def test_json_reads_back_into_the_same_report(tmp_path):
    """What is kept of a run is all of it."""
    (tmp_path / "bench.json").write_bytes(report.encode(a_report()))

    assert report.load(tmp_path / "bench.json") == a_report()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(123.4, "123 s"), (1.0, "1.00 s"), (0.0123, "12.3 ms"), (2.5e-6, "2.50 µs"), (3e-9, "3.00 ns")],
)
def test_durations_have_three_digits(seconds, text):
    """And the unit that suits them."""
    assert report.seconds_text(seconds) == text


def test_the_fingerprint_changes_with_what_would_be_installed_and_nothing_else(tmp_path):
    """So an environment is used again until a source file changes; also in an unpacked archive, outside of git."""
    (tmp_path / "eventlog").mkdir()
    (tmp_path / "eventlog" / "a.py").write_text("1")
    before = venvs.fingerprint(tmp_path)

    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "b.py").write_text("1")
    unchanged = venvs.fingerprint(tmp_path)
    (tmp_path / "eventlog" / "a.py").write_text("2")

    assert venvs.source_files(tmp_path) == ["eventlog/a.py"]
    assert before == unchanged != venvs.fingerprint(tmp_path)


def test_a_tiny_run_measures_every_group(tmp_path):
    """The whole command, without peers and without network: table, JSON, and a picture where matplotlib is."""
    small = ["--size", "120", "--artifact-mib", "1", "--publishes", "1", "--rounds", "1", "--no-peers"]

    done = command("--dir", str(tmp_path), "--interpreter", sys.executable, *small)

    assert done.returncode == 0, done.stderr
    found = report.load(tmp_path / "results" / "bench.json")
    assert [group.name for group in found.groups] == [
        "cold", "append", "concurrency", "replay", "as-of", "hashing", "copies", "peers", "growth",
    ]  # fmt: skip
    failures = {one.name: one.failure for group in found.groups for one in group.series.values() if one.failure}
    assert failures == {}
    assert done.stdout == (tmp_path / "results" / "bench.txt").read_text("utf-8") == report.table(found)
    assert (tmp_path / "results" / "bench.png").exists() == ("no picture" not in done.stderr)
    assert not (tmp_path / "scratch").exists()


def test_an_unknown_group_is_refused(tmp_path):
    """In one line that names those there are."""
    done = command("--dir", str(tmp_path), "--only", "warm")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bench: --only: expected some of cold, append")
    assert done.stderr.count("\n") == 1


def test_outside_of_a_checkout_it_is_refused(tmp_path):
    """The wheel has the command, but not what it measures with."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bench.py", tmp_path / "scripts")

    argv = [sys.executable, str(tmp_path / "scripts" / "bench.py")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: expected tests/benchmarks beside scripts, got none: run it in a checkout\n"
