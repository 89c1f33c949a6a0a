"""
MLflow's model registry on SQLite: a version registered and an alias moved to it; MLflow keeps no command line for it.

Neither the artifact's bytes nor its hash are looked at. The cold list is the shortest import and one call.
"""

from __future__ import annotations

import os
import sys

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", MLFLOW_LOGGING_LEVEL="ERROR")

from mlflow import MlflowClient, __version__
from mlflow.exceptions import MlflowException
from serving import command, each, listed, serve, storm

HERE = sys.argv[1]
URI = f"sqlite:///{HERE}/mlflow.db"
LIST = "client.search_model_versions(\"name='detector'\", max_results=100_000)"
_clients = {}


def client():
    """Return the client of this process, and make the one registered model if it is not there."""
    if os.getpid() not in _clients:
        _clients[os.getpid()] = found = MlflowClient(tracking_uri=URI, registry_uri=URI)
        try:
            found.create_registered_model("detector")
        except MlflowException:
            found.get_registered_model("detector")
    return _clients[os.getpid()]


def _register(_=None):
    version = client().create_model_version("detector", source="file:///srv/models/detector.onnx")
    client().set_registered_model_alias("detector", "production", version.version)


def prepare(models):
    """Register so many."""
    each(models, _register)


def register(count):
    """Register and activate."""
    client()
    return {"seconds": each(count, _register)}


def list_all(count):
    """List all in process."""
    search = client().search_model_versions
    return listed(count, lambda _: search("name='detector'", max_results=100_000))


def cold():
    """Return the command of a cold list, and its environment."""
    line = f"from mlflow import MlflowClient; client = MlflowClient({URI!r}, {URI!r}); print(len({LIST}))"
    return command(sys.executable, "-c", line)


def storm_of_processes(processes, count, seconds_max):
    """Let processes register at once; the tables are made before, by a process that is gone when they start."""
    if os.fork() == 0:
        client()
        os._exit(0)
    os.wait()

    def open_writer(_):
        client()
        return _register

    return storm(processes, count, seconds_max, open_writer)


if __name__ == "__main__":
    serve(prepare, register, list_all, cold, storm_of_processes, versions=lambda: {"mlflow": __version__})
