"""
Processes that ask a registry for changes through the command line, one request after the other, until one fails.

They are forked from a warm parent, so they begin at once. What they print goes through a pipe: the model of each
answer, then the exit status. The parent decides which answers it has seen in time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from check_state import Request
from workshop import MODELS, RUNTIME

from scripts.manage_models import main
from scripts.verbs import publish, rollback

_SECONDS_MAX = 60.0
_WARM = (publish, rollback)
"""The command line imports a verb when it is used; no process shall do so while the clock runs."""


class Writer:
    """
    One process that makes *requests* on the registry below *top*.

    Attributes:
        requests: what it was told to ask for, in order.

        answers: the model id of each answer that was read so far.

        statuses: the exit status of each request that was read so far.

        ended: whether it has said all that it will ever say.
    """

    def __init__(self, top: Path, requests: Sequence[Request], log: Path) -> None:
        self.requests = list(requests)
        self.answers: list[str] = []
        self.statuses: list[int] = []
        self._log = log
        self._unread = b""
        self._pipe, theirs = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            _ask(top, self.requests, log, theirs)
        os.close(theirs)
        self.ended = False

    @property
    def begun(self) -> list[Request]:
        """The requests that it has begun; known once it has ended."""
        return self.requests[: len(self.statuses)]

    @property
    def is_sound(self) -> bool:
        """Whether no request has failed, and it still runs or has made all of them."""
        return not any(self.statuses) and (not self.ended or len(self.statuses) == len(self.requests))

    def fileno(self) -> int:
        """Return what `select` can wait for."""
        return self._pipe

    def read(self) -> None:
        """Take what it has said by now, without waiting."""
        while not self.ended and select.select([self], [], [], 0)[0]:
            part = os.read(self._pipe, 1 << 16)
            if not part:
                self.ended = True
                os.close(self._pipe)
            *lines, self._unread = (self._unread + part).split(b"\n")
            for line in map(json.loads, lines):
                if isinstance(line, int):
                    self.statuses.append(line)
                else:
                    self.answers.append(line["model_id"])

    def finish(self) -> None:
        """Wait for its end, and take what it has said until then."""
        deadline = time.monotonic() + _SECONDS_MAX
        while not self.ended:
            if time.monotonic() > deadline:
                raise TimeoutError(f"a writer did not end within {_SECONDS_MAX:g} s of the power cut")
            wait_for_news([self], 1.0)
        self.end()

    def end(self) -> None:
        """Kill it if it still runs, and wait for it."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            self._process = 0

    def last_words(self) -> str:
        """Return the end of what it has said to people."""
        return self._log.read_text(errors="replace")[-2000:]


def wait_for_news(writers: Sequence[Writer], seconds: float) -> None:
    """Take what *writers* say within so many seconds, as soon as there is something."""
    select.select([writer for writer in writers if not writer.ended], [], [], seconds)
    for writer in writers:
        writer.read()


def words_of(request: Request) -> list[str]:
    """Return *request* as the words of a command."""
    if request.artifact_path is None:
        return ["rollback", "--id", request.id]
    return ["publish", "--id", request.id, "--artifact", request.artifact_path, "--backend", request.backend]


def _ask(top: Path, requests: Sequence[Request], log: Path, pipe: int) -> NoReturn:
    """Be the process."""
    try:
        os.dup2(pipe, 1)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - end with it
        where = ["--registry-dir", str(top / MODELS), "--state-dir", str(top / RUNTIME)]
        for request in requests:
            status = main([*words_of(request), *where])
            os.write(1, b"%d\n" % status)
            if status != 0:
                break
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
