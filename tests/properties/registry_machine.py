"""
A registry beside its model: how a request is made on both, what came of it on disk, and what holds after each step.

The model is told by the journal's own lines how far an interrupted request got, never what it was.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

from hypothesis.stateful import invariant
from machine_runs import CountingMachine
from process_faults import Kill
from registry_model import (
    CREATED,
    Fact,
    Publish,
    RegistryModel,
    Request,
    active_model,
    at,
    recovered,
    registry_json,
)
from support import START, Place, Randomness, fast_place, outcome_of

from eventlog.errors import RefusedError
from eventlog.model import ModelMetadata
from projections import ModelRegistry, RuntimeStateManager, verify_registry

ARTIFACTS = {"a": b"same", "b": b"its own", "c": b"same"}
"""Names and contents; two that are the same give model ids that differ in time alone."""


class RegistryMachineBase(CountingMachine):
    """
    A place, two registries that stay open, and the model.

    Attributes:
        model: the facts that are acknowledged, or were shown.

        waiting: facts that stand whole behind them, which the next writer keeps.

        torn, torn_offset: the unfinished bytes behind these, and where they stand in the file.

        sure: the bytes of the journal that tell the model's facts.

        pending: what was taken out and is not marked as recorded, by file name.

        applied: how far each derived file has got; None where it says nothing of the journal.

        foreign, foreign_metadata: what the runtime wrote into its own file.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.place: Place = self._stack.enter_context(fast_place())
        self._scratch: Place = self._stack.enter_context(fast_place())
        self.time = START
        self.randomness = Randomness()
        self.contents: dict[str, bytes | None] = {}
        for name, content in ARTIFACTS.items():
            self.put_artifact(name, content)
        self.model = RegistryModel()
        self.waiting: list[Fact] = []
        self.torn, self.torn_offset = b"", 0
        self.sure = b""
        self.pending: dict[str, Fact] = {}
        self.applied: dict[str, int | None] = {"registry": None, "state": None}
        self.foreign: dict[str, Any] = {}
        self.foreign_metadata: dict[str, Any] = {}
        self.registries = [self.open(), self.open()]
        self.follows = [True, True]

    def teardown(self) -> None:
        self._stack.close()

    def open(self, *, runtime: bool = True) -> ModelRegistry:
        """Return the registry as a new process would open it."""
        settings = {"now": lambda: self.time, "random_bytes": self.randomness, "lock_timeout_seconds": 0}
        return self.place.open(runtime=runtime, **settings)

    def put_artifact(self, name: str, content: bytes | None) -> str:
        path = self.place.root / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)
        self.contents[str(path)] = content
        return str(path)

    # A request on both

    def request(self, which: int, request: Request, *, dry_run: bool = False, kill: Kill | None = None) -> None:
        """Make *request* on the registry and on the model; both must say and do the same."""
        first = self.model.decide(request, self.contents, self.time)
        if first is None or dry_run:
            before = self.place.files()
            result = self.call(which, request, dry_run=dry_run)
            assert self.place.files() == before
            self.check_answer(self.model, first, result)
            return
        grown = RegistryModel([*self.model.facts, *self.waiting])
        then = grown.decide(request, self.contents, self.time)
        taken_out = self.taken_out()
        planned = list(self.waiting)
        if isinstance(then, Fact):
            planned += [] if grown.facts else [at(CREATED, self.time)]
            known = grown.ids()
            planned += [at(taken_out[name], self.time) for name in sorted(taken_out) if taken_out[name].id not in known]
            planned.append(then)
        result: ModelMetadata | Exception | None = None
        with kill.armed() if kill else ExitStack():
            result = self.call(which, request)
        if kill and kill.dead:
            self.registries[which] = self.open()
            self.follows[which] = True
            self.observe(planned, taken_out)
            return
        assert self.observe(planned, taken_out) == len(planned), "acknowledged, but not all there"
        self.pending = {} if isinstance(then, Fact) else taken_out
        self.check_answer(self.model, then, result)
        if then is not None:
            self.derived_files_are_current(runtime=self.follows[which])

    def call(self, which: int, request: Request, *, dry_run: bool = False) -> ModelMetadata | Exception:
        registry, answer = self.registries[which], []
        terms: dict[str, Any] = {"actor": "t", "reason": request.reason, "request_id": request.id, "dry_run": dry_run}
        terms["expect_active"] = request.expect_active

        def carry_out() -> None:
            if isinstance(request, Publish):
                metadata = {"backend": request.backend, "dataset_metadata": request.metadata}
                answer.append(registry.publish_model(request.path, **metadata, **terms))
            else:
                answer.append(registry.rollback(request.target, **terms))

        return outcome_of(carry_out) or answer[0]

    def check_answer(
        self, model: RegistryModel, wanted: Fact | str | None, got: ModelMetadata | Exception | None
    ) -> None:
        if wanted is None:
            assert isinstance(got, RefusedError), f"expected a refusal, got {got}"
            self.count("refused request")
            return
        assert isinstance(got, ModelMetadata), f"expected {wanted}, got {got!r}"
        model_id = wanted if isinstance(wanted, str) else wanted.subject
        known = model.models().get(model_id or "") or (wanted.model if isinstance(wanted, Fact) else None)
        assert got.to_dict() == known
        self.count("answer that was there already" if isinstance(wanted, str) else "change that was decided")

    def derived_files_are_current(self, *, runtime: bool) -> None:
        self.applied["registry"] = len(self.model.facts)
        if runtime and self.model.active() is not None:
            self.applied["state"] = len(self.model.facts)

    # What came of it

    def taken_out(self) -> dict[str, Fact]:
        """Return what is in quarantine and not recorded once a writer has been here, by file name."""
        if not self.torn:
            return self.pending
        offset = self.torn_offset
        return {**self.pending, _name(self.torn, offset): recovered(self.torn, offset)}

    def observe(self, planned: list[Fact], taken_out: dict[str, Fact]) -> int:
        """
        Learn how many of the *planned* facts the journal tells, and return how many of them readers are shown.

        What follows them may only be unfinished; derived files are what they were, or up to date.
        """
        data = self.place.journal.read_bytes() if self.place.journal.exists() else b""
        assert data.startswith(self.sure), "acknowledged bytes are gone"
        lines = data[len(self.sure) :].split(b"\n")
        whole = 0
        while whole < min(len(lines), len(planned)) and planned[whole].is_told_by(lines[whole]):
            whole += 1
        torn = b"\n".join(lines[whole:])
        assert torn == self.torn or b"\n" not in torn, f"nobody asked for {torn[:300]!r}"
        size = self.place.open(runtime=False).catalog().size
        shown = size - len(self.model.facts)
        assert 0 <= shown <= whole
        self.sure = data[: len(self.sure) + sum(len(line) + 1 for line in lines[:shown])]
        self.model.facts += planned[:shown]
        self.waiting, self.torn, self.torn_offset = planned[shown:whole], torn, len(data) - len(torn)
        files = self.place.quarantine.glob("*.pending") if self.place.quarantine.exists() else ()
        self.pending = {path.name: taken_out[path.name] for path in files}
        self.observe_derived()
        return shown

    def observe_derived(self) -> None:
        for name, found in (("registry", self.stored_registry()), ("state", self.stored_active_model())):
            journal = (found or {}).get("journal", {})
            applied = journal.get("applied_size", journal.get("size"))
            assert applied in (self.applied[name], len(self.model.facts))
            self.applied[name] = applied

    def stored_registry(self) -> dict[str, Any] | None:
        path = self.place.registry_json
        return json.loads(path.read_bytes()) if path.exists() else None

    def stored_state(self) -> dict[str, Any]:
        path = self.place.state_json
        return json.loads(path.read_bytes()) if path.exists() else {}

    def stored_active_model(self) -> dict[str, Any] | None:
        return self.stored_state().get("metadata", {}).get("active_model")

    # What holds after each step

    @invariant()
    def answers_are_the_models(self) -> None:
        """A new process lists what the model lists, newest first, and says the same of the active model."""
        self.count("step")
        registry = self.open()
        models = self.model.models()
        active = registry.get_active_model()
        assert [known.to_dict() for known in registry.list_models()] == list(models.values())[::-1]
        assert (active and active.to_dict()) == (models[self.model.active() or ""] if active else None)
        assert (active is None) == (self.model.active() is None)

    @invariant()
    def derived_files_are_the_models(self) -> None:
        """Each derived file says what the model says at the size that it has got to; the runtime's keys are kept."""
        size = self.applied["registry"]
        stored = self.stored_registry()
        assert stored == (None if size is None else registry_json(self.model_at(size), self.anchor(size)))
        if stored is not None:
            lines = self.place.registry_json.read_bytes().count(b"\n")
            assert lines == 2 + max(1, len(stored["models"]))
        size = self.applied["state"]
        metadata = dict(self.foreign_metadata)
        if size is not None:
            metadata["active_model"] = active_model(self.model_at(size), self.anchor(size))
        wanted = {**self.foreign, "metadata": metadata} if self.place.state_json.exists() else {}
        assert self.stored_state() == wanted

    @invariant()
    def verify_says_intact(self) -> None:
        """The audit finds nothing but derived files that lag, clocks that went back and leftovers."""
        if not self.model.facts:
            return
        report = verify_registry(self.place.registry_dir, self.place.state_dir)
        assert (report.verdict, report.size) == ("intact", len(self.model.facts))
        assert report.level == ("L1" if self.applied["state"] is None else "L2")
        lagging = [name for name, size in self.applied.items() if size != len(self.model.facts)]
        if self.model.active() is None:
            lagging = [name for name in lagging if name != "state"]
        assert len([finding for finding in report.findings if finding.kind == "derived"]) == len(lagging)
        assert {finding.kind for finding in report.findings} <= {"derived", "notice"}

    @invariant()
    def rebuilt_from_zero_is_the_same(self) -> None:
        """Folded once from zero in another place, the files have the bytes that they were kept at step by step."""
        if not self.model.facts:
            return
        there = self._scratch
        there.put({"m/journal.jsonl": self.sure, "m/journal.head": self.place.head.read_bytes()})
        assert there.open().rebuild() == len(self.model.facts)
        if self.applied["registry"] == len(self.model.facts):
            assert there.registry_json.read_bytes() == self.place.registry_json.read_bytes()
        if self.applied["state"] == len(self.model.facts):
            values = [RuntimeStateManager(place.state_dir).active_model() for place in (there, self.place)]
            assert bytes(values[0] or b"") == bytes(values[1] or b"")
            if not self.foreign and not self.foreign_metadata:
                assert there.state_json.read_bytes() == self.place.state_json.read_bytes()

    def model_at(self, size: int) -> RegistryModel:
        return RegistryModel(self.model.facts[:size])

    def anchor(self, size: int) -> dict[str, Any]:
        """Return what a derived file of that size remembers of the journal, read from its lines."""
        lines = [json.loads(line) for line in self.sure.split(b"\n")[:size]]
        return {"id": lines[0]["data"]["journal_id"], "size": size, "hash": lines[-1]["hash"]}


def _name(torn: bytes, offset_bytes: int) -> str:
    reason = "nul-bytes" if b"\0" in torn else "no-newline"
    return f"{offset_bytes:020d}-{len(torn)}-{sha256(torn).hexdigest()}.{reason}.pending"
