"""Who is let in by a client's certificate (`cert=`, `key=`), or by a JWT (`creds=`), tried on three nodes each."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys
import pytest
from nats_cluster import NatsCluster, running
from secure_cluster import make_certificates

from eventlog.errors import RefusedError
from projections import open_registry

ACCOUNT_LIMITS = dict.fromkeys(
    ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams"), -1
)


class Signer:
    """A key of NATS, and the claims that it signs. Source: the format of JWTs of NATS, version 2."""

    def __init__(self, kind: int) -> None:
        self.seed: bytes = nkeys.encode_seed(os.urandom(32), kind)
        self.key = nkeys.from_seed(bytearray(self.seed))
        self.public: str = self.key.public_key.decode()

    def claim(self, subject: str, name: str, **what: Any) -> str:
        """Return a signed JWT that says *what* of the key *subject*."""
        claims = {"jti": name, "iat": int(time.time()), "iss": self.public, "name": name, "sub": subject}
        said = {**claims, "nats": {**what, "version": 2}}
        text = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(said)}"
        return f"{text}.{_base64(self.key.sign(text.encode()))}"


def _part(what: dict[str, Any]) -> str:
    return _base64(json.dumps(what).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _credentials(path: Path, account: Signer) -> str:
    """Write a file of credentials as `nsc` does, for a user of *account*, and return the parameter that names it."""
    user = Signer(nkeys.PREFIX_BYTE_USER)
    jwt = account.claim(user.public, path.stem, type="user", subs=-1, data=-1, payload=-1)
    path.write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return f"?creds={path}"


def _publishes_and_reads(cluster: NatsCluster, parameters: str, root: Path) -> None:
    """Whoever is let in can publish, and another mirror has what was published."""
    artifact = root / "artifact"
    artifact.write_bytes(b"weights")
    url = cluster.url("known", parameters)
    with open_registry(root / "one", None, journal=url) as registry:
        model = registry.publish_model(artifact, backend="b")
    with open_registry(root / "other", None, journal=url) as registry:
        assert [found.model_id for found in registry.list_models()] == [model.model_id]


def _is_not_let_in(cluster: NatsCluster, parameters: str, root: Path, reason: str) -> None:
    with (
        open_registry(root / "stranger", None, journal=cluster.url("known", parameters)) as registry,
        pytest.raises(RefusedError, match=reason) as raised,
    ):
        registry.list_models()
    assert "\n" not in str(raised.value)


def test_certificate_of_a_client(tmp_path: Path) -> None:
    """Who shows a certificate that the nodes know is let in; who shows none, or another authority's, is told so."""
    own, other = tmp_path / "own", tmp_path / "other"
    make_certificates(own)
    make_certificates(other)
    extra = (
        f"tls {{ cert_file: {own}/a.pem, key_file: {own}/a.key, ca_file: {own}/ca.pem, verify_and_map: true }}\n"
        'authorization { users: [{ user: "CN=b.example.org" }] }'
    )
    with running(tmp_path, extra=extra) as cluster:
        _publishes_and_reads(cluster, f"?ca={own}/ca.pem&cert={own}/b.pem&key={own}/b.key", tmp_path)
        refused = "does not let us in: check nkey=, creds= or cert="
        _is_not_let_in(cluster, f"?ca={own}/ca.pem", tmp_path, "expected a certificate of ours, got none")
        _is_not_let_in(cluster, f"?ca={own}/ca.pem&cert={other}/b.pem&key={other}/b.key", tmp_path, refused)
        _is_not_let_in(cluster, f"?ca={own}/ca.pem&cert={own}/c.pem&key={own}/c.key", tmp_path, refused)
        _is_not_let_in(cluster, f"?ca={own}/b.key", tmp_path, "b.key: no certificate or crl found")
        _is_not_let_in(cluster, f"?ca={own}/c.crt", tmp_path, "c.crt: no such file")
        _is_not_let_in(
            cluster, f"?ca={own}/ca.pem&cert={own}/b.pem&key={own}/c.key", tmp_path, "c.key: key values mismatch"
        )


def test_credentials_of_a_user(tmp_path: Path) -> None:
    """A JWT that the nodes' operator vouches for is let in; one of another account, or a file without one, is not."""
    operator = Signer(nkeys.PREFIX_BYTE_OPERATOR)
    system, team, strangers = (Signer(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(3))
    limits = {**ACCOUNT_LIMITS, "wildcards": True, "consumer": -1}
    none = {**limits, "mem_storage": 0, "disk_storage": 0, "streams": 0, "consumer": 0}
    accounts = {
        account.public: operator.claim(account.public, name, type="account", limits=given)
        for account, name, given in ((system, "SYS", none), (team, "TEAM", limits))
    }
    preloaded = ", ".join(f"{key}: {jwt}" for key, jwt in accounts.items())
    extra = (
        f"operator: {operator.claim(operator.public, 'operator', type='operator')}\n"
        f"system_account: {system.public}\nresolver: MEMORY\nresolver_preload: {{ {preloaded} }}"
    )
    (tmp_path / "empty.creds").write_text("nothing\n")
    half = _credentials(tmp_path / "half.creds", team)
    (tmp_path / "half.creds").write_text((tmp_path / "half.creds").read_text().replace("SEED-----\nS", "SEED-----\nX"))
    with running(tmp_path, extra=extra) as cluster:
        _publishes_and_reads(cluster, _credentials(tmp_path / "trainer.creds", team), tmp_path)
        refused = "does not let us in: check nkey=, creds= or cert="
        _is_not_let_in(cluster, "", tmp_path, refused)
        _is_not_let_in(cluster, _credentials(tmp_path / "stranger.creds", strangers), tmp_path, refused)
        _is_not_let_in(cluster, f"?creds={tmp_path}/empty.creds", tmp_path, "empty.creds: expected a user's JWT")
        _is_not_let_in(cluster, half, tmp_path, "half.creds: expected the seed of an nkey")
        _is_not_let_in(cluster, f"?nkey={tmp_path}/empty.creds", tmp_path, "empty.creds: expected the seed of an nkey")
        _is_not_let_in(cluster, f"?creds={tmp_path}/missing.creds", tmp_path, "missing.creds: no such file")
