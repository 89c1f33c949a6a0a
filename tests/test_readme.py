"""The README runs: each example shows what really happens, each command is the one that continuous integration uses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

import nats_cluster  # noqa: E402 - where it is was said just above

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def _steps_of(block: str) -> list[tuple[str, list[str]]]:
    """Split a console block into commands and the lines that they are to print."""
    steps: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def _run(script: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    # `python` on the PATH need not be the one that runs the tests
    prelude = f'python() {{ "{sys.executable}" "$@"; }}\n'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELOG_")}
    return subprocess.run(
        ["bash", "-c", prelude + script],
        cwd=directory,
        capture_output=True,
        text=True,
        env={**environment, **variables},
        check=False,
        timeout=120,
    )


def test_examples_and_python_show_what_happens(tmp_path: Path) -> None:
    """Each command of the examples prints the lines shown (`…` is anything); a Python block runs behind two of them."""
    for name in ("v1", "v2"):
        (tmp_path / f"{name}.onnx").write_bytes(name.encode() * 1000)
    first, copies, watched, evidence, bundles, machines = _blocks("console")
    runtime, general = _blocks("python")

    for example, program in ((first, general), (copies, runtime)):
        _check_example(example, tmp_path)
        python = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert python.returncode == 0, python.stderr
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    _check_example(watched, tmp_path)
    _check_example(evidence, tmp_path)
    _check_example(bundles, tmp_path)
    (tmp_path / "nodes").mkdir()
    with nats_cluster.running(tmp_path / "nodes") as nodes:
        _check_example(machines, tmp_path, NODES=nodes.hosts)


def _check_example(block: str, directory: Path, **variables: str) -> None:
    """Run an example and compare what it prints; what goes to stderr counts, but for words of level info."""
    steps = _steps_of(block)
    script = "\n".join(f"{command} 2>&1\nstatus=$?; echo '--8<--'; (exit $status)" for command, _ in steps)

    result = _run(script, directory, **variables)
    printed = [part.strip("\n").splitlines() for part in result.stdout.split("--8<--")[: len(steps)]]

    for (command, expected), lines in zip(steps, printed, strict=True):
        shown = [line for line in lines if not line.startswith("info: ")]
        assert len(shown) == len(expected), (command, shown, result.stderr)
        for want, got in zip(expected, shown, strict=True):
            pattern = ".*".join(map(re.escape, want.split("…")))
            assert re.fullmatch(pattern, got), f"{command}\nexpected {want}\ngot      {got}"


def test_continuous_integration_runs_the_test_command_to_the_letter() -> None:
    """`.ci/run` contains the second command of the README, unchanged."""
    install, test = (block.strip() for block in _blocks("sh"))

    script = (ROOT / ".ci" / "run").read_text()

    assert test in script.splitlines()
    assert install.endswith("-m scripts.demo")


def test_the_first_command_installs_and_runs_the_demo(tmp_path: Path) -> None:
    """In a copy of the tracked files, the first command makes an environment, installs, and runs to a verified end."""
    install = _blocks("sh")[0].strip()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    _copy(tracked, tmp_path)

    result = subprocess.run(
        ["bash", "-c", install], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )

    assert result.returncode == 0, result.stdout + result.stderr
    heard = [float(value) for value in re.findall(r"with probability ([0-9.]+)", result.stdout)]
    assert len(heard) == 3
    assert heard[0] == heard[2] > 5 * heard[1], "rolling back brings the first model's answer back"
    assert "verdict  intact" in result.stdout


def _copy(tracked: bytes, target: Path) -> None:
    for name in filter(None, tracked.decode().split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((ROOT / name).read_bytes())
