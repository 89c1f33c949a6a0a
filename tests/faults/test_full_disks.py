"""
Disks that are full, of bytes or of names: before a command or in the middle of it, for both directories or for one.

Nothing is lost, reading works, and once there is room again so does the next publish.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from fault_promises import check, check_tidy
from fault_scenarios import build
from real_command import Program
from small_disk import SmallDisk, small_disk
from support import LONG, Place, fill, outcome_of

from eventlog.errors import ProjectionLagError, RefusedError
from projections import RuntimeStateManager, verify_registry

pytestmark = pytest.mark.usefixtures("as_root")
PAGE_BYTES = 4_096
ROOM_MAX = 16
ALL = ("first publish", "publish", "rollback", "torn tail", "unacknowledged entry", "torn head")
NAMES = ALL if LONG else ("first publish", "torn tail", "torn head")
PADDINGS = range(0, 2_400, 30) if LONG else (0, 700, 1_900)
REFUSALS = 5

Tally = Callable[[str, int], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path.resolve() / "disk") as mounted:
        yield mounted


@pytest.mark.parametrize("of", ["bytes", "names"])
@pytest.mark.parametrize("name", NAMES)
def test_little_room(name: str, of: str, program: Program, disk: SmallDisk, tally: Tally) -> None:
    """With any number of pages or inodes left, a command keeps its word; that covers quarantine and the first files."""
    place = Place(disk.root)
    scenario = build(place)[name]
    place.artifact("next")
    met: list[int] = []

    while 0 not in met and len(met) < ROOM_MAX:
        scenario.put(place)
        room = len(met)
        disk.leave_bytes(room * PAGE_BYTES) if of == "bytes" else disk.leave_names(room)
        outcome = program.run(place, scenario.words)
        met.append(outcome.status)
        found = place.files()
        assert program.run(place, ["list"]).status == 0, f"{room} left, {outcome}: cannot be listed"
        assert place.files() == found, "reading has changed something"
        disk.make_room()
        check_tidy(place)
        check(place, scenario, outcome)

    tally("commands on a disk that is full or nearly so", len(met))
    assert 0 in met, f"never enough room: {met}"
    assert met[0] in (2, 5), f"there always was enough room: {met}"


@dataclass
class Asked:
    """What was asked of a registry, by what came of it."""

    recorded: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@pytest.mark.parametrize("padding", PADDINGS)
def test_a_disk_that_fills_up(padding: int, program: Program, disk: SmallDisk, tally: Tally) -> None:
    """Publishing goes on until it is refused; then all is there and can be read, and with room it goes on again."""
    place, asked = Place(disk.root), Asked()
    artifact = str(place.artifact())
    disk.leave_bytes(9 * PAGE_BYTES)

    while len(asked.refused) < REFUSALS:
        request_id = f"request-{len(asked.recorded)}-{len(asked.refused)}"
        metadata = {"text": "x" * padding}
        error = outcome_of(partial(place.publish, request_id=request_id, dataset_metadata=metadata))
        assert error is None or isinstance(error, (RefusedError, ProjectionLagError)), f"{error!r}"
        (asked.refused if isinstance(error, RefusedError) else asked.recorded).append(request_id)
    full = place.files()
    check_full(place, program, asked)
    publish = ["publish", "--artifact", artifact, "--backend", "b", "--id"]
    refused = program.run(place, [*publish, "refused", "--metadata", "text=" + "x" * (2 * PAGE_BYTES)])
    assert (refused.status, refused.out) == (2, ""), refused
    assert place.files() == full
    disk.make_room()
    assert program.run(place, [*publish, "last"]).status == 0

    tally("publishes until a disk was full", len(asked.recorded))
    assert place.ids()[1:] == [*asked.recorded, "last"]
    assert verify_registry(place.registry_dir, place.state_dir).findings == []
    assert len(asked.recorded) >= 5


def check_full(place: Place, program: Program, asked: Asked) -> None:
    """Everything that was recorded can be read, and nothing else; at most the derived files are behind."""
    assert place.ids()[1:] == asked.recorded
    listed = program.run(place, ["list", "--output", "json"])
    active = program.run(place, ["active", "--output", "json"])
    newest = json.loads(listed.out)[0]["model_id"]
    shown = program.run(place, ["show", newest, "--output", "json"])
    verified = program.run(place, ["verify", "--output", "json"])
    assert (listed.status, active.status, shown.status) == (0, 0, 0), (listed, active, shown)
    assert len(json.loads(listed.out)) == len(asked.recorded)
    assert [json.loads(answer.out)["model_id"] for answer in (active, shown)] == [newest, newest]
    assert verified.status in (0, 5), verified
    assert json.loads(verified.out)["verdict"] == "intact"


@pytest.mark.parametrize("room", range(4))
def test_only_the_runtime_s_disk_is_full(room: int, program: Program, place: Place, tally: Tally) -> None:
    """The model is recorded and printed, with status 5; the runtime keeps its old state, and a rebuild mends it."""
    with small_disk(place.state_dir) as disk:
        own = {"text": "x" * (4 * PAGE_BYTES)}
        RuntimeStateManager(place.state_dir).record_checkpoint(entrypoint="e", mode="m", config_path="c", metadata=own)
        fill(place, 2)
        before = place.state_json.read_bytes()
        disk.leave_bytes(room * PAGE_BYTES)

        words = ["publish", "--artifact", str(place.artifact()), "--backend", "b", "--id", "wanted"]
        outcomes = [program.run(place, words) for _ in range(2)]
        rebuilt = program.run(place, ["rebuild"])

        assert [outcome.status for outcome in (*outcomes, rebuilt)] == [5, 5, 5]
        assert json.loads(outcomes[0].out) == json.loads(outcomes[1].out) != {}
        assert place.state_json.read_bytes() == before
        assert program.run(place, ["verify"]).status == 5
        disk.make_room()
        assert program.run(place, ["rebuild"]).status == 0
        assert place.ids().count("wanted") == 1
        assert verify_registry(place.registry_dir, place.state_dir).findings == []
        assert json.loads(place.state_json.read_bytes())["metadata"]["text"] == own["text"]
        tally("commands on a disk that is full or nearly so", 3)
