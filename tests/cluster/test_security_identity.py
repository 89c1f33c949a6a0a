"""Who is let in, and who is taken for a node: keys and certificates, tried on the configuration of the README."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages_server import stranger
from secure_cluster import NAME, SecureCluster, make_certificates, make_keys, one_node, secured

from eventlog.errors import ModelogError, RefusedError
from projections import open_registry

REFUSED_SECONDS_MAX = 5.0


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """A cluster that knows each principal, and holds no journal."""
    with secured(tmp_path_factory.mktemp("secure")) as cluster:
        yield cluster


def _refusal(url: str, root: Path) -> ModelogError:
    """Return what somebody is told who reads with *url*, which must be a refusal that comes soon."""
    began = time.monotonic()
    with open_registry(root / "m", None, journal=url) as registry, pytest.raises(ModelogError) as raised:
        registry.list_models()
    assert time.monotonic() - began < REFUSED_SECONDS_MAX
    assert "\n" not in str(raised.value)
    return raised.value


def test_keys_that_are_not_known(secure: SecureCluster, tmp_path: Path) -> None:
    """Without a key, or with another one, nobody gets in."""
    make_keys(tmp_path, "stranger")
    strange = secure.url_of("auditor").replace(str(secure.directory / "auditor.nk"), str(tmp_path / "stranger.nk"))

    for url in (secure.url_of(None), strange):
        error = _refusal(url, tmp_path)
        assert isinstance(error, RefusedError)
        assert "does not let us in: check nkey=" in str(error)


def test_nodes_that_are_not_vouched_for(secure: SecureCluster, tmp_path: Path) -> None:
    """One whose authority is not in `ca=`, or whose certificate names another host, or without TLS, is no node."""
    make_certificates(tmp_path / "other")
    make_certificates(tmp_path / "host", "DNS:b.example.org")
    key = f"&nkey={secure.directory / 'auditor.nk'}"
    here = f"nats://127.0.0.1:{secure.ports[0]}/{NAME}"
    tls = f"tls {{ cert_file: {tmp_path}/host/a.pem, key_file: {tmp_path}/host/a.key }}"
    with one_node(tmp_path, tls) as host, one_node(tmp_path, "") as plain:
        told = [
            _refusal(f"{here}?ca={tmp_path}/other/ca.pem{key}", tmp_path),
            _refusal(f"{here}?{key[1:]}", tmp_path),
            _refusal(f"nats://{host}/{NAME}?ca={tmp_path}/host/ca.pem{key}", tmp_path),
            _refusal(f"nats://{plain}/{NAME}?ca={secure.directory}/ca.pem{key}", tmp_path),
        ]

    assert ["certificate" in str(error) for error in told] == [True, True, True, False], told
    assert "expected TLS, got a connection without: check ca=" in str(told[3])
    assert all(isinstance(error, RefusedError) for error in told)


def test_another_node_needs_a_certificate(secure: SecureCluster) -> None:
    """Whoever could connect as a node could do everything."""
    context = ssl.create_default_context(cafile=str(secure.directory / "ca.pem"))

    def greeting() -> bytes:
        connection = socket.create_connection(("127.0.0.1", secure.routes[0]), 5)
        with connection, context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
            return secured.recv(4096)

    with pytest.raises(ssl.SSLError, match="certificate required"):
        greeting()
    context.load_cert_chain(secure.directory / "b.pem", secure.directory / "b.key")
    assert greeting().startswith(b"INFO ")


def test_nothing_is_signed_for_whoever_strips_tls(secure: SecureCluster, tmp_path: Path) -> None:
    """Somebody in the middle who hides that a node demands TLS could pass a nonce on, and have it signed by us."""
    info = {
        "server_id": "N",
        "version": "2.15.1",
        "proto": 1,
        "max_payload": 1 << 20,
        "auth_required": True,
        "nonce": "n",
    }
    heard: list[bytes] = []

    def say(connection: socket.socket) -> None:
        connection.settimeout(2)
        connection.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
        heard.append(connection.recv(4096))
        connection.sendall(b"PONG\r\n")

    with stranger(say) as address:
        _refusal(f"nats://{address}/{NAME}?ca={secure.directory}/ca.pem&nkey={secure.directory}/trainer.nk", tmp_path)

    assert b'"sig"' not in b"".join(heard)
