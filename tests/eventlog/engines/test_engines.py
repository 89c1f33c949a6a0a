"""`open_journal`: which engine a URL names, and that naming one does nothing yet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from eventlog.engines import ENGINES, open_journal
from eventlog.engines.jsonl import JsonlJournal
from eventlog.engines.memory import MemoryJournal
from eventlog.errors import RefusedError


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("dir", "dir/journal.jsonl"),
        ("/a/b", "/a/b/journal.jsonl"),
        ("file:/a/b", "/a/b/journal.jsonl"),
        ("file:a:b", "a:b/journal.jsonl"),
        ("./memory:", "./memory:/journal.jsonl"),
        ("C:/x", "C:/x/journal.jsonl"),
    ],
)
def test_directories(url: str, where: str) -> None:
    """A plain path and `file:` name a directory; one letter before a colon is not a scheme."""
    journal = open_journal(url)

    assert isinstance(journal, JsonlJournal)
    assert journal.where == where


def test_memory() -> None:
    """`memory:` is a new journal each time."""
    assert isinstance(open_journal("memory:"), MemoryJournal)
    assert open_journal("memory:") is not open_journal("memory:")


@pytest.mark.parametrize("url", ["http://x", "sqlite:x", "s3://bucket/key"])
def test_unknown_scheme(url: str) -> None:
    """Refused, and the message names the schemes that there are."""
    with pytest.raises(RefusedError, match=", ".join(ENGINES)):
        open_journal(url)


def test_nothing_is_created(tmp_path: Path) -> None:
    """Opening, reading and asking for the tail leave the directory as it was."""
    journal = open_journal(f"file:{tmp_path}/m")

    assert list(journal.read()) == []
    assert journal.tail().size == 0
    assert list(tmp_path.iterdir()) == []


def test_settings_reach_the_engine(tmp_path: Path) -> None:
    """Keywords are the engine's; one it does not know is a mistake of the caller."""
    assert open_journal(str(tmp_path), lock_timeout_seconds=1.0)
    with pytest.raises(TypeError):
        open_journal(str(tmp_path), colour="red")


def test_engines_are_imported_when_used() -> None:
    """Naming a memory journal does not import the file engine."""
    program = (
        "import sys; from eventlog.engines import open_journal; open_journal('memory:');"
        "sys.exit('eventlog.engines.jsonl' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
