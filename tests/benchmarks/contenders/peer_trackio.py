"""
trackio's local registry: an artifact version linked into a collection with an alias, in one call, as its own CLI does.

The link names the version; the artifact's bytes are logged by another call, which is not measured here.
"""

from __future__ import annotations

import os
import sys
from itertools import count as numbers

os.environ.update(TRACKIO_DIR=sys.argv[1], HF_HUB_OFFLINE="1", DO_NOT_TRACK="1", TRACKIO_SHOW_DASHBOARD="0")

import trackio
from serving import command, each, installed, serve, storm
from trackio.registry_storage import RegistryStorage

COLLECTION = {"registry": "models", "collection": "detector", "type": "model"}
_source_versions = numbers(int.from_bytes(os.urandom(6), "big"))


def _registry():
    if not RegistryStorage.registry_exists("models"):
        trackio.Api().create_registry("models")
    return trackio.Api().registry("models")


def _register(_=None):
    source = {"source_project": "training", "source_artifact": "detector", "source_version": next(_source_versions)}
    RegistryStorage.link_artifact_version(**COLLECTION, **source, aliases=["production"])


def prepare(models):
    """Register so many."""
    _registry()
    each(models, _register)


def register(count):
    """Register and activate."""
    return {"seconds": each(count, _register)}


def list_all(count):
    """List all in process."""
    registry = _registry()
    models = len(registry.collection("detector").links)
    return {"seconds": each(count, lambda _: registry.collection("detector")), "models": models}


def cold():
    """Return the command of a cold list, and its environment."""
    return command(installed("trackio"), "registry", "show", "models/detector", "--json")


def storm_of_processes(processes, count, seconds_max):
    """Let processes register at once."""
    _registry()

    def open_writer(number):
        global _source_versions  # noqa: PLW0603 - each child links versions of its own
        _source_versions = numbers(number << 32)
        return _register

    return storm(processes, count, seconds_max, open_writer)


if __name__ == "__main__":
    serve(prepare, register, list_all, cold, storm_of_processes, versions=lambda: {"trackio": trackio.__version__})
