"""Quarantine: bytes that were taken out are kept for ever, and not forgotten until the history has them."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pytest

from eventlog.engines.jsonl_quarantine import Quarantine
from eventlog.errors import RefusedError
from eventlog.journal import DiscardedTail


def test_nothing_is_created_by_asking(tmp_path: Path) -> None:
    """No directory, nothing pending, nothing created."""
    assert Quarantine(str(tmp_path)).pending() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [b"half", b"\0" * 5000, b'{"a":1}'])
def test_kept_bytes_are_pending_until_recorded(tmp_path: Path, torn: bytes) -> None:
    """The bytes are there under a name that says all; once recorded they stay, under the name without its end."""
    quarantine = Quarantine(str(tmp_path))
    digest = sha256(torn).hexdigest()
    name = f"{17:020d}-{len(torn)}-{digest}.no-newline"

    kept = quarantine.keep(torn, 17, "no-newline")

    assert kept == DiscardedTail(17, len(torn), digest, "no-newline", f"quarantine/{name}")
    assert Quarantine(str(tmp_path)).pending() == [kept]
    assert (tmp_path / "quarantine" / f"{name}.pending").read_bytes() == torn
    quarantine.mark_recorded([kept])
    assert quarantine.pending() == []
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == [name]
    assert (tmp_path / kept.kept_as).read_bytes() == torn


def test_keeping_twice_is_keeping_once(tmp_path: Path) -> None:
    """The same bytes at the same place are one file; taken out once more, they are to be recorded once more."""
    quarantine = Quarantine(str(tmp_path))

    first, second = quarantine.keep(b"x", 1, "no-newline"), quarantine.keep(b"x", 1, "no-newline")
    pending = quarantine.pending()
    quarantine.mark_recorded(pending)
    third = quarantine.keep(b"x", 1, "no-newline")

    assert first == second == third
    assert pending == [first]
    assert quarantine.pending() == [third]


def test_order_is_by_offset(tmp_path: Path) -> None:
    """Several are reported from the first place in the journal on."""
    quarantine = Quarantine(str(tmp_path))
    for offset in (900, 20, 1000):
        quarantine.keep(b"x", offset, "nul-bytes")

    assert [tail.offset_bytes for tail in quarantine.pending()] == [20, 900, 1000]


def test_other_files_are_let_be(tmp_path: Path) -> None:
    """Names that are not of this form are neither reported nor touched."""
    (tmp_path / "quarantine").mkdir()
    for name in ("notes.txt", "x.pending", f"{1:020d}-1-{'a' * 64}.other.pending", ".hidden"):
        (tmp_path / "quarantine" / name).write_bytes(b"mine")

    Quarantine(str(tmp_path)).keep(b"x", 1, "no-newline")

    assert len(Quarantine(str(tmp_path)).pending()) == 1
    assert len(list((tmp_path / "quarantine").iterdir())) == 5


@pytest.mark.parametrize("kind", ["file", "link"])
def test_directory_that_is_none(tmp_path: Path, kind: str) -> None:
    """Something else under the name is refused, and nothing is written through it."""
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        (tmp_path / "quarantine").write_bytes(b"mine")
    else:
        os.symlink(tmp_path / "elsewhere", tmp_path / "quarantine")

    with pytest.raises(RefusedError):
        Quarantine(str(tmp_path)).keep(b"x", 1, "no-newline")

    assert list((tmp_path / "elsewhere").iterdir()) == []
