"""
The environments: one for ours, with what is in the checkout installed as a user would, and one for each peer.

They are kept and used again. Ours is made anew when the source has changed, a peer's when its pin has.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from measure import CannotRunError

PEERS = {
    "mlflow": ("mlflow==3.17.2",),
    "trackio": ("trackio==0.43.0",),
    "bentoml": ("bentoml==1.4.40",),
    "gto": ("gto==1.10.1",),
    "eventsourcing": ("eventsourcing==9.5.6",),
    "model_signing": ("model-signing==1.1.1", "pyopenssl"),  # it imports OpenSSL without asking for it
}
INSTALLED = ("eventlog", "projections", "scripts", "pyproject.toml", "README.md", "LICENSE")
INSTALL_SECONDS_MAX = 900
_MARK = "made-of.txt"


def source_files(source: Path) -> list[str]:
    """Return what a checkout would install: its tracked files and the new ones that git does not ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *INSTALLED]
    done = subprocess.run(listed, cwd=source, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        names = [name for name in done.stdout.split("\0") if name]
    else:  # an unpacked archive
        found = [path for top in INSTALLED for path in [source / top, *(source / top).rglob("*")]]
        names = [str(path.relative_to(source)) for path in found if "__pycache__" not in path.parts]
    return sorted(name for name in set(names) if (source / name).is_file())


def fingerprint(source: Path) -> str:
    """Return a hash over the names and contents of what would be installed, 16 hex digits."""
    digest = sha256()
    for name in source_files(source):
        digest.update(f"{name}\0{sha256((source / name).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def ours(root: Path, source: Path, say: Callable[[str], object]) -> Path:
    """Return the interpreter of an environment in which a copy of *source* is installed, not editable."""

    def words(directory: Path) -> list[str]:
        copy = directory / "source"
        for name in source_files(source):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, copy / name)
        return [str(copy)]

    return _environment(root / "ours", fingerprint(source), words, say)


def peer(root: Path, name: str, say: Callable[[str], object]) -> Path:
    """
    Return the interpreter of a peer's environment.

    Raises:
        CannotRunError: pip could not install it.
    """
    pins = list(PEERS[name])
    return _environment(root / name, " ".join(pins), lambda _: pins, say)


def _environment(
    directory: Path, made_of: str, words: Callable[[Path], list[str]], say: Callable[[str], object]
) -> Path:
    python = directory / "bin" / "python"
    mark = directory / _MARK
    made_of = f"{made_of} on Python {sys.version.split()[0]}\n"
    if mark.exists() and mark.read_text() == made_of:
        return python
    say(f"installing {directory.name}")
    shutil.rmtree(directory, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(directory)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words(directory)])
    mark.write_text(made_of)
    return python


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise CannotRunError(f"not installed within {INSTALL_SECONDS_MAX} s") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()]
        raise CannotRunError(f"not installed: {errors[-1]}"[:200])
