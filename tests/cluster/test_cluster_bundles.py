"""Bundles of a journal on a cluster: made like any other; taken into a directory, never into a mirror."""

from __future__ import annotations

from hashlib import sha256

from machines import Machine


def test_out_of_the_cluster(here: Machine, there: Machine, tmp_path):
    """Any machine makes the same bundle, with artifacts from the store; a host without network has the same history."""
    store = {"MODELOG_ARTIFACT_STORE": str(tmp_path / "store")}
    model = here.run("publish", "--artifact", here.artifact(), "--backend", "b", **store).json
    (here.root / "model.bin").unlink()
    far = Machine(tmp_path / "far", None)

    made = [machine.run("bundle", "-o", str(machine.root / "b.tar"), **store) for machine in (here, there)]
    done = far.run("unbundle", str(there.root / "b.tar"))

    assert [result.status for result in (*made, done)] == [0, 0, 0], [*made, done]
    assert (here.root / "b.tar").read_bytes() == (there.root / "b.tar").read_bytes()
    assert far.journal.read_bytes() == there.journal.read_bytes()
    kept = far.registry_dir / "artifacts" / "sha256" / model["sha256"][:2] / model["sha256"]
    assert sha256(kept.read_bytes()).hexdigest() == model["sha256"]
    assert far.run("path", "--verified").out == f"{kept}\n"


def test_not_into_a_mirror(here: Machine):
    """Neither with the cluster's URL nor without it; nothing changes, and it says what to do instead."""
    here.publish()
    assert here.run("bundle", "-o", str(here.root / "b.tar")).status == 0
    before = here.files()

    for machine in (here, here.without_cluster()):
        refused = machine.run("unbundle", str(here.root / "b.tar"))
        assert (refused.status, refused.out) == (2, "")
        assert "import-journal" in refused.err

    assert here.files() == before
