"""
Whoever does what the messages say gets there: for each damage and each pair of them, with and without a backup.

A person is played here who publishes, is refused, runs what the message names, and goes on so. A rewind is only
accepted when nothing else is left to try.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from damages import JOURNAL, damages, one_or_two, remembered
from support import LONG, Place, fast_place, fill, outcome_of

from eventlog.engines import jsonl_reader
from eventlog.errors import JournalDamagedError, ModelogError, RefusedError, UnsupportedFormatError
from projections import backup_registry, repair_registry, restore_registry, verify_registry

SIZE = 8
SHARE = 1.0 if LONG else 0.3
SEED = int(os.environ.get("MODELOG_TEST_SEED", "1"))
ADVICE = {
    "restore": "restore",
    "--discard-tail": "discard-tail",
    "--rebuild-head": "rebuild-head",
    "--from": "from-copy",
    "run rebuild": "rebuild",
    "--accept-rewind": "accept-rewind",
    "--accept-rewind --from": "accept-rewind with the backup",
}
NOTHING_LEFT = ("expected at least a first entry", "there is no journal here, restore it from a copy", "got no entries")
Tally = Callable[[str, int], None]


@pytest.fixture(params=[None, 3, SIZE], ids=["no backup", "an old backup", "a new backup"])
def scene(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A registry of some events, and a backup of the first few of them, of all, or none."""
    monkeypatch.setattr(jsonl_reader, "_HEAD_PAUSE_SECONDS", 0)
    with fast_place() as place:
        history = fill(place, SIZE)
        size, backup = request.param, None
        if size is not None:
            place.put(history[size])
            backup = place.root / "backup"
            backup_registry(backup, place.registry_dir)
        yield Scene(place, history, size, backup)


@dataclass
class Scene:
    """A place to break, its history as of `support.fill`, and a backup of the first *size* entries, or none."""

    place: Place
    history: list[dict[str, bytes]]
    size: int | None
    backup: Path | None


@dataclass
class Person:
    """Publishes, and follows the advice of the messages until it works or no advice is left."""

    scene: Scene
    trail: list[str] = field(default_factory=list)
    todo: list[str] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)

    def gets_there(self) -> bool:
        for finding in self.verify().findings:
            self._listen(finding.what)
        while not self._done("publish", lambda: self.scene.place.publish("new", request_id="new")):
            while True:
                untried = [action for action in self.todo if action not in self.tried and self._can(action)]
                if not untried:
                    return False
                action = min(untried, key=lambda action: action.startswith("accept-rewind"))
                self.tried.add(action)
                if self._done(action, lambda: self._take(action)):  # noqa: B023 - called at once
                    self.tried = {action}  # the world is another one now
                    break
        return True

    def verify(self) -> Any:
        return verify_registry(self.scene.place.registry_dir, self.scene.place.state_dir)

    def _can(self, action: str) -> bool:
        return self.scene.backup is not None or action not in ("restore", "from-copy", "accept-rewind with the backup")

    def _take(self, action: str) -> Any:
        place, backup = self.scene.place, self.scene.backup
        if action == "rebuild":
            return place.open().rebuild()
        if action == "restore":
            return restore_registry(str(backup), place.registry_dir, place.state_dir, lock_timeout_seconds=5.0)
        return repair_registry(
            action.removesuffix(" with the backup"),  # type: ignore[arg-type]
            place.registry_dir,
            place.state_dir,
            copy=None if action == "accept-rewind" else backup,
            reason="as the message said",
            lock_timeout_seconds=5.0,
        )

    def _done(self, what: str, act: Callable[[], Any]) -> bool:
        """Do it and listen; a refusal has changed nothing, and neither has what finds nothing to do."""
        before = self.scene.place.files()
        reports: list[Any] = []
        error = outcome_of(lambda: reports.append(act()))
        if error is not None:
            assert isinstance(error, ModelogError), (what, error)
            self.trail.append(f"{what}: {error}")
            self._listen(str(error))
            if isinstance(error, RefusedError | JournalDamagedError | UnsupportedFormatError):
                assert self.scene.place.files() == before, (what, error)
            return False
        done = bool(getattr(reports[0], "done", True))
        self.trail.append(f"{what}: {'done' if done else 'nothing to do'}")
        assert done or self.scene.place.files() == before, what
        return done

    def _listen(self, message: str) -> None:
        self.todo += [action for words, action in ADVICE.items() if words in message and action not in self.todo]


def test_following_the_advice(scene: Scene, tally: Tally) -> None:
    """It ends in a registry that is intact and has all that any witness remembers, unless a rewind was accepted."""
    place, ways = scene.place, damages(scene.history)
    ends = {"whole": 0, "rewound": 0, "nothing left": 0}

    for names in one_or_two(list(ways), SHARE, SEED):
        files = dict(scene.history[-1])
        for name in names:
            ways[name](files)
        known = remembered(files, scene.history)
        if known == 0:
            continue  # nothing is left that could know of a history
        place.put(files)
        person = Person(scene)
        if not person.gets_there():
            assert scene.backup is None, (names, person.trail)
            assert any(words in person.trail[-1] for words in NOTHING_LEFT), (names, person.trail)
            ends["nothing left"] += 1
            continue
        journal = place.journal.read_bytes()
        rewound = b'"journal.rewound.v1"' in journal[len(scene.history[3][JOURNAL]) :]
        assert rewound or journal.startswith(scene.history[known][JOURNAL]), (names, person.trail)
        report = person.verify()
        assert (report.verdict, report.findings) == ("intact", []), (names, person.trail)
        ends["rewound" if rewound else "whole"] += 1

    tally("damaged registries that were brought back by doing what the messages said", sum(ends.values()))
    assert ends["whole"] > 0
    assert ends["rewound"] == 0 or scene.size != SIZE, "with a backup of everything nothing has to be given up"
