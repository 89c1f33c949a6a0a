"""The disk promises what POSIX promises and no more; worked out by hand for a few operations."""

from __future__ import annotations

from typing import Any

from disk_model import Disk, states_of
from strace_log import Op, Tree


def states(start: Tree, *ops: Op, stride: int = 1) -> list[dict[str, Any]]:
    """Return the distinct states at the end of *ops*."""
    disk = Disk(start)
    for op in ops:
        disk.take(op)
    found: list[dict[str, Any]] = []
    for tree in disk.states(stride, newest_only=False):
        if tree not in found:
            found.append(tree)
    return found


CREATE = Op("create", "a")
WRITE = Op("write", "a", data=b"xyz")


def test_an_unsynced_name_may_be_lost() -> None:
    """A created file is there or not."""
    assert states({}, CREATE) == [{"a": b""}, {}]


def test_syncing_a_file_does_not_make_its_name_durable() -> None:
    """Once synced, the bytes are whole wherever the name survived."""
    assert states({}, CREATE, WRITE, Op("sync", "a")) == [{"a": b"xyz"}, {}]


def test_syncing_a_directory_does_not_make_bytes_durable() -> None:
    """The name survives; the bytes are there, torn, NULs or not there."""
    found = [tree["a"] for tree in states({}, CREATE, Op("sync_dir", "."), WRITE)]

    assert sorted(found) == [b"", b"\0\0\0", b"\0\0z", b"\0yz", b"x", b"x\0\0", b"xy", b"xy\0", b"xyz"]


def test_overwriting_leaves_no_nuls() -> None:
    """Where a file does not grow, what did not arrive is what was there before."""
    assert sorted(tree["a"] for tree in states({"a": b"123"}, WRITE)) == [b"123", b"x23", b"xy3", b"xyz"]


def test_bytes_survive_the_sync_that_came_after_them_only() -> None:
    """A sync covers what was written before it."""
    found = states({"a": b"1"}, Op("write", "a", data=b"2"), Op("sync", "a"), Op("write", "a", offset=1, data=b"3"))

    assert sorted(tree["a"] for tree in found) == [b"2", b"2\0", b"23"]


def test_a_rename_is_old_or_new() -> None:
    """A renamed file replaces the other one at once, and may be lost together with its creation."""
    found = states({"b": b"old"}, CREATE, WRITE, Op("sync", "a"), Op("rename", "a", "b"))

    assert found == [{"b": b"xyz"}, {"a": b"xyz", "b": b"old"}, {"b": b"old"}]


def test_a_renamed_file_that_was_not_synced_may_be_empty() -> None:
    """The name may arrive before the bytes."""
    assert {"b": b""} in states({"b": b"old"}, CREATE, WRITE, Op("rename", "a", "b"))


def test_a_file_keeps_its_bytes_under_both_names() -> None:
    """A hard link is the same inode: one sync is for both."""
    found = states({"a": b""}, Op("link", "a", "b"), WRITE, Op("sync", "b"), Op("unlink", "a"))

    assert {"a": b"xyz", "b": b"xyz"} in found
    assert {"b": b"xyz"} in found
    assert {"a": b"xyz"} in found
    assert {} in found


def test_what_lies_in_a_lost_directory_is_lost() -> None:
    """Syncing a directory does not make its own name durable."""
    found = states({}, Op("mkdir", "d"), Op("create", "d/a"), Op("sync", "d/a"), Op("sync_dir", "d"))

    assert found == [{"d": None, "d/a": b""}, {}]


def test_writes_to_one_file_may_arrive_in_any_order() -> None:
    """The later of two writes may be the only one that arrived, and both may be torn."""
    ops = [Op("write", "a", data=b"ab"), Op("write", "a", offset=2, data=b"cd")]
    found = [tree["a"] for tree in states({"a": b"1234"}, *ops)]

    assert {b"12cd", b"ab34", b"abcd", b"1234", b"a2c4"} <= set(found)


def test_a_truncation_may_be_lost() -> None:
    """Until it is synced."""
    cut = Op("truncate", "a", offset=1)

    assert sorted(tree["a"] for tree in states({"a": b"123"}, cut)) == [b"1", b"123"]
    assert [tree["a"] for tree in states({"a": b"123"}, cut, Op("sync", "a"))] == [b"1"]


def test_states_of_leaves_out_only_what_came_before() -> None:
    """Looking at the newest operation alone finds the same states as looking at everything at each moment."""
    ops = [
        CREATE,
        WRITE,
        Op("rename", "a", "b"),
        Op("create", "c"),
        Op("sync", "b"),
        Op("sync_dir", "."),
        Op("unlink", "c"),
    ]

    found = {tuple(tree.items()) for _, tree in states_of({}, ops, 1)}

    every = [tree for count in range(len(ops) + 1) for tree in states({}, *ops[:count])]
    assert found == {tuple(tree.items()) for tree in every}


def test_more_operations_than_can_be_combined() -> None:
    """With many pending operations there are still the orderly states, and those that lack any one of them."""
    found = states({}, *(Op("create", f"f{number}") for number in range(12)))

    for number in range(12):
        assert {f"f{other}": b"" for other in range(12) if other != number} in found
        assert {f"f{other}": b"" for other in range(number)} in found


def test_a_rename_to_another_directory_changes_two() -> None:
    """Each may be written back without the other: the file is at both names, or at neither, until both are synced."""
    start = {"d": None, "a": b"1"}
    move = Op("rename", "a", "d/b")

    found = states(start, move)

    assert {tuple(sorted(tree)) for tree in found} == {("a", "d"), ("a", "d", "d/b"), ("d",), ("d", "d/b")}
    assert states(start, move, Op("sync_dir", "d"), Op("sync_dir", ".")) == [{"d": None, "d/b": b"1"}]


def test_a_removed_directory_may_still_be_there() -> None:
    """Until the one above it is synced."""
    assert states({"d": None}, Op("rmdir", "d")) == [{}, {"d": None}]
    assert states({"d": None}, Op("rmdir", "d"), Op("sync_dir", ".")) == [{}]
