"""
The journal against a list, both engines side by side: what holds after each step, and the steps of a healthy life.

The file engine is used through two objects that stay, as two processes would have them, and through fresh ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from list_model import ListModel
from machine_runs import CountingMachine
from support import fast_place, outcome_of

from eventlog import chain
from eventlog.engines import jsonl_head, open_journal
from eventlog.errors import ConflictError, LockTimeoutError, RefusedError
from eventlog.journal import ENTRY_BYTES_MAX, Journal, Tail

WHICH = st.integers(0, 2)
"""Which object acts: one of the two that stay, or a fresh one."""

SIZES = st.one_of(st.integers(0, 80), st.sampled_from([0, 1, 30_000, 65_000]))
"""Mostly small bodies, so that many steps fit in; some that cross the reader's chunks."""

BATCH = st.lists(SIZES, min_size=1, max_size=4)


class JournalMachine(CountingMachine):
    """
    A directory with a journal in it, its model, and a memory journal that must hold the same.

    Attributes:
        damage: what was done to the files and not undone: `changed` (acknowledged bytes differ), `cut` (they are not
            all there), `head` (nothing says how many there are), or empty.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        place = self._stack.enter_context(fast_place())
        self.directory: Path = place.registry_dir
        self.path = place.journal
        self.head_path = place.head
        self.model = ListModel()
        self.memory = open_journal("memory:")
        self.objects = [self.open(), self.open()]
        self.damage = ""

    def teardown(self) -> None:
        self._stack.close()

    def open(self) -> Journal:
        """Return the journal as a new process would open it; nobody waits, because nobody else is at work."""
        return open_journal(f"file:{self.directory}", lock_timeout_seconds=0)

    def pick(self, which: int) -> Journal:
        return self.objects[which] if which < len(self.objects) else self.open()

    def files(self) -> dict[str, bytes]:
        """Return the bytes of every file, by relative path."""
        found = self.directory.rglob("*")
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in found if path.is_file()}

    def good_slots(self) -> int:
        """Return how many slots of the head say something that was true once; 2 before there is a head."""
        if not self.head_path.exists():
            return 2
        data = self.head_path.read_bytes()
        return sum(jsonl_head.parse_slot(data[start : start + 128]) is not None for start in (0, 128))

    def sync_memory(self) -> None:
        """Let the memory engine take over what the model has and it has not."""
        size = self.memory.tail().size
        if size < len(self.model.entries):
            self.memory.append(self.model.entries[size:], expected_size=size)

    def mend(self) -> None:
        """Let the model do what a writer does first."""
        self.model.mend()
        self.sync_memory()

    # What holds after each step

    @invariant()
    def memory_is_the_list(self) -> None:
        """The memory engine holds what is acknowledged."""
        assert list(self.memory.read()) == self.model.entries

    @invariant()
    @precondition(lambda self: not self.damage)
    def file_is_the_list(self) -> None:
        """A new process reads what is acknowledged, no more and no less; nothing else stands in the file."""
        self.count("step")
        data = self.path.read_bytes() if self.path.exists() else b""
        assert data == self.model.acknowledged_bytes() + self.model.behind
        journal = self.open()
        assert list(journal.read()) == self.model.entries
        assert journal.tail() == self.memory.tail()

    @invariant()
    def quarantine_holds_all_that_was_taken_out(self) -> None:
        """Nothing that recovery takes out is lost; what is pending is called so."""
        for name, torn in self.model.kept.items():
            path = self.directory / name
            kept, pending = path.exists(), Path(f"{path}.pending").exists()
            assert pending == (name in self.model.pending)
            assert kept or pending
            assert Path(f"{path}.pending" if pending else path).read_bytes() == torn

    # A healthy life

    @rule(which=WHICH, sizes=BATCH, verified=st.booleans(), recording=st.sampled_from([0, 1, None]))
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def append(self, which: int, sizes: list[int], verified: bool, recording: int | None) -> None:
        """Both engines store it and return the same tail; what recovery took out is listed until it is recorded."""
        journal = self.pick(which)
        batch = self.model.batch(sizes)
        self.mend()
        size = len(self.model.entries)

        with journal.exclusive():
            if verified:
                assert list(journal.read(max(0, size - 1))) == self.model.entries[-1:]
            found = list(journal.discarded())
            assert found == [self.model.pending[name] for name in sorted(self.model.pending)]
            tail = journal.append(batch, expected_size=size, recording=found[:recording])

        self.model.entries += batch
        for item in found[:recording]:
            del self.model.pending[item.kept_as]
        assert (
            tail == self.memory.append(batch, expected_size=size) == Tail(size + len(batch), chain.hash_of(batch[-1]))
        )
        self.count("append")

    @rule(
        which=WHICH,
        wrong=st.sampled_from(
            ["size", "none", "too large", "unlinked", "newline", "unsealed", "reversed", "twice", "first of all"]
        ),
        delta=st.sampled_from([-3, -1, 1, 2, 100]),
    )
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def append_wrongly(self, which: int, wrong: str, delta: int) -> None:
        """Both engines refuse it with the same kind of error, and store nothing of it."""
        good = self.model.batch([5, 5])
        prev = good[0][-140:-76].decode()
        self.mend()
        batch, size = good, len(self.model.entries)
        if wrong == "size":
            size += delta
        elif wrong == "none":
            batch = []
        elif wrong == "too large":
            batch = [chain.seal(b"x" * (ENTRY_BYTES_MAX - 148), prev)]
        elif wrong == "newline":
            batch = [chain.seal(b"x\nx", prev)]
        elif wrong == "unsealed":
            batch = [good[0].replace(b"xxxxx", b"yyyyy"), good[1]]
        elif wrong == "first of all" and self.model.entries:
            batch = self.model.entries[:1]
        else:
            batch = {"unlinked": good[1:], "reversed": good[::-1]}.get(wrong, [good[0], good[0]])

        errors = [
            outcome_of(lambda journal=journal: journal.append(batch, expected_size=size))
            for journal in (self.pick(which), self.memory)
        ]

        assert type(errors[0]) is type(errors[1]) is (ConflictError if wrong == "size" else RefusedError)
        self.count("append that must be refused")

    @rule(which=WHICH, start=st.integers(0, 40), stop=st.none() | st.integers(0, 60))
    @precondition(lambda self: not self.damage)
    def read(self, which: int, start: int, stop: int | None) -> None:
        """A range is what it is of the list, for every object; reading tells what stands behind, and writes nothing."""
        journal, before = self.pick(which), self.files()

        assert list(journal.read(start, stop)) == list(self.memory.read(start, stop)) == self.model.entries[start:stop]

        notices = journal.notices()
        assert bool(notices) == bool(self.model.behind or self.good_slots() < 2)
        assert any(notice.blocks_writing for notice in notices) == self.model.writer_refuses()
        assert list(journal.salvage()) == self.model.entries + self.model.readable()
        assert journal.tail() == self.memory.tail()
        assert self.files() == before
        self.count("read")

    @rule(which=WHICH)
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def confirm(self, which: int) -> None:
        """To confirm is to mend, once there is a head."""
        self.pick(which).confirm()

        if self.head_path.exists():
            self.mend()

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        """A process ends, and another one begins."""
        self.objects[which] = self.open()

    @rule(which=st.integers(0, 1))
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def keep_the_other_out(self, which: int) -> None:
        """While one object holds the lock, the other one cannot append; it can read."""
        batch = self.model.batch([1])
        self.mend()
        size = len(self.model.entries)

        with self.objects[which].exclusive():
            before = self.files()
            error = outcome_of(lambda: self.objects[1 - which].append(batch, expected_size=size))
            assert list(self.objects[1 - which].read()) == self.model.entries
            assert self.files() == before

        assert isinstance(error, LockTimeoutError)

    def refused_unchanged(self, action: Callable[[], object]) -> Exception | None:
        """Carry out what must be refused, and return the error; not one byte may differ afterwards."""
        before = self.files()
        error = outcome_of(action)
        assert self.files() == before
        return error
