"""The metrics file of several who write it: always whole, and never older than what any of them knew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from projections.projector import Projector

WRITER = """
import sys
from projections import open_registry
registry = open_registry("models", "runtime", metrics_file="x.prom")
for number in range(int(sys.argv[1])):
    registry.publish_model(sys.argv[2], backend=f"{sys.argv[3]}-{number}")
"""
WRITERS = 4
PUBLISHES = 15


def _spawn(place, *words: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen([sys.executable, "-c", WRITER, *words], cwd=place.root, env=environment)


def test_the_second_who_writes_knows_what_the_first_knew(exposed, place):
    """A publisher that comes late, because others overtook it, does not put an older state in the place of a newer."""
    path = place.root / "x.prom"
    late = place.open(metrics_file=path)
    late.publish_model(place.artifact(), backend="a")
    model = place.open(metrics_file=path).publish_model(place.artifact(), backend="b")

    late._subscribers[1].catch_up()

    found = exposed(path.read_bytes())
    assert found["modelog_active_model_info"][0][0]["model_id"] == model.model_id
    assert found["modelog_journal_entries"][0][1] == 3


@pytest.mark.parametrize("call", ["sync", "rebuild"])
def test_answers_are_about_what_was_written(place, monkeypatch, call):
    """What others record while the metrics are written is no part of the answer: the derived files lack it."""
    registry = place.open(metrics_file=place.root / "x.prom")
    registry.publish_model(place.artifact(), backend="a")
    lags = Projector.lags

    def overtaken(projector):
        monkeypatch.undo()
        place.publish("b")
        return lags(projector)

    monkeypatch.setattr(Projector, "lags", overtaken)
    answer = getattr(registry, call)()

    assert (answer[0] if call == "sync" else answer) == 2
    assert registry._replay.catalog.size == 3


def test_it_is_whole_whenever_it_is_read(exposed, place):
    """While four processes publish, and more of them are killed; in the end it says what the journal says."""
    path = place.root / "x.prom"
    place.open(metrics_file=path).publish_model(place.artifact(), backend="first")
    artifact = str(place.artifact())
    writers = [_spawn(place, str(PUBLISHES), artifact, f"w{number}") for number in range(WRITERS)]
    doomed = [_spawn(place, "1000", artifact, "doomed")]
    reads, entries = 0, 0.0
    while any(writer.poll() is None for writer in writers):
        found = exposed(path.read_bytes())
        assert found["modelog_journal_entries"][0][1] >= entries, "it went back"
        entries, reads = found["modelog_journal_entries"][0][1], reads + 1
        if entries > 10 * len(doomed):
            doomed[-1].kill()
            doomed.append(_spawn(place, "1000", artifact, f"doomed-{len(doomed)}"))
    for process in doomed:
        process.kill()
        process.wait()

    assert [writer.returncode for writer in writers] == [0] * WRITERS
    assert len(doomed) > 3
    assert reads > PUBLISHES
    place.open(metrics_file=path).rebuild()
    assert exposed(path.read_bytes())["modelog_journal_entries"][0][1] == place.open().catalog().size
    assert not (place.root / ".x.prom.new").exists()
