"""The calls that make bytes survive: their order, and that nothing odd is followed, waited for or overwritten."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventlog import durable, durable_replacement
from eventlog.errors import RefusedError

NAMES = ("open", "close", "pwrite", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "link", "mkdir", "fchmod")


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the system calls that were made, in order; files by name where a call has one."""
    calls: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            paths = [os.path.basename(arg) for arg in args if isinstance(arg, str)]
            calls.append(" ".join([name, *paths]))
            return real(*args, **kwargs)

        return call

    for name in NAMES:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    return calls


def test_replace_file_syncs_before_it_renames(tmp_path: Path, trace: list[str]) -> None:
    """The new bytes are durable before they get the name, and the name before the call returns."""
    (tmp_path / "f").write_bytes(b"old")
    trace.clear()

    durable_replacement.replace_file(str(tmp_path / "f"), b"new")

    assert [call for call in trace if call != "fchmod"] == [
        "open .f.new",
        "pwrite",
        "fsync",
        "close",
        "rename .f.new f",
        f"open {tmp_path.name}",
        "fsync",
        "close",
    ]
    assert (tmp_path / "f").read_bytes() == b"new"


def test_new_file_syncs_the_way_to_it(tmp_path: Path, trace: list[str]) -> None:
    """Where there was no such file its directory may be new too: every name from the root on is made durable first."""
    durable_replacement.replace_file(str(tmp_path / "f"), b"new")

    renamed = trace.index("rename .f.new f")
    assert trace[:renamed].count("fsync") == 1 + len(tmp_path.resolve().parts), "the file, and each name to it"
    assert trace[renamed + 1 :] == [f"open {tmp_path.name}", "fsync", "close"]


def test_truncate_and_rename_are_durable(tmp_path: Path, trace: list[str]) -> None:
    """Each change of a size or a name is followed by its sync."""
    path = tmp_path / "f"
    path.write_bytes(b"abcdef")
    descriptor = os.open(path, os.O_RDWR)
    trace.clear()

    durable.truncate(descriptor, 2)
    durable.rename(str(path), str(tmp_path / "g"))
    durable.remove_file(str(tmp_path / "g"))
    durable.remove_file(str(tmp_path / "g"))

    directory = [f"open {tmp_path.name}", "fsync", "close"]
    assert trace == ["ftruncate", "fsync", "rename f g", *directory, "unlink g", *directory, "unlink g"]
    os.close(descriptor)


@pytest.mark.parametrize("call", ["open", "pwrite", "fsync", "rename"])
def test_replace_file_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """On an error before the rename the old bytes are there, and no temporary file is left."""
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError, match="no space"):
            durable_replacement.replace_file(str(path), b"new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
    assert path.read_bytes() == b"old"


def test_replace_file_keeps_permissions_but_others_never_write(tmp_path: Path) -> None:
    """The mode of the old file is taken over, except the right of others to write."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(0o666)

    durable_replacement.replace_file(str(path), b"new")
    first = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0o600)
    durable_replacement.replace_file(str(path), b"new")

    assert (first, stat.S_IMODE(path.stat().st_mode)) == (0o664, 0o600)


def test_leftover_or_link_as_temporary_name(tmp_path: Path) -> None:
    """What stands under the temporary name is removed, not written through."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / ".f.new").symlink_to(victim)

    durable_replacement.replace_file(str(tmp_path / "f"), b"new")

    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "f").is_symlink()


def test_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the place of the file goes; what it pointed to stays."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "f").symlink_to(victim)

    durable_replacement.replace_file(str(tmp_path / "f"), b"new")

    assert (victim.read_bytes(), (tmp_path / "f").read_bytes()) == (b"mine", b"new")


def test_create_file_never_overwrites(tmp_path: Path) -> None:
    """What is there already stays as it is."""
    path = tmp_path / "f"
    path.write_bytes(b"old")

    with pytest.raises(FileExistsError):
        durable.create_file(str(path), b"new")

    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("largest", [1, 3, 7])
