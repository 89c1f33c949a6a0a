"""What writers ask for, and what is noted of each time that they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from simulated_kernel import Process

Outcome = Literal["under way", "done", "lags", "refused", "unknown", "killed"]


@dataclass
class Request:
    """
    What somebody wants, however often it takes.

    Attributes:
        artifact: path of what is published; None for a rollback.

        target: of a rollback; None for the model before.

        expect: the model that must be active; None for any.

        answer: the model id once it was told.
    """

    id: str
    artifact: str | None
    target: str | None = None
    expect: str | None = None
    dry: bool = False
    bound: bool = False
    answer: str | None = None


@dataclass
class Attempt:
    """
    One time that a request was made.

    Attributes:
        name: the actor that the event names, so that it is known which attempt recorded it.

        floor: how many entries were acknowledged before it began.

        faults: how many calls of its process had gone wrong before.
    """

    name: str
    request: Request
    floor: int
    process: Process
    faults: int
    outcome: Outcome = "under way"


def drawn_requests(rng: Random, count: int, artifacts: Sequence[str]) -> list[Request]:
    """Draw what is asked for: mostly publishes, of few artifacts so that ids collide."""
    requests = []
    for number in range(count):
        kind = rng.choice(("publish", "publish", "publish", "rollback", "rollback to", "expecting", "dry"))
        artifact = None if kind.startswith("rollback") else rng.choice(artifacts)
        request = Request(f"q{number}", artifact, dry=kind == "dry")
        if kind == "rollback to":
            request.target = "any"
        if kind == "expecting":
            request.expect = "any"
        requests.append(request)
    return requests
