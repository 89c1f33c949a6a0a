"""File systems that are read-only, before a command and while others run; files and directories that chattr guards."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from fault_promises import check
from fault_scenarios import HEAD, JOURNAL, REGISTRY_JSON, STATE_JSON, build
from real_command import Program
from small_disk import SmallDisk, small_disk
from support import LONG, Place, outcome_of

from eventlog.errors import OutcomeUnknownError, ProjectionLagError, RefusedError
from projections import verify_registry

pytestmark = pytest.mark.usefixtures("as_root")
SCENARIOS = ("first publish", "publish", "rollback", "torn tail", "unacknowledged entry", "torn head")
TOGGLES = 1_000 if LONG else 40
TOGGLES_SECONDS_MAX = 120
LARGE_BYTES = 64 << 20

Tally = Callable[[str, int], None]


@pytest.mark.parametrize("name", SCENARIOS)
def test_read_only_before(name: str, program: Program, tmp_path: Path, tally: Tally) -> None:
    """Writing is refused and changes nothing, not even what the tail rule would mend; reading works as ever."""
    with small_disk(tmp_path.resolve() / "disk") as disk:
        place = Place(disk.root)
        scenario = build(place)[name]
        scenario.put(place)
        questions = [["list"], ["active"], ["verify"]] if scenario.start else [["list"]]
        answers = [program.run(place, words) for words in questions]
        disk.make_read_only()

        outcome = program.run(place, scenario.words)

        assert (outcome.status, outcome.out) == (2, ""), outcome
        assert place.files() == scenario.start
        assert [program.run(place, words) for words in questions] == answers
        assert [answer.status for answer in answers] in ([0], [0, 0, 0], [0, 0, 5]), answers
        disk.make_writable()
        check(place, scenario, outcome)
    tally("commands on a read-only disk", 1 + len(questions))


def test_read_only_meanwhile(tmp_path: Path, tally: Tally) -> None:
    """A disk that turns read-only in the middle of a publish, over and over: what was said of each publish is true."""
    with small_disk(tmp_path.resolve() / "disk", size_bytes=LARGE_BYTES) as disk:
        place, log, stop = Place(disk.root), tmp_path / "log", tmp_path / "stop"
        place.publish(request_id="before")
        child = os.fork()
        if child == 0:
            _publish_until(stop, place, log)
        toggled = _toggle(disk)
        stop.touch()
        assert os.waitpid(child, 0)[1] == 0, "the publisher failed"

        said = [line.split() for line in log.read_text().splitlines()]
        ids = place.ids()
        recorded = [request_id for request_id, what in said if what in ("done", "lags")]
        refused = {request_id for request_id, what in said if what == "refused"}
        unknown = {request_id for request_id, what in said if what == "unknown"}
        assert ids[1] == "before"
        assert [request_id for request_id in ids[2:] if request_id not in unknown] == recorded
        assert not refused.intersection(ids)
        place.publish(request_id="after")
        assert verify_registry(place.registry_dir, place.state_dir).findings == []
    tally("times a disk turned read-only under a publisher", toggled)
    tally("publishes while that happened", len(said))
    assert (toggled, len(recorded) > 0, len(refused) > 0) == (TOGGLES, True, True), f"{len(recorded)} recorded"


def _publish_until(stop: Path, place: Place, log: Path) -> None:
    """Publish again and again and note what came of it; ends this process."""
    names = {type(None): "done", ProjectionLagError: "lags", OutcomeUnknownError: "unknown"}
    status = 1
    try:
        with log.open("a") as notes:
            number = 0
            while not stop.exists():
                number += 1
                request_id = f"request-{number}"
                error = outcome_of(partial(place.publish, request_id=request_id))
                what = "refused" if isinstance(error, RefusedError) else names[type(error)]
                notes.write(f"{request_id} {what}\n")
        status = 0
    finally:
        os._exit(status)


def _toggle(disk: SmallDisk) -> int:
    """Make the disk read-only and writable in turns; return how often. Between files being written it can be done."""
    toggled, deadline = 0, time.monotonic() + TOGGLES_SECONDS_MAX
    while toggled < TOGGLES and time.monotonic() < deadline:
        try:
            disk.make_read_only()
        except subprocess.CalledProcessError:
            continue
        time.sleep(0.003)
        disk.make_writable()
        toggled += 1
    return toggled


REFUSED, LAGS = 2, 5
GUARDED = {JOURNAL: REFUSED, HEAD: REFUSED, "m": LAGS, REGISTRY_JSON: LAGS, "s": LAGS, STATE_JSON: LAGS}


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("name", ["publish", "rollback", "torn tail", "unacknowledged entry"] if LONG else ["publish"])
def test_chattr(name: str, path: str, flag: str, program: Program, place: Place, tally: Tally) -> None:
    """A file or directory that is immutable or append-only: refused, or recorded while a derived file lags."""
    scenario = build(place)[name]
    scenario.put(place)

    with guarded(place.root / path, flag):
        outcome = program.run(place, scenario.words)
        listed = program.run(place, ["list"])

    check(place, scenario, outcome)
    assert listed.status == 0
    if name in ("publish", "rollback"):
        assert outcome.status == GUARDED[path]
    tally("commands on files that chattr guards", 2)


@contextmanager
def guarded(path: Path, flag: str) -> Iterator[None]:
    """Set an attribute of a file meanwhile, where the file system knows it."""
    done = subprocess.run(["chattr", f"+{flag}", str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        assert not os.environ.get("CI"), f"continuous integration has files with attributes: {done.stderr}"
        pytest.skip(f"no such attribute here: {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["chattr", f"-{flag}", str(path)], check=True)
