"""
Entries that only one slot of the head acknowledges stay readable while a writer adopts them, wherever it is killed.

Found by the journal machine: the head was created anew, empty, before what stood behind its older slot was adopted.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from process_faults import Kill
from support import LONG, Place, fill, flip

from eventlog.engines import open_journal
from projections import verify_registry

BYTE_OF_NEWEST_SLOT = 30
STRIDE = 1 if LONG else 19


@pytest.mark.usefixtures("quietly")
def test_first_append_is_there_until_it_is_adopted(fast_place: Place, tally: Callable[[str, int], None]) -> None:
    """The newest slot is damaged when there was one append; wherever the next writer is killed, that append stays."""
    place = fast_place
    start = fill(place, 2)[2]
    place.put(start)
    entries = list(open_journal(str(place.registry_dir)).read())
    units, dead = 0, True

    while dead:
        place.put(start)
        flip(place.head, BYTE_OF_NEWEST_SLOT * 8)
        kill = Kill(units)
        with kill.armed():
            open_journal(str(place.registry_dir)).confirm()

        assert list(open_journal(str(place.registry_dir)).read()) == entries, f"killed after {units} units"
        place.publish("new")
        assert verify_registry(place.registry_dir, place.state_dir).verdict == "intact"
        dead, units = kill.dead, units + STRIDE

    assert units > 1_000
    tally("kill at a byte of an adoption", units // STRIDE)
