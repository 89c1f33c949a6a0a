"""What the simulation has found, made by hand: what another process does just then is done inside a call."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import Place, fill, heads_of, outcome_of

from eventlog.engines.jsonl_head import SLOT_BYTES, Head, format_slot

TORN_SLOT = b"torn".ljust(SLOT_BYTES, b"\0")


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, name: str, ending: str, action: Callable[[], object], *, first: bool
) -> None:
    """Let *action* happen once, just before (*first*) or after the next call of `os.<name>` on a path that ends so."""
    real = getattr(os, name)
    waiting = [action]

    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        due = [waiting.pop()] if waiting and str(path).endswith(ending) else []
        for step in due if first else ():
            step()
        try:
            return real(path, *args, **kwargs)
        finally:
            for step in () if first else due:
                step()

    monkeypatch.setattr(os, name, call)


def without_projections(place: Place) -> None:
    place.registry_json.unlink()
    place.state_json.unlink()


def test_the_journal_is_created_between_two_looks(place, monkeypatch):
    """A reader that found no journal, and then a head that somebody has just written, does not call that damage."""
    meanwhile(monkeypatch, "open", "journal.head", place.publish, first=True)

    error = outcome_of(place.open().list_models)

    assert error is None


def test_the_head_is_created_between_two_looks(place, monkeypatch):
    """A reader that found no head, and then the first entries on their way, does not show what nobody acknowledged."""
    place.publish()
    written = place.journal.read_bytes()
    without_projections(place)
    place.head.unlink()
    place.journal.write_bytes(b"")

    def append_half() -> None:
        place.set_head(Head(), Head())
        place.journal.write_bytes(written)

    meanwhile(monkeypatch, "open", "journal.head", append_half, first=False)
    shown = place.open().catalog().size

    assert shown == 0


def test_the_first_entries_are_kept_without_hiding_them(place, monkeypatch):
    """While a writer keeps the first entries of a writer that died over its slot, readers show what they showed."""
    place.publish()
    without_projections(place)
    place.head.write_bytes(format_slot(Head()) + TORN_SLOT)
    staying = place.open()
    before = staying.catalog().size
    seen: list[int | Exception | None] = []

    def look() -> None:
        seen.append(outcome_of(staying.catalog) or place.open().catalog().size)

    meanwhile(monkeypatch, "rename", ".journal.head.new", look, first=False)
    meanwhile(monkeypatch, "fdatasync", "", look, first=False)
    place.publish("b")

    assert seen
    assert all(isinstance(size, int) and size >= before for size in seen), seen


def test_a_torn_slot_is_mended_between_two_looks(place, monkeypatch):
    """A reader that found a torn slot does not show an entry that was begun after somebody mended the slot."""
    fill(place, 4)
    lines = place.lines()
    heads = heads_of(lines)
    without_projections(place)
    place.head.write_bytes(format_slot(heads[2]) + TORN_SLOT)
    place.journal.write_bytes(b"".join(lines[:3]))
    pauses = []

    def mend_and_begin_another(_seconds: float) -> None:
        pauses.append(_seconds)
        if len(pauses) == 5:  # the reader gives up waiting for the slot
            place.set_head(heads[2], heads[3])
            place.journal.write_bytes(b"".join(lines))

    monkeypatch.setattr(time, "sleep", mend_and_begin_another)
    shown = place.open().catalog().size

    assert shown <= 3


def test_a_close_that_fails_leaves_no_traceback(place, monkeypatch):
    """A retry that is answered from the journal says nothing on stderr by itself, whichever `close` fails."""
    place.publish(request_id="again")
    real = os.close
    said: list[str] = []
    left = [0]
    monkeypatch.setattr(sys, "unraisablehook", lambda what: said.append(str(what.exc_value)))

    def close(descriptor: int) -> None:
        real(descriptor)
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    for number in range(1, 40):
        left[0] = number
        with monkeypatch.context() as patch:
            patch.setattr(os, "close", close)
            outcome_of(lambda: place.publish(request_id="again"))

    assert said == []
