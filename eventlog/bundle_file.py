"""A bundle's file, read: nothing of it is believed before every byte was compared with what must stand there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256

from eventlog import bundle_format, durable, objects
from eventlog.bundle_format import BLOCK_BYTES, END, TABLE, Member
from eventlog.errors import RefusedError
from eventlog.file_digest import CHUNK_BYTES, Progress
from eventlog.file_state import state_of


class BundleFile:
    """
    See the module.

    Attributes:
        where: the path, for messages.

        table: what `bundle.json` says.

    Args:
        path: a regular file, or a link to one. It stays open until `close`.

    Raises:
        RefusedError: it cannot be read, is no bundle, or has another size than its members have.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.where = durable.checked_path(path, "bundle")
        with durable.refusing(self.where):
            self._descriptor = durable.open_regular(os.path.realpath(self.where), os.O_RDONLY)
        try:
            with durable.refusing(self.where):
                self._state = state_of(os.fstat(self._descriptor))
            size_bytes = bundle_format.table_size(self.read(0, BLOCK_BYTES), self.where)
            if BLOCK_BYTES + size_bytes > self._state[2]:
                raise self._of_another_size(f"more than {size_bytes}")
            self.table = bundle_format.parse(self.read(BLOCK_BYTES, size_bytes), self.where)
            if self.table.size_bytes() != self._state[2]:
                raise self._of_another_size(f"{self.table.size_bytes()}")
        except BaseException:
            self.close()
            raise
        self._offsets: dict[str, int] = {}
        offset = BLOCK_BYTES + size_bytes + bundle_format.padding(size_bytes)
        for member in self.table.members:
            self._offsets[member.name] = offset + BLOCK_BYTES
            offset += BLOCK_BYTES + member.size_bytes + bundle_format.padding(member.size_bytes)

    def close(self) -> None:
        """Let the file go; it was only read, so nothing can be lost."""
        with suppress(OSError):
            os.close(self._descriptor)

    def check(self, progress: Progress | None = None) -> None:
        """
        Compare every byte: headers, contents with their hashes, and the zeros between them and at the end.

        Args:
            progress: called with bytes done and bytes in all.

        Raises:
            RefusedError: the first that differs, or the file changed while it was read.
        """
        table_bytes = len(self.table.encoded())
        self._check_zeros(TABLE, BLOCK_BYTES + table_bytes, bundle_format.padding(table_bytes))
        for member in self.table.members:
            begins = self._offsets[member.name]
            if self.read(begins - BLOCK_BYTES, BLOCK_BYTES) != bundle_format.header(member.name, member.size_bytes):
                raise RefusedError(
                    f"{self.where}: expected the header of {member.name} at byte {begins - BLOCK_BYTES}, got another: "
                    "it was changed: copy the bundle again, or make it anew"
                )
            for _ in self.parts(member, progress):
                pass
            self._check_zeros(member.name, begins + member.size_bytes, bundle_format.padding(member.size_bytes))
        self._check_zeros("the last member", self._state[2] - len(END), len(END))
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise RefusedError where the file is no longer what was opened."""
        with durable.refusing(self.where):
            now = state_of(os.fstat(self._descriptor))
        if now != self._state:
            raise RefusedError(f"{self.where}: changed while it was read: unbundle it when its writer is done")

    def parts(self, member: Member, progress: Progress | None = None) -> Iterator[bytes]:
        """Yield a member's bytes; raises RefusedError before their end where they do not have its hash."""

        def changed(what: str) -> RefusedError:
            return RefusedError(
                f"{self.where}: {member.name}: {what}: it was changed: copy the bundle again, or make it anew"
            )

        yield from objects.checked(self._bytes_of(member, progress), member.sha256, member.size_bytes, changed)

    def whole(self, member: Member, bytes_max: int) -> bytes:
        """Return a small member. Raises RefusedError where it is not small, or has another hash."""
        if member.size_bytes > bytes_max:
            raise RefusedError(
                f"{self.where}: {member.name}: expected at most {bytes_max} bytes, got {member.size_bytes}"
            )
        return b"".join(self.parts(member))

    def offset_of(self, member: Member) -> int:
        """Return where a member's bytes begin."""
        return self._offsets[member.name]

    def read(self, offset_bytes: int, count: int) -> bytes:
        """Return *count* bytes. Raises RefusedError where there are fewer."""
        found = b""
        with durable.refusing(self.where):
            while len(found) < count and (part := os.pread(self._descriptor, count - len(found), offset_bytes)):
                found += part
                offset_bytes += len(part)
        if len(found) < count:
            raise self._of_another_size("more")
        return found

    def _bytes_of(self, member: Member, progress: Progress | None) -> Iterator[bytes]:
        begins = self._offsets[member.name]
        for done in range(0, member.size_bytes, CHUNK_BYTES):
            part = self.read(begins + done, min(CHUNK_BYTES, member.size_bytes - done))
            if progress is not None:
                progress(begins + done + len(part), self._state[2])
            yield part

    def _check_zeros(self, behind: str, offset_bytes: int, count: int) -> None:
        if self.read(offset_bytes, count) != bytes(count):
            raise RefusedError(
                f"{self.where}: expected {count} zeros behind {behind}, got others: it was changed: "
                "copy the bundle again, or make it anew"
            )

    def _of_another_size(self, expected: str) -> RefusedError:
        return RefusedError(
            f"{self.where}: expected {expected} bytes, got {self._state[2]}: cut off or changed: copy the bundle again"
        )


def digest_of(parts: Iterator[bytes]) -> tuple[str, int]:
    """Return SHA-256 and length of what comes in parts."""
    digest, size_bytes = sha256(), 0
    for part in parts:
        digest.update(part)
        size_bytes += len(part)
    return digest.hexdigest(), size_bytes
