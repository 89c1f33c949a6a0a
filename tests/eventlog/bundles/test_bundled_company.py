"""Bundles beside what else a registry keeps: signatures come along, gc keeps off, what is gone stays told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from carrying import Hosts, packed, unpacked
from support import artifact_key, artifact_problems, outcome_of

from eventlog.errors import RefusedError
from eventlog.vault import Vault


def signed_artifact(hosts: Hosts, *, copy: bool) -> str:
    """Publish an artifact with a signature, and return its model's id."""
    registry = hosts.here.open(sign_key=artifact_key())
    return registry.publish_model(hosts.here.artifact("to-sign"), backend="b", copy=copy).model_id


@pytest.mark.parametrize("copy", [False, True])
def test_signature_comes_along(hosts: Hosts, copy: bool) -> None:
    """The same file over there; one that is missing here is refused, and one that was left out is, too."""
    model_id = signed_artifact(hosts, copy=copy)
    path = Path(hosts.here.open().signature_path(model_id))
    hosts.bundle()

    hosts.take()

    there = Path(hosts.there.open().signature_path(model_id))
    assert (there.name, there.read_bytes()) == (path.name, path.read_bytes())
    assert hosts.there.open().open_active().model.model_id == model_id
    table, members = unpacked(hosts.path)
    hosts.path.unlink()
    packed(hosts.path, table, [(name, data) for name, data in members.items() if path.name not in name])
    assert "missing" in hosts.refused() or "bytes" in hosts.refused()
    path.chmod(0o644)
    path.unlink()
    assert "signature" in str(outcome_of(hosts.bundle))


def test_gc_waits_for_a_bundle(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come, and is not recorded yet, is taken by nobody: whoever removes is kept out until then."""
    hosts.bundle(*hosts.models)
    real, seen = Vault.keep_tree, []

    def look(self: Vault, *arguments: Any) -> str:
        monkeypatch.setattr("eventlog.objects.LOCK_TIMEOUT_SECONDS", 0.0)
        with pytest.raises(RefusedError, match="locked by"), self.in_use(alone=True):
            pass
        seen.append(arguments)
        monkeypatch.setattr("eventlog.objects.LOCK_TIMEOUT_SECONDS", 600.0)
        return real(self, *arguments)

    monkeypatch.setattr(Vault, "keep_tree", look)

    hosts.take()

    assert len(seen) == 1


def test_what_was_removed_is_known_over_there(hosts: Hosts) -> None:
    """A model that was retired and removed here is neither missed over there, nor can it be rolled back to."""
    for name in "xyz":
        hosts.here.copy(name)
    models = hosts.here.open().list_models()
    hosts.here.retire(models[2])
    assert hosts.here.gc() == {models[2].sha256}
    assert isinstance(outcome_of(lambda: hosts.bundle(models[2].model_id)), RefusedError)
    hosts.bundle(*(model.model_id for model in models if model.model_id != models[2].model_id))

    hosts.take()

    assert artifact_problems(hosts.there) == []
    error = outcome_of(lambda: hosts.there.open().rollback(models[2].model_id))
    assert isinstance(error, RefusedError)
    assert "retired" in str(error)
