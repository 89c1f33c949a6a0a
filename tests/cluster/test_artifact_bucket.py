"""`eventlog/artifact_store.py` on its way to a store: URLs, what stands in the environment, and who answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
import s3_server
from s3_server import (
    BUCKET,
    KEY,
    READER_KEY,
    READER_SECRET,
    SECRET,
    BucketShelf,
    S3Server,
    artifact,
    below,
    content,
    reach,
    refusal_of,
)

from eventlog import artifact_store
from eventlog.artifact_store import open_store
from eventlog.artifacts import hash_artifact

server, bucket = s3_server.server, s3_server.bucket
BIG = 3 * artifact_store.SINGLE_PUT_BYTES_MAX
BOUND_SECONDS = 30.0
"""Twice what is promised, for a loaded machine."""


@contextmanager
def silent_endpoint(*, backlog_full: bool) -> Iterator[str]:
    """Give an endpoint that takes connections and says nothing; or, with a full backlog, does not even take them."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0 if backlog_full else 64)
        waiting = [socket.socket() for _ in range(4 if backlog_full else 0)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for connection in waiting:
            connection.close()


@contextmanager
def cut_endpoint(port: int, *, after_bytes: int) -> Iterator[str]:
    """Give an endpoint before that of *port*, which is gone for good once it has handed on so many bytes."""
    passed = [0]
    opened: list[socket.socket] = []

    def end(*sockets: socket.socket) -> None:
        for item in sockets:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def hand_on(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                passed[0] += len(data)
                if passed[0] > after_bytes:
                    end(listening, *opened)
                    return
                target.sendall(data)
        end(source, target)

    def accept() -> None:
        with suppress(OSError):
            while True:
                pair = listening.accept()[0], socket.create_connection(("127.0.0.1", port))
                opened.extend(pair)
                for ends in (pair, pair[::-1]):
                    threads.append(threading.Thread(target=hand_on, args=ends))
                    threads[-1].start()

    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        end(listening)
        threads[0].join()
        end(*opened)
    for thread in threads[1:]:
        thread.join()
    for item in opened:
        item.close()


@pytest.mark.parametrize("size", [9, BIG])
@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (("nobody", SECRET), "403 InvalidAccessKeyId: correct the credentials"),
        ((KEY, "wrong"), "403 SignatureDoesNotMatch: correct the credentials"),
        ((READER_KEY, READER_SECRET), "403 AccessDenied: correct the credentials, or ask for the right to"),
    ],
    ids=["wrong key", "wrong secret", "may only read"],
)
def test_not_let_in(
    server: S3Server,
    bucket: BucketShelf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: tuple[str, str],
    code: str,
    size: int,
):
    """The server's word says why, and nothing was stored."""
    reach(monkeypatch, server.endpoint, *keys)
    put = artifact(tmp_path, content(size))

    assert refusal_of(lambda: open_store(bucket.url).put(put)).startswith(
        f"{bucket.url}: expected to be let in, got {code}"
    )
    assert bucket.names() == []


