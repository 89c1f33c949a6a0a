"""
What a registry keeps and no longer needs: found from the claims on it, checked, and removed.

A directory goes with its manifest and with those of its files that are part of no other directory, and no model's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from eventlog import durable, manifest, objects
from eventlog.artifact_match import data_of
from eventlog.claims import Claims
from eventlog.errors import RefusedError
from eventlog.vault import Vault


class Removal(Struct, frozen=True):
    """
    An artifact that is removed, or would be.

    Attributes:
        sha256, size_bytes, files: as in `eventlog.events.ModelPublished`.

        models: whose artifact it is, oldest first; none where no event names it.
    """

    sha256: str
    size_bytes: int
    files: int | None
    models: list[str]


class Sweep:
    """
    What a vault holds, and which of it is needed.

    Attributes:
        claims: what the history says of it; goes on as the history does.

        removals: what is not needed, as of the moment that it was made for: models' artifacts in the order of
            publication, then what no model names.

    Args:
        stored: what `Vault.stored` said before the claims were asked for.

        fetch: brings a file from a store by its hash, so that what is needed may be there; None where there is none.

    Raises:
        RefusedError: something that is needed is not there, so nobody knows what else belongs to it.
    """

    def __init__(
        self,
        vault: Vault,
        stored: tuple[set[str], set[str]],
        claims: Claims,
        now: datetime,
        fetch: Callable[[str], str] | None = None,
    ) -> None:
        self.claims = claims
        self._vault = vault
        self._fetch = fetch
        self._files, self._trees = stored
        self._members: dict[str, list[manifest.File]] = {}
        self._holders: dict[str, set[str]] = {}
        self._find_members(now)
        self.removals = [self._removal(digest) for digest in self._unneeded(now)]

    def check(self, removal: Removal) -> None:
        """Raise RefusedError unless an artifact is whole and right."""
        directory = removal.sha256 in self._trees
        path = self._vault.path_of(removal.sha256, is_directory=directory)
        files = self._members.get(removal.sha256, [])
        whole = self._vault.is_tree(removal.sha256) if directory else objects.is_right(path, removal.sha256, None)
        if not (whole and all(self._is_whole(file, path) for file in files)):
            raise RefusedError(
                f"{path}: expected what has this SHA-256, got something else, so nothing is removed: "
                "publish the right bytes with --copy, or remove it by hand"
            )

    def remove(self, removal: Removal) -> None:
        """Remove an artifact that the history already says is removed. Raises RefusedError where that cannot be."""
        digest = removal.sha256
        with durable.refusing(self._vault.top):
            if digest in self._trees:
                self._vault.remove_tree(digest)
            gone = []
            for file in self._members.get(digest, ()):
                holders = self._holders[file.sha256]
                holders.discard(digest)
                named = file.sha256 in self.claims.by_digest or file.sha256 in self.claims.signatures
                if not holders and not named:
                    gone.append(file.sha256)
            self._vault.remove_files([*gone, digest])  # the manifest last, so that what a kill leaves is still known

    def _find_members(self, now: datetime) -> None:
        """Read the manifests of all directories that are there, or needed."""
        stored = self._files | self._trees
        for digest, claims in self.claims.by_digest.items():
            needed = self.claims.why_kept(digest, now)
            data = data_of(claims[0].published)
            if digest not in stored:
                missed = [claim.published.subject or "" for claim in claims if not (claim.removed and claim.retired)]
                if data.origin_path is not None and (missed := [model_id for model_id in missed if model_id in needed]):
                    self._find_lacking(digest, missed[0], is_directory=data.artifact_files is not None)
            elif data.artifact_files is not None and (needed or self._is_kept(digest)):
                self._note_members(digest, needed=next(iter(needed), None))
        for digest in self._trees - self._members.keys():
            self._note_members(digest, needed=None)

    def _find_lacking(self, digest: str, model_id: str, *, is_directory: bool) -> None:
        """Where an artifact that is needed is in a store, learn what belongs to it. Raises RefusedError elsewhere."""
        if self._fetch is None:
            raise self._lacking(digest, model_id)
        if is_directory:
            path = self._fetch(digest)
            self._add_members(digest, manifest.decode(durable.read_file(path, bytes_max=manifest.BYTES_MAX), path))

    def _note_members(self, digest: str, *, needed: str | None) -> None:
        files = self._vault.manifest_of(digest)
        if files is None:
            if needed is not None or digest in self._trees:
                raise self._lacking(digest, needed)
            return
        self._add_members(digest, files)

    def _add_members(self, digest: str, files: list[manifest.File]) -> None:
        self._members[digest] = files
        for file in files:
            self._holders.setdefault(file.sha256, set()).add(digest)

    def _unneeded(self, now: datetime) -> Iterable[str]:
        """Yield what nobody needs, nor any directory that stays: what is named in order, then what is nobody's."""
        stored = (self._files | self._trees) - self.claims.signatures
        named = [digest for digest in self.claims.by_digest if digest in stored]
        nobodys = stored - set(named)
        going = {digest for digest in named if not self.claims.why_kept(digest, now)}
        going |= nobodys & self._members.keys()
        while part_of_what_stays := {digest for digest in going if self._holders.get(digest, set()) - going}:
            going -= part_of_what_stays
        yield from (digest for digest in named if digest in going and self._is_kept(digest))
        yield from sorted(nobodys & going)
        yield from sorted(nobodys - self._members.keys() - self._holders.keys())

    def _is_kept(self, digest: str) -> bool:
        """Say whether more of a named artifact is here than the manifest of a directory that is elsewhere."""
        every = [data_of(claim.published) for claim in self.claims.by_digest[digest]]
        return digest in self._trees or any(data.artifact_files is None or data.origin_path for data in every)

    def _removal(self, digest: str) -> Removal:
        files = self._members.get(digest)
        models = [claim.published.subject or "" for claim in self.claims.by_digest.get(digest, ())]
        if files is not None:
            return Removal(digest, sum(file.size_bytes for file in files), len(files), models)
        return Removal(digest, self._vault.size_of(digest), None, models)

    def _is_whole(self, file: manifest.File, tree: str) -> bool:
        """Say whether a file of a directory is right, where it is here; the very file in the *tree* was looked at."""
        path = self._vault.path_of(file.sha256, is_directory=False)
        if file.sha256 not in self._files:
            return True
        with suppress(OSError):
            if os.path.samefile(path, os.path.join(tree, file.path)):
                return True
        return objects.is_right(path, file.sha256, file.size_bytes)

    def _lacking(self, digest: str, model_id: str | None) -> RefusedError:
        path = self._vault.path_of(digest, is_directory=False)
        of = "" if model_id is None else f" of {model_id}, which is needed"
        return RefusedError(
            f"{path}: expected the artifact{of}, got none that is right, so nothing is removed: "
            "run verify --artifacts, and publish the same bytes again with --copy"
        )
