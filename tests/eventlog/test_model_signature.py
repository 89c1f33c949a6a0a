"""Signatures of artifacts: OpenSSF's own `model_signing` takes ours, and nothing else that looks like them."""

from __future__ import annotations

import base64
import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace
from support import Place, artifact_problems, flip, outcome_of

from eventlog import model_signature
from eventlog.artifact_places import ArtifactPlaces
from eventlog.errors import RefusedError
from eventlog.events import ModelPublished
from eventlog.model_signature import Signature
from eventlog.signed_note import KIND_LOG, PrivateKey
from projections import verify_registry

PINS = ("model-signing==1.1.1", "pyopenssl==26.4.0")
"""The second because the first imports OpenSSL without asking for it."""

TREE_HEADS = PrivateKey("example.com/m", KIND_LOG, bytes(32)).spelled()
FILES = {"config.json": b"{}", "weights/part-2": b"w" * 3000, "weights.txt": b"", "weights/a/ü b": b"x", ".h": b"h"}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def model_signing(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Run:
    """Give the real program, in an environment of its own that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    top = base if worker_id == "master" else base.parent
    python, done = top / "model-signing" / "bin" / "python", top / "model-signing-installed"
    with (top / "model-signing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])], check=True, timeout=300)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *PINS], check=True, timeout=600)
            done.touch()

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "model_signing", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.fixture
def key(place: Place) -> str:
    """A key that signs artifacts; its public half is in `key.pub`."""
    private, public = model_signature.new_key()
    (place.root / "key.pub").write_text(public)
    return private


def signed(place: Place, key: str | list[str], artifact: Path | None = None, **terms: Any) -> str:
    """Publish an artifact, signed, and return the model's id."""
    registry = place.open(sign_key=key)
    model = registry.publish_model(artifact or place.artifact(), backend="b", actor="t", **terms)
    return model.model_id


def recorded(place: Place, model_id: str) -> Signature:
    data = place.open().catalog().published[model_id].data
    assert isinstance(data, ModelPublished)
    assert data.signature is not None
    return data.signature


def verified(run: Run, place: Place, model_id: str, public: str = "key.pub") -> tuple[int, str]:
    """Return how `model_signing verify key` ends, and what it says, of a model where the registry has it."""
    registry = place.open()
    path, signature = registry.catalog().model(model_id).artifact_path, registry.signature_path(model_id)
    done = run("verify", "key", "--signature", signature, "--public_key", place.root / public, path)
    return done.returncode, done.stdout + done.stderr


def statement(path: Path | str) -> dict[str, Any]:
    """Return what a signature signs."""
    found = json.loads(base64.b64decode(json.loads(Path(path).read_bytes())["dsseEnvelope"]["payload"]))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_it_is_accepted(model_signing: Run, place: Place, key: str, kind: str, copy: bool) -> None:
    """A file and a directory, referred to or kept; one byte changed, one file more or less, another key are not."""
    artifact = place.artifact() if kind == "file" else place.directory(FILES)
    model_id = signed(place, key, artifact, copy=copy)
    (place.root / "other.pub").write_text(model_signature.new_key()[1])

    assert verified(model_signing, place, model_id) == (0, "Verification succeeded\n")
    assert verified(model_signing, place, model_id, "other.pub")[0] == 1

    top = Path(place.open().catalog().model(model_id).artifact_path)
    changed = top if kind == "file" else top / "weights/part-2"
    changed.chmod(0o644)
    flip(changed, 3)
    status, said = verified(model_signing, place, model_id)
    assert (status, "mismatch" in said) == (1, True), said
    flip(changed, 3)
    assert verified(model_signing, place, model_id)[0] == 0
    if kind == "directory":
        (top / "new").touch()
        assert "Extra files" in verified(model_signing, place, model_id)[1]
        (top / "new").unlink()
        (top / "config.json").unlink()
        assert "Missing files" in verified(model_signing, place, model_id)[1]


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_every_curve(model_signing: Run, place: Place, curve: ec.EllipticCurve) -> None:
    """All that `model_signing` takes, also as `openssl ecparam -genkey` writes them, with the parameters in front."""
    name = {"secp256r1": "prime256v1"}.get(curve.name, curve.name)
    made = ["openssl", "ecparam", "-name", name, "-genkey"]
    key = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    public = ["openssl", "ec", "-pubout", "-out", str(place.root / "key.pub")]
    subprocess.run(public, input=key, text=True, check=True, stderr=subprocess.DEVNULL)

    model_id = signed(place, key)

    assert "BEGIN EC PARAMETERS" in key
    assert verified(model_signing, place, model_id)[0] == 0
    assert recorded(place, model_id).key == sha256((place.root / "key.pub").read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_it_says_what_theirs_says(model_signing: Run, place: Place, key: str, kind: str) -> None:
    """Their program signs the same digests in the same order; only the name differs, and that is for people."""
    artifact = place.artifact() if kind == "file" else place.directory(FILES)
    (place.root / "key").write_text(key)
    theirs = place.root / "theirs.sig"
    done = model_signing("sign", "key", "--private_key", place.root / "key", "--signature", theirs, artifact)
    assert done.returncode == 0, done.stderr

    ours = statement(place.open().signature_path(signed(place, key, artifact)))

    wanted = statement(theirs)
    assert ours["predicate"]["resources"] == wanted["predicate"]["resources"]
    assert ours["subject"][0]["digest"] == wanted["subject"][0]["digest"]
    assert [ours[name] for name in ("_type", "predicateType")] == [wanted[name] for name in ("_type", "predicateType")]


def test_files_of_git(model_signing: Run, place: Place, key: str, caplog: pytest.LogCaptureFixture) -> None:
    """What `model_signing` does not look at is not signed, and that is told; a directory of nothing else is refused."""
    of_git = {".gitattributes": b"*", ".git/config": b"", "weights/.gitignore": b"", ".github": b""}
    top = place.directory({**FILES, **of_git})
    model_id = signed(place, key, top)

    assert verified(model_signing, place, model_id)[0] == 0
    names = [item["name"] for item in statement(place.open().signature_path(model_id))["predicate"]["resources"]]
    assert sorted(names) == sorted([*FILES, "weights/.gitignore"])
    assert "not signed, as model_signing leaves it out: .git/config, .gitattributes, .github" in caplog.text

    (place.root / "only").mkdir()
    (place.root / "only" / ".gitattributes").touch()
    before = place.files()
    error = outcome_of(lambda: signed(place, key, place.root / "only"))
    assert isinstance(error, RefusedError)
    assert "expected files to sign, got only .gitattributes" in str(error)
    assert place.files() == before


def test_the_same_bytes_and_key_give_the_same_file(place: Place, key: str) -> None:
    """Whatever the artifact is called and however often it is published; another key or other bytes give another."""
    first = recorded(place, signed(place, key, copy=True))
    again = recorded(place, signed(place, key, place.artifact("b", b"a")))
    other_key = recorded(place, signed(place, model_signature.new_key()[0]))
    other_bytes = recorded(place, signed(place, key, place.artifact("c")))

    assert first == again
    assert len({item.sha256 for item in (first, other_key, other_bytes)}) == 3
    assert place.kept().keys() >= {item.sha256 for item in (first, other_key, other_bytes)}


def test_retry(place: Place, key: str) -> None:
    """Asked again with the same id and key it is the same model and file; without the key it is another request."""
    model_id = signed(place, key, request_id="one")
    before = place.files()

    assert signed(place, key, request_id="one") == model_id
    assert place.files() == before
    for other in (TREE_HEADS, model_signature.new_key()[0]):
        error = outcome_of(lambda other=other: signed(place, other, request_id="one"))
        assert isinstance(error, RefusedError)
        assert len(place.lines()) == 2


def test_refused_request_keeps_nothing(place: Place, key: str) -> None:
    """What the state refuses, and what is only rehearsed, leaves no signature."""
    place.publish("first")

    assert isinstance(outcome_of(lambda: signed(place, key, expect_active="none")), RefusedError)
    for copy in (False, True):
        signed_id = place.open(sign_key=key).publish_model(place.artifact(), backend="b", dry_run=True, copy=copy)
        assert signed_id.model_id not in place.open().catalog().published
    assert place.kept() == {}


def test_both_keys(place: Place, key: str) -> None:
    """One signs the tree head, the other the artifact, in any order; two of a kind and what is none are refused."""
    for keys in ([TREE_HEADS, key], [key, TREE_HEADS]):
        recorded(place, signed(place, keys))
    assert (place.registry_dir / "tree_head.note").read_text().split("\n")[1] == "4"

    for keys in ([key, key], [TREE_HEADS, TREE_HEADS], [key, "x"]):
        assert isinstance(outcome_of(lambda keys=keys: place.open(sign_key=keys)), RefusedError)


def test_missing_or_changed_signature(place: Place, key: str) -> None:
    """It is noticed by `verify --artifacts` and by whoever asks for it; publishing again brings it back."""
    model_id = signed(place, key)
    path = Path(place.open().signature_path())
    assert artifact_problems(place) == []
    data = path.read_bytes()

    path.chmod(0o644)
    flip(path, 5)
    assert [line.split(":")[0] for line in artifact_problems(place)] == ["changed"]
    path.unlink()
    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)
    found = report.findings[0]
    assert (report.verdict, found.position, found.expected) == ("damaged", 1, recorded(place, model_id).sha256)
    assert found.what.startswith(f"missing: signature of {model_id}: artifact {path}: no such file")
    error = outcome_of(lambda: place.open().signature_path(model_id))
    assert "publish the same bytes again with --sign-key" in str(error)
    assert recorded(place, model_id).key in str(error)

    signed(place, key, place.artifact("again", b"a"))
    assert path.read_bytes() == data
    assert artifact_problems(place) == []


def test_forged_digest_leads_nowhere(place: Place, key: str) -> None:
    """A digest that is none is no path."""
    model_id = signed(place, key)
    event = place.open().catalog().published[model_id]
    assert isinstance(event.data, ModelPublished)
    forged = replace(event, data=replace(event.data, signature=Signature("0" * 64, "../../../etc/passwd")))
    error = outcome_of(lambda: ArtifactPlaces(str(place.registry_dir)).signature_path(forged))
    assert "expected a SHA-256" in str(error)


def test_the_registry_may_move(model_signing: Run, place: Place, key: str) -> None:
    """Signatures travel with its directory."""
    model_id = signed(place, key, copy=True)
    place.registry_dir.rename(place.root / "n")
    (place.root / "n").rename(place.registry_dir.parent / "elsewhere")
    (place.root / "elsewhere").rename(place.registry_dir)

    assert verified(model_signing, place, model_id)[0] == 0


def test_other_machines_fetch_it(model_signing: Run, place: Place, key: str) -> None:
    """With an artifact store it is there before the event, and a machine that lacks it fetches it."""
    store = str(place.root / "store")
    registry = place.open(sign_key=key, artifact_store=store)
    model = registry.publish_model(place.artifact(), backend="b")
    path = Path(registry.signature_path())
    path.unlink()

    assert place.open(artifact_store=store).signature_path(model.model_id) == str(path)
    assert verified(model_signing, place, model.model_id)[0] == 0


def test_no_signature(place: Place, key: str) -> None:
    """A model that nobody signed has none, and a registry without a directory can keep none."""
    place.publish()
    signer = model_signature.parse_private_key(key, "key")

    assert "got one that nobody signed" in str(outcome_of(lambda: place.open().signature_path()))
    assert "see list" in str(outcome_of(lambda: place.open().signature_path("20260101000000_00000000")))
    with pytest.raises(RefusedError, match="--sign-key: expected a registry in a directory"):
        ArtifactPlaces(signer=signer).taking(place.artifact(), None, copy=False, dry_run=False).__enter__()
