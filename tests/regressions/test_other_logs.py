"""
Bugs that other logs of lines shipped, each under its name, and that reading needs neither this program nor rights.

A log that is signed anew after it shrank is one of them. There are no signatures here yet; what applies is that nobody
makes a cut journal look whole by going on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Run
from support import Place, fill, heads_of, outcome_of

from eventlog import chain
from eventlog.errors import JournalDamagedError, OutcomeUnknownError

ROOT = Path(__file__).resolve().parents[2]


def test_lost_final_newline_fuses_the_next_append(place: Place) -> None:
    """An entry that lacks only its newline does not swallow the one that is appended next."""
    fill(place, 3)
    files = place.files()
    place.publish("unsaid", request_id="unsaid")
    place.journal.write_bytes(place.journal.read_bytes()[:-1])
    for name in ("m/journal.head", "m/registry.json", "s/state.json"):
        (place.root / name).write_bytes(files[name])

    place.publish("next", request_id="next")

    assert place.ids()[-2:] == ["unsaid", "next"]
    assert len(place.journal.read_bytes().split(b"\n")) == 6


def test_splitlines_breaks_on_other_separators(place: Place) -> None:
    """U+2028, U+2029, U+0085, form feeds and carriage returns inside text do not end a line."""
    text = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh"

    place.publish("a", reason=text, dataset_metadata={text: text})
    place.publish("b")

    assert place.event(1).data.reason == text  # type: ignore[union-attr]
    assert place.open().list_models()[1].dataset_metadata == {text: text}
    assert place.journal.read_bytes().count(b"\n") == 3


def test_torn_line_makes_the_chain_restart_at_genesis(place: Place) -> None:
    """After recovery the next entry follows the last good one; no second entry has 64 zeros as its prev."""
    fill(place, 3)
    place.journal.write_bytes(place.journal.read_bytes() + b'{"specversion":"1.0"')

    place.publish("next")

    lines = place.lines()
    assert chain.verify([line[:-1] for line in lines], chain.GENESIS) == chain.hash_of(lines[-1][:-1])
    assert sum(chain.GENESIS.encode() in line for line in lines) == 1


def test_failed_sync_leads_to_a_position_used_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests of one process, the first with a sync that failed: positions are used once, ids are there once."""
    fill(place, 3)
    registry = place.open()
    artifact = place.artifact("first")

    def failing(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == place.journal.stat().st_ino:
            raise OSError(5, "input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        error = outcome_of(lambda: registry.publish_model(artifact, backend="b", request_id="first"))
    place.publish("second", registry=registry, request_id="second")
    registry.publish_model(artifact, backend="b", request_id="first")

    assert isinstance(error, OutcomeUnknownError)
    assert place.ids()[3:] in (["second", "first"], ["first", "second"])
    assert [place.event(position).position for position in range(5)] == list(range(5))


def test_heal_drops_a_complete_acknowledged_entry(place: Place) -> None:
    """An acknowledged last entry that was damaged looks like a torn tail: it is refused, never healed away."""
    fill(place, 3)
    whole = place.journal.read_bytes()

    for damaged in (whole[:-1], whole[:-2], whole[:-1] + b"\0", whole[:-75], whole[:-1] + b" "):
        place.journal.write_bytes(damaged)
        assert isinstance(outcome_of(lambda: place.publish("next")), JournalDamagedError)
        assert place.journal.read_bytes() == damaged
    place.journal.write_bytes(whole)

    assert place.open().catalog().size == 3


@pytest.mark.parametrize(
    "cut", [["journal"], ["journal", "head"], ["journal", "head", "registry.json"]], ids=" and ".join
)
def test_shrunk_log_looks_valid_after_going_on(place: Place, run: Run, cut: list[str]) -> None:
    """Whatever is tried on a journal that was cut between two lines, it stays refused, and no byte is added to it."""
    history = fill(place, 6)
    whole, words = place.lines(), ["--artifact", str(place.artifact("new")), "--backend", "b"]

    for size in range(2, 6):
        place.put(history[-1])
        heads = heads_of(whole[:size])
        place.journal.write_bytes(b"".join(whole[:size]))
        if "head" in cut:
            place.set_head(heads[-2], heads[-1])
        if "registry.json" in cut:
            place.registry_json.write_bytes(history[size]["m/registry.json"])
        before = place.files()
        verbs = (
            ["publish", *words],
            ["publish", *words, "--take-over"],
            ["rollback"],
            ["rebuild"],
            ["list"],
            ["verify"],
        )
        assert [run(*verb).status for verb in verbs * 2] == [3] * len(verbs) * 2
        assert place.files() == before


def test_counters_move_backwards_after_a_cut(place: Place) -> None:
    """A journal that was cut while a process has it open: the process notices, and adds nothing to it."""
    history = fill(place, 4)
    registry = place.open(runtime=False)
    registry.catalog()
    for name in ("m/journal.jsonl", "m/journal.head", "m/registry.json"):
        (place.root / name).write_bytes(history[3][name])
    before = place.files()

    assert isinstance(outcome_of(registry.catalog), JournalDamagedError)
    assert isinstance(outcome_of(lambda: place.publish("next", registry=registry)), JournalDamagedError)
    assert place.files() == before


@pytest.mark.parametrize("number", [1, 2, 3])
def test_shell_line_checks_an_entry(place: Place, number: int) -> None:
    """The line that FORMAT.md gives for `sed` and `sha256sum` computes the hash that is stored."""
    fill(place, 3)
    command = (
        f"sed -n {number}p journal.jsonl"
        """ | sed -E 's/,"hash":"[0-9a-f]{64}"\\}$//' | tr -d '\\n' | sha256sum"""
    )

    found = subprocess.run(command, shell=True, cwd=place.registry_dir, capture_output=True, text=True, check=True)

    assert found.stdout.split()[0] == chain.hash_of(place.lines()[number - 1][:-1])


READ_AS_NOBODY = """
import os, sys
from eventlog.errors import RefusedError
from projections import open_registry
from eventlog.engines import jsonl
registry_dir, state_dir, artifact = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
registry = open_registry(registry_dir, state_dir)
assert len(registry.list_models()) == 2, registry.list_models()
try:
    registry.publish_model(artifact, backend="b")
except RefusedError as error:
    print(error)
else:
    sys.exit("published")
"""


def test_reading_needs_no_right_to_write(place: Place) -> None:
    """A user who may only read is shown everything; an attempt to publish is refused and changes nothing."""
    fill(place, 3)
    before = place.files()
    paths = [place.root, *place.root.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    arguments = [str(place.registry_dir), str(place.state_dir), str(place.root / "a1")]

    found = subprocess.run(
        [sys.executable, "-c", READ_AS_NOBODY, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert (found.returncode, found.stderr) == (0, "")
    assert "permission denied" in found.stdout
    assert place.files() == before