def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    """A system that writes a few bytes at a time still gets them all, each at its place."""
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, bytes(data)[:largest], offset))
    descriptor = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)

    durable.write_at(descriptor, b"0123456789", 5)

    assert (tmp_path / "f").read_bytes() == b"\0" * 5 + b"0123456789"
    os.close(descriptor)


def test_write_without_progress_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes nothing does not loop for ever."""
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)

    with pytest.raises(OSError, match="no progress"):
        durable.write_at(0, b"x", 0)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Links, FIFOs, devices, sockets and directories are refused by what they are, at once."""
    import socket

    (tmp_path / "link").symlink_to(tmp_path / "f")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name, kind in {
            "link": "a symbolic link",
            "fifo": "a FIFO",
            "directory": "a directory",
            "socket": "a socket",
            "/dev/null": "a character device",
        }.items():
            for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):
                with pytest.raises(RefusedError, match=f"expected a regular file, got {kind}"):
                    durable.open_regular(str(tmp_path / name), flags)


def test_read_file_has_a_bound(tmp_path: Path) -> None:
    """As many bytes as allowed are read, one more is refused."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)

    assert durable.read_file(str(path), bytes_max=100) == b"x" * 100
    with pytest.raises(RefusedError, match="at most 99"):
        durable.read_file(str(path), bytes_max=99)
    with pytest.raises(FileNotFoundError):
        durable.read_file(str(tmp_path / "none"), bytes_max=1)


def test_move_aside_never_leaves_the_name_missing(tmp_path: Path, trace: list[str]) -> None:
    """A second name is given; one that is taken is refused."""
    path = tmp_path / "f"
    path.write_bytes(b"x")

    durable.move_aside(str(path), str(tmp_path / "g"))

    assert trace[0] == "link f g"
    assert (tmp_path / "g").read_bytes() == path.read_bytes() == b"x"
    with pytest.raises(FileExistsError):
        durable.move_aside(str(path), str(tmp_path / "g"))


def test_ancestors_are_synced_from_below(tmp_path: Path, trace: list[str]) -> None:
    """Every directory name from the new one up to the root is made durable."""
    durable.create_directory(str(tmp_path / "a" / "b"))
    trace.clear()

    durable.sync_ancestors(str(tmp_path / "a" / "b"))

    assert [call.split()[-1] for call in trace if call.startswith("open")][:3] == ["b", "a", tmp_path.resolve().name]
    assert trace.count("fsync") == len((tmp_path / "a" / "b").resolve().parts)


def test_ancestors_that_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory above that we may not open cannot have been created by us; the one asked for must be synced."""
    real = os.open

    def denying(path: Any, *args: Any, **kwargs: Any) -> int:
        if os.fspath(path) != str(tmp_path.resolve()):
            raise PermissionError(errno.EACCES, "permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", denying)

    durable.sync_ancestors(str(tmp_path))
    with pytest.raises(PermissionError):
        durable.sync_ancestors(str(tmp_path.parent))


def test_refusing_names_the_place_and_the_reason() -> None:
    """An error of the system becomes one line in the project's own words; others pass."""
    with (
        pytest.raises(RefusedError, match=r"^here: no such file or directory$"),
        durable.refusing("here"),
    ):
        os.stat("/no/such/file")
    with pytest.raises(KeyError), durable.refusing("here"):
        raise KeyError


def test_an_interrupt_just_after_a_rename_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C that comes while the kernel renames is raised when it has; it must not turn into a missing file."""
    rename = os.rename

    def interrupted(old: str, new: str) -> None:
        rename(old, new)
        raise KeyboardInterrupt

    monkeypatch.setattr("os.rename", interrupted)

    with pytest.raises(KeyboardInterrupt):
        durable_replacement.replace_file(str(tmp_path / "file"), b"new")


def test_directories_are_not_for_others_to_write_to(tmp_path: Path) -> None:
    """Whatever the umask, none of the directories that are created can be written to by others."""
    before = os.umask(0)
    try:
        durable.create_directory(str(tmp_path / "a" / "b" / "c"))
    finally:
        os.umask(before)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")} == {0o755}
    durable.create_directory(str(tmp_path / "a" / "b"))
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        durable.create_directory(str(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        durable.create_directory(str(tmp_path / "file" / "below"))
