"""
Who acts in a run: writers, readers, a runtime that owns its file, and at the end somebody who settles everything.

Each starts processes one after the other. A process that was killed is followed by a new one, with a registry that was
just opened; at times one that lives is replaced too, as on a command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from simulated_history import REGISTRY, REGISTRY_JSON, RUNTIME, STATE_JSON, acknowledged, event_of
from simulated_judge import Judge, ViolationError
from simulated_requests import Request
from simulated_scheduler import Actor, Killed
from simulated_system import System

from eventlog.errors import RefusedError
from projections import ModelRegistry, RuntimeStateManager, open_registry, verify_registry

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOCK_TIMEOUT_SECONDS = 0.2
TRIES_MAX = 4
_STEPS = {
    "steady": (timedelta(milliseconds=1), timedelta(seconds=1)),
    "still": (timedelta(0),),
    "wild": (timedelta(0), timedelta(microseconds=1), timedelta(seconds=1), timedelta(seconds=-3), timedelta(days=-1)),
}


class World:
    """
    What all actors of a run share.

    Args:
        clock: a key of `_STEPS`; the time goes on by one of those steps at each look.
    """

    def __init__(self, system: System, judge: Judge, clock: str) -> None:
        self.system = system
        self.judge = judge
        self.rng = system.rng
        self._steps = _STEPS[clock]
        self._time = START
        self._registries: dict[str, ModelRegistry] = {}

    def now(self) -> datetime:
        """Return the time of the machine's clock."""
        self._time += self.rng.choice(self._steps)
        return self._time

    def random_bytes(self, count: int) -> bytes:
        """Return what makes ids."""
        return self.rng.randbytes(count)

    def registry(self, actor: Actor) -> ModelRegistry:
        """Return the registry of the process of *actor*; at times a new process comes in its place."""
        if actor.process is None or actor.process.dead or self.rng.random() < 0.3:
            self.system.start(actor)
            self._registries[actor.name] = open_registry(
                REGISTRY,
                RUNTIME,
                lock_timeout_seconds=LOCK_TIMEOUT_SECONDS,
                now=self.now,
                random_bytes=self.random_bytes,
            )
        return self._registries[actor.name]

    def manager(self) -> RuntimeStateManager:
        """Return what a runtime uses."""
        return RuntimeStateManager(RUNTIME, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, now=self.now)

    def ask(self, actor: Actor, request: Request) -> str:
        """Make a request once, have the answer judged, and return the outcome."""
        registry = self.registry(actor)
        attempt = self.judge.begin(actor, request)
        try:
            model = self._make(registry, request, attempt.name)
        except ViolationError:
            raise
        except Killed:
            attempt.outcome = "killed"
        except Exception as error:
            if actor.process.dead:
                attempt.outcome = "killed"
            else:
                self.judge.failed(attempt, error)
        else:
            self.judge.answered(attempt, model)
        return attempt.outcome

    def _make(self, registry: ModelRegistry, request: Request, name: str) -> Any:
        terms: dict[str, Any] = {"actor": name, "request_id": request.id, "dry_run": request.dry}
        if not request.bound:
            request.bound = True
            self._bind(request)
        terms["expect_active"] = request.expect
        if request.artifact is None:
            return registry.rollback(request.target, **terms)
        return registry.publish_model(request.artifact, backend="b", dataset_metadata={"id": request.id}, **terms)

    def _bind(self, request: Request) -> None:
        """Let a request that names a model take one that is there; a retry is the same request."""
        entries = acknowledged(self.system.disk)
        models = [event_of(entry)["subject"] for entry in entries if event_of(entry)["type"] == "model.published.v1"]
        if request.target is not None:
            request.target = self.rng.choice(models) if models else None
        if request.expect is not None:
            request.expect = self.rng.choice(models[-2:]) if models else None


def writer(world: World, requests: Sequence[Request]) -> Callable[[Actor], None]:
    """Return the script of somebody who makes requests, and asks again where that is needed, though not always."""

    def script(actor: Actor) -> None:
        for request in requests:
            for _ in range(TRIES_MAX):
                outcome = world.ask(actor, request)
                if outcome in ("done", "lags") and world.rng.random() < 0.9:
                    break
                if world.rng.random() < 0.2:
                    break

    return script


