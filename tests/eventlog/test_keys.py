"""Keys of a journal: who could sign how many entries, whom an older key vouches for, and what the fold refuses."""

from __future__ import annotations

import pytest
from support import Place, event_entry, outcome_of

from eventlog import keys, signed_note
from eventlog.catalog import Catalog
from eventlog.errors import JournalDamagedError, RefusedError
from eventlog.events import Event
from eventlog.key_events import KeyAdded, KeyRevoked, Standing
from eventlog.signed_note import KIND_LOG, KIND_WITNESS, PrivateKey

FIRST, SECOND, THIRD = (PrivateKey("example.com/m", KIND_LOG, bytes([number]) * 32) for number in (1, 2, 3))
WITNESS = PrivateKey("example.com/w", KIND_WITNESS, bytes([4]) * 32)


def _standing(key: PrivateKey, at: int, endorser: PrivateKey | None = None, revoked: int | None = None) -> Standing:
    return Standing(at, keys.added(key.public, "j", endorser, None), revoked)


def test_by_position() -> None:
    """A key counts behind the event that added it, up to the entries before the one that revoked it."""
    standing = Standing(3, KeyAdded("k"), 7)

    assert [size for size in range(12) if standing.could_sign(size)] == [4, 5, 6, 7]
    assert Standing(3, KeyAdded("k")).could_sign(10**9)


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        ({"endorser": FIRST}, {"endorser": SECOND}, 3),
        ({"endorser": FIRST}, {}, 2),
        ({}, {"endorser": SECOND}, 1),
        ({"endorser": THIRD}, {"endorser": FIRST}, 2),
        ({"endorser": FIRST, "revoked": 5}, {"endorser": SECOND}, 2),
    ],
)
def test_whom_the_first_key_leads_to(second, third, expected) -> None:
    """Along endorsements of keys that could sign when they endorsed, and no further."""
    standings = {
        str(FIRST.public): _standing(FIRST, 1),
        str(SECOND.public): _standing(SECOND, 4, **second),
        str(THIRD.public): _standing(THIRD, 6, **third),
    }

    assert len(keys.trusted(FIRST.public, standings, "j")) == expected
    assert len(keys.trusted(FIRST.public, standings, "another")) == 1
    assert keys.trusted(WITNESS.public, standings, "j") == {}


def test_the_journal_keeps_them(place: Place) -> None:
    """Added and revoked by events; twice, unknown, or a witness's is refused, and changes nothing."""
    registry = place.open(sign_key=FIRST.spelled())
    place.publish("a", registry=registry)
    registry.add_key(SECOND.public, endorser=FIRST, actor="t", reason="rotate", request_id="add")
    registry.revoke_key(FIRST.public, actor="t", request_id="revoke")

    found = place.open().catalog().keys
    assert [(standing.added, standing.revoked) for standing in found.values()] == [(1, 4), (3, None)]
    assert registry.add_key(SECOND.public, endorser=FIRST, actor="t", reason="rotate", request_id="add").position == 3
    before = place.files()
    for refused in (
        lambda: place.open().add_key(SECOND.public),
        lambda: place.open().add_key(WITNESS.public),
        lambda: place.open().add_key(THIRD.public, endorser=FIRST),
        lambda: place.open().revoke_key(THIRD.public),
        lambda: place.open().revoke_key(FIRST.public),
        lambda: place.open().revoke_key(SECOND.public, request_id="add"),
        lambda: place.publish("b", registry=place.open(sign_key=FIRST.spelled())),
        lambda: place.publish("b", registry=place.open(sign_key=THIRD.spelled())),
        lambda: Place(place.root / "x").open().add_key(FIRST.public),
    ):
        assert isinstance(outcome_of(refused), RefusedError)
        assert place.files() == before


@pytest.mark.parametrize(
    "data",
    [KeyAdded("nonsense"), KeyAdded(str(WITNESS.public)), KeyAdded(str(FIRST.public)), KeyRevoked(str(SECOND.public))],
)
def test_a_journal_that_says_otherwise_is_damaged(place: Place, data: KeyAdded | KeyRevoked) -> None:
    """What no program would have recorded is refused by the fold."""
    catalog = Catalog()
    created = place.open(sign_key=FIRST.spelled())
    place.publish("a", registry=created)
    for line in place.lines():
        catalog.apply(line[:-1])
    assert isinstance(catalog.journal_id, str)
    event = Event(3, "x", place.event(2).time, "t", None, data)

    refused = outcome_of(lambda: catalog.apply(event_entry(event, catalog.journal_id or "", catalog.hash)))

    assert isinstance(refused, JournalDamagedError)


def test_an_endorsement_of_other_text_does_not_count() -> None:
    """A signature under something else, or that is no base64, vouches for nobody."""
    good = keys.added(SECOND.public, "j", FIRST, None)
    for endorsement in ("AAAA", "?", signed_note.encoded(bytes(64)), None):
        standings = {
            str(FIRST.public): _standing(FIRST, 1),
            str(SECOND.public): Standing(4, KeyAdded(good.key, None, good.endorsed_by, endorsement)),
        }
        assert len(keys.trusted(FIRST.public, standings, "j")) == 1
