"""
What a registry keeps, against a model in plain Python that is written from the README: nothing else is there after gc.

Files and directories share contents, models share bytes, some are published by reference; models are retired, held and
taken back, the floor and the clock move, the sources are overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import machine_runs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from machine_runs import CountingMachine
from support import LONG, START, Place, Randomness, fast_place, outcome_of

from eventlog.errors import RefusedError
from eventlog.model import ModelMetadata
from projections import ModelRegistry, verify_registry

RUNS, SHARDS = (100, 8) if LONG else (12, 2)
CONTENTS = st.sampled_from([b"a", b"b", b"c", b"d"])
DIRECTORIES = st.dictionaries(st.sampled_from(["x", "y/z", "w"]), CONTENTS, min_size=1)
CHOICE = st.integers(0, 99)


@dataclass
class Known:
    """A model, as whoever published it knows it: also the hashes of all that a copy of it is made of."""

    model: ModelMetadata
    parts: frozenset[str]
    used_until: datetime
    copied: bool
    retired: bool = False
    held: bool = False


class RetentionMachine(CountingMachine):
    """A registry, what was published there, and which of it is kept."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.place: Place = self._stack.enter_context(fast_place())
        self.time = START
        self.randomness = Randomness()
        self.known: list[Known] = []
        self.activations: list[Known] = []
        self.kept: set[str] = set()
        self.floor = {"keep_last": 0, "keep_days": 0}
        self.registry = self.open()

    def teardown(self) -> None:
        self._stack.close()

    def open(self) -> ModelRegistry:
        return self.place.open(now=lambda: self.time, random_bytes=self.randomness)

    def activate(self, known: Known) -> None:
        if self.activations:
            self.activations[-1].used_until = self.time
        self.activations.append(known)

    def why_needed(self, known: Known) -> str | None:
        """Return what README says of why a model's copy is not removed."""
        last = list(dict.fromkeys(id(one) for one in reversed(self.activations)))
        before = [one for one, after in zip(self.activations, self.activations[1:], strict=False)]
        if id(known) == last[0]:
            return "active"
        if before and known is before[-1]:
            return "previous"
        if known.held or not known.retired:
            return "held, or not retired"
        if id(known) in last[: self.floor["keep_last"]]:
            return "one of the last"
        return "used" if self.time - known.used_until < timedelta(days=self.floor["keep_days"]) else None

    def needed(self) -> set[str]:
        """Return the hashes of all that must be kept; of one that was removed before it was held nothing is."""
        found: set[str] = set()
        for known in self.known:
            if known.model.sha256 in self.kept and self.why_needed(known):
                found |= known.parts
        return found

    def publish(self, source: Any, parts: set[str], *, copy: bool) -> None:
        model = self.registry.publish_model(source, backend="b", actor="t", copy=copy)
        known = Known(model, frozenset({*parts, model.sha256}), self.time, copy)
        self.known.append(known)
        self.activate(known)
        if copy:
            self.kept |= known.parts
        elif len(parts) > 1 or model.sha256 not in parts:
            self.kept.add(model.sha256)  # the manifest, which tells the differences
        self.count("publish")

    @rule(data=CONTENTS, copy=st.booleans())
    def publish_file(self, data: bytes, copy: bool) -> None:
        """A file; what stood at its path before is gone."""
        self.publish(self.place.artifact("file", data), {_hash(data)}, copy=copy)

    @rule(files=DIRECTORIES, copy=st.booleans())
    def publish_directory(self, files: dict[str, bytes], copy: bool) -> None:
        """A directory, whose files others may have, too."""
        source = self.place.root / f"directory-{len(self.known)}"
        for name, data in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        self.publish(source, {_hash(data) for data in files.values()} | {"a directory"}, copy=copy)

    @rule(choice=CHOICE, how=st.sampled_from(["retire", "reinstate", "hold", "release"]))
    @precondition(lambda self: self.known)
    def mark(self, choice: int, how: str) -> None:
        """The active model cannot be retired, and what was never said cannot be taken back."""
        known = self.known[choice % len(self.known)]
        error = outcome_of(lambda: getattr(self.registry, how)(known.model.model_id, reason="r", actor="t"))
        if how == "retire" and known is self.activations[-1]:
            assert isinstance(error, RefusedError)
            return
        name, value = {"retire": ("retired", True), "reinstate": ("retired", False)}.get(how, ("held", how == "hold"))
        assert error is None or (isinstance(error, RefusedError) and not value and not getattr(known, name))
        setattr(known, name, value)
        self.count(how)

    @rule(step=st.integers(1, 2))
    @precondition(lambda self: self.known)
    def retire_many(self, step: int) -> None:
        """All but the active one, or every other one."""
        for known in self.known[::step]:
            if known is not self.activations[-1]:
                self.registry.retire(known.model.model_id, reason="r", actor="t")
                known.retired = True
                self.count("retire")

    @rule(choice=CHOICE)
    @precondition(lambda self: self.known)
    def roll_back(self, choice: int) -> None:
        """To a copy that is kept it works, unless the model is retired; nothing else is asked of it."""
        known = self.known[choice % len(self.known)]
        if not known.copied:
            return
        error = outcome_of(lambda: self.registry.rollback(known.model.model_id, actor="t"))
        if known.retired or not known.parts - {"a directory"} <= self.kept:
            assert isinstance(error, RefusedError)
            return
        assert error is None
        if known is not self.activations[-1]:
            self.activate(known)
        self.count("rollback to a copy")

    @rule(last=st.integers(0, 4), days=st.integers(0, 2))
    @precondition(lambda self: self.known)
    def move_the_floor(self, last: int, days: int) -> None:
        """What the settings keep."""
        self.floor = {"keep_last": last, "keep_days": days}
        self.registry.change_settings(**self.floor, actor="t")

    @rule(hours=st.integers(1, 40))
    def pass_some_time(self, hours: int) -> None:
        """So that something may be old enough."""
        self.time += timedelta(hours=hours)

    @rule(fresh=st.booleans(), dry_run=st.booleans())
    @precondition(lambda self: self.known)
    def collect(self, fresh: bool, dry_run: bool) -> None:
        """What is not needed goes, and nothing else; each that went is told of, also by the history."""
        registry = self.open() if fresh else self.registry
        before, size = self.place.files(), registry.catalog().size
        if any(known.copied and not known.retired and known.model.sha256 not in self.kept for known in self.known):
            assert isinstance(outcome_of(lambda: registry.gc(dry_run=dry_run)), RefusedError)
            self.count("what is needed is missing")
            return
        found = registry.gc(dry_run=dry_run, unnamed=True, actor="t")
        told = [removal.sha256 for removal in found.removed]
        if dry_run:
            assert {name: data for name, data in self.place.files().items() if "checked" not in name} == {
                name: data for name, data in before.items() if "checked" not in name
            }
        else:
            gone = {digest for digest in self.kept - self.needed() if digest not in self.manifests_elsewhere()}
            assert set(told) <= gone
            self.kept -= gone
            events = [change.event for change in registry.history() if change.position >= size]
            assert {event.type for event in events} <= {"artifact.removed.v1", "journal.snapshot_taken.v1"}
            self.count("artifacts removed" if told else "nothing to remove")
        assert {known.model.model_id for known in self.known if known.retired and self.why_needed(known)} >= {
            model_id for model_id, why in found.kept.items() if not why.startswith("its bytes are those of")
        }

    def manifests_elsewhere(self) -> set[str]:
        """Return the manifests of directories of which no copy was ever made."""
        references = {known.model.sha256 for known in self.known if "a directory" in known.parts and not known.copied}
        return references - {known.model.sha256 for known in self.known if known.copied}

    @invariant()
    def just_that_is_kept(self) -> None:
        """File by file."""
        self.count("step")
        assert set(self.place.kept()) == self.kept - {"a directory"}
        trees = (self.place.registry_dir / "artifacts" / "trees").glob(f"*/{64 * '?'}")
        assert {path.name for path in trees} <= self.kept

    @invariant()
    def copies_that_are_needed_are_whole(self) -> None:
        """The audit misses nothing but what is removed on record, or was published by reference and overwritten."""
        if not self.known:
            return
        report = verify_registry(self.place.registry_dir, self.place.state_dir, artifacts=True)
        lost = {one.model.model_id for one in self.known if not one.retired and one.model.sha256 not in self.kept}
        references = {known.model.model_id for known in self.known if not known.copied}
        told = [finding.what for finding in report.findings]
        wrong = [what for what in told if not any(f": {model_id}: " in what for model_id in references | lost)]
        assert wrong == []


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.mark.usefixtures("quietly")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_is_kept_is_what_is_needed(shard: int, tally: Callable[[str, int], None]) -> None:
    """Whatever is published, retired, held and removed."""
    tried = machine_runs.run(RetentionMachine, shard, RUNS)

    minimum = {"step": 200, "publish": 50, "retire": 10, "hold": 1, "artifacts removed": 1, "rollback to a copy": 1}
    machine_runs.noted(tried, minimum, tally, "what is kept against its model")
