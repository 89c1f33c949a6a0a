"""
The artifacts that a registry keeps itself, below its directory: nobody who cleans up after a training can take them.

    artifacts/sha256/<2 hex>/<64 hex>   a file, read-only, named by its SHA-256; also manifests and signatures
    artifacts/trees/<2 hex>/<64 hex>/   a directory, named by the SHA-256 of its manifest; its files are links to those
    artifacts/incoming/                 what is being copied; removed again by whoever comes next, after a kill
    artifacts/.vault.lock               shared by those who keep what no event names yet, exclusive for who removes

Equal bytes are there once. What is there survives power loss before any event names it, and is the same wherever the
registry's directory is moved to: events name it by the path from there on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from eventlog import durable, durable_directories, incoming, locking, manifest, objects
from eventlog.artifact_path import DIGEST, KEPT, kept_path
from eventlog.artifacts import Artifact, Check, Look, as_it_is, hash_artifact, may_be
from eventlog.errors import RefusedError
from eventlog.file_digest import Progress
from eventlog.log import log

LOCK = ".vault.lock"
_START = re.compile("[0-9a-f]{2}")
_SPARE_BYTES = 1 << 20
"""So much is left for the journal and the derived files when a copy fills the disk."""


class Vault:
    """
    See the module. Any number of processes may use it at once.

    Args:
        directory: the registry's; made where something is kept.
    """

    def __init__(self, directory: str) -> None:
        self._home = os.path.abspath(directory)
        self.top = os.path.join(self._home, KEPT)

    @contextmanager
    def copying(
        self, path: str | os.PathLike[str], progress: Progress | None, look: Look | None = None, check: Check = may_be
    ) -> Iterator[Copy]:
        """
        Copy a file or a directory, and hash it meanwhile; nothing is kept before `Copy.keep`.

        Args:
            look, check: as of `hash_artifact`.

        Raises RefusedError: as `hash_artifact`; or there is no room for it.
        """
        check(os.path.realpath(durable.checked_path(path, "artifact")))  # before anything is made for it
        with incoming.directory(self.top) as directory:
            copy = Copy(self, directory)
            copy.artifact = self.as_kept(hash_artifact(path, progress, copy.receive, look))
            yield copy

    @contextmanager
    def receiving(self, size_bytes: int) -> Iterator[Received]:
        """
        Take files that come from elsewhere; none of them is kept before `Received.keep`.

        Args:
            size_bytes: of all of them.

        Raises RefusedError: there is no room for them.
        """
        with incoming.directory(self.top) as directory:
            _check_room(directory, size_bytes, "make room")
            yield Received(self, directory)

    def places(self) -> list[str]:
        """Return the directories in which something is kept, or made."""
        return [os.path.join(self.top, name) for name in (objects.ALGORITHM, "trees", incoming.INCOMING)]

    def path_of(self, digest: str, *, is_directory: bool) -> str:
        """Return where the artifact with a hash is, or would be."""
        return os.path.join(self._home, kept_path(objects.checked_digest(digest), is_directory=is_directory))

    def manifest_of(self, digest: str) -> list[manifest.File] | None:
        """Return what a directory with a hash holds; None where nothing is known of it, or no longer."""
        path = objects.path_of(self.top, digest)
        if not objects.is_right(path, digest, None):
            return None
        return manifest.decode(durable.read_file(path, bytes_max=manifest.BYTES_MAX), path)

    def keep_manifest(self, files: list[manifest.File], digest: str) -> str:
        """Keep what a directory holds, so that differences can be told in detail; return where. Raises RefusedError."""
        return self.keep_bytes(manifest.encode(files), digest)

    def keep_bytes(self, data: bytes, digest: str) -> str:
        """Keep a file of the registry's own, durably; return where. Raises RefusedError."""
        path = objects.path_of(self.top, digest)
        objects.bring(path, iter([data]), len(data))
        return path

    def keep_tree(self, files: list[manifest.File], digest: str) -> str:
        """
        Make a directory of kept files, durably, or mend it where it is another; return its path.

        Raises RefusedError: a file is missing among those that are kept, or it cannot be made.
        """
        path = self.path_of(digest, is_directory=True)
        with durable.refusing(path):
            durable.create_directory(os.path.dirname(path))
            with objects.guarded(path):
                if not self.is_tree(digest):
                    self._make_tree(path, files)
            durable.sync_ancestors(os.path.dirname(path))
        return path

    def is_tree(self, digest: str) -> bool:
        """Say whether the directory with a hash is there, whole and right."""
        path = self.path_of(digest, is_directory=True)
        if not os.path.lexists(path):
            return False
        try:
            found = hash_artifact(path)
        except RefusedError:
            return False
        return found.sha256 == digest and found.files is not None

    @contextmanager
    def in_use(self, *, alone: bool = False) -> Iterator[None]:
        """
        Keep out who removes something, as long as what is kept is not named by an event yet.

        Args:
            alone: keep out everybody; for who removes something.

        Raises LockTimeoutError, RefusedError: it cannot be had.
        """
        path = os.path.join(self.top, LOCK)
        with locking.Held() as held:
            with durable.refusing(path):
                durable.create_directory(self.top)
                descriptor = held.add(durable.open_regular(path, os.O_RDWR | os.O_CREAT))
            seconds = locking.LOCK_TIMEOUT_SECONDS if alone else objects.LOCK_TIMEOUT_SECONDS
            locking.acquire(descriptor, path, timeout_seconds=seconds, shared=not alone)
            yield

    def clear_incoming(self) -> None:
        """Remove what killed processes have left of what they copied, or removed. Raises RefusedError."""
        if os.path.isdir(os.path.join(self.top, incoming.INCOMING)):
            with incoming.directory(self.top):
                pass

    def stored(self) -> tuple[set[str], set[str]]:
        """Return the hashes of the files and of the directories that are there. Raises RefusedError."""
        with durable.refusing(self.top):
            return _named_in(os.path.join(self.top, objects.ALGORITHM)), _named_in(os.path.join(self.top, "trees"))

    def size_of(self, digest: str) -> int:
        """Return the size in bytes of a file that is there. Raises RefusedError."""
        path = self.path_of(digest, is_directory=False)
        with durable.refusing(path):
            return os.lstat(path).st_size

    def remove_tree(self, digest: str) -> None:
        """Remove a directory, at once for all who look. Raises OSError."""
        path = self.path_of(digest, is_directory=True)
        with incoming.directory(self.top) as directory, objects.guarded(path):
            durable.rename(path, os.path.join(directory, "removed"))
            durable.sync_directory(os.path.dirname(path))

    def remove_files(self, digests: Iterable[str]) -> None:
        """Remove files, those that are there, one after the other. Raises OSError."""
        for digest in digests:
            path = self.path_of(digest, is_directory=False)
            if os.path.lexists(path):
                with objects.guarded(path):
                    durable.remove_file(path)

    def _make_tree(self, path: str, files: list[manifest.File]) -> None:
        with incoming.directory(self.top) as directory:
            partial = os.path.join(directory, "tree")
            os.mkdir(partial)
            for file in files:
                target = os.path.join(partial, file.path)
                durable.create_directory(os.path.dirname(target))
                durable_directories.link_or_copy(objects.path_of(self.top, file.sha256), target)
            if os.path.lexists(path):
                log.warning("%s: damaged: made anew", path)
                os.makedirs(os.path.join(directory, "damaged"))
                durable.rename(path, os.path.join(directory, "damaged", "tree"))
            durable_directories.put_directory(partial, path)

    def as_kept(self, artifact: Artifact) -> Artifact:
        """Return *artifact* as it is recorded when it is kept; what its files look like is not known yet."""
        path = self.path_of(artifact.sha256, is_directory=artifact.files is not None)
        nothing_yet = (0, 0, 0, 0, 0)
        return Artifact(
            path, artifact.sha256, artifact.size_bytes, nothing_yet, artifact.files, {}, artifact.path, kept=True
        )


