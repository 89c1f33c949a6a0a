"""model-signing: the hash of one large file as it is taken before signing; it is no registry and has no other row."""

from __future__ import annotations

from importlib.metadata import version

from model_signing import hashing
from serving import serve, timed


def hash_file(path):
    """Hash a file by its default configuration: SHA-256, 1 MiB at a time."""
    return {"seconds": timed(hashing.hash, path)[0]}


if __name__ == "__main__":
    serve(hash_file, versions=lambda: {"model-signing": version("model-signing")})
