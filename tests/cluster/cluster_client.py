"""
A process on a machine of its own: it publishes and rolls back, or follows, until it is told to stop.

It speaks the registry's own API, with a mirror in its own directory, and notes each step in a log: one write, so that a
line is there whole or not at all. What it does on a fault is what anybody should: ask again with the same id.

Run as a program it takes its terms as JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventlog.engines import jetstream, jetstream_link
from eventlog.engines.jetstream_api import NoReplyError
from eventlog.engines.jetstream_link import Link
from eventlog.errors import (
    ConflictError,
    ModelogError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from projections import ModelMetadata, ModelRegistry, open_registry

ARTIFACT = "artifact"
STOP = "stop"
"""A file that tells writers to make no more requests."""

GO = "go"
"""A file that writers which are to begin together wait for."""

END = "end"
"""A file that tells followers how many events there are in the end."""

TRY_AGAIN = (OutcomeUnknownError, UnreachableError, ConflictError)
APPENDS = "registry."
"""What the subjects of appends begin with."""

ROLLBACK_EVERY = 5
late_acknowledgements = 0
"""How many appends got no answer within the time that `acknowledge_within` has set."""

_PR_SET_PDEATHSIG = 1
_PAUSE_SECONDS = 0.1


class _Stopped(Exception):
    """Everything is done."""


class Client:
    """
    One process.

    Args:
        name: unique; the name of its directory and log.

        top: where the directories, the artifact and the sign to stop are.

        journal: its URL.

        requests: how many to make at most; 0 to go on until there is the file `STOP`.

        append_seconds, reply_seconds: how long an append is tried, and how long one acknowledgement is waited for; 0 to
            leave that to the engine.

        pause_seconds: between two requests.

        abandon: whether to give up a request that was refused, and not unknown before, and go on with another.

        together: whether to wait for the file `GO` before the first request.
    """

    def __init__(
        self,
        name: str,
        top: str,
        journal: str,
        requests: int = 0,
        append_seconds: float = 0,
        reply_seconds: float = 0,
        pause_seconds: float = 0,
        abandon: bool = False,
        together: bool = False,
    ) -> None:
        self._name = name
        self._top = Path(top)
        self._journal = journal
        self._requests = requests
        self._pause_seconds = pause_seconds
        self._abandon = abandon
        self._together = together
        if append_seconds:
            append_for(append_seconds)
        if reply_seconds:
            acknowledge_within(reply_seconds)
        self._log = os.open(self._top / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self) -> None:
        """Make requests one after the other, each until it is answered."""
        with self._opened() as registry:
            number = 0
            self._note(ready=True)
            while self._together and not (self._top / GO).exists():
                time.sleep(0.001)
            while not (self._top / STOP).exists() and (number < self._requests or not self._requests):
                self._ask(registry, number)
                number += 1
                time.sleep(self._pause_seconds)
        self._note(late=late_acknowledgements)

    def follow(self) -> None:
        """Note each event as it is seen, from the first on, until there are as many as the file `END` says."""
        with self._opened() as registry:

            def wait(seconds: float) -> None:
                if end.exists() and seen >= int(end.read_text()):
                    raise _Stopped
                registry.wait(min(seconds, 0.5))

            seen, end = 0, self._top / END
            while True:
                try:
                    for change in registry.follow(seen, wait=wait):
                        seen += 1
                        self._note(seen=change.position, id=change.event.id, hash=change.hash)
                except _Stopped:
                    return
                except UnreachableError as error:
                    self._again(error, "follow")

    def broken(self, error: BaseException) -> None:
        """Note what should not have happened."""
        self._note(broken="".join(traceback.format_exception(error)))

    def _opened(self) -> ModelRegistry:
        return open_registry(self._top / self._name / "m", self._top / self._name / "s", journal=self._journal)

    def _ask(self, registry: ModelRegistry, number: int) -> None:
        id = f"{self._name}-{number}"
        self._note(asked=id)
        may_be_there = False
        while True:
            try:
                model = self._make(registry, number, id)
            except TRY_AGAIN as error:
                self._again(error, id)
                may_be_there = may_be_there or isinstance(error, OutcomeUnknownError)
                if self._abandon and isinstance(error, RefusedError) and not may_be_there:
                    self._note(abandoned=id)
                    return
            else:
                self._note(answered=id, model_id=model.model_id)
                return

    def _again(self, error: ModelogError, id: str) -> None:
        """Note why something must be tried again, and wait a little."""
        self._note(tried=id, outcome=type(error).__name__, what=str(error))
        time.sleep(_PAUSE_SECONDS)

    def _make(self, registry: ModelRegistry, number: int, id: str) -> ModelMetadata:
        if number % ROLLBACK_EVERY == ROLLBACK_EVERY - 1:
            return registry.rollback(actor=self._name, request_id=id)
        return registry.publish_model(self._top / ARTIFACT, backend="b", actor=self._name, request_id=id)

    def _note(self, **what: object) -> None:
        os.write(self._log, json.dumps({**what, "at": time.monotonic()}).encode() + b"\n")


def append_for(seconds: float) -> None:
    """Let this process try an append for so long, instead of as long as the engine has it."""
    defaults: Any = jetstream.JetStreamJournal.__init__.__kwdefaults__
    defaults["append_timeout_seconds"] = seconds


def acknowledge_within(seconds: float) -> None:
    """Let this process wait so long for an acknowledgement; other answers may take their time."""
    request = Link.request

    async def hurried(
        self: Link, subject: str, payload: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> bytes:
        if not subject.startswith(APPENDS):
            return await request(self, subject, payload, headers)
        usual, jetstream_link.REPLY_SECONDS = jetstream_link.REPLY_SECONDS, seconds
        try:
            return await request(self, subject, payload, headers)
        except NoReplyError as error:
            global late_acknowledgements  # noqa: PLW0603 - of this process
            late_acknowledgements += error.sent
            raise
        finally:
            jetstream_link.REPLY_SECONDS = usual

    Link.request = hurried  # type: ignore[method-assign]


def end_with_parent() -> None:
    """Have this process killed when its parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(role: str, terms: dict[str, Any]) -> int:
    """Be a writer or a follower; what should not have happened is in the log, and makes the status 1."""
    end_with_parent()
    client = Client(**terms)
    try:
        client.write() if role == "write" else client.follow()
    except (ModelogError, AssertionError, OSError) as error:
        client.broken(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
