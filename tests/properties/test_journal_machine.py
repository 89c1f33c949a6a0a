"""
The journal against a plain list, on both engines: appends, readings, kills, failing calls, damage, in any order.

Whatever the steps, the file engine holds what the memory engine and the list hold, and readers show nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import machine_runs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from journal_interruptions import InterruptedMachine
from journal_machine import BATCH, WHICH
from list_model import joined
from support import LONG, flip, outcome_of

from eventlog.errors import JournalDamagedError

SHARDS = 16 if LONG else 2
RUNS = 400 if LONG else 125


class DamagedMachine(InterruptedMachine):
    """Tails as a power cut leaves them, and damage that no crash explains, until a person undoes it."""

    def __init__(self) -> None:
        super().__init__()
        self.undo: Callable[[], object] = lambda: None
        self.damaged_index = 0

    # What a power cut may leave

    @rule(sizes=BATCH, data=st.data())
    @precondition(lambda self: not self.damage and not self.model.behind and self.head_path.exists())
    def lose_the_head_write(self, sizes: list[int], data: st.DataObject) -> None:
        """A beginning of an append is there, perhaps all of it, and the head does not know."""
        whole = joined(self.model.batch(sizes))
        size = len(whole)
        self.leave_behind(whole[: data.draw(st.integers(1, size) | st.integers(size - 1, size), label="bytes")])
        self.count("torn tail")

    @rule(junk=st.sampled_from([b"\0", b"\0" * 4096, b"a\n\0\n\0\n"]))
    @precondition(lambda self: not self.damage and self.head_path.exists() and not self.model.writer_refuses())
    def leave_nul_bytes(self, junk: bytes) -> None:
        """The file has grown, and its blocks were not written."""
        self.leave_behind(junk)
        self.count("tail of NULs")

    @rule(bit=st.integers(0, 256 * 8 - 1))
    @precondition(lambda self: not self.damage and self.model.entries and self.good_slots() == 2)
    def damage_a_slot(self, bit: int) -> None:
        """One slot of the head is bad: nothing that was acknowledged is hidden, and the next writer mends it."""
        flip(self.head_path, bit)
        self.show_readable()
        self.count("damaged slot")

    def leave_behind(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)
        self.model.behind += data
        if self.good_slots() < 2:
            self.show_readable()

    def show_readable(self) -> None:
        """The newest acknowledgement may have stood in a bad slot, so readers show what is whole."""
        self.model.show(len(self.model.readable()))
        self.sync_memory()

    # What no crash can leave

    @rule(junk=st.sampled_from([b"\n", b"{}\n", b"no entry\nhalf"]), again=st.booleans())
    @precondition(
        lambda self: (
            not self.damage
            and self.model.entries
            and b"\0" not in self.model.rest()
            and not self.model.writer_refuses()
        )
    )
    def write_a_finished_line(self, junk: bytes, again: bool) -> None:
        """A finished line that is no entry, or the last entry once more: readers go on, writers refuse."""
        self.leave_behind(joined(self.model.entries[-1:]) if again else junk)
        self.count("finished line behind the head")

    @rule(which=WHICH, confirming=st.booleans())
    @precondition(lambda self: not self.damage and self.model.writer_refuses())
    def write_behind_a_finished_line(self, which: int, confirming: bool) -> None:
        """No writer touches it, and not one byte changes."""
        journal, batch = self.pick(which), self.model.batch([1])
        append = partial(journal.append, batch, expected_size=len(self.model.entries))

        error = self.refused_unchanged(journal.confirm if confirming else append)

        assert isinstance(error, JournalDamagedError)

    @rule()
    @precondition(lambda self: not self.damage and self.model.writer_refuses())
    def cut_off_the_finished_line(self) -> None:
        """A person does what the message says: keeps a copy, and cuts behind what is whole."""
        kept = joined(self.model.whole())
        os.truncate(self.path, len(self.model.acknowledged_bytes()) + len(kept))
        self.model.behind = kept

    @rule(data=st.data())
    @precondition(lambda self: not self.damage and self.model.entries and self.good_slots() == 2)
    def flip_a_bit(self, data: st.DataObject) -> None:
        """An acknowledged byte is another one."""
        bit = data.draw(st.integers(0, len(self.model.acknowledged_bytes()) * 8 - 1), label="bit")
        flip(self.path, bit)
        self.undo = partial(flip, self.path, bit)
        ends = [len(joined(self.model.entries[:count])) for count in range(1, len(self.model.entries) + 1)]
        self.damaged_index = next(index for index, end in enumerate(ends) if bit // 8 < end)
        self.damage = "changed"
        self.count("flipped bit")

    @rule(data=st.data())
    @precondition(lambda self: not self.damage and self.model.entries and self.good_slots() == 2)
    def cut(self, data: st.DataObject) -> None:
        """Acknowledged bytes are missing at the end, or the whole file is."""
        content = self.path.read_bytes()
        size = data.draw(st.none() | st.integers(0, len(self.model.acknowledged_bytes()) - 1), label="size")
        aside = self.path.with_suffix(".aside")
        if size is None:
            self.path.rename(aside)
            self.undo = partial(aside.rename, self.path)
        else:
            os.truncate(self.path, size)
            self.undo = partial(self.path.write_bytes, content)
        self.damage = "cut"
        self.count("cut journal")

    @rule(gone=st.booleans(), bits=st.tuples(st.integers(0, 128 * 8 - 1), st.integers(128 * 8, 256 * 8 - 1)))
    @precondition(
        lambda self: (
            not self.damage
            and self.model.entries
            and self.good_slots() == 2
            and not self.model.whole()
            and b"\n" not in self.model.rest()
        )
    )
    def lose_the_head(self, gone: bool, bits: tuple[int, int]) -> None:
        """Both slots are bad, or the file is gone: nobody knows how many entries there were."""
        content = self.head_path.read_bytes()
        if gone:
            self.head_path.unlink()
        else:
            for bit in bits:
                flip(self.head_path, bit)
        self.undo = partial(self.head_path.write_bytes, content)
        self.damage = "head"
        self.count("lost head")

    @rule(which=WHICH)
    @precondition(lambda self: self.damage)
    def read_what_is_damaged(self, which: int) -> None:
        """Damage is told by every reading of the whole, by old objects and new ones; what is yielded first is right."""
        journal, seen = self.pick(which), []

        error = self.refused_unchanged(lambda: seen.extend(journal.read()))

        if self.damage == "head":
            assert error is None
            assert seen == list(journal.salvage()) == self.model.entries
            assert [(item.extent_unknown, item.blocks_writing) for item in journal.notices()] == [(True, True)]
            return
        assert isinstance(error, JournalDamagedError)
        assert seen == self.model.entries[: len(seen)]
        if self.damage == "changed":
            assert list(journal.salvage()) == self.model.entries[: self.damaged_index]
            assert len(seen) <= self.damaged_index

    @rule(which=WHICH)
    @precondition(lambda self: self.damage and not self.model.writer_refuses())
    def write_to_what_is_damaged(self, which: int) -> None:
        """No writer that reads first, as every request does, appends to damage; without all bytes none even mends."""
        batch = self.model.batch([1])
        size = len(self.model.entries) + len(self.model.whole())
        if self.damage == "changed":
            error = outcome_of(partial(self.read_and_append, batch, size))
            self.mend()
            assert self.path.read_bytes()[len(self.model.acknowledged_bytes()) :] == b""
        else:
            error = self.refused_unchanged(partial(self.pick(which).append, batch, expected_size=size))
        assert isinstance(error, JournalDamagedError)

    def read_and_append(self, batch: list[bytes], size: int) -> None:
        journal = self.open()
        with journal.exclusive():
            for _ in journal.read():
                pass
            journal.append(batch, expected_size=size)

    @rule()
    @precondition(lambda self: self.damage)
    def undo_the_damage(self) -> None:
        """Once the bytes are as they were, everything goes on as if nothing had been."""
        self.undo()
        self.damage = ""
        self.count("undone damage")


@pytest.mark.usefixtures("quietly")
@pytest.mark.parametrize("shard", range(SHARDS))
def test_journal_is_a_list(shard: int, tally: Callable[[str, int], None]) -> None:
    """Whatever happens, and in whatever order, both engines hold what the list holds."""
    tried = machine_runs.run(DamagedMachine, shard, RUNS)

    minimum = {"step": 500, "append": 10, "kill at a byte of an append": 10, "call of an append that fails": 10}
    minimum |= {"torn tail": 1, "damaged slot": 1, "flipped bit": 1, "cut journal": 1, "lost head": 1}
    machine_runs.noted(tried, minimum, tally, "journal against a list")
