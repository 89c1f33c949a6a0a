"""Two processes that share a journal find what one finds, whatever has happened to it; and no id stands twice."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from long_history import ENTRIES, SIZE, damages, state
from support import Place, outcome_of, reseal

from eventlog import event_ids, queries, second_half
from eventlog.catalog import Catalog
from eventlog.engines import jsonl_stamp, open_journal
from eventlog.errors import JournalDamagedError, ModelogError
from eventlog.journal import Journal
from eventlog.replay import Replay
from eventlog.rows_beside import RowsBeside
from eventlog.second_half import Found, Middle, SecondHalf
from projections import verify_registry


class Beside(SecondHalf):
    """The second half folded in this very process, by a journal of its own."""

    accepted = 0

    def __init__(self, middle: Middle, journal: Journal, rows: RowsBeside | None) -> None:
        super().__init__(middle, -1)
        self._journal = journal
        self._rows = rows

    def found(self) -> Found | None:
        try:
            found = second_half.fold(self._journal, self.middle, self._rows)
        except ModelogError:
            return None
        Beside.accepted += found is not None
        return found


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may use a second process uses `Beside`."""

    @contextmanager
    def begun(journal: Journal, rows: RowsBeside | None = None) -> Iterator[SecondHalf | None]:
        middle = second_half.middle_of(journal)
        yield None if middle is None else Beside(middle, open_journal(str(Path(journal.where).parent)), rows)

    monkeypatch.setattr(second_half, "ENTRIES_MIN", 1)
    monkeypatch.setattr(second_half, "begun", begun)
    Beside.accepted = 0


def _folded(place: Place, processes: int) -> Catalog:
    return Replay(open_journal(str(place.registry_dir)), whole=True, processes=processes).catch_up()


@pytest.mark.usefixtures("beside")
def test_two_halves_come_to_what_one_fold_comes_to(long: Place) -> None:
    """Models, ids, times, keys, what was set aside: the state is the same, and what follows is folded on it."""
    assert state(_folded(long, 2)) == state(_folded(long, 1))
    assert Beside.accepted == 1

    replay = Replay(open_journal(str(long.registry_dir)), whole=True, processes=2)
    replay.catch_up()
    long.publish("one more")
    assert state(replay.catch_up()) == state(_folded(long, 1))


