"""A registry of 20 events in memory that damage is tried on, and the question whether damage is noticed."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field

from support import LONG, Clock, Place, Randomness, fast_place, fill, outcome_of

from eventlog.errors import JournalDamagedError
from projections import verify_registry
from scripts.manage_models import main

SIZE = 20
SHARDS = 16 if LONG else 4
"""Into how many tests a sweep is cut."""

VERIFY_STRIDE = 1 if LONG else 3
"""Of single bits, `verify` is asked about every so many, `list` about all; of every other damage both about all."""

COMMAND_STRIDE = 1 if LONG else 61
"""The command line is asked about every so many damages, the library about all."""

WRITER_STRIDE = 1 if LONG else 67
"""A writer tries its luck on every so many."""


@dataclass
class Specimen:
    """
    One registry that is damaged and restored over and over.

    Attributes:
        history: what was on disk after each number of events; `truth` after all of them.

        foreign: the lines of another registry that saw the same requests.

        forked: for each position the valid line that the journal would have there if its past had gone on differently.

        tried: how much was tried in this test; `finish` hands it to the tally.
    """

    place: Place
    history: list[dict[str, bytes]]
    foreign: list[bytes]
    forked: dict[int, bytes]
    tried: Counter[str] = field(default_factory=Counter)
    tally: Callable[[str, int], None] = lambda _what, _count: None

    @property
    def truth(self) -> dict[str, bytes]:
        return self.history[-1]

    @property
    def journal(self) -> bytes:
        return self.truth["m/journal.jsonl"]

    @property
    def lines(self) -> list[bytes]:
        return self.journal.splitlines(keepends=True)

    def restore(self) -> None:
        """Put every file back."""
        self.place.put(self.truth)

    def start(self, tally: Callable[[str, int], None]) -> None:
        """Begin a test: nothing was tried yet."""
        self.tried.clear()
        self.tally = tally

    def finish(self) -> None:
        """End a test: every file is as it was, to the byte, list and verify are content, and something was tried."""
        assert self.place.files() == self.truth, "the registry is not what it was before the damage"
        assert self.place.open().catalog().size == SIZE
        report = verify_registry(self.place.registry_dir, self.place.state_dir)
        assert (report.verdict, report.level, report.findings) == ("intact", "L2", [])
        assert [self.command(verb)[0] for verb in ("list", "verify")] == [0, 0]
        assert self.tried
        for what, count in self.tried.items():
            self.tally(what, count)

    def check_noticed(self, what: str, number: int, *, verify_stride: int = 1) -> None:
        """Require that damage is refused by whoever looks; the strides say who is asked about damage *number*."""
        error = outcome_of(self.place.open().catalog)
        assert type(error) is JournalDamagedError, f"{what}: list says {error!r}"
        self.tried["damages of the journal, noticed by list"] += 1
        if number % verify_stride == 0:
            report = verify_registry(self.place.registry_dir, self.place.state_dir)
            assert report.verdict == "damaged", f"{what}: verify says {report}"
            self.tried["damages of the journal, noticed by verify"] += 1
        if number % COMMAND_STRIDE == 0:
            self._check_commands(what)
        if number % WRITER_STRIDE == 0:
            self._check_writer(what)

    def command(self, verb: str) -> tuple[int, str, str]:
        """Run a verb of the command line, and return its status, stdout and stderr."""
        words = ["--registry-dir", str(self.place.registry_dir), "--state-dir", str(self.place.state_dir)]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([verb, *words, "--output", "json", "--log-level", "info"])
        return status, out.getvalue(), err.getvalue()

    def _check_commands(self, what: str) -> None:
        status, out, err = self.command("list")
        assert (status, out) == (3, ""), f"{what}: list ends with {status} and says {out}"
        assert err.splitlines()[-1].startswith("error: "), f"{what}: list says {err}"
        assert "Traceback" not in err, what
        status, out, err = self.command("verify")
        assert (status, json.loads(out)["verdict"], err) == (3, "damaged", ""), f"{what}: verify {status}: {out} {err}"
        self.tried["damages of the journal, noticed by both commands, with status 3"] += 1

    def _check_writer(self, what: str) -> None:
        """Publishing is refused, and no byte on disk has changed."""
        before = self.place.files()
        error = outcome_of(lambda: self.place.publish("a0"))
        assert type(error) is JournalDamagedError, f"{what}: publish says {error!r}"
        assert self.place.files() == before, f"{what}: publish changed something"
        self.tried["damages of the journal, refused by a writer that changed nothing"] += 1


@contextmanager
def open_specimen() -> Iterator[Specimen]:
    """Give the registry of 20 events, which goes away at the end."""
    with ExitStack() as stack:
        place, other = (stack.enter_context(fast_place()) for _ in range(2))
        history = fill(place, SIZE)
        forked = {position: _forked(place, files, position) for position, files in enumerate(history) if files}
        place.put(history[-1])
        yield Specimen(place, history, _foreign(other), {at: line for at, line in forked.items() if at < SIZE})


def _foreign(place: Place) -> list[bytes]:
    """Return the journal of a registry that is another one only by its id and its randomness."""
    registry = place.open(now=Clock(), random_bytes=Randomness("another"))
    for number in range(SIZE - 1):
        place.publish(f"a{number}", registry=registry, request_id=f"r{number}")
    return place.lines()


def _forked(place: Place, files: dict[str, bytes], position: int) -> bytes:
    """Return the line that follows the state *files* when something else is published on it."""
    place.put(files)
    place.publish("fork", request_id="fork")
    return place.lines()[position]
