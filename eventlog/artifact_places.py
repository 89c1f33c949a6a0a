"""
Where a model's artifact is: in the registry's own vault, or at the path that was published.

What is in the vault comes first (`eventlog.model.path_here`): the path may be another machine's. Where machines share a
store, it is fetched from there into the vault.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from eventlog import artifact_match, artifacts, objects
from eventlog.artifact_match import data_of
from eventlog.artifact_memo import Memo
from eventlog.artifact_path import path_to_text
from eventlog.artifact_taken import Taken
from eventlog.artifacts import Artifact
from eventlog.errors import RefusedError
from eventlog.events import Event
from eventlog.file_contents import Findings
from eventlog.file_digest import Progress
from eventlog.model import path_here, path_of
from eventlog.vault import Vault

if TYPE_CHECKING:
    from eventlog.artifact_store import ArtifactStore
    from eventlog.model_signature import Signed, Signer


class ArtifactPlaces:
    """
    See the module.

    Args:
        directory: the registry's; None where nothing can be kept or fetched.

        store_url: of the store, as `eventlog.artifact_store.open_store` takes it; None for none.

        signer: signs each artifact that is taken; None for nobody.

        own: files that a publish writes to, beside those that are kept; none is an artifact, nor in one.
    """

    def __init__(
        self,
        directory: str | None = None,
        store_url: str | None = None,
        signer: Signer | None = None,
        own: Iterable[str] = (),
    ) -> None:
        self._home = directory
        self._vault = None if directory is None else Vault(directory)
        self._memo = None if directory is None else Memo(directory)
        self._store_url = store_url
        self._signer = signer
        places = [*own, *(self._vault.places() if self._vault is not None else ())]
        self._own = [(os.path.basename(place), place) for place in places]
        self._opened: ArtifactStore | None = None

    @contextmanager
    def taking(
        self, path: str | os.PathLike[str], progress: Progress | None, *, copy: bool, dry_run: bool
    ) -> Iterator[Taken]:
        """
        Give an artifact that was hashed, signed where there is a signer, and, if *copy*, copied.

        Nothing is kept of it before `Taken.keep`. Raises as `hash_artifact`, `Signer.sign` and `Vault.copying`, and
        RefusedError where it is something that a publish writes to.
        """
        found = Findings()
        if self._vault is None and (copy or self._signer is not None):
            what = "--copy" if copy else "--sign-key"
            raise RefusedError(f"{what}: expected a registry in a directory, which can keep files, got another")
        if self._vault is None or not copy:
            artifact = artifacts.hash_artifact(path, progress, look=found.look, check=self._refuse_own)
            signed = self._signed(artifact)
            keep = None if dry_run else self._keeping(lambda: artifact, artifact, signed)
            yield Taken(artifact, found.contents(), keep, signed)
        elif dry_run:
            artifact = artifacts.hash_artifact(path, progress, look=found.look, check=self._refuse_own)
            taken = Taken(self._vault.as_kept(artifact), found.contents(), lambda: artifact, self._signed(artifact))
            taken.keep()  # what is looked at again is the file itself
            yield taken
        else:
            with self._vault.copying(path, progress, found.look, self._refuse_own) as copied:
                signed = self._signed(copied.artifact)
                keep = self._keeping(copied.keep, copied.artifact, signed)
                yield Taken(copied.artifact, found.contents(), keep, signed)

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
        return replace(artifacts.hash_artifact(where, progress), kept=True)

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
                    return replace(seen, kept=self.holds(seen.path))
        found = self.locate(event, progress)
        if self._memo is not None:
            self._memo.note(found)
        return found

    def in_use(self, taken: Taken) -> AbstractContextManager[None]:
        """Keep out who removes what no event names, where something of *taken* is kept here before one does."""
        artifact = taken.artifact
        is_here = artifact.origin is not None or artifact.files is not None or taken.signature is not None
        return self._vault.in_use() if is_here and self._vault is not None else nullcontext()

    def vault(self) -> Vault:
        """Return what is kept here. Raises RefusedError where nothing can be."""
        if self._vault is None:
            raise RefusedError("expected a registry in a directory, which can keep artifacts, got another")
        return self._vault

    def fetcher(self, into: str | None = None) -> Callable[[str], str] | None:
        """
        Return what brings a file from the store by its hash, and says where; None where there is no store.

        Args:
            into: a directory; None for the vault.
        """
        if self._store_url is None:
            return None
        top = self.vault().top if into is None else into
        return lambda digest: self._store().fetch(digest, None, top)

    def forget(self, digest: str) -> None:
        """Forget that an artifact was checked."""
        if self._memo is not None:
            self._memo.forget(digest)

    def signature_path(self, event: Event) -> str:
        """
        Return where the signature of an artifact is, just checked; fetched where it is missing and there is a store.

        Raises:
            RefusedError: nobody signed it, or the signature is not there, or is another file.
        """
        found = data_of(event).signature
        if found is None:
            raise RefusedError(f"{event.subject}: expected a model that was signed, got one that nobody signed")
        if self._vault is None:
            raise RefusedError("signature: expected a registry in a directory, got another")
        path = objects.path_of(self._vault.top, found.sha256)
        if not objects.is_right(path, found.sha256, None):
            if self._store_url is None:
                where, again = f"signature {path} of {event.subject}", artifact_match.sign_again(found)
                raise RefusedError(f"{where}: expected sha256 {found.sha256}, got another file or none: {again}")
            self._store().fetch(found.sha256, None, self._vault.top)
        return path

    def holds(self, path: str) -> bool:
        """Say whether *path* is that of a kept or fetched artifact."""
        return self._vault is not None and path.startswith(os.path.join(os.path.realpath(self._vault.top), ""))

    def _refuse_own(self, path: str) -> None:
        """Refuse what a publish writes to, or what holds it: it would not be what was hashed."""
        is_directory, name = os.path.isdir(path), os.path.basename(path)
        for own_name, own in self._own:
            if is_directory or own_name == name:
                place = os.path.realpath(own)
                if place == path or place.startswith(os.path.join(path, "")):
                    raise RefusedError(
                        f"artifact {path_to_text(path)[0]}: expected none of the registry's own files, "
                        f"got {path_to_text(place)[0]}: publish what has them not in it"
                    )

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
        data = data_of(event)
        try:
            found = artifacts.hash_artifact(path, progress)
        except RefusedError as error:
            raise RefusedError(f"{error}: {artifact_match.remedy(data, error.__cause__)}") from error.__cause__
        if not artifact_match.matches(found, data):
            what = artifact_match.difference(event, found, self._vault)
            raise RefusedError(f"{what}: {artifact_match.remedy(data)}")
        return replace(found, kept=self.holds(found.path))

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

    def _signed(self, artifact: Artifact) -> Signed | None:
        return None if self._signer is None else self._signer.sign(artifact)

    def _keeping(
        self, place: Callable[[], Artifact], artifact: Artifact, signed: Signed | None
    ) -> Callable[[], Artifact] | None:
        """Return what is to be done with an artifact that *place* gives its place, or None where nothing is."""
        has_manifest = artifact.files is not None and self._vault is not None
        if artifact.origin is None and self._store_url is None and signed is None and not has_manifest:
            return None

        def keep() -> Artifact:
            kept = place()
            if kept.files is not None and self._vault is not None:
                self._vault.keep_manifest(kept.files, kept.sha256)
            if signed is not None and self._vault is not None:
                path = self._vault.keep_bytes(signed.data, signed.signature.sha256)
                if self._store_url is not None:
                    self._store().put(artifacts.hash_artifact(path))
            self.share(kept)
            return kept

        return keep

    def _store(self) -> ArtifactStore:
        from eventlog.artifact_store import open_store  # noqa: PLC0415 - few share their artifacts

        if self._opened is None:
            self._opened = open_store(self._store_url or "")
        return self._opened
