"""Group commit: whoever waits is carried out, together with others, once, and nobody waits for ever."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import pytest
from interruption import interrupted

from eventlog import group_commit
from eventlog.group_commit import GROUP_MAX, GroupCommit

SECONDS_MAX = 60


class Request:
    settled = False


class Desk:
    """Carries groups out, and remembers them; a gate can be closed before the next one."""

    def __init__(self) -> None:
        self.groups: list[list[Request]] = []
        self.open = threading.Event()
        self.open.set()
        self.error: BaseException | None = None
        self.commits: GroupCommit[Request] = GroupCommit(self.commit, nullcontext())

    def commit(self, group: list[Request]) -> None:
        self.groups.append(list(group))
        assert self.open.wait(SECONDS_MAX)
        for request in group:
            request.settled = True
        error, self.error = self.error, None
        if error is not None:
            raise error

    def sizes(self) -> list[int]:
        return list(map(len, self.groups))


class Interrupted:
    """Interrupts whoever enters first."""

    entered = 0

    def __enter__(self) -> None:
        self.entered += 1
        if self.entered == 1:
            raise KeyboardInterrupt

    def __exit__(self, *_error: object) -> None:
        pass


def _started(ask: Callable[[], object], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def _joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SECONDS_MAX)
    assert not any(thread.is_alive() for thread in threads)


def _until(true: Callable[[], bool]) -> None:
    for _ in range(SECONDS_MAX * 1_000):
        if true():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came so far")


def _queued(desk: Desk, count: int) -> list[threading.Thread]:
    """Let so many wait behind a group of one."""
    desk.open.clear()
    first = _started(lambda: desk.commits.run(Request()), 1)
    _until(lambda: len(desk.groups) > 0)
    others = _started(lambda: desk.commits.run(Request()), count)
    _until(lambda: len(desk.commits.asked) == 1 + count)
    return first + others


def test_those_who_wait_are_carried_out_together() -> None:
    """All that came while one was carried out make one group."""
    desk = Desk()

    threads = _queued(desk, 5)
    desk.open.set()
    _joined(threads)

    assert desk.sizes() == [1, 5]
    assert all(request.settled for group in desk.groups for request in group)


def test_no_group_is_larger_than_it_may_be() -> None:
    """More than that are carried out in several, each of them once, also those whose own thread led another group."""
    desk = Desk()

    threads = _queued(desk, 2 * GROUP_MAX + 3)
    desk.open.set()
    _joined(threads)

    assert max(desk.sizes()) == GROUP_MAX
    assert sum(desk.sizes()) == 2 * GROUP_MAX + 4 == len({id(one) for group in desk.groups for one in group})


def test_who_is_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Request after request by one thread, each at once."""
    monkeypatch.setattr(group_commit, "PATIENCE_SECONDS", 10 * SECONDS_MAX)
    desk = Desk()

    _joined(_started(lambda: [desk.commits.run(Request()) for _ in range(3)], 1))

    assert desk.sizes() == [1, 1, 1]


def test_who_comes_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that ask again and again end up in one group, not in two that take turns."""
    monkeypatch.setattr(group_commit, "PATIENCE_SECONDS", 1)
    desk = Desk()
    rounds = 30

    desk.open.clear()
    threads = _started(lambda: [desk.commits.run(Request()) for _ in range(rounds)], 4)
    _until(lambda: len(desk.commits.asked) == 4)
    desk.open.set()
    _joined(threads)

    assert sum(desk.sizes()) == 4 * rounds
    assert desk.sizes().count(4) >= rounds - 3, desk.sizes()


def test_after_one_that_waited_in_vain_some_wait_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """So threads that come now and then lose little."""
    desk = Desk()
    waited: list[float] = []
    monkeypatch.setattr(desk.commits._came, "wait_for", lambda _true, seconds: waited.append(seconds))

    for _ in range(1 + group_commit.UNWAITED):
        desk.commits.run(Request())
    assert waited == [group_commit.PATIENCE_SECONDS]

    desk.commits.run(Request())
    assert len(waited) == 2


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt()])
def test_an_error_comes_out_where_it_was_led(error: BaseException) -> None:
    """The others are settled, and whoever comes next is carried out."""
    desk = Desk()
    desk.error = error

    with pytest.raises(type(error)):
        desk.commits.run(Request())
    desk.commits.run(Request())
    assert desk.sizes() == [1, 1]


def test_who_is_interrupted_before_it_began_is_withdrawn() -> None:
    """Nobody carries it out later; another one leads in its place."""
    desk = Desk()
    desk.commits = GroupCommit(desk.commit, Interrupted())
    withdrawn, later = Request(), Request()

    with pytest.raises(KeyboardInterrupt):
        desk.commits.run(withdrawn)
    desk.commits.run(later)

    assert desk.groups == [[later]]
    assert (withdrawn.settled, later.settled, desk.commits.asked) == (False, True, [])


def test_an_interrupt_at_any_line_keeps_nobody_from_going_on() -> None:
    """Whichever line it comes at, but those that clean up, the next request of the thread is carried out."""
    source, first = inspect.getsourcelines(GroupCommit.run)
    cleaning_up = range(first + next(at for at, line in enumerate(source) if "finally:" in line), first + len(source))
    left: list[int] = []

    def interrupted_at_each() -> None:
        at, came = 0, True
        while came:
            at, desk = at + 1, Desk()
            ask = partial(desk.commits.run, Request())
            came = interrupted(ask, at, {group_commit.__file__}, lambda _path, line: line not in cleaning_up)
            desk.commits.run(Request())
            assert desk.groups[-1][-1].settled
        left.append(at)

    _joined(_started(interrupted_at_each, 1))

    assert left[0] > 20
