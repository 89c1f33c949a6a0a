"""Steps in which an append does not come to its end: the process is killed at any byte, or a call fails."""

from __future__ import annotations

from collections.abc import Generator
from itertools import islice

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from journal_machine import BATCH, WHICH, JournalMachine
from list_model import joined
from process_faults import CHANGES, CODES, MODES, READS, SYNCS, Fault, Kill
from support import outcome_of

from eventlog.errors import OutcomeUnknownError, RefusedError

READINGS_MAX = 3


class InterruptedMachine(JournalMachine):
    """
    Appends that are interrupted, and readings that go on meanwhile.

    Attributes:
        readings: iterators that were begun, each with what it still has to yield.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[tuple[Generator[bytes, None, None], list[bytes]]] = []

    def teardown(self) -> None:
        for reading, _ in self.readings:
            reading.close()
        super().teardown()

    @rule(which=WHICH, sizes=BATCH, data=st.data())
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def kill_while_appending(self, which: int, sizes: list[int], data: st.DataObject) -> None:
        """Whatever byte was the last one, all that is acknowledged stays, and nothing else comes up."""
        batch = self.model.batch(sizes)
        units = data.draw(st.integers(0, len(joined(batch)) + 2 * len(self.model.behind) + 400), label="units")
        kill = Kill(units)

        self.interrupted_append(which, batch, kill)

        if kill.dead:
            self.count("kill at a byte of an append")
            if which < len(self.objects):
                self.objects[which] = self.open()
        else:
            assert self.model.entries[-len(batch) :] == batch

    @rule(
        which=WHICH,
        sizes=BATCH,
        names=st.sampled_from([CHANGES, CHANGES, SYNCS, READS]),
        at=st.integers(1, 4) | st.integers(1, 12),
        mode=st.sampled_from(MODES),
        code=st.sampled_from(CODES),
    )
    @precondition(lambda self: not self.damage and not self.model.writer_refuses())
    def fail_a_call_of_append(
        self, which: int, sizes: list[int], names: tuple[str, ...], at: int, mode: str, code: int
    ) -> None:
        """The error is true: refused is not there, unknown may be there, no error is there; and the object goes on."""
        batch, old = self.model.batch(sizes), self.model.behind
        kept = joined(self.model.whole())
        fault = Fault(names, at, mode, code)

        error, found = self.interrupted_append(which, batch, fault)

        self.count("call of an append that fails" if fault.happened else "append")
        if error is None:
            assert self.model.entries[-len(batch) :] == batch
        elif isinstance(error, RefusedError):
            assert found in (old, kept), "refused, but something of it is there"
        else:
            assert isinstance(error, OutcomeUnknownError)

    @rule(which=WHICH, at=st.integers(1, 12), mode=st.sampled_from(MODES), code=st.sampled_from(CODES))
    @precondition(lambda self: not self.damage)
    def fail_a_call_of_read(self, which: int, at: int, mode: str, code: int) -> None:
        """A reading that fails is refused; what it yielded until then was right."""
        fault, seen, before = Fault(READS, at, mode, code), [], self.files()

        with fault.armed():
            error = outcome_of(lambda: seen.extend(self.pick(which).read()))

        assert seen == self.model.entries[: len(seen)]
        assert isinstance(error, RefusedError) if error else len(seen) == len(self.model.entries)
        assert self.files() == before
        self.count("call of a read that fails" if fault.happened else "read")

    @rule(which=WHICH)
    @precondition(lambda self: not self.damage and len(self.readings) < READINGS_MAX)
    def begin_reading(self, which: int) -> None:
        """Asking for the first entry decides what the reading yields."""
        reading = self.pick(which).read()
        assert isinstance(reading, Generator)
        first = next(reading, None)

        assert first == next(iter(self.model.entries), None)
        self.readings.append((reading, self.model.entries[1:]))

    @rule(count=st.integers(1, 30), number=st.integers(0, READINGS_MAX - 1))
    @precondition(lambda self: not self.damage and self.readings)
    def go_on_reading(self, count: int, number: int) -> None:
        """Whatever was appended meanwhile, the reading yields what was acknowledged when it began."""
        reading, wanted = self.readings.pop(number % len(self.readings))

        got = list(islice(reading, count))

        assert got == wanted[: len(got)]
        if len(got) == count:
            self.readings.append((reading, wanted[count:]))
        else:
            assert got == wanted
            self.count("reading that outlived other steps")

    def interrupted_append(
        self, which: int, batch: list[bytes], trouble: Kill | Fault
    ) -> tuple[Exception | None, bytes]:
        """Append *batch* and let the model learn from the files what came of it; return the error and the tail."""
        model, error = self.model, None
        size = len(model.entries) + len(model.whole())
        head, sure = self.head_bytes(), self.good_slots() == 2
        journal, recording = self.pick(which), list(model.pending.values())

        with trouble.armed():
            error = outcome_of(lambda: journal.append(batch, expected_size=size, recording=recording))

        found = self.settle(batch)
        shown = list(self.open().read())
        before = len(model.entries)
        assert shown == (model.entries + model.readable())[: len(shown)]
        assert len(shown) >= before
        assert not sure or self.head_bytes() != head or len(shown) == before, "shown before the head says so"
        model.show(len(shown) - before)
        self.sync_memory()
        for tail in recording:
            if not self.is_pending(tail.kept_as):
                assert model.entries[-len(batch) :] == batch, "taken for recorded, but it is not"
                del model.pending[tail.kept_as]
        return error, found

    def settle(self, batch: list[bytes]) -> bytes:
        """
        Take over what stands behind the acknowledged entries after an append of *batch*, and return it.

        That may only be what stood there before, or what a writer makes of that and a beginning of the batch.
        """
        model = self.model
        start, kept, rest = model.acknowledged_bytes(), joined(model.whole()), model.rest()
        data = self.path.read_bytes() if self.path.exists() else b""
        assert data.startswith(start), "acknowledged bytes are gone"
        found = data[len(start) :]
        grown = found.startswith(kept) and joined(batch).startswith(found[len(kept) :])
        assert found == model.behind or grown, "nobody ever wrote this"
        torn = model.discarded(rest, len(start) + len(kept))
        if rest and (found != model.behind or self.is_pending(torn.kept_as)):
            model.take_out(torn, rest)
            assert self.is_kept(torn.kept_as), "taken out, but not kept"
        model.behind = found
        return found

    def is_kept(self, name: str) -> bool:
        return self.is_pending(name) or (self.directory / name).exists()

    def is_pending(self, name: str) -> bool:
        return (self.directory / f"{name}.pending").exists()

    def head_bytes(self) -> bytes:
        return self.head_path.read_bytes() if self.head_path.exists() else b""
