"""
eventsourcing on SQLite: the same registry as the library's documentation would write it, an aggregate for all models.

Its fastest documented ways are taken: a snapshot every 100 events for whoever opens it anew, and in process the cache
of aggregates, not copied where it is only read; a model is a tuple, which is the quickest to copy where it is.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError
from serving import command, each, listed, serve, storm

HERE = sys.argv[1]
ENVIRONMENT = {
    "PERSISTENCE_MODULE": "eventsourcing.sqlite",
    "SQLITE_DBNAME": os.path.join(HERE, "registry.db"),
    "AGGREGATE_CACHE_MAXSIZE": "10",
}
REGISTRY_ID = uuid5(NAMESPACE_URL, "registry")
DIGEST = "0" * 64


class Registry(Aggregate):
    """All models, and which one is active."""

    def __init__(self):
        self.models = []
        self.active = None

    @staticmethod
    def create_id():
        """There is one registry."""
        return REGISTRY_ID

    @event("Published")
    def publish(self, backend, artifact_path, sha256, rows):
        """Record a model and make it active."""
        self.models.append((backend, artifact_path, sha256, rows))
        self.active = len(self.models) - 1


class Registries(Application):
    """One registry, followed by the cache and snapshots."""

    snapshotting_intervals = {Registry: 100}  # noqa: RUF012 - as documented

    def publish(self):
        """Decide on the newest state, and save what happened."""
        registry = self.repository.get(REGISTRY_ID)
        registry.publish("onnx", "/srv/models/detector.onnx", DIGEST, 1_024)
        self.save(registry)

    def models(self):
        """Return all models."""
        return self.repository.get(REGISTRY_ID, deepcopy_from_cache=False).models


_applications = {}


def application():
    """Return the application of this process, with its registry."""
    if os.getpid() not in _applications:
        _applications[os.getpid()] = found = Registries(ENVIRONMENT)
        try:
            found.repository.get(REGISTRY_ID)
        except AggregateNotFoundError:
            try:
                found.save(Registry())
            except IntegrityError:
                found.repository.get(REGISTRY_ID)
    return _applications[os.getpid()]


def _register(_=None):
    application().publish()


def _register_in_the_end():
    """Another writer may have been first: that is told by an error, and the documented answer is to try again."""
    for _ in range(1_000):
        try:
            return application().publish()
        except IntegrityError:
            continue
    raise RuntimeError("1,000 conflicts")


def prepare(models):
    """Register so many."""
    each(models, _register)


def register(count):
    """Register and activate, in one event."""
    application()
    return {"seconds": each(count, _register)}


def list_all(count):
    """List all in process."""
    return listed(count, lambda _: application().models())


def cold():
    """Return the command of a cold list, and its environment: the library has no command line, this file is one."""
    return command(sys.executable, os.path.abspath(__file__), HERE, "list")


def storm_of_processes(processes, count, seconds_max):
    """Let processes register at once; who is not first tries again."""

    def open_writer(_):
        application()
        return _register_in_the_end

    return storm(processes, count, seconds_max, open_writer)


if __name__ == "__main__":
    if sys.argv[2:] == ["list"]:
        print(len(application().models()))
    else:
        serve(
            prepare,
            register,
            list_all,
            cold,
            storm_of_processes,
            versions=lambda: {"eventsourcing": version("eventsourcing")},
        )
