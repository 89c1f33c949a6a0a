"""
The whole registry against plain Python: requests, retries, lost files, a runtime's own keys, kills, clocks, any order.

After each step its answers, `registry.json` and `state.json` are the model's, rebuilding gives the same bytes, and
`verify` says intact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import machine_runs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from process_faults import Kill
from registry_machine import ARTIFACTS, RegistryMachineBase
from registry_model import Publish, Request, Rollback, iso
from support import LONG, outcome_of

from eventlog.errors import RefusedError
from projections import RuntimeStateManager

SHARDS = 16 if LONG else 2
RUNS = 120 if LONG else 35

WHICH = st.integers(0, 1)
NAME = st.sampled_from(sorted(ARTIFACTS))
BACKEND = st.sampled_from(["onnx", "héron", "a b"])
REASON = st.none() | st.sampled_from(["", "because", "line\nend"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 2**64 - 1, "", "text", "\x00é\u2028"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
METADATA = st.dictionaries(st.sampled_from(["rows", "lags", "é"]), VALUE, max_size=2)
EXPECT = st.sampled_from(["any"] * 6 + ["right", "wrong", "none", "malformed"])
KILL_UNITS_MAX = 6_000


class RegistryMachine(RegistryMachineBase):
    """
    What people, trainers, runtimes and misfortune do to a registry.

    Attributes:
        asked: every request that was made, by id; also those whose outcome nobody was told.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Request] = {}

    def ask(self, which: int, request: Request, **how: Any) -> None:
        if not how.get("dry_run"):
            self.asked.setdefault(request.id, request)
        self.request(which, request, **how)

    def new_id(self) -> str:
        return f"request {len(self.asked)}"

    def expected(self, choice: str) -> str | None:
        active = self.model.active()
        wrong = next((known for known in self.model.models() if known != active), "20000101000000_00000000")
        return {"any": None, "right": active or "none", "wrong": wrong, "none": "none"}.get(choice, "malformed")

    # Requests

    @rule(
        which=WHICH,
        name=NAME,
        backend=BACKEND,
        metadata=METADATA,
        reason=REASON,
        expect=EXPECT,
        dry_run=st.sampled_from([False, False, False, True]),
    )
    def publish(self, which: int, expect: str, dry_run: bool, **chosen: Any) -> None:
        """A new request publishes, unless it expects another active model or has no artifact; a dry run does not."""
        self.ask(which, self.a_publish(self.new_id(), self.expected(expect), **chosen), dry_run=dry_run)
        self.count("publish")

    @rule(which=WHICH, to=st.none() | st.integers(0, 20), reason=REASON, expect=EXPECT, dry_run=st.booleans())
    def rollback(self, which: int, to: int | None, reason: str | None, expect: str, dry_run: bool) -> None:
        """To the model before, or to any that is named."""
        known = list(self.model.models())
        model_id = known[to % len(known)] if to is not None and known else None
        self.ask(which, Rollback(self.new_id(), model_id, reason, self.expected(expect)), dry_run=dry_run)
        self.count("rollback")

    @rule(which=WHICH, to=st.sampled_from(["20000101000000_00000000", "nonsense", "20000101000000_0000000g"]))
    def rollback_to_nothing(self, which: int, to: str) -> None:
        """What was never published cannot be gone back to."""
        self.ask(which, Rollback(self.new_id(), to))

    @rule(which=WHICH, number=st.integers(0, 50))
    @precondition(lambda self: self.asked)
    def ask_again(self, which: int, number: int) -> None:
        """A request that is made again is recorded once, whatever became of it the first time."""
        request = list(self.asked.values())[number % len(self.asked)]
        self.request(which, request)
        self.count("retry with the same id")

    @rule(
        which=WHICH,
        number=st.integers(0, 50),
        field=st.sampled_from(["path", "backend", "metadata", "reason", "kind"]),
        metadata=METADATA,
    )
    @precondition(lambda self: self.asked)
    def ask_for_something_else(self, which: int, number: int, field: str, metadata: Any) -> None:
        """Another request under a settled id is refused; under an id that settled nothing it is as any other."""
        request = list(self.asked.values())[number % len(self.asked)]
        other: dict[str, Any] = {"backend": "another", "metadata": metadata, "reason": "another"}
        other["path"] = str(self.place.root / "b")
        if field == "kind" or (isinstance(request, Rollback) and field != "reason"):
            self.request(which, Rollback(request.id, next(iter(self.model.models()), None)))
        else:
            self.request(which, replace(request, **{field: other[field]}))
        self.count("id of another request")

    @rule(which=WHICH, number=st.integers(0, 20), content=st.sampled_from([None, b"altered"]))
    @precondition(lambda self: self.model.facts and self.model.active())
    def roll_back_to_what_is_not_there(self, which: int, number: int, content: bytes | None) -> None:
        """Without its artifact, or with other bytes in its place, no model becomes active again."""
        models = list(self.model.models().values())
        model = models[number % len(models)]
        name = Path(model["artifact_path"]).name
        before = self.contents[model["artifact_path"]]
        self.put_artifact(name, content)
        self.ask(which, Rollback(self.new_id(), model["model_id"]))
        self.put_artifact(name, before)
        self.count("artifact deleted or altered")

    @rule(which=WHICH, name=NAME, metadata=METADATA, back=st.booleans(), units=st.integers(0, KILL_UNITS_MAX))
    def kill(self, which: int, name: str, metadata: Any, back: bool, units: int) -> None:
        """A process is killed at any byte that it writes, to the journal, the head or a derived file."""
        request_id = self.new_id()
        request = Rollback(request_id) if back else self.a_publish(request_id, None, name, "b", metadata, None)
        kill = Kill(units)
        self.ask(which, request, kill=kill)
        if kill.dead:
            self.count("kill at a byte of a request")

    def a_publish(
        self, request_id: str, expect: str | None, name: str, backend: str, metadata: Any, reason: str | None
    ) -> Publish:
        return Publish(request_id, str(self.place.root / name), backend, metadata, reason, expect)

    # Files that come and go

    @rule(name=NAME, content=st.sampled_from([None, b"other", *[b"as before"] * 4]))
    def change_an_artifact(self, name: str, content: bytes | None) -> None:
        """A trainer deletes or overwrites a file, or puts it back."""
        content = ARTIFACTS[name] if content == b"as before" else content
        self.put_artifact(name, content)
        self.count("artifact deleted or altered")

    @rule(registry=st.booleans(), state=st.booleans())
    def delete_derived_files(self, registry: bool, state: bool) -> None:
        """Derived files go missing; the runtime's own keys go with its file."""
        if registry:
            self.place.registry_json.unlink(missing_ok=True)
            self.applied["registry"] = None
        if state:
            RuntimeStateManager(self.place.state_dir).clear()
            self.applied["state"] = None
            self.foreign, self.foreign_metadata = {}, {}
        self.count("derived files deleted")

    @rule(mode=st.sampled_from(["live", "paper"]), metadata=METADATA, claim=st.none() | st.integers(0, 2))
    def runtime_records(self, mode: str, metadata: dict[str, Any], claim: int | None) -> None:
        """The runtime writes its own keys; an active model of its own stands only until the registry knows better."""
        given = metadata if claim is None else {**metadata, "active_model": {"mine": claim}}
        known = self.stored_active_model()
        manager = RuntimeStateManager(self.place.state_dir, now=lambda: self.time)
        manager.record_checkpoint(entrypoint="run.py", mode=mode, config_path="c.toml", metadata=given)
        fields = {"entrypoint": "run.py", "mode": mode, "config_path": "c.toml", "created_at": iso(self.time)}
        self.foreign, self.foreign_metadata = fields, dict(given)
        if known is not None:
            self.foreign_metadata["active_model"] = known
        self.count("runtime checkpoint recorded")

    @rule(which=WHICH)
    def rebuild(self, which: int) -> None:
        """Everything derived is written anew; where there is no journal, nothing is written."""
        before = self.place.files()
        if not self.model.facts:
            assert isinstance(outcome_of(self.registries[which].rebuild), RefusedError)
            assert self.place.files() == before
            return
        kept = list(self.waiting)
        current = all(size == len(self.model.facts) for size in self.applied.values()) and not kept
        self.registries[which].rebuild()
        assert self.observe(kept, self.taken_out()) == len(kept)
        self.derived_files_are_current(runtime=self.follows[which])
        if current:
            names = ("m/registry.json", "s/state.json")
            assert [self.place.files()[name] for name in names] == [before[name] for name in names]
        self.count("rebuild")

    @rule(which=WHICH, runtime=st.sampled_from([True, True, False]))
    def reopen(self, which: int, runtime: bool) -> None:
        """Another process; perhaps one that knows no runtime, so that the runtime's file lags."""
        self.registries[which], self.follows[which] = self.open(runtime=runtime), runtime

    @rule(which=WHICH)
    def look(self, which: int) -> None:
        """A registry that stays open says what a new one says, and looking changes nothing."""
        before = self.place.files()
        registry, models = self.registries[which], self.model.models()
        active = registry.get_active_model()
        assert [known.to_dict() for known in registry.list_models()] == list(models.values())[::-1]
        assert (active.model_id if active else None) == self.model.active()
        assert registry.catalog().size == len(self.model.facts)
        assert self.place.files() == before

    @rule(torn=st.sampled_from([b"\0" * 64, b'{"specversion":"1.0","sequence":"0000', b"\0\n\0"]))
    @precondition(lambda self: self.model.facts and not self.torn and not self.waiting)
    def leave_a_torn_tail(self, torn: bytes) -> None:
        """A power cut leaves a part of an append, or blocks that were never written."""
        with self.place.journal.open("ab") as file:
            file.write(torn)
        self.torn, self.torn_offset = torn, len(self.sure)
        self.count("torn tail")

    @rule(delta=st.sampled_from([timedelta(seconds=1), timedelta(microseconds=1), timedelta(days=-1), timedelta(0)]))
    def pass_some_time(self, delta: timedelta) -> None:
        """Clocks go on, stand still, and go backwards."""
        self.time += delta
        self.count("clock set back" if delta < timedelta(0) else "clock moved")


@pytest.mark.usefixtures("quietly")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_registry_is_its_model(shard: int, tally: Callable[[str, int], None]) -> None:
    """Whatever is asked and whatever befalls the files, the registry is what its model is."""
    tried = machine_runs.run(RegistryMachine, shard, RUNS)

    minimum = {"step": 300, "publish": 5, "rollback": 5, "retry with the same id": 5, "rebuild": 1}
    minimum |= {"kill at a byte of a request": 5, "torn tail": 1, "derived files deleted": 1}
    machine_runs.noted(tried, minimum, tally, "registry against its model")
