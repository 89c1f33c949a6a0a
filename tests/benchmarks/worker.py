"""A measured process that stays: asked over a pipe, it answers with numbers; see `contenders/serving.py`."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from measure import CannotRunError

CONTENDERS = Path(__file__).resolve().parent / "contenders"
ANSWER_SECONDS_MAX = 1_800.0
_DROPPED = ("PYTHON", "MODELOG_", "VIRTUAL_ENV", "COV_", "PIP_")


def environment(home: Path) -> dict[str, str]:
    """
    Return the environment of every measured process: the caller's, without what changes how Python or ours behaves.

    PYTHONDONTWRITEBYTECODE goes too, so that everybody has the compiled files that an installation has.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    return {**kept, "HOME": str(home), "LC_ALL": "C.UTF-8", "COLUMNS": "120"}


class Worker:
    """
    One process that serves a script of `contenders/`.

    Args:
        python: the interpreter, by options.

        script: the file's name.

        log: where its stderr goes.
    """

    def __init__(
        self,
        python: Sequence[str],
        script: str,
        *arguments: str,
        environment: Mapping[str, str],
        directory: Path,
        log: Path,
    ) -> None:
        self._script = script
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*python, str(CONTENDERS / script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                cwd=directory,
            )

    def call(self, name: str, **words: Any) -> dict[str, Any]:
        """
        Ask, and return the answer.

        Raises:
            CannotRunError: it answered with an error, died, or took longer than `ANSWER_SECONDS_MAX`.
        """
        assert self._process.stdin is not None, "opened with a pipe"
        assert self._process.stdout is not None, "opened with a pipe"
        try:
            self._process.stdin.write(json.dumps({"call": name, "words": words}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise CannotRunError(self._last_words()) from None
        if not select.select([self._process.stdout], [], [], ANSWER_SECONDS_MAX)[0]:
            self.close()
            raise CannotRunError(f"no answer within {ANSWER_SECONDS_MAX:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise CannotRunError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise CannotRunError(" ".join(str(answer["error"]).split()))
        return cast(dict[str, Any], answer["ok"] or {})

    def close(self) -> None:
        """End the process, and wait for its end."""
        assert self._process.stdin is not None, "opened with a pipe"
        try:
            self._process.stdin.close()
            self._process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return f"{self._script} died: {lines[-1] if lines else 'it said nothing'}"[:300]
