"""A command imports what it needs to answer, and no more: a plain one no click."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from scripts.manage_models import main
status = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""
OTHER_HEAVY = {"asyncio", "ssl", "numpy", "onnxruntime", "cryptography", "scripts.demo", "csv"}


@pytest.fixture
def imported(desk):
    """Return a function that runs a command in a process of its own and gives its status and the modules it has."""

    def run(*argv: str, **env: str) -> tuple[int, set[str]]:
        command = [sys.executable, "-c", SCRIPT, *argv]
        environment = desk.environment(**env)
        done = subprocess.run(
            command, cwd=desk.root, env=environment, capture_output=True, text=True, timeout=50, check=False
        )
        return done.returncode, set(done.stderr.splitlines()[-1].split())

    return run


@pytest.mark.parametrize(
    "line",
    [
        "list",
        "list --output json",
        "list --output=csv --limit 3 --reverse",
        "active",
        "active --as-of 1 --output jsonl",
        "show ID",
        "history --actor nobody",
        "blame ID",
        "keys list",
        "verify",
        "rebuild",
        "publish --artifact model.bin --backend b --metadata rows:=1 --reason more",
        "rollback --model-id ID --dry-run --lock-timeout 1",
    ],
)
def test_plain_words_need_no_click(desk, imported, line):
    """Each way in which most commands are called."""
    model = desk.publish(data=b"first")
    desk.publish()
    desk.artifact()
    verb, *rest = line.replace("ID", model["model_id"]).split()
    place = ("--registry-dir", "models", "--state-dir", "runtime")

    status, modules = imported(verb, *rest, *place)

    assert status == 0
    assert {name for name in modules if name.partition(".")[0] == "click"} == set()
    others = {f"scripts.verbs.{other}" for other in ("publish", "list", "show", "repair")} - {f"scripts.verbs.{verb}"}
    assert modules & (OTHER_HEAVY - {"csv"} | others if "csv" in line else OTHER_HEAVY | others) == set()


def test_settings_need_no_click(imported):
    """Variables stand for options here too."""
    assert "click" not in imported("list", MODELOG_OUTPUT="json", MODELOG_REGISTRY_DIR="elsewhere")[1]


@pytest.mark.parametrize("line", ["--help", "--version", "list --help", "list --frobnicate", "list -- ", "publish"])
def test_help_and_mistakes_are_for_click(imported, line):
    """It knows how to word them."""
    assert "click" in imported(*line.split())[1]


def test_usage_that_only_the_verb_understands(imported):
    """What contradicts itself is told without click, in the same words."""
    status, modules = imported("repair", "--discard-tail", "--rebuild-head")

    assert (status, "click" in modules) == (2, False)
