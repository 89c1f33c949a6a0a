"""The command line in this process, on a place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support import Place

from scripts.manage_models import main


@dataclass(frozen=True)
class Result:
    """How a command ended and what it said; `json` decodes stdout."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]


def running(place: Place, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a verb with more words on the place's directories; a traceback is never right."""

    def call(verb: str, *words: str) -> Result:
        capsys.readouterr()
        status = main([verb, "--registry-dir", str(place.registry_dir), "--state-dir", str(place.state_dir), *words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Result(status, said.out, said.err)

    return call
