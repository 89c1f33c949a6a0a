"""The real command in a process of its own: plainly, under a tool such as strace, or with something done first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import Place

SOURCE = Path(__file__).resolve().parents[2]
NOBODY = 65_534
TIMEOUT_SECONDS = 120
_WARM = """
import codecs, os, sys
from importlib import import_module
import eventlog.engines.jsonl
from scripts import manage_models
for verb in manage_models.VERBS:
    import_module(manage_models.module_of(verb))
"""
_RUN = "sys.exit(manage_models.run())\n"
AS_NOBODY = f"""
codecs.lookup("ascii")
import projections
import scripts.logging_handler
for name in projections.__all__:
    getattr(projections, name)
with open(os.devnull, "w") as sys.stdout, open(os.devnull, "w") as sys.stderr:
    manage_models.main(["list", "--registry-dir", "nothing there, but whatever is imported late is now imported"])
sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""
"""Gives up root's privileges; after all imports, because nobody may be unable to read this source tree, or Python's."""

WITHOUT_LATE_IMPORTS = """
class Gone:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"{name}: imported late")

gone = []

def look(event, arguments):
    if event == "open" and not gone and str(arguments[0]).endswith(("registry.json", "journal.head", "state.json")):
        gone.append(Gone())
        sys.meta_path.insert(0, gone[0])

sys.addaudithook(look)
"""
"""Has every import fail that comes after the first look at a registry."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, negative where a signal ended it, and what it said."""

    status: int
    out: str
    err: str


class Program:
    """
    Starts the command line of this source tree.

    Attributes:
        scratch: a directory for what tools write; no command is told of it.

    Args:
        compiled: where Python keeps compiled modules.
    """

    def __init__(self, scratch: Path, compiled: Path) -> None:
        self.scratch = scratch
        ours = ("MODELOG_", "PYTHON", "COV_")
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self._environment["PYTHONPYCACHEPREFIX"] = str(compiled)

    def run(
        self,
        place: Place,
        words: Sequence[str],
        *,
        under: Sequence[str] = (),
        first: str = "",
        **settings: Any,
    ) -> Outcome:
        """
        Run a verb, and what follows it, on *place*.

        Args:
            under: the tool that starts the command, and its options.

            first: Python code that is run in the process before the command, when its modules are imported.

            settings: for `subprocess.run`; what is not captured is empty in the outcome.
        """
        verb, *rest = words
        directories = ("--registry-dir", str(place.registry_dir), "--state-dir", str(place.state_dir))
        module = ("-c", _WARM + first + _RUN) if first else ("-m", "scripts.manage_models")
        defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        done = subprocess.run(
            [*under, sys.executable, *module, verb, *directories, *rest],
            cwd=SOURCE,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
            **{**defaults, **settings},
        )
        return Outcome(done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode())
