"""Permissions of what a registry keeps: nobody is to write to a file that is named by its hash."""

from __future__ import annotations

import os
import subprocess

from support import Place

from eventlog import permissions
from eventlog.symptom import Symptom


def symptoms(place: Place) -> list[Symptom]:
    """Return what is found, and make sure that nothing was written."""
    before = place.files()
    found = list(permissions.symptoms([str(place.registry_dir)], str(place.registry_dir), str(place.state_json)))
    assert place.files() == before
    return found


def test_kept_files(place: Place) -> None:
    """One that may be written to, and a directory that is open to all, are found; the remedies mend them."""
    path = place.copy("a").artifact_path
    assert symptoms(place) == []
    os.chmod(path, 0o644)
    os.chmod(place.registry_dir / "artifacts" / "incoming", 0o777)

    found = symptoms(place)

    assert [symptom.kind for symptom in found] == ["risk", "risk"]
    for symptom in found:
        subprocess.run(["sh", "-c", symptom.remedy.partition(";")[0]], check=True)
    assert symptoms(place) == []
    assert os.stat(path).st_mode & 0o777 == 0o444
