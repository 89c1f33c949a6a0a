"""Every artifact and signature that a history names against the SHA-256 that it recorded. Reads only."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from eventlog import artifacts, objects
from eventlog.artifact_match import data_of, difference, matches, sign_again
from eventlog.artifacts import Artifact
from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import Event, ModelPublished
from eventlog.file_digest import Progress
from eventlog.model import path_here, path_of
from eventlog.past import Past
from eventlog.retention_events import ArtifactRemoved
from eventlog.vault import Vault

WORKERS_MAX = 16
Problem = Literal["changed", "missing", "unreadable"]


class ArtifactProblem(Struct, frozen=True):
    """
    An artifact that is not what was published, or a signature that is not what was made then.

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


def removed(catalog: Catalog, past: Past) -> set[str]:
    """
    Return the models whose artifact is not there, and that is as it should be.

    The model is retired, and its copy was removed, which is on record; or it was published by its path, so that what
    was there was never the registry's.
    """
    if catalog.marks.count == 0:
        return set()
    found: set[str] = set()
    with suppress(JournalDamagedError):  # which is told anyway
        for event in past.naming(b'","type":"artifact.removed.v1","', 0, catalog.size):
            if isinstance(event.data, ArtifactRemoved):
                found.update(event.data.models(event.subject))
    return {
        event.subject
        for event in catalog.published.events()
        if event.subject is not None
        and not os.path.lexists(_place(catalog, event))
        and (event.subject in found or data_of(event).origin_path is None)
        and catalog.marks.is_retired(event.subject)
    }


def audit(catalog: Catalog, progress: Progress | None = None, *, without: Container[str] = ()) -> list[ArtifactProblem]:
    """
    Hash the artifact of every model and return those that are not what was published, in the order of publication.

    It is looked for where whoever uses it finds it, see `eventlog.model.path_here`.

    A file that several models name is read once. Hashing runs in as many threads as there are processors. Signatures
    are compared with their recorded hashes; whether a key made them is up to who has its public half.

    Args:
        progress: called with bytes done and bytes in all; from one thread at a time.

        without: models that are left out.
    """

    def events() -> Iterator[Event]:
        return (event for event in catalog.published.events() if event.subject not in without)

    places = [_place(catalog, event) for event in events()]
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
    for event, path in zip(events(), places, strict=True):
        data, artifact = data_of(event), hashed[path]
        remedy = _remedy(data, is_kept=path != path_of(data, catalog.home))
        if isinstance(artifact, RefusedError):
            what = f"{event.subject}: {artifact}{remedy}"
            found.append(ArtifactProblem(_problem(path, artifact), event.position, what, data.sha256))
        elif not matches(artifact, data):
            what = f"{event.subject}: {difference(event, artifact, vault)}{remedy}"
            found.append(ArtifactProblem("changed", event.position, what, data.sha256, artifact.sha256))
    signatures = () if vault is None else [_signature_problem(event, vault) for event in catalog.published.events()]
    found += [problem for problem in signatures if problem is not None]
    return sorted(found, key=lambda problem: problem.position)


def _place(catalog: Catalog, event: Event) -> str:
    return path_here(data_of(event), catalog.home)


def _signature_problem(event: Event, vault: Vault) -> ArtifactProblem | None:
    signature, path = data_of(event).signature, ""
    if signature is None:
        return None
    again = sign_again(signature)
    try:
        path = objects.path_of(vault.top, signature.sha256)
        actual = artifacts.hash_artifact(path).sha256
    except RefusedError as error:
        what = f"signature of {event.subject}: {error}: {again}"
        return ArtifactProblem(_problem(path, error), event.position, what, signature.sha256)
    if actual == signature.sha256:
        return None
    what = f"signature {path} of {event.subject}: expected sha256 {signature.sha256}, got {actual}: {again}"
    return ArtifactProblem("changed", event.position, what, signature.sha256, actual)


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
