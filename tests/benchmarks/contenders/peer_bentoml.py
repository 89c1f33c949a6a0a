"""BentoML's model store: a model created with one file of 1 KB in it; the newest is the active one."""

from __future__ import annotations

import os
import sys

os.environ.update(BENTOML_HOME=sys.argv[1], BENTOML_DO_NOT_TRACK="True", DO_NOT_TRACK="1")

import bentoml
from serving import command, each, installed, listed, serve, storm

DATA = b"w" * 1_024


def _register(_=None):
    with bentoml.models.create("detector") as model, open(model.path_of("model.onnx"), "wb") as file:
        file.write(DATA)


def prepare(models):
    """Register so many."""
    each(models, _register)


def register(count):
    """Register; the newest is the active one."""
    return {"seconds": each(count, _register)}


def list_all(count):
    """List all in process."""
    return listed(count, lambda _: bentoml.models.list("detector"))


def cold():
    """Return the command of a cold list, and its environment."""
    return command(installed("bentoml"), "models", "list", "-o", "json")


def storm_of_processes(processes, count, seconds_max):
    """Let processes register at once."""
    return storm(processes, count, seconds_max, lambda _: _register)


if __name__ == "__main__":
    serve(prepare, register, list_all, cold, storm_of_processes, versions=lambda: {"bentoml": bentoml.__version__})
