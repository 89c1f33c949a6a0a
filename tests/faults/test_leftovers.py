"""A file that could not be put in its place is taken away again, wherever it failed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from eventlog import durable, durable_replacement


def fail(_what: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_new_directory_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary file of a first version goes away, also where the error comes between its bytes and its name."""
    monkeypatch.setattr(durable, "sync_directory", fail)

    with pytest.raises(OSError, match="Input/output"):
        durable_replacement.replace_file(str(tmp_path / "f"), b"x")

    assert list(tmp_path.iterdir()) == []


def test_a_created_file_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where the file is there and the first question about it fails; its descriptor is closed, too."""
    opened = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr("os.fstat", fail)
        try:
            durable.create_file(str(tmp_path / "f"), b"x")
        except OSError:
            assert list(tmp_path.iterdir()) == []

    assert len(os.listdir("/proc/self/fd")) == opened


def test_an_opened_file_that_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose kind cannot be told is not kept open."""
    (tmp_path / "f").touch()
    opened = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr("os.fstat", fail)
        with pytest.raises(OSError, match="Input/output"):
            durable.open_regular(str(tmp_path / "f"), os.O_RDONLY)

    assert len(os.listdir("/proc/self/fd")) == opened
