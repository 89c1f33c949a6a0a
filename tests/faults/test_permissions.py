"""Somebody without privileges reads what belongs to others, and is refused where he may not write: nothing changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_promises import check
from fault_scenarios import HEAD, JOURNAL, NAMES, REGISTRY_JSON, STATE_JSON, build
from real_command import AS_NOBODY, NOBODY, Program
from support import LONG, Place

pytestmark = pytest.mark.usefixtures("as_root")
TARGETS = ("m", JOURNAL, HEAD, REGISTRY_JSON, "s", STATE_JSON)

SCENARIOS = [name for name in NAMES if name != "first publish"] if LONG else ("publish", "torn tail", "rebuild")

Tally = Callable[[str, int], None]


@pytest.fixture
def open_place(fast_place: Place) -> Place:
    """A place that everybody may enter."""
    fast_place.root.chmod(0o755)
    return fast_place


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_registry_of_somebody_else(name: str, program: Program, open_place: Place, tally: Tally) -> None:
    """He reads what its owner reads, and can change nothing; then its owner goes on."""
    place, scenario = open_place, build(open_place)[name]
    scenario.put(place)
    newest = place.open().list_models()[0].model_id
    questions = [["list", "--output", "json"], ["active"], ["show", newest], ["verify", "--output", "json"]]

    answers = [program.run(place, words, first=AS_NOBODY) for words in questions]
    outcome = program.run(place, scenario.words, first=AS_NOBODY)

    assert place.files() == scenario.start
    assert answers == [program.run(place, words) for words in questions]
    assert [answer.status for answer in answers] in ([0, 0, 0, 0], [0, 0, 0, 5]), answers
    if scenario.kind != "reads":
        assert outcome.status == {"changes": 2, "derives": 5}[scenario.kind]
        check(place, scenario, outcome)
    tally("commands without privileges", 5)


@pytest.mark.parametrize("may", ["read", "do nothing"])
@pytest.mark.parametrize("target", TARGETS)
def test_one_thing_that_belongs_to_root(
    target: str, may: str, program: Program, open_place: Place, tally: Tally
) -> None:
    """A registry of his own in which one file or directory is somebody else's: the status says what is true."""
    place, scenario = open_place, build(open_place)["publish"]
    scenario.put(place)
    give_away(place, NOBODY)
    path = place.root / target
    os.chown(path, 0, 0)
    path.chmod((0o755 if path.is_dir() else 0o644) if may == "read" else 0o700)

    outcome = program.run(place, scenario.words, first=AS_NOBODY)
    listed = program.run(place, ["list"], first=AS_NOBODY)

    assert listed.status == (0 if may == "read" else 2), listed
    give_away(place, 0)
    check(place, scenario, outcome)
    tally("commands without privileges", 2)


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_nowhere_to_create_a_registry(mode: int, program: Program, open_place: Place, tally: Tally) -> None:
    """Where he may not create directories the first publish is refused and leaves nothing."""
    place, scenario = open_place, build(open_place)["first publish"]
    scenario.put(place)
    place.root.chmod(mode)

    outcome = program.run(place, scenario.words, first=AS_NOBODY)

    assert (outcome.status, outcome.out) == (2, "")
    assert place.files() == {}
    check(place, scenario, outcome)
    tally("commands without privileges", 1)


def give_away(place: Place, user: int) -> None:
    """Let everything in the registry and the runtime belong to *user*, who alone may read it."""
    tops = (place.registry_dir, place.state_dir)
    paths: list[Path] = [path for top in tops for path in (top, *top.rglob("*"))]
    for path in paths:
        os.chown(path, user, user)
        path.chmod(0o700 if path.is_dir() else 0o600)
