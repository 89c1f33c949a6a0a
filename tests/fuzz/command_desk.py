"""A place in memory at which commands are called in this process, and what is on its disk before and after."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from forged_files import REGISTRY_JSON, STATE_JSON, Files
from support import Clock, Place, Randomness

from scripts.manage_models import main

SECONDS_MAX = 60
"""A watchdog for what hangs, not a claim about speed."""


@dataclass(frozen=True)
class Answer:
    """What a command was, what it said and how it ended."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str

    @property
    def verb(self) -> str:
        return self.argv[0]

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


class HangError(BaseException):
    """A command takes so long that it will not end; not an `Exception`, so that no command catches it."""


class CommandDesk:
    """The registry `m`, the runtime's `s` and artifacts in one directory."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.artifact = str(self.place.artifact("new"))

    def put(self, files: Files) -> None:
        """Make the disk hold just *files*."""
        root = str(self.place.root)
        for top in ("m", "s"):
            shutil.rmtree(f"{root}/{top}", ignore_errors=True)
            os.mkdir(f"{root}/{top}")
        for name, data in files.items():
            path = f"{root}/{name}"
            os.makedirs(path if name.endswith("/") else os.path.dirname(path), exist_ok=True)
            if not name.endswith("/"):
                with open(path, "wb") as file:
                    file.write(data)

    def files(self) -> Files:
        """Return what the disk holds, directories too."""
        found: Files = {}
        root = str(self.place.root)
        for top in ("m", "s"):
            for directory, _, names in os.walk(f"{root}/{top}"):
                found[os.path.relpath(directory, root) + "/"] = b""
                for name in names:
                    with open(f"{directory}/{name}", "rb") as file:
                        found[os.path.relpath(f"{directory}/{name}", root)] = file.read()
        return found

    def call(self, verb: str, *words: str) -> Answer:
        """Run a command on this place as the program does, with streams that are UTF-8 to the letter."""
        directories = ("--registry-dir", str(self.place.registry_dir), "--state-dir", str(self.place.state_dir))
        streams = [TextIOWrapper(BytesIO(), encoding="utf-8", newline="") for _ in range(2)]
        with mock.patch.multiple(sys, stdout=streams[0], stderr=streams[1]), watchdog():
            status = main([verb, *directories, *words])
        for stream in streams:
            stream.flush()
        out, err = (stream.detach().getvalue().decode() for stream in streams)  # type: ignore[attr-defined]
        return Answer((verb, *words), status, out, err)


@contextmanager
def watchdog() -> Iterator[None]:
    """Raise `HangError` in what does not end."""

    def bark(_signal: int, _frame: FrameType | None) -> None:
        raise HangError(f"not done after {SECONDS_MAX} seconds")

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_MAX)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def rich_history(place: Place) -> Files:
    """Let a registry record every type of event with every field, and return its files."""
    open_settings = {"now": Clock(), "random_bytes": Randomness("fuzz")}
    registry = place.open(**open_settings)
    metadata = {
        "rows": 1024,
        "share": 0.25,
        "tags": ["a", "\u00e9", None, True],
        "deep": {"er": {"": ""} and {"x": -1}},
    }
    place.publish("first", registry=registry, dataset_metadata=metadata, reason="because", request_id="one")
    with place.journal.open("ab") as journal:
        journal.write(b'{"torn')
    registry = place.open(**open_settings)
    place.publish("second", registry=registry, request_id="two")
    odd = os.fsdecode(os.fsencode(place.root) + b"/\xff")
    Path(odd).write_bytes(b"odd")
    registry.publish_model(odd, backend="b", actor="t", request_id="three")
    registry.rollback(actor="t", reason="back", request_id="four")
    foreign = json.loads(place.state_json.read_bytes())
    foreign["metadata"]["active_model"]["journal"]["id"] = "11111111-2222-4333-8444-555555555555"
    place.state_json.write_text(json.dumps({**foreign, "entrypoint": "e", "other": 1.50}), encoding="utf-8")
    place.publish("third", registry=place.open(**open_settings), take_over=True, request_id="five")
    files = {name: data for name, data in place.files().items() if data}
    assert {REGISTRY_JSON, STATE_JSON} < set(files)
    return files
