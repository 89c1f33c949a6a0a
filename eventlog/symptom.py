"""What the doctor finds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Symptom(Struct, frozen=True):
    """
    One finding.

    Attributes:
        kind: a `problem` (a command refuses, or would show or lose something), or a `risk` (all is well as long as
            nothing happens).

        about: what was looked at, one word or two: `clock`, `free space`.

        what: what was found, with the path, what was expected and what was got.

        remedy: what to do.
    """

    kind: Literal["problem", "risk"]
    about: str
    what: str
    remedy: str
