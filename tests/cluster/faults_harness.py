"""Writers and followers beside a cluster to which something happens; in the end all they saw is held to its journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import cluster_client
from history_of_appends import Request, check, check_prefix, events_of, outcomes, settled_by_asking_again
from nats_cluster import NODES, NatsCluster, wait_for

from eventlog.engines import open_journal
from eventlog.errors import UnreachableError

REPOSITORY = Path(__file__).resolve().parents[2]
CLIENT = Path(__file__).with_name("cluster_client.py")
SETTLED_SECONDS = 90.0
"""How long it may take until a healed cluster has answered everything; an append is tried for 20 s at once."""

NO_MAJORITY = ("OutcomeUnknownError", "UnreachableError")
QUIET_SECONDS = 0.3
HEARD_NANOSECONDS = 2_000_000_000
"""A leader that another node has answered within this time still leads: nobody is elected before 4 s of silence."""


@dataclass(frozen=True)
class Verdict:
    """
    A history that was found good.

    Attributes:
        events: all of them.

        requests: all that were made, by id.

        bytes: what a fresh mirror holds.
    """

    events: list[dict[str, Any]]
    requests: dict[str, Request]
    bytes: bytes

    @property
    def acknowledged(self) -> int:
        """How many requests were answered."""
        return sum(request.acknowledged < inf for request in self.requests.values())

    def counts(self) -> Counter[str]:
        """Return what is worth a tally."""
        tries = outcomes(self.requests.values())
        return Counter(
            {
                "cluster: acknowledged requests": self.acknowledged,
                "cluster: tries of unknown outcome": tries["OutcomeUnknownError"],
                "cluster: tries refused as unreachable": tries["UnreachableError"],
                "cluster: requests refused and given up": sum(item.was_refused for item in self.requests.values()),
                "cluster: requests settled by asking again": settled_by_asking_again(self.requests.values()),
            }
        )


class Clients:
    """
    Processes that use one journal, each as a machine of its own.

    Args:
        top: made; holds what they write.

        journal: its URL, where a client is not given another one.

    Attributes:
        known: what a test has asked for by itself.
    """

    def __init__(self, top: Path, journal: str) -> None:
        top.mkdir(parents=True)
        (top / cluster_client.ARTIFACT).write_bytes(b"weights")
        self.top = top
        self.journal = journal
        self.known: dict[str, Request] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._roles: dict[str, str] = {}

    def write(self, *names: str, prefix: Sequence[str] = (), **terms: Any) -> None:
        """Start writers; *prefix* stands before their command."""
        for name in names:
            self._start("write", name, prefix, terms)

    def follow(self, *names: str, prefix: Sequence[str] = (), **terms: Any) -> None:
        """Start followers."""
        for name in names:
            self._start("follow", name, prefix, terms)

    def go(self) -> None:
        """Let writers begin that wait for one another, as soon as all of them do."""
        wait_for("writers are ready", lambda: self._alive() and all(self._log(name) for name in self._named("write")))
        (self.top / cluster_client.GO).touch()

    def requests(self, *names: str) -> dict[str, Request]:
        """Return what was asked for by now, by all writers or those with *names*."""
        found: dict[str, Request] = {}
        for name in names or self._named("write"):
            for line in self._log(name):
                if "asked" in line:
                    found[line["asked"]] = Request(line["asked"], line["at"])
                elif "tried" in line:
                    found[line["tried"]].tries.append((line["outcome"], line["at"]))
                elif "abandoned" in line:
                    found[line["abandoned"]].abandoned = True
                elif "answered" in line:
                    request = found[line["answered"]]
                    request.acknowledged, request.model_id = line["at"], line["model_id"]
        return found

    def late_acknowledgements(self) -> int:
        """Return how many appends of writers that have settled got no answer in time."""
        return sum(line["late"] for name in self._named("write") for line in self._log(name) if "late" in line)

    def seen(self, name: str) -> dict[str, float]:
        """Return when a follower saw each event, by its id."""
        return {line["id"]: line["at"] for line in self._log(name) if "seen" in line}

    def answers(self, *names: str) -> list[float]:
        """Return when answers came, in order."""
        moments = (request.acknowledged for request in self.requests(*names).values())
        return sorted(moment for moment in moments if moment < inf)

    def wait_for_answers(self, count: int, *names: str, after: float = 0.0, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until so many answers have come after a moment."""
        wait_for(
            f"{count} answers, {self._last_words(*names)}",
            lambda: self._alive() and sum(moment > after for moment in self.answers(*names)) >= count,
            seconds,
        )

    def wait_for_tries(self, count: int, name: str, *, after: float, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until so many tries of one writer have failed after a moment, for want of a majority."""

        def failed() -> bool:
            tries = [item for request in self.requests(name).values() for item in request.tries]
            return self._alive() and sum(at > after and what in NO_MAJORITY for what, at in tries) >= count

        wait_for(f"{count} tries of {name} fail", failed, seconds)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Let all processes stand still meanwhile; what they had under way is over when it begins."""
        for process in self._processes.values():
            process.send_signal(signal.SIGSTOP)
        time.sleep(QUIET_SECONDS)
        try:
            yield
        finally:
            for process in self._processes.values():
                process.send_signal(signal.SIGCONT)

    def settle(self, *, stop: bool = True, seconds: float = SETTLED_SECONDS) -> None:
        """Let writers *stop*, or wait until they have made all their requests; each of them is answered then."""
        if stop:
            (self.top / cluster_client.STOP).touch()
        self._join(self._named("write"), seconds)

    def judge(self) -> Verdict:
        """Read the history afresh, hold everything to it, and return it; writers have settled."""
        entries = read_afresh(self.journal, self.top / "afresh")
        whole = b"".join(entry + b"\n" for entry in entries)
        verdict = Verdict(events_of(entries), {**self.requests(), **self.known}, whole)
        check(verdict.events, verdict.requests)
        open_ids = [
            request.id for request in verdict.requests.values() if not request.model_id and not request.abandoned
        ]
        assert open_ids == [], f"not settled: {open_ids}"
        (self.top / cluster_client.END).with_suffix(".new").write_text(str(len(entries)))
        (self.top / cluster_client.END).with_suffix(".new").rename(self.top / cluster_client.END)
        self._join(self._named("follow"), SETTLED_SECONDS)
        seen = [(event["sequence"], event["id"], event["hash"]) for event in verdict.events]
        for name in self._named("follow"):
            lines = [(f"{line['seen']:020}", line["id"], line["hash"]) for line in self._log(name) if "seen" in line]
            assert lines == seen, f"{name} saw other events than there are, or not each once in order"
        for name in self._processes:
            self._check_mirror(name, whole)
        return verdict

    def end(self) -> None:
        """Kill whoever still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, role: str, name: str, prefix: Sequence[str], terms: Mapping[str, Any]) -> None:
        given = {"name": name, "top": str(self.top), "journal": self.journal, **terms}
        with (self.top / f"{name}.stderr").open("wb") as stderr:
            self._processes[name] = subprocess.Popen(
                [*prefix, sys.executable, "-B", str(CLIENT), role, json.dumps(given)],
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        self._roles[name] = role

    def _named(self, role: str) -> list[str]:
        return [name for name, found in self._roles.items() if found == role]

    def _log(self, name: str) -> list[dict[str, Any]]:
        path = self.top / f"{name}.log"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        assert all("broken" not in line for line in lines), f"{name}: {lines[-1]['broken']}"
        return lines

    def _alive(self) -> bool:
        """Raise where a client has ended with an error."""
        for name, process in self._processes.items():
            assert not process.poll(), f"{name} ended with {process.returncode}: {self._said(name)}"
        return True

    def _join(self, names: Sequence[str], seconds: float) -> None:
        for name in names:
            wait_for(
                f"{name} ends: {self._said(name)}",
                lambda name=name: self._alive() and self._processes[name].poll() is not None,
                seconds,
            )
            self._log(name)

    def _check_mirror(self, name: str, whole: bytes) -> None:
        """A mirror is a prefix of the history, and once it has read on, the same bytes."""
        directory = self.top / name / "m"
        path = directory / "journal.jsonl"
        check_prefix(path.read_bytes() if path.exists() else b"", whole, name)
        read_afresh(self.journal, directory)
        assert path.read_bytes() == whole, f"{name}: the mirror differs from a fresh one"

    def _said(self, name: str) -> str:
        log = self.top / f"{name}.log"
        last = log.read_text()[-600:] if log.exists() else ""
        return (self.top / f"{name}.stderr").read_text()[-1500:] + last

    def _last_words(self, *names: str) -> str:
        return "; ".join(f"{name}: {self._said(name)[-300:]}" for name in names or self._processes)


@contextmanager
def clients(top: Path, journal: str) -> Iterator[Clients]:
    """Give a place for clients, who are gone afterwards."""
    found = Clients(top, journal)
    try:
        yield found
    finally:
        found.end()


def read_afresh(journal: str, directory: Path) -> list[bytes]:
    """Bring the mirror in *directory* up to date, which may be new, and return its verified entries."""
    with closing(open_journal(journal, directory=str(directory))) as opened:

        def is_up_to_date() -> bool:
            with suppress(UnreachableError):
                opened.refresh()
                return list(opened.notices()) == []
            return False

        wait_for("the cluster can be read", is_up_to_date)
        return list(opened.read())


def leading(cluster: NatsCluster, stream: str) -> int:
    """Return the number of the node that leads a stream with a majority, as soon as there is one."""

    def found() -> list[int]:
        for number in range(NODES):
            with suppress(OSError, ValueError, KeyError):
                said = cluster.streams(number)[stream]["cluster"]
                heard = [node for node in said.get("replicas", ()) if node["active"] < HEARD_NANOSECONDS]
                if said.get("leader") == f"node{number}" and heard:
                    return [number]
        return []

    return int(wait_for(f"{stream} has a leader with a majority", found)[0])


def pause_after(answers: Sequence[float], moment: float) -> float:
    """Return after how many seconds writes went on: the end of the longest pause that *moment* began, or lay in."""
    before = [answer for answer in answers if answer <= moment][-1:]
    line = [*before, *(answer for answer in answers if answer > moment)]
    gaps = [(later - earlier, later) for earlier, later in pairwise(line)]
    return max(gaps)[1] - moment if gaps else inf
