"""Every artifact against its recorded hash: what changed, what is gone, what cannot be read; each file read once."""

from __future__ import annotations

import os

import pytest
from support import Place

from eventlog import artifact_audit
from eventlog.artifact_audit import ArtifactProblem
from eventlog.errors import RefusedError
from projections import verify_registry


def problems(place: Place) -> list[ArtifactProblem]:
    return artifact_audit.audit(place.open().catalog())


def test_all_are_as_published(place: Place) -> None:
    """Nothing is found where nothing changed."""
    for name in ("a", "b", "c"):
        place.publish(name)

    assert problems(place) == []
    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)
    assert (report.verdict, report.artifacts, report.findings) == ("intact", 3, [])


def test_no_models() -> None:
    """An empty history names no artifacts."""
    from eventlog.catalog import Catalog

    assert artifact_audit.audit(Catalog()) == []


def test_each_kind_of_problem(place: Place) -> None:
    """Changed, missing, not a file any more: in the order of publication, with expected and actual hash."""
    models = [place.publish(name) for name in ("good", "changed", "missing", "directory", "fifo")]
    (place.root / "changed").write_bytes(b"CHANGED")
    (place.root / "missing").unlink()
    (place.root / "directory").unlink()
    (place.root / "directory").mkdir()
    (place.root / "fifo").unlink()
    os.mkfifo(place.root / "fifo")

    found = problems(place)

    assert [item.problem for item in found] == ["changed", "missing", "changed", "changed"]
    assert [item.position for item in found] == [2, 3, 4, 5]
    assert [item.expected for item in found] == [model.sha256 for model in models[1:]]
    assert found[0].actual not in (None, found[0].expected)
    assert [item.actual for item in found[1:]] == [None, None, None]
    for item, model in zip(found, models[1:], strict=True):
        assert model.model_id in item.what
        assert model.artifact_path in item.what


def test_verify_counts_them_as_damage(place: Place) -> None:
    """The verdict covers what was asked for; the history's own level stays what it is."""
    place.publish("a")
    (place.root / "a").write_bytes(b"other")

    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)
    without = verify_registry(place.registry_dir, place.state_dir)

    (finding,) = report.findings
    assert (report.verdict, report.level, finding.kind, finding.position, finding.line) == (
        "damaged", "L2", "artifact", 1, 2
    )  # fmt: skip
    assert finding.expected != finding.actual
    assert (without.verdict, without.artifacts) == ("intact", None)


def test_one_file_of_several_models_is_read_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was overwritten between two publishes belongs to the second only."""
    place.publish("a")
    (place.root / "a").write_bytes(b"second")
    place.publish("a")
    read: list[str] = []
    real = artifact_audit.artifacts.hash_artifact
    monkeypatch.setattr(
        artifact_audit.artifacts, "hash_artifact", lambda path, progress: (read.append(path), real(path, progress))[1]
    )

    found = problems(place)

    assert [(item.problem, item.position) for item in found] == [("changed", 1)]
    assert read == [str(place.root / "a")]


def test_progress_adds_up(place: Place) -> None:
    """The bytes of all files are reported, never more than all, and all at the end."""
    for number in range(4):
        (place.root / f"m{number}").write_bytes(os.urandom(3 << 20))
        place.publish(f"m{number}")
    seen: list[tuple[int, int]] = []

    artifact_audit.audit(place.open().catalog(), lambda done, total: seen.append((done, total)))

    assert {total for _, total in seen} == {12 << 20}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == 12 << 20


def test_an_interrupt_ends_it(place: Place) -> None:
    """Ctrl-C while hashing goes through, and the threads end."""
    for number in range(3):
        (place.root / f"m{number}").write_bytes(os.urandom(5 << 20))
        place.publish(f"m{number}")

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifact_audit.audit(place.open().catalog(), interrupt)


def test_what_cannot_be_read_is_no_damage(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that may not be read, or is written to meanwhile, nothing can be said; the history stays what it is."""
    place.publish("a")

    def denied(path: str, _progress: object) -> None:
        raise RefusedError(f"artifact {path}: permission denied") from PermissionError()

    monkeypatch.setattr(artifact_audit.artifacts, "hash_artifact", denied)
    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)

    assert (report.verdict, report.level, [item.kind for item in report.findings]) == (
        "cannot tell", "L2", ["unreadable"]
    )  # fmt: skip
