"""
An artifact's bytes → its SHA-256, sure that nothing changed meanwhile.

An artifact is a file, or a directory of files; the hash of a directory is that of its manifest (`eventlog.manifest`).
When a file counts as unchanged, and what cannot be seen that way, stands in `eventlog.file_state`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from eventlog import durable, manifest
from eventlog.artifact_path import path_to_text
from eventlog.errors import RefusedError
from eventlog.file_digest import Progress, digest_of
from eventlog.file_state import State, state_of

Receive = Callable[[str, int], AbstractContextManager[int | None]]
"""Given the path of a file in an artifact (empty for the file itself) and its size, gives where to copy its bytes."""

Look = Callable[[str, int, int], object]
"""Called with the name of a file in an artifact, the file, open, and its size in bytes."""

Check = Callable[[str], object]
"""Called with the path of an artifact, symbolic links resolved, before anything is read; raises to refuse it."""


class Artifact(Struct, frozen=True):
    """
    A file whose bytes were hashed, or a directory, all of whose files were.

    Attributes:
        path: absolute, symbolic links resolved; may hold surrogate escapes (PEP 383).

        sha256: of the file's bytes, or of the manifest; 64 hex.

        size_bytes: of all files.

        state: what `os.stat` said; equal as long as the file, or the list of names in the directory, has not changed.

        files: what a directory holds; None for a file.

        inside: the same as *state* of all files and directories in it, by their path from *path* on.

        origin: the path that was published, of one that the registry then keeps a copy of.

        kept: it is one of the registry's own, whose files may get other names meanwhile; so their ctime does not count.
    """

    path: str
    sha256: str
    size_bytes: int
    state: State
    files: list[manifest.File] | None = None
    inside: dict[str, State] = {}
    origin: str | None = None
    kept: bool = False

    def check_unchanged(self) -> None:
        """Raise `RefusedError` unless what is at `path` is still what was hashed."""
        for path, state in {"": self.state, **self.inside}.items():
            where = os.path.join(self.path, path) if path else self.path
            with durable.refusing(where):
                now = state_of(os.stat(where, follow_symlinks=False))
            if now != state and not (self.kept and _is_same_but_for_names(now, state)):
                raise RefusedError(f"{where}: changed after it was hashed: publish it when its writer is done")


def may_be(path: str) -> None:
    """Refuse no artifact, wherever it is."""


def hash_artifact(
    path: str | os.PathLike[str],
    progress: Progress | None = None,
    receive: Receive | None = None,
    look: Look | None = None,
    check: Check = may_be,
) -> Artifact:
    """
    Hash a file or a directory.

    Args:
        receive: asked for each file where its bytes are to be copied to, meanwhile.

        look: called with each file, as long as it is sure that it holds the bytes that were hashed.

        check: may refuse it.

    Raises:
        RefusedError: missing, unreadable, neither a regular file nor a directory of them, or changed while it was read.
    """
    given = durable.checked_path(path, "artifact")
    where = f"artifact {path_to_text(given)[0]}"
    with durable.refusing(where):
        resolved = os.path.realpath(given, strict=True)
        check(resolved)
        status = os.stat(resolved)
        if stat.S_ISDIR(status.st_mode):
            return _hash_directory(where, resolved, progress, receive or _nowhere, look)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{where}: expected a file or a directory, got {durable.kind_of(status.st_mode)}")
        digest, state = _hash_file(where, resolved, "", progress, receive or _nowhere, look)
    return Artifact(resolved, digest, state[2], state)


def look_at(path: str, digest: str) -> Artifact:
    """
    Return what is at *path* without reading it, as if it had been hashed with that result.

    Of the files of a directory nothing is known but what they look like.

    Raises as `hash_artifact`.
    """
    where = f"artifact {path_to_text(path)[0]}"
    with durable.refusing(where):
        resolved = os.path.realpath(path, strict=True)
        state = state_of(status := os.stat(resolved))
        if not stat.S_ISDIR(status.st_mode):
            return Artifact(resolved, digest, state[2], state)
        files, directories = _look(where, resolved)
        state = directories.pop("")
        return Artifact(resolved, digest, sum(item[2] for item in files.values()), state, [], {**directories, **files})


def as_it_is(artifact: Artifact) -> Artifact:
    """Return *artifact* with what its files look like now; they have just been written by us, or linked."""
    with durable.refusing(artifact.path):
        if artifact.files is None:
            return replace(artifact, state=state_of(os.stat(artifact.path, follow_symlinks=False)))
        files, directories = _look(artifact.path, artifact.path)
        return replace(artifact, state=directories.pop(""), inside={**directories, **files})


def _hash_file(
    where: str, path: str, name: str, progress: Progress | None, receive: Receive, look: Look | None
) -> tuple[str, State]:
    """
    Return the SHA-256 of a file's bytes, and what it looks like.

    Where it got another name meanwhile, or lost one, its ctime has moved and tells nothing: it is hashed once more.
    """
    descriptor = durable.open_regular(path, os.O_RDONLY)
    try:
        before = os.fstat(descriptor)
        with receive(name, before.st_size) as into:
            digest, size_bytes = digest_of(descriptor, before.st_size, progress, into)
        if look is not None:
            look(name or os.path.basename(path), descriptor, size_bytes)
        state, same = state_of(os.fstat(descriptor)), True
        if state != state_of(before) and _is_same_but_for_names(state, state_of(before)):
            same = digest_of(descriptor, before.st_size, None) == (digest, size_bytes)
            state = state_of(os.fstat(descriptor))
    finally:
        os.close(descriptor)
    if not same or not _is_same_but_for_names(state, state_of(before)) or size_bytes != before.st_size:
        raise _changed(where, name)
    return digest, state


def _is_same_but_for_names(state: State, other: State) -> bool:
    """Say whether two states differ in ctime at most: it also moves where a file gets another name."""
    return state[:-1] == other[:-1]


def _hash_directory(where: str, top: str, progress: Progress | None, receive: Receive, look: Look | None) -> Artifact:
    """Hash all files of a directory, in the order of their names."""
    states, inside = _look(where, top)
    manifest.check(list(states), where)
    if not states:
        raise RefusedError(f"{where}: expected a directory with files in it, got none")
    size_bytes, done = sum(state[2] for state in states.values()), 0

    def advance(part: int, _: int) -> None:
        if progress is not None:
            progress(done + part, size_bytes)

    files = []
    for name in sorted(states, key=os.fsencode):
        digest, state = _hash_file(where, os.path.join(top, name), name, advance, receive, look)
        if not _is_same_but_for_names(state, states[name]):
            raise _changed(where, name)
        states[name] = state
        files.append(manifest.File(name, state[2], digest))
        done += state[2]
    files_now, inside_now = _look(where, top)
    same = files_now.keys() == states.keys() and all(
        _is_same_but_for_names(files_now[name], states[name]) for name in states
    )
    if not same or inside_now != inside:
        raise _changed(where, "")
    state = inside.pop("")
    return Artifact(top, sha256(manifest.encode(files)).hexdigest(), size_bytes, state, files, {**inside, **states})


def _look(where: str, top: str) -> tuple[dict[str, State], dict[str, State]]:
    """Return what the files below a directory look like, and the directories, itself included, by path from it on."""
    files: dict[str, State] = {}
    directories = {"": state_of(os.stat(top))}
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(top, below)) as found:
            for item in found:
                name, status = os.path.join(below, item.name), item.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    directories[name] = state_of(status)
                    waiting.append(name)
                elif stat.S_ISREG(status.st_mode):
                    files[name] = state_of(status)
                else:
                    kind = durable.kind_of(status.st_mode)
                    raise RefusedError(f"{where}: expected only files in it, got {kind}: {path_to_text(name)[0]:.200}")
                if len(files) + len(directories) > manifest.FILES_MAX + 1:
                    raise RefusedError(f"{where}: expected at most {manifest.FILES_MAX} files in it, got more")
    return files, directories


@contextmanager
def _nowhere(name: str, size_bytes: int) -> Iterator[None]:
    yield None


def _changed(where: str, name: str) -> RefusedError:
    part = f": {path_to_text(name)[0]:.200}" if name else ""
    return RefusedError(f"{where}{part}: changed while it was hashed: publish it when its writer is done")