@pytest.mark.usefixtures("beside")
def test_every_damage_is_told_alike(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What verify says of each damaged journal does not depend on how many processes read it."""
    data = long.journal.read_bytes()
    tried = 0

    for what, damaged in damages(data):
        long.journal.write_bytes(damaged)
        in_two = verify_registry(long.registry_dir, long.state_dir)
        with monkeypatch.context() as patch:
            patch.setattr(second_half, "ENTRIES_MIN", 1 << 60)
            in_one = verify_registry(long.registry_dir, long.state_dir)
        assert in_two == in_one, what
        tried += in_one.verdict == "damaged"

    assert tried > 300


def _with_id_of(earlier: int, later: int) -> Callable[[list[bytes]], list[bytes]]:
    def edited(lines: list[bytes]) -> list[bytes]:
        ids = [line.split(b'"id":"', 1)[1].split(b'"', 1)[0] for line in (lines[earlier], lines[later])]
        changed = lines[later].replace(b'"id":"%b"' % ids[1], b'"id":"%b"' % ids[0], 1)
        return reseal([*lines[:later], changed, *lines[later + 1 :]], later)

    return edited


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("earlier", "later"), [(1, 2), (1, SIZE - 1), (3, SIZE - 5), (2, SIZE // 2 - 3), (SIZE - 9, SIZE - 1)]
)
def test_an_id_that_stands_twice_is_damage_however_far_apart(
    place: Place, long: Place, processes: int, earlier: int, later: int
) -> None:
    """Also where the two lie in different halves, or long before the newest ids; the later one is named."""
    lines = long.lines()
    assert b"snapshot_taken" not in lines[later]
    journal = open_journal(str(place.registry_dir))
    entries = [line.rstrip(b"\n") for line in _with_id_of(earlier, later)(lines)]
    with journal.exclusive():
        journal.append(entries, expected_size=0)
    one_by_one = Catalog(journal.where)

    expected = outcome_of(lambda: [one_by_one.apply(entry) for entry in entries])
    error = outcome_of(lambda: _folded(place, processes))

    assert isinstance(error, JournalDamagedError)
    assert (str(error), error.position) == (str(expected), later)


def test_what_was_folded_past_a_repeated_id_is_not_kept(place: Place, long: Place) -> None:
    """A reader that stays says it again when asked again."""
    journal = open_journal(str(place.registry_dir))
    entries = [line.rstrip(b"\n") for line in _with_id_of(1, SIZE - 1)(long.lines())]
    with journal.exclusive():
        journal.append(entries, expected_size=0)
    replay = Replay(open_journal(str(place.registry_dir)), whole=True)

    assert [type(outcome_of(replay.catch_up)) for _ in range(2)] == [JournalDamagedError] * 2
    assert replay.catalog.size == 0


def test_two_ids_with_one_hash_are_no_damage(long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hashes agree, the ids themselves decide, also when they are compared in the end."""
    monkeypatch.setattr(event_ids, "hash", len, raising=False)

    assert _folded(long, 1).size == len(long.lines())


CHILD = """
import sys
from eventlog import second_half, snapshot, event_ids
from eventlog.engines import open_journal
from eventlog.replay import Replay
import projections
directory, entries, how = sys.argv[1:]
snapshot.ENTRIES, event_ids.NEWEST_MAX, second_half.ENTRIES_MIN = int(entries), 4, 1
second_half.os.sched_getaffinity = lambda _: {0, 1}
real = second_half.SecondHalf.found
answers = []
second_half.SecondHalf.found = lambda self: answers.append(real(self)) or answers[-1]
if how == "dies":
    second_half._answer = lambda *_: second_half.os._exit(9)
if how == "lies":
    second_half.fold = lambda *_: "no answer"
replay = Replay(open_journal(directory), whole=True, processes=2)
catalog = replay.catch_up()
try:
    second_half.os.waitpid(-1, 0)
    left = "a child is left"
except ChildProcessError:
    left = "none is left"
print(catalog.size, catalog.hash, len(catalog.published), answers[0] is not None, left)
"""


@pytest.mark.parametrize(("how", "answered"), [("works", True), ("dies", False), ("lies", False)])
def test_a_real_second_process(long: Place, how: str, answered: bool) -> None:
    """It is used where it answers, done without where it does not, and gone afterwards."""
    expected = _folded(long, 1)

    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(long.registry_dir), str(ENTRIES), how],
        cwd=Path(second_half.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    told = f"{expected.size} {expected.hash} {len(expected.published)} {answered} none is left\n"
    assert (done.stdout, done.stderr) == (told, "")


@pytest.mark.parametrize("fails", ["fork", "pipe", "pidfd_open"])
def test_where_there_can_be_no_second_process_one_is_enough(
    long: Place, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """No process, no descriptor left: it is read as if nobody had asked for two; interrupts come through afterwards."""

    def failing(*_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "try again")

    monkeypatch.setattr(second_half, "ENTRIES_MIN", 1)
    monkeypatch.setattr(second_half.threading, "active_count", lambda: 1)
    monkeypatch.setattr(second_half.os, "sched_getaffinity", lambda _: {0, 1})
    if fails == "pidfd_open":
        monkeypatch.setattr(second_half.os, "fork", lambda: 1 << 22)  # nobody's
    monkeypatch.setattr(second_half.os, fails, failing)
    before, mask = os.listdir("/proc/self/fd"), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    assert state(_folded(long, 2)) == state(_folded(long, 1))
    assert verify_registry(long.registry_dir, long.state_dir).verdict == "intact"

    assert os.listdir("/proc/self/fd") == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize("left", [True, False])
def test_two_processes_rebuild_the_same_bytes(long: Place, left: bool) -> None:
    """From zero, for there is no stamp; whether the file that is written anew is there or was deleted."""
    expected = long.registry_json.read_bytes(), long.state_json.read_bytes()
    (long.registry_dir / jsonl_stamp.NAME).unlink()
    if not left:
        long.registry_json.unlink()
        long.state_json.unlink()

    size = long.open(processes=2).rebuild()

    assert Beside.accepted == 1
    assert size == SIZE
    assert (long.registry_json.read_bytes(), long.state_json.read_bytes()) == expected


@pytest.mark.usefixtures("beside")
def test_what_was_folded_in_two_is_read_again_in_pieces(long: Place) -> None:
    """A later reading finds places to begin at in the second half, too, and need not hold it."""
    journal = open_journal(str(long.registry_dir))
    Replay(journal, whole=True, processes=2).catch_up()

    assert max(map(len, journal.read_runs(0))) <= ENTRIES + 1


def test_history_tells_of_an_id_that_stands_twice(place: Place, long: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read and shown a piece at a time compares each id at once."""
    monkeypatch.setattr(queries, "_CHANGES_AT_ONCE", 5)
    entries = [line.rstrip(b"\n") for line in _with_id_of(1, SIZE - 1)(long.lines())]
    journal = open_journal(str(place.registry_dir))
    journal.append(entries, expected_size=0)
    registry = place.open(runtime=False)
    assert registry.catalog().size == SIZE, "a reader that begins at a snapshot does not look"

    for ask in (
        lambda: list(registry.history()),
        lambda: registry.diff(3),
        lambda: list(registry.blame(_active(place))),
    ):
        assert "an id of its own" in str(outcome_of(ask))


def _active(place: Place) -> str:
    return place.open(runtime=False).catalog().active_id() or ""