def reader(world: World, looks: int) -> Callable[[Actor], None]:
    """Return the script of somebody who looks, in one way or another, and at times rebuilds."""

    def script(actor: Actor) -> None:
        for _ in range(looks):
            registry = world.registry(actor)
            faults = actor.process.faults
            look = world.rng.choice((_list, _list, _list, _verify, _rebuild, _load, _read_projection))
            try:
                look(world, actor, registry)
            except ViolationError:
                raise
            except Killed:
                pass
            except Exception as error:
                if not actor.process.dead:
                    world.judge.excuse(actor, error, faults)

    return script


def runtime(world: World, steps: int) -> Callable[[Actor], None]:
    """Return the script of a runtime that records what it does; nobody else may undo that."""

    def script(actor: Actor) -> None:
        for step in range(steps):
            world.registry(actor)
            faults = actor.process.faults
            try:
                words = {"entrypoint": "e", "mode": str(step), "config_path": "c"}
                world.manager().record_checkpoint(**words, metadata={"step": step})
                world.judge.recorded(step)
            except ViolationError:
                raise
            except Killed:
                pass
            except Exception as error:
                if not actor.process.dead:
                    world.judge.excuse(actor, error, faults)

    return script


def _list(world: World, actor: Actor, registry: ModelRegistry) -> None:
    floor = world.judge.floor()
    catalog = registry.catalog()
    models = tuple(model.model_id for model in registry.list_models())
    world.judge.shown(actor.name, floor, catalog.size, models, catalog.active_id())
    floor = world.judge.floor()
    active = registry.get_active_model()
    shown = tuple(reversed(catalog.published))
    world.judge.shown(actor.name, floor, catalog.size, shown, active.model_id if active else None)


def _verify(world: World, actor: Actor, _registry: ModelRegistry) -> None:
    floor, faults = world.judge.floor(), actor.process.faults
    report = verify_registry(REGISTRY, RUNTIME)
    if report.verdict == "intact":
        world.judge.confirmed(actor.name, floor, report.size, report.hash)
    elif (floor and actor.process.faults == faults) or report.verdict == "damaged":
        raise ViolationError(f"{actor.name}: verify says {report.verdict} of {floor} entries: {report.findings}")


def _rebuild(world: World, actor: Actor, registry: ModelRegistry) -> None:
    floor = world.judge.floor()
    try:
        size = registry.rebuild()
    except RefusedError:
        if floor or actor.process.dead:
            raise
        return
    world.judge.rebuilt(actor.name, size)


def _load(world: World, actor: Actor, _registry: ModelRegistry) -> None:
    stored = world.manager().load_checkpoint()
    active = stored.metadata.get("active_model") if stored else None
    if active is not None:
        journal = active["journal"]
        world.judge.followed(actor.name, journal["size"], journal["hash"], active["model_id"])


def _read_projection(world: World, actor: Actor, _registry: ModelRegistry) -> None:
    """Read `registry.json` as any other program would, without a lock."""
    data = world.system.disk.content(REGISTRY_JSON)
    if data is not None:
        found = json.loads(data)
        journal = found["journal"]
        world.judge.followed(actor.name, journal["applied_size"], journal["hash"], found["active_model_id"])


def auditor(world: World, requests: Sequence[Request]) -> Callable[[Actor], None]:
    """Return the script of somebody who comes when nothing goes wrong any more, and settles everything."""

    def script(actor: Actor) -> None:
        _list(world, actor, world.registry(actor))
        last = Request("last", "/artifacts/a0")
        for request in (last, *requests, *requests):
            outcome = world.ask(actor, request)
            if outcome != "done" and (request is last or outcome != "refused"):
                raise ViolationError(f"{request.id}: {outcome}, though nothing goes wrong any more")
        report = verify_registry(REGISTRY, RUNTIME)
        wrong = [finding.what for finding in report.findings if finding.kind != "notice"]
        if report.verdict != "intact" or wrong:
            raise ViolationError(f"verify says {report.verdict}: {wrong}")
        _rebuild_from_nothing(world, actor)
        _list(world, actor, world.registry(actor))

    return script


def _rebuild_from_nothing(world: World, actor: Actor) -> None:
    disk = world.system.disk
    before = [disk.content(path) for path in (REGISTRY_JSON, STATE_JSON)]
    disk.unlink(REGISTRY_JSON)
    world.registry(actor).rebuild()
    after = [disk.content(path) for path in (REGISTRY_JSON, STATE_JSON)]
    if before != after:
        raise ViolationError(f"rebuilt, the projections differ: {before}, {after}")
