"""Every artifact that a history names against the SHA-256 that it recorded; several at a time. Reads only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from msgspec import Struct

from eventlog import artifacts
from eventlog.artifact_match import data_of, difference, matches
from eventlog.artifacts import Artifact
from eventlog.catalog import Catalog
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.file_digest import Progress
from eventlog.model import path_here, path_of
from eventlog.vault import Vault

WORKERS_MAX = 16
Problem = Literal["changed", "missing", "unreadable"]


class ArtifactProblem(Struct, frozen=True):
    """
    An artifact that is not what was published.

    Attributes:
        position: of the event that published it.

        what: the model, the path, and what is wrong, in words.

        expected, actual: SHA-256, 64 hex; *actual* only of one that changed.
    """

    problem: Problem
    position: int
    what: str
    expected: str
    actual: str | None = None


def audit(catalog: Catalog, progress: Progress | None = None) -> list[ArtifactProblem]:
    """
    Hash the artifact of every model and return those that are not what was published, in the order of publication.

    It is looked for where whoever uses it finds it, see `eventlog.model.path_here`.

    A file that several models name is read once. Hashing runs in as many threads as there are processors.

    Args:
        progress: called with bytes done and bytes in all; from one thread at a time.
    """
    places = [path_here(data_of(event), catalog.home) for event in catalog.published.events()]
    paths = list(dict.fromkeys(places))
    vault = None if catalog.home is None else Vault(catalog.home)
    meter = _Meter(sum(map(_size_of, paths)), progress)
    workers = ThreadPoolExecutor(min(WORKERS_MAX, os.cpu_count() or 1))
    try:
        hashed = dict(zip(paths, workers.map(lambda path: _hashed(path, meter), paths), strict=True))
    except BaseException:
        meter.stopped = True
        raise
    finally:
        workers.shutdown(cancel_futures=True)
    found = []
    for event, path in zip(catalog.published.events(), places, strict=True):
        data, artifact = data_of(event), hashed[path]
        remedy = _remedy(data, is_kept=path != path_of(data, catalog.home))
        if isinstance(artifact, RefusedError):
            what = f"{event.subject}: {artifact}{remedy}"
            found.append(ArtifactProblem(_problem(path, artifact), event.position, what, data.sha256))
        elif not matches(artifact, data):
            what = f"{event.subject}: {difference(event, artifact, vault)}{remedy}"
            found.append(ArtifactProblem("changed", event.position, what, data.sha256, artifact.sha256))
    return found


def _remedy(data: ModelPublished, *, is_kept: bool) -> str:
    if is_kept:
        return ": unbundle it again, fetch it again, or publish the same bytes again with --copy"
    return "" if data.origin_path is None else ": publish the same bytes again with --copy"


class _Meter:
    """Adds up the progress of several threads."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.stopped = False
        self._total = total
        self._done = 0
        self._progress = progress
        self._threads = threading.Lock()

    def for_one_file(self) -> Callable[[int, int], None]:
        """Return the callback for one file."""
        before = 0

        def advance(done: int, _total: int) -> None:
            nonlocal before
            with self._threads:
                if self.stopped:
                    raise InterruptedError
                self._done += done - before
                before = done
                if self._progress is not None:
                    self._progress(min(self._done, self._total), self._total)

        return advance


def _hashed(path: str, meter: _Meter) -> Artifact | RefusedError:
    try:
        return artifacts.hash_artifact(path, meter.for_one_file())
    except RefusedError as error:
        return error


def _problem(path: str, error: RefusedError) -> Problem:
    """Tell a file that is gone, and something else in its place, from one of which nothing can be said."""
    if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
        return "missing"
    return "changed" if error.__cause__ is None and not os.path.isfile(path) else "unreadable"


def _size_of(path: str) -> int:
    try:
        return artifacts.look_at(path, "").size_bytes
    except RefusedError:
        return 0
