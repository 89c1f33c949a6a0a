"""A real S3 server on loopback (SeaweedFS), a directory beside it, and what can go wrong on the way to them."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from eventlog.artifacts import Artifact, hash_artifact
from eventlog.errors import RefusedError

MIB = 1 << 20
BUCKET = "artifacts"
KEY, SECRET = "writer-key-7c1d", "writer-secret-93fa"
READER_KEY, READER_SECRET = "reader-key-55e0", "reader-secret-1b2c"
READY_SECONDS = 60.0
ROOT = Path(__file__).parents[2]
WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
PARTS = ("master", "volume", "filer", "s3", "admin")
_GRPC = 10_000  # added to a port, where nothing else is said
_FIRST_PORT, _LAST_PORT = 11_000, 21_900  # with `_GRPC` still below those that connections get


def environment(endpoint: str, key: str = KEY, secret: str = SECRET) -> dict[str, str]:
    """Return what obstore looks for."""
    return {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "NO_PROXY": "127.0.0.1",
    }


class S3Server:
    """One process that stores objects below *directory*; the writer may do all, the reader only look."""

    def __init__(self, directory: Path) -> None:
        assert WEED is not None, "weed comes with the test dependencies"
        self.directory = directory
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        keys = [("writer", KEY, SECRET, ["Admin", "Read", "Write", "List"])]
        keys.append(("reader", READER_KEY, READER_SECRET, ["Read", "List"]))
        people = [
            {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}
            for name, key, secret, actions in keys
        ]
        (directory / "keys.json").write_text(json.dumps({"identities": people}))
        (directory / "data").mkdir()

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it stores; where somebody took a port before it did, once more with others."""
        for _ in range(3):
            self.port = _free_ports(len(PARTS))
            ports = [f"-{part}.port={self.port + number - PARTS.index('s3')}" for number, part in enumerate(PARTS)]
            command = [str(WEED), "mini", f"-dir={self.directory / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
            command += [*ports, f"-s3.config={self.directory / 'keys.json'}", f"-bucket={BUCKET}"]
            command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false"]
            command += ["-s3.autoCreateBucket=false", "-master.telemetry=false"]
            with (self.directory / "log").open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
            if self._is_ready():
                return
            self.stop()
        raise AssertionError(f"weed does not start: see {self.directory / 'log'}")

    def stop(self) -> None:
        """End it at once: what it keeps is thrown away anyway. It leaves sockets in `/tmp`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None
        for number, part in enumerate(PARTS):
            port = self.port + number - PARTS.index("s3")
            for name in (f"{part}-{port}", f"{part}-grpc-{port + _GRPC}"):
                Path(f"/tmp/seaweedfs-{name}.sock").unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        assert self._process is not None, "it was started"
        deadline = time.monotonic() + READY_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(Exception):
                BucketShelf(self, "ready").write("probe", b"")
                return True
            time.sleep(0.05)
        return False


@contextmanager
def running(directory: Path) -> Iterator[S3Server]:
    """Give a server that runs meanwhile."""
    server = S3Server(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()


class DirectoryShelf:
    """Objects in a directory, as somebody sees them who goes around the store."""

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        self._objects = path / "sha256"

    def write(self, digest: str, data: bytes) -> None:
        """Put any bytes under a name."""
        self._objects.mkdir(parents=True, exist_ok=True)
        (self._objects / digest).unlink(missing_ok=True)
        (self._objects / digest).write_bytes(data)

    def names(self) -> list[str]:
        """Return the names of all that is there, but for lock files."""
        return sorted(path.name for path in self._objects.glob("*") if not path.name.endswith(".lock"))


class BucketShelf:
    """The same in a bucket."""

    def __init__(self, server: S3Server, prefix: str) -> None:
        from obstore.store import S3Store

        self.url = f"s3://{BUCKET}/{prefix}"
        self._store = S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=server.endpoint,
            region="us-east-1",
            access_key_id=KEY,
            secret_access_key=SECRET,
            client_options={"allow_http": True, "timeout": "60s"},
        )

    def write(self, digest: str, data: bytes) -> None:
        """Put any bytes under a name."""
        self._store.put(f"sha256/{digest}", data)

    def names(self) -> list[str]:
        """Return the names of all that is there."""
        return sorted(found["path"].removeprefix("sha256/") for page in self._store.list() for found in page)


class Child:
    """
    Another process, which can be told apart from a test that forks.

    Args:
        script: may use `open_store`, `hash_artifact`, `RefusedError`, `os`, `sys`, and `pause()`, which says that a
            certain point is reached and sleeps.
    """

    _PREAMBLE = (
        "import os, sys, time\n"
        "from eventlog import durable\n"
        "from eventlog.artifact_store import open_store\n"
        "from eventlog.artifacts import hash_artifact\n"
        "from eventlog.errors import RefusedError\n"
        "def pause():\n    print('here', flush=True)\n    time.sleep(60)\n"
    )

    def __init__(self, script: str, *words: object) -> None:
        command = [sys.executable, "-c", self._PREAMBLE + script, *map(str, words)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill_at_pause(self) -> None:
        """Wait until it pauses, and kill it there."""
        assert self._process.stdout is not None, "it is a pipe"
        said = self._process.stdout.readline()
        self._process.kill()
        assert said == "here\n", self._process.communicate(timeout=20)[1]
        self._process.communicate(timeout=20)

    def answer(self) -> str:
        """Give it a line, wait for its end and return what it said; it must not fail."""
        said, wrong = self._process.communicate("go\n", timeout=120)
        assert self._process.returncode == 0, wrong
        return said.strip()


def _free_ports(count: int) -> int:
    """Return the port of the S3 part, so that all of them, and those for gRPC, are free."""
    before = PARTS.index("s3")
    while True:
        first = random.SystemRandom().randrange(_FIRST_PORT, _LAST_PORT)
        if all(_is_free(first + number + above) for number in range(count) for above in (0, _GRPC)):
            return first + before


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as tried, suppress(OSError):
        tried.bind(("127.0.0.1", port))
        return True
    return False


Shelf = DirectoryShelf | BucketShelf


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server with a bucket."""
    with running(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketShelf:
    """A corner of the bucket that nobody has written to."""
    reach(monkeypatch, server.endpoint)
    return BucketShelf(server, f"{tmp_path.name}/{os.urandom(4).hex()}")


@pytest.fixture(params=["directory", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Both kinds of store, empty."""
    if request.param == "directory":
        return DirectoryShelf(tmp_path / "store")
    found: Shelf = request.getfixturevalue("bucket")
    return found


def reach(monkeypatch: pytest.MonkeyPatch, endpoint: str, *keys: str) -> None:
    """Let this process, and those that it starts, look for the bucket there."""
    for name, value in environment(endpoint, *keys).items():
        monkeypatch.setenv(name, value)


def content(size: int) -> bytes:
    """Return bytes of which no two mebibytes are the same."""
    return b"".join(sha256(b"%d" % number).digest() * (MIB // 32) for number in range(size // MIB + 1))[:size]


def artifact(directory: Path, data: bytes, name: str = "model.bin") -> Artifact:
    """Write a file and hash it."""
    (directory / name).write_bytes(data)
    return hash_artifact(directory / name)


def place_of(directory: Path, digest: str) -> Path:
    """Return where a registry keeps an artifact."""
    return directory / "sha256" / digest[:2] / digest


def below(path: Path) -> list[str]:
    """Return the relative paths of all files, but for lock files."""
    found = [file.relative_to(path) for file in path.rglob("*") if not file.is_dir() and file.suffix != ".lock"]
    return sorted(map(str, found))


def refusal_of(action: Callable[[], object], kind: type[RefusedError] = RefusedError) -> str:
    """Return the one line with which *action* is refused; it holds no secret, and neither does its traceback."""
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    assert type(caught.value) is kind
    shown = "".join(traceback.format_exception(caught.value))
    assert [secret for secret in (KEY, SECRET, READER_KEY, READER_SECRET) if secret in shown] == []
    assert "Debug source" not in shown, "the library says more than we know to be harmless"
    return str(caught.value)
