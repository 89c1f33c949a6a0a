"""
A snapshot: the state of the fold, kept in the journal itself, so that whoever opens it need not begin at zero.

It is an event like any other. So it is covered by the chain, by every anchor and by every tree head, and it cannot be
trusted more than they are; whoever does begin at zero compares it with the state that is found there.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from eventlog.key_events import Standing

ENTRIES = 256
"""After so many entries comes the next snapshot; as many at most are folded when a journal is opened."""

BYTES_MAX = 60_000
KEEP_LAST_MAX, KEEP_DAYS_MAX = 1_000_000, 36_500


class Activation(Struct, frozen=True, forbid_unknown_fields=True):
    """That a model became active: by which event, when, by whom, why, and which one it displaced."""

    model_id: str
    position: int
    time: Annotated[datetime, Meta(tz=True)]
    actor: str
    reason: str | None
    displaced: str | None


class Place(Struct, frozen=True, forbid_unknown_fields=True):
    """Where an entry stands: at *position*, from byte *offset_bytes* of the lines on, and its *hash*."""

    position: int
    offset_bytes: int
    hash: str


class Settings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    How a registry behaves where a request does not say.

    Attributes:
        copy: a publish keeps a copy of the artifact.

        keep_last: no copy is removed of the models that were active last, so many of them, the active one counted.

        keep_days: nor of one that was active, or published, within so many days.
    """

    copy: bool = False
    keep_last: Annotated[int, Meta(ge=0, le=KEEP_LAST_MAX)] = 0
    keep_days: Annotated[int, Meta(ge=0, le=KEEP_DAYS_MAX)] = 0


class SettingsChanged(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A person decided how the registry behaves where a request does not say.

    Attributes:
        settings: all of them, as they are from now on.

        reason: why.
    """

    settings: Settings
    reason: str | None = None


class SnapshotTaken(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The state of the fold just before this entry, so that nobody needs to fold everything again to go on from here.

    Attributes:
        offset_bytes: of all lines before this one, newlines counted.

        models: how many were published.

        newest: the model ids of the newest second in which models were published.

        disordered: model ids do not stand in the order of their seconds, because some clock went backwards.

        active: the activation that holds each slot.

        latest_time: of any event.

        backward: the first and the last position whose time is before an earlier event's, and how many there are.

        keys: when each key could sign, in the order in which they were added.

        taken_over: how far a runtime had followed another journal when this one took it over, by that journal's id.

        given_up: what anchors of this journal said that a person knowingly gave up: size and hash.

        previous: the snapshot before this one.

        rows_hash: of the models' rows, see `eventlog.model_rows`; the first snapshots told none.

        settings: how the registry behaves where a request does not say; None as long as nobody said so.

        marks: how many events have retired or held a model, or taken that back.
    """

    offset_bytes: int
    models: int
    newest: list[str]
    active: dict[str, Activation]
    latest_time: Annotated[datetime, Meta(tz=True)]
    disordered: bool = False
    backward: tuple[int, int, int] | None = None
    keys: list[Standing] = []
    taken_over: dict[str, int] = {}
    given_up: list[tuple[int, str]] = []
    previous: Place | None = None
    rows_hash: str | None = None
    settings: Settings | None = None
    marks: int = 0


def is_due(size: int, newest: Place | None) -> bool:
    """Say whether a journal of *size* entries, whose newest snapshot is *newest*, is to take another."""
    return size - (0 if newest is None else newest.position) >= ENTRIES


def fits(taken: SnapshotTaken) -> bool:
    """Say whether a snapshot is small enough for an entry; where a thousand models come in a second, it may not be."""
    return len(msgspec.json.encode(taken)) <= BYTES_MAX
