"""
Artifacts for several machines: a directory or a bucket of objects `sha256/<64 hex>`, each named after its bytes.

Whoever reads an object hashes it, so a wrong one is found, never used. A name can hold one content only: writing the
right bytes a second time changes nothing, and over wrong bytes it heals.

Decision: a bucket is reached through obstore, a directory is not: its `LocalStore` (0.12.1) syncs neither file nor
directory. Cost: two ways to write, one of which needs no extra.

Decision: up to 8 MiB an upload is create-only. Above, it goes in parts, which obstore cannot make create-only. The last
part is only sent when all that was read had the hash of the name, so two who upload at once store the same bytes. Cost:
where a bucket keeps versions, there are then two; a kill leaves parts there, which a rule of the bucket must clear.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote_to_bytes, urlsplit

from msgspec import Struct

from eventlog import durable, objects
from eventlog.artifacts import Artifact
from eventlog.errors import RefusedError
from eventlog.log import log

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

SINGLE_PUT_BYTES_MAX = 8 << 20
_PART_BYTES_MIN, _PARTS_MAX = 5 << 20, 9_000  # S3 takes 10,000 parts
_first_process = cache(os.getpid)  # of those that use a bucket: obstore's threads do not survive a fork
_GOT = re.compile(r"status code: (\d+)|<Code>(\w+)|(Connection refused|dns error|certificate|Timeout|BadScheme)")
_CAUSES = {
    "BadScheme": ("an endpoint with https", "set {0}ALLOW_HTTP=true where the network is trusted"),
    "/latest/api/token": ("credentials in the environment", "set them in the variables {0}…, such as {0}ACCESS_KEY_ID"),
    "NoSuchBucket": ("a bucket", "create it, or correct the URL"),
    "status code: 403": ("to be let in", "correct the credentials, or ask for the right to get, put and list objects"),
    "HTTP error": ("an answer", "look at server and network, or correct the endpoint in the variables {0}…"),
    "Unable to recognise URL": ("a URL that obstore knows, such as s3://bucket", "correct it"),
    "Missing": ("credentials in the environment", "set them in the variables {0}…"),
    "": ("a useful answer", "look at the URL, the variables {0}… and the server's log"),
}
"""What stands in an error of obstore, which itself may hold secrets; what was expected; what to do."""


class ObjectMissingError(RefusedError):
    """The store has no such object. Nothing changed."""


class ObjectDamagedError(RefusedError):
    """The object is not what its name says. It is as it was."""


class ArtifactStore:
    """A content-addressed store, see `open_store`; any number of threads and processes may use it at once."""

    def __init__(self, place: _Directory | _Bucket) -> None:
        self.where = place.where
        self._place = place

    def put(self, artifact: Artifact) -> None:
        """
        Store an artifact's bytes, unless they are there, and read them back.

        On return the object is there, whole and right; in a directory it survives power loss. An object with other
        bytes is replaced, and that is logged.

        Raises:
            RefusedError: the file is not what was hashed, or the store does not take it. The object is as it was.

            ObjectMissingError, ObjectDamagedError: the store took the bytes twice and does not give them back.
        """
        for tries_left in (2, 1, 0):
            try:
                self.verify(artifact.sha256, artifact.size_bytes)
                break
            except (ObjectMissingError, ObjectDamagedError) as error:
                if tries_left == 0:
                    raise
                if replace := isinstance(error, ObjectDamagedError):
                    log.warning("%s: replacing it by the bytes of %s", str(error).rpartition(": ")[0], artifact.path)
            self._place.write(artifact.sha256, _read_artifact(artifact), artifact.size_bytes, replace=replace)
        if isinstance(self._place, _Directory):
            objects.settle(os.path.join(self.where, "sha256", artifact.sha256))

    def verify(self, digest: str, size_bytes: int | None = None) -> None:
        """Read an object and hash it. Arguments and errors as of `fetch`."""
        for _ in self._read(digest, size_bytes):
            pass

    def fetch(self, digest: str, size_bytes: int | None, directory: str | os.PathLike[str]) -> str:
        """
        Bring an object to `<directory>/sha256/<first 2 hex>/<64 hex>` and return that path.

        On return the file is right and durable. It appears whole, with mode 0444; a right one that is there is kept, a
        wrong one is replaced. What a kill leaves, `.<64 hex>.new`, the next fetch of that object takes away.

        Args:
            digest, size_bytes: 64 lower-case hex of its SHA-256; how many bytes there should be, None if nobody knows.

        Raises:
            ObjectMissingError, ObjectDamagedError: the file is as it was.

            RefusedError: the same; the store is not reached, lets us not in, or the disk is full.
        """
        top = os.path.abspath(durable.checked_path(directory, "artifact directory"))
        path = objects.path_of(top, digest)
        objects.bring(path, self._read(digest, size_bytes), size_bytes)
        return path

    def _read(self, digest: str, size_bytes: int | None) -> Iterator[bytes]:
        where = f"{self.where}/sha256/{objects.checked_digest(digest)}"
        if (found := self._place.find(digest)) is None:
            raise ObjectMissingError(f"{where}: expected an object, got none: put the artifact there")
        remedy = "put the artifact there from a copy that is right"
        if size_bytes not in (None, found[0]):
            raise ObjectDamagedError(f"{where}: expected {size_bytes} bytes, got {found[0]}: {remedy}")
        yield from objects.checked(
            found[1], digest, found[0], lambda what: ObjectDamagedError(f"{where}: {what}: {remedy}")
        )


def open_store(url: str) -> ArtifactStore:
    """
    Return the store at *url*, or raise RefusedError; nothing is read or written yet.

    Args:
        url: a directory, `file:///directory`, `s3://bucket/prefix`, or what else `obstore.store.from_url` takes.
            Credentials and endpoint are what obstore finds in the environment: AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, AWS_ALLOW_HTTP. Messages show no credentials.
    """
    text = durable.checked_path(url, "artifact store")
    if (match := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?", text)) is None:
        return ArtifactStore(_Directory(os.path.abspath(text)))
    scheme, rest = match[1].lower(), text[match.end() :]
    if scheme == "file" and match[2] and rest.startswith("/"):
        return ArtifactStore(_Directory(os.path.abspath(os.fsdecode(unquote_to_bytes(rest)))))
    if scheme in ("file", "memory") or not match[2]:
        raise RefusedError(f"artifact store {scheme}:…: expected a directory, file:///directory or s3://bucket/prefix")
    return ArtifactStore(_Bucket(text, scheme))


class _Directory(Struct):
    """Files, written and synced by ourselves."""

    where: str

    def find(self, digest: str) -> tuple[int, Iterator[bytes]] | None:
        """Return the size of an object and its parts, each read when it is asked for; None where there is none."""
        path = os.path.join(self.where, "sha256", digest)
        with durable.refusing(path), suppress(FileNotFoundError):
            return os.lstat(path).st_size, objects.read_file(path)
        return None

    def write(self, digest: str, parts: Iterator[bytes], size_bytes: int, *, replace: bool) -> None:
        """Store all of the parts, or nothing where they raise; without *replace*, one that is there may stay."""
        objects.bring(os.path.join(self.where, "sha256", digest), parts, size_bytes)


class _Bucket:
    """The same, through obstore; it is imported where it is used: it takes its time, and is an extra."""

    def __init__(self, url: str, scheme: str) -> None:
        found = urlsplit(url)
        self.where = f"{scheme}://{found.netloc.rpartition('@')[2]}{found.path.rstrip('/')}"
        self._prefix = {"s3": "AWS_", "s3a": "AWS_", "gs": "GOOGLE_"}.get(scheme, "AZURE_")
        if found.query or found.fragment or found.password or (found.username and not scheme.startswith("abfs")):
            raise RefusedError(f"{self.where}: expected no credentials in a URL, got some: put them in the environment")
        try:
            self._asking, self._reading, self._writing = (self._open(url, wait) for wait in ("4s", "30s", "2m"))
        except ImportError:
            raise RefusedError(f"{self.where}: expected obstore, got none: pip install 'modelog[cluster]'") from None

    def find(self, digest: str) -> tuple[int, Iterator[bytes]] | None:
        import obstore  # noqa: PLC0415

        if _first_process() != os.getpid():
            raise RefusedError(f"{self.where}: expected process {_first_process()}, got a fork of it: start a new one")
        name = f"sha256/{digest}"
        with self._refusing():
            with suppress(FileNotFoundError, obstore.exceptions.PermissionDeniedError):
                return obstore.head(self._asking, name)["size"], self._parts(name)
            try:  # only the answer to a GET says why
                return obstore.get(self._asking, name).meta["size"], self._parts(name)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
        return None

    def write(self, digest: str, parts: Iterator[bytes], size_bytes: int, *, replace: bool) -> None:
        import obstore  # noqa: PLC0415

        name, part_bytes = f"sha256/{digest}", max(_PART_BYTES_MIN, -(-size_bytes // _PARTS_MAX))
        with self._refusing(), suppress(obstore.exceptions.AlreadyExistsError):
            if size_bytes <= SINGLE_PUT_BYTES_MAX:
                obstore.put(self._writing, name, b"".join(parts), mode="overwrite" if replace else "create")
            else:
                obstore.put(self._writing, name, parts, chunk_size=part_bytes, max_concurrency=4)

    def _parts(self, name: str) -> Iterator[bytes]:
        import obstore  # noqa: PLC0415

        with self._refusing():
            yield from obstore.get(self._reading, name).stream(1 << 20)

    def _open(self, url: str, timeout: str) -> ObjectStore:
        from obstore.store import from_url  # noqa: PLC0415

        limits = {"connect_timeout": "4s", "read_timeout": timeout, "timeout": "1day"}
        options = limits | {"allow_http": os.environ.get(f"{self._prefix}ALLOW_HTTP", "false")}
        retries: RetryConfig = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
        with self._refusing():
            return from_url(url, client_options=cast("ClientConfig", options), retry_config=retries)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        from obstore.exceptions import BaseError  # noqa: PLC0415

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            text = str(error)
            wanted, remedy = next(said for found, said in _CAUSES.items() if found in text)
            got = " ".join(dict.fromkeys("".join(reason) for reason in _GOT.findall(text))) or "none"
            raise RefusedError(f"{self.where}: expected {wanted}, got {got}: {remedy.format(self._prefix)}") from None


def _read_artifact(artifact: Artifact) -> Iterator[bytes]:
    where, remedy = f"{artifact.path}: changed after it was hashed", "publish it when its writer is done"
    parts, size_bytes = objects.read_file(artifact.path), artifact.size_bytes
    return objects.checked(parts, artifact.sha256, size_bytes, lambda what: RefusedError(f"{where}: {what}: {remedy}"))
