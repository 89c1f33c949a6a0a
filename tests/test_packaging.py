"""The wheel: three packages, typed, nothing else; installed, it works anywhere and shadows nobody's `scripts`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tracked files alone, as a release would."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    built = _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(target), ".", cwd=source)
    assert built.returncode == 0, built.stderr
    return next(target.glob("modelog-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the interpreter of a fresh environment with the wheel and its core dependencies."""
    directory = tmp_path_factory.mktemp("environment")
    made = _run(sys.executable, "-m", "venv", str(directory), cwd=directory)
    assert made.returncode == 0, made.stderr
    interpreter = str(directory / "bin" / "python")
    installed = _run(interpreter, "-m", "pip", "install", "--quiet", str(wheel), cwd=directory)
    assert installed.returncode == 0, installed.stderr
    return interpreter


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """No tests, no `var`, no `scripts/__init__.py`; each package says that it is typed."""
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"eventlog", "projections", "scripts"}
    assert not [name for name in names if name.startswith("scripts/") and name.endswith("__init__.py")]
    assert {"eventlog/py.typed", "projections/py.typed", "scripts/py.typed", "eventlog/FORMAT.md"} <= set(names)


def test_the_core_needs_click_and_msgspec_alone(wheel: Path) -> None:
    """Everything else is an extra."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()

    required = [line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    core = {line.split(">")[0] for line in required if "extra ==" not in line}
    assert core == {"click", "msgspec"}


def test_both_ways_to_call_it_work_anywhere(python: str, tmp_path: Path) -> None:
    """`modelog` and `python -m scripts.manage_models` publish and list in a directory that is not a checkout."""
    (tmp_path / "model.bin").write_bytes(b"weights")
    modelog = str(Path(python).parent / "modelog")

    published = _run(modelog, "publish", "--artifact", "model.bin", "--backend", "reference", cwd=tmp_path)
    listed = _run(python, "-m", "scripts.manage_models", "list", "--output", "json", cwd=tmp_path)

    assert published.returncode == 0, published.stderr
    assert '"active":true' in listed.stdout, listed.stderr


def test_a_project_with_scripts_of_its_own_keeps_them(python: str, tmp_path: Path) -> None:
    """`python -m scripts.tool` in somebody's project finds their tool, and ours beside it."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "tool.py").write_text("print('theirs')")

    theirs = _run(python, "-m", "scripts.tool", cwd=tmp_path)
    ours = _run(python, "-m", "scripts.manage_models", "--version", cwd=tmp_path)

    assert theirs.stdout == "theirs\n", theirs.stderr
    assert ours.stdout.startswith("modelog "), ours.stderr
