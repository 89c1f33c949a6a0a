"""
Where a model's artifact is: in the registry's own vault, or at the path that was published.

What is in the vault comes first (`eventlog.model.path_here`): the path may be another machine's. Where machines share a
store, it is fetched from there into the vault.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from eventlog import artifact_match, artifacts
from eventlog.artifact_match import data_of
from eventlog.artifact_memo import Memo
from eventlog.artifacts import Artifact
from eventlog.contents import Contents
from eventlog.errors import RefusedError
from eventlog.events import Event
from eventlog.file_contents import Findings
from eventlog.file_digest import Progress
from eventlog.model import path_here, path_of
from eventlog.vault import Vault

if TYPE_CHECKING:
    from eventlog.artifact_store import ArtifactStore


class Taken:
    """
    An artifact that is to be published: hashed, and copied where that was asked for, but not kept anywhere yet.

    Attributes:
        artifact: as it is recorded.

        contents: what its headers say, or None.

        must_keep: whether it has a place to be put in before it is recorded.

    Args:
        keep: puts it where it is recorded to be, and returns it as it is there.
    """

    def __init__(
        self, artifact: Artifact, contents: Contents | None, keep: Callable[[], Artifact] | None = None
    ) -> None:
        self.artifact = artifact
        self.contents = contents
        self.must_keep = keep is not None
        self._keep = keep
        self._kept: Artifact | None = None

    def keep(self) -> None:
        """See that it is where it is recorded to be, whole and durable. Raises RefusedError where it cannot be."""
        if self._keep is not None and self._kept is None:
            self._kept = self._keep()

    def check_unchanged(self) -> None:
        """Raise RefusedError where it is no longer what was hashed."""
        (self._kept or self.artifact).check_unchanged()


class ArtifactPlaces:
    """
    See the module.

    Args:
        directory: the registry's; None where nothing can be kept or fetched.

        store_url: of the store, as `eventlog.artifact_store.open_store` takes it; None for none.
    """

    def __init__(self, directory: str | None = None, store_url: str | None = None) -> None:
        self._home = directory
        self._vault = None if directory is None else Vault(directory)
        self._memo = None if directory is None else Memo(directory)
        self._store_url = store_url
        self._opened: ArtifactStore | None = None

    @contextmanager
    def taking(
        self, path: str | os.PathLike[str], progress: Progress | None, *, copy: bool, dry_run: bool
    ) -> Iterator[Taken]:
        """
        Give an artifact that was hashed and, if *copy*, copied; nothing is kept of it before `Taken.keep`.

        Raises as `hash_artifact` and `Vault.copying`.
        """
        found = Findings()
        if not copy:
            artifact = artifacts.hash_artifact(path, progress, look=found.look)
            yield Taken(artifact, found.contents(), self._keeping(lambda: artifact, artifact) if not dry_run else None)
        elif self._vault is None:
            raise RefusedError("--copy: expected a registry in a directory, which can keep one, got another")
        elif dry_run:
            artifact = artifacts.hash_artifact(path, progress, look=found.look)
            taken = Taken(self._vault.as_kept(artifact), found.contents(), lambda: artifact)
            taken.keep()  # what is looked at again is the file itself
            yield taken
        else:
            with self._vault.copying(path, progress, found.look) as copied:
                yield Taken(copied.artifact, found.contents(), self._keeping(copied.keep, copied.artifact))

    def share(self, artifact: Artifact) -> None:
        """
        See that the store has an artifact, whole and right; does nothing where there is no store.

        Raises RefusedError: it does not take it, or does not give it back as it was.
        """
        if self._store_url is None:
            return
        if artifact.files is None:
            self._store().put(artifact)
            return
        if self._vault is None:
            raise RefusedError("artifact store: expected a registry in a directory, got another")
        for file in artifact.files:
            path = os.path.join(artifact.path, file.path)
            self._store().put(Artifact(path, file.sha256, file.size_bytes, artifact.inside[file.path]))
        self._store().put(artifacts.hash_artifact(self._vault.keep_manifest(artifact.files, artifact.sha256)))

    def locate(self, event: Event, progress: Progress | None = None) -> Artifact:
        """
        Return an artifact on this machine that has just been hashed and is the one that *event* published.

        Where it is neither in the vault nor at the published path, and there is a store, it is fetched.

        Raises:
            RefusedError: there is none, or it has other bytes.
        """
        try:
            return self._published(event, progress)
        except RefusedError:
            if self._store_url is None or self._vault is None:
                raise
        return self.fetch(event, progress)

    def fetch(self, event: Event, progress: Progress | None = None) -> Artifact:
        """
        Return this registry's own copy of an artifact, fetched where it is not there yet, and just hashed.

        Without a store it is the one that is kept, or at the published path.

        Raises as `locate`.
        """
        if self._store_url is None or self._vault is None:
            return self._published(event, progress)
        data = data_of(event)
        if data.artifact_files is None:
            where = self._store().fetch(data.sha256, data.artifact_size_bytes, self._vault.top)
        else:
            where = self._fetched_tree(self._vault, data.sha256)
        return artifacts.hash_artifact(where, progress)

    def check(self, event: Event, progress: Progress | None = None, *, full: bool = False) -> Artifact:
        """
        Do as `locate`, but believe that what looks as it did when it was last hashed, on this machine, still is that.

        Args:
            full: hash it in any case.
        """
        data = data_of(event)
        if not full and self._memo is not None:
            with suppress(RefusedError):
                seen = artifacts.look_at(path_here(data, self._home), data.sha256)
                if self._memo.knows(seen, data):
                    return seen
        found = self.locate(event, progress)
        if self._memo is not None:
            self._memo.note(found)
        return found

    def holds(self, path: str) -> bool:
        """Say whether *path* is that of a kept or fetched artifact."""
        return self._vault is not None and path.startswith(os.path.join(os.path.realpath(self._vault.top), ""))

    def _published(self, event: Event, progress: Progress | None) -> Artifact:
        data = data_of(event)
        here, published = path_here(data, self._home), path_of(data, self._home)
        try:
            return self._hashed(event, here, progress)
        except RefusedError:
            if here == published:
                raise
            with suppress(RefusedError):
                return self._hashed(event, published, progress)
            raise

    def _hashed(self, event: Event, path: str, progress: Progress | None) -> Artifact:
        data, found = data_of(event), artifacts.hash_artifact(path, progress)
        if not artifact_match.matches(found, data):
            what = artifact_match.difference(event, found, self._vault)
            raise RefusedError(f"{what}: {artifact_match.remedy(data)}")
        return found

    def _fetched_tree(self, vault: Vault, digest: str) -> str:
        """Return a directory with that hash, fetched where it is not there, or is another. Raises RefusedError."""
        if not vault.is_tree(digest):
            files = vault.manifest_of(digest)
            if files is None:
                self._store().fetch(digest, None, vault.top)
                files = vault.manifest_of(digest) or []
            for file in files:
                self._store().fetch(file.sha256, file.size_bytes, vault.top)
            vault.keep_tree(files, digest)
        return vault.path_of(digest, is_directory=True)

    def _keeping(self, place: Callable[[], Artifact], artifact: Artifact) -> Callable[[], Artifact] | None:
        """Return what is to be done with an artifact that *place* gives its place, or None where nothing is."""
        is_reference = artifact.origin is None
        if is_reference and self._store_url is None and (artifact.files is None or self._vault is None):
            return None

        def keep() -> Artifact:
            kept = place()
            if kept.files is not None and self._vault is not None:
                self._vault.keep_manifest(kept.files, kept.sha256)
            self.share(kept)
            return kept

        return keep

    def _store(self) -> ArtifactStore:
        from eventlog.artifact_store import open_store  # noqa: PLC0415 - few share their artifacts

        if self._opened is None:
            self._opened = open_store(self._store_url or "")
        return self._opened