def test_a_reader_fetches(server: S3Server, bucket: BucketShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever may only read can fetch, and put what is there already."""
    put = artifact(tmp_path, content(BIG))
    open_store(bucket.url).put(put)
    reach(monkeypatch, server.endpoint, READER_KEY, READER_SECRET)

    open_store(bucket.url).put(put)

    assert hash_artifact(open_store(bucket.url).fetch(put.sha256, None, tmp_path / "m")).sha256 == put.sha256


@pytest.mark.parametrize("size", [artifact_store.SINGLE_PUT_BYTES_MAX, artifact_store.SINGLE_PUT_BYTES_MAX + 1])
def test_create_only(bucket: BucketShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int):
    """An object of one part never takes the place of another, unless that is damaged."""
    put, modes, real = artifact(tmp_path, content(size)), [], obstore.put

    def noting(*arguments: Any, **settings: Any) -> Any:
        modes.append(settings.get("mode"))
        return real(*arguments, **settings)

    monkeypatch.setattr(obstore, "put", noting)
    open_store(bucket.url).put(put)
    bucket.write(put.sha256, b"lie")
    open_store(bucket.url).put(put)

    assert modes == (["create", None, "overwrite"] if size == artifact_store.SINGLE_PUT_BYTES_MAX else [None] * 3)


def test_no_such_bucket(bucket: BucketShelf, tmp_path: Path):
    """It is told from a bucket without the object, by each method."""
    store, put = open_store("s3://nowhere/p"), artifact(tmp_path, b"weights")
    said = "s3://nowhere/p: expected a bucket, got 404 NoSuchBucket: create it, or correct the URL"

    assert refusal_of(lambda: store.put(put)) == said
    assert refusal_of(lambda: store.verify(put.sha256)) == said
    assert refusal_of(lambda: store.fetch(put.sha256, None, tmp_path / "m")) == said


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ALLOW_HTTP": "false"}, "expected an endpoint with https, got BadScheme: set AWS_ALLOW_HTTP=true"),
        ({"AWS_ALLOW_HTTP": "perhaps"}, "expected a useful answer, got none: look at the URL, the variables AWS_"),
        (
            {"AWS_ACCESS_KEY_ID": None},
            "expected credentials in the environment, got none: set them in the variables AWS_",
        ),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "expected credentials in the environment, got"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "expected an answer, got Connection refused: look at server"),
        ({"AWS_ENDPOINT_URL": "https://127.0.0.1:1"}, "expected an answer, got Connection refused: look at server"),
    ],
)
def test_environment(
    bucket: BucketShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str | None], said: str
):
    """What is missing or wrong in it is said; so is a server that is down."""
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)

    assert refusal_of(lambda: open_store(bucket.url).verify("0" * 64)).startswith(f"{bucket.url}: {said}")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A server that says nothing, and one that cannot be reached, are given up within a bounded time."""
    put, start, stores = artifact(tmp_path, b"weights"), time.monotonic(), []

    with ExitStack() as endpoints, ThreadPoolExecutor(2) as together:
        for backlog_full in (False, True):
            reach(monkeypatch, endpoints.enter_context(silent_endpoint(backlog_full=backlog_full)))
            stores.append(open_store(f"s3://{BUCKET}/p"))
        said = list(together.map(lambda store: refusal_of(lambda: store.put(put)), stores))

    for line in said:
        assert line.startswith(f"s3://{BUCKET}/p: expected an answer, got Timeout: look at server and network")
    assert time.monotonic() - start < BOUND_SECONDS


def test_a_server_that_goes_away(
    server: S3Server, bucket: BucketShelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Half-way through a put, and then through a fetch: refused, with nothing to be seen; afterwards both succeed."""
    put, whole = artifact(tmp_path, content(BIG)), open_store(bucket.url)

    with cut_endpoint(server.port, after_bytes=BIG // 2) as endpoint:
        reach(monkeypatch, endpoint)
        assert "expected an answer, got " in refusal_of(lambda: open_store(bucket.url).put(put))
    assert bucket.names() == []
    whole.put(put)
    with cut_endpoint(server.port, after_bytes=BIG // 2) as endpoint:
        reach(monkeypatch, endpoint)
        fetch = open_store(bucket.url).fetch
        assert "expected an answer, got " in refusal_of(lambda: fetch(put.sha256, None, tmp_path / "m"))
    assert below(tmp_path / "m") == []

    assert hash_artifact(whole.fetch(put.sha256, None, tmp_path / "m")).sha256 == put.sha256


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("", "got ''"),
        ("a\0b", "got 'a"),
        ("foo://bar", "foo://bar: expected a URL that obstore knows, such as s3://bucket, got none"),
        ("s3:/bucket", "artifact store s3:…: expected a directory"),
        ("memory:///", "artifact store memory:…"),
        ("file://host/directory", "artifact store file:…"),
        ("s3://", "s3://: expected"),
        (f"s3://{s3_server.KEY}:{s3_server.SECRET}@bucket/p", "s3://bucket/p: expected no credentials in a URL"),
        (f"s3://bucket/p?X-Amz-Signature={s3_server.SECRET}", "s3://bucket/p: expected no credentials in a URL"),
    ],
)
def test_urls_that_open_nothing(url: str, got: str):
    """Each is refused in one line that shows no secret."""
    assert got in refusal_of(lambda: open_store(url))


def test_a_directory_has_several_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A path, a relative one, and a URL lead to the same place; a later change of directory leads nowhere else."""
    monkeypatch.chdir(tmp_path)
    put = artifact(tmp_path, b"weights")
    stores = [open_store(name) for name in (str(tmp_path / "a b"), "a b", f"file://{tmp_path}/a%20b")]
    monkeypatch.chdir("/")

    stores[0].put(put)

    for store in stores:
        store.verify(put.sha256)
        assert store.where == str(tmp_path / "a b")


def test_without_obstore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A bucket says what to install; a directory needs nothing."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)

    assert "pip install 'modelog[cluster]'" in refusal_of(lambda: open_store("s3://bucket/p"))
    open_store(str(tmp_path)).put(artifact(tmp_path, b"weights"))


def test_import_is_light():
    """Whoever has no bucket does not wait for its library."""
    script = "import sys\nfrom eventlog.artifact_store import open_store\nopen_store('.')\nprint(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=s3_server.ROOT, capture_output=True, text=True, check=True
    )

    assert {"obstore", "asyncio", "ssl"} & set(done.stdout.split()) == set()