class Copy:
    """
    A copy that is complete, and not kept yet.

    Attributes:
        artifact: as it is recorded; its path is where it will be.
    """

    artifact: Artifact

    def __init__(self, vault: Vault, directory: str) -> None:
        self._vault = vault
        self._directory = directory
        self._parts: dict[str, str] = {}

    @contextmanager
    def receive(self, name: str, size_bytes: int) -> Iterator[int]:
        """Give a file to write the bytes of *name* to; they are durable afterwards."""
        path = os.path.join(self._directory, str(len(self._parts)))
        _check_room(self._directory, size_bytes)
        with durable.refusing(f"copy to {self._vault.top}"):
            descriptor = durable.open_regular(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                yield descriptor
                objects.make_read_only(descriptor)
                durable.sync_data(descriptor)
            finally:
                os.close(descriptor)
        self._parts[name] = path

    def keep(self) -> Artifact:
        """
        Give the copy its place, durably; return it as it is there.

        Raises RefusedError: it cannot be. What was kept before is as it was, or is whole again.
        """
        artifact = self.artifact
        digests = {"": artifact.sha256}
        if artifact.files is not None:
            digests = {file.path: file.sha256 for file in artifact.files}
        parts = {digest: self._parts[name] for name, digest in digests.items()}
        objects.place(self._vault.top, parts, artifact.origin or "")
        if artifact.files is not None:
            self._vault.keep_manifest(artifact.files, artifact.sha256)
            self._vault.keep_tree(artifact.files, artifact.sha256)
        return as_it_is(artifact)


class Received:
    """Files that are complete, and not kept yet; see `Vault.receiving`."""

    def __init__(self, vault: Vault, directory: str) -> None:
        self._vault = vault
        self._directory = directory
        self._parts: dict[str, str] = {}

    def take(self, digest: str, parts: Iterator[bytes]) -> None:
        """Write a file, durably, whose *parts* raise where they have another hash. Raises RefusedError."""
        path = os.path.join(self._directory, digest)
        with durable.refusing(f"copy to {self._vault.top}"):
            durable.create_file(path, parts)
            objects.make_read_only(path)
        self._parts[digest] = path

    def keep(self, origin: str) -> None:
        """
        Give all of them their places, durably.

        Args:
            origin: where they came from.

        Raises RefusedError: it cannot be. What was kept before is as it was, or is whole again.
        """
        objects.place(self._vault.top, self._parts, origin)


def _check_room(directory: str, size_bytes: int, remedy: str = "make room, or publish without --copy") -> None:
    """Raise RefusedError where a file is seen to be too large for what is free; the disk may still become full."""
    try:
        status = os.statvfs(directory)
    except OSError:
        return
    wanted, free = size_bytes + _SPARE_BYTES, status.f_bavail * status.f_frsize
    if wanted > free:
        what = f"expected {wanted} free bytes for a copy, got {free}"
        raise RefusedError(f"{os.path.dirname(directory)}: {what}: {remedy}")


def _named_in(top: str) -> set[str]:
    """Return the names of what stands below a directory as `objects` puts it there."""
    found: set[str] = set()
    if os.path.isdir(top):
        for start in os.listdir(top):
            if _START.fullmatch(start):
                names = os.listdir(os.path.join(top, start))
                found.update(name for name in names if name.startswith(start) and DIGEST.fullmatch(name))
    return found
