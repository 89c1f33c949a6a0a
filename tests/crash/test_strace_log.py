"""What strace shows is understood to the letter, or refused."""

from __future__ import annotations

import re

import pytest
from strace_log import NotUnderstoodError, Op, Tree, parse

START: Tree = {"d": None, "f": b"x"}


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def line(template: str) -> str:
    """Return *template* as strace -xx -y prints it: `<p>` is a descriptor's path, `"p"` a string."""
    encoded = re.sub(r'"([^"]*)"', lambda match: f'"{hexed(match[1])}"', template)
    return "7 " + re.sub(r"(?<=\d|T|D)<([^>]*)>", lambda match: f"<{hexed(match[1])}>", encoded)


def parsed(*templates: str) -> list[Op]:
    return parse("\n".join(map(line, templates)), "/r", "/w", START)


def test_a_publish_in_small() -> None:
    """Creations, writes, syncs, renames and the acknowledgement come out in order; the rest is left out."""
    found = parsed(
        'openat(AT_FDCWD</w>, "/lib/x", O_RDONLY) = 3</lib/x>',
        'openat(AT_FDCWD</w>, "/r/g", O_RDONLY) = -1 ENOENT (No such file or directory)',
        'openat(AT_FDCWD</w>, "/r/g", O_RDWR|O_CREAT, 0644) = 3</r/g>',
        "flock(3</r/g>, LOCK_EX|LOCK_NB) = 0",
        'pwrite64(3</r/g>, "ab, c", 5, 7) = 5',
        "fdatasync(3</r/g>) = 0",
        "close(3</r/g>) = 0",
        'rename("/r/g", "/r/f") = 0',
        "fsync(3</r>) = 0",
        'mkdir("/r/d", 0755) = -1 EEXIST (File exists)',
        'mkdir("/r/e", 0755) = 0',
        'write(2<pipe:[1]>, "/r/f is written", 15) = 15',
        'write(1<pipe:[1]>, "", 0) = 0',
    )

    assert found == [
        Op("create", "g"),
        Op("write", "g", offset=7, data=b"ab, c"),
        Op("sync", "g"),
        Op("rename", "g", "f"),
        Op("sync_dir", "."),
        Op("mkdir", "e"),
    ]


def test_the_acknowledgement_is_the_line_on_stdout() -> None:
    """It counts once it is whole; a part of a line at the end is refused."""
    first, last = "{'model_id':", "'m'}"
    log = [line(f'write(1<pipe>, "{text}", {len(text)}) = {len(text)}') for text in (first, last)]
    log = [text.replace(hexed("'"), hexed('"')) for text in log]
    end = f'7 write(1<{hexed("pipe")}>, "\\x0a", 1) = 1'

    assert parse("\n".join([*log, end]), "/r", "/w", START) == [Op("ack", "m", data=b'{"model_id":"m"}')]
    with pytest.raises(NotUnderstoodError, match="stdout"):
        parse("\n".join(log), "/r", "/w", START)


@pytest.mark.parametrize(
    "template",
    [
        'symlink("/r/f", "/r/g") = 0',
        'rename("/r/f", "/elsewhere") = 0',
        'rename("/elsewhere", "/r/f") = 0',
        "fsync(3</r/f>) = -1 EIO (Input/output error)",
        "fsync(3</r/unknown>) = 0",
        'write(3</r/f>, "x", 1) = 1',
        'writev(3</r/f>, [{iov_base="x", iov_len=1}], 1) = 1',
        'pwrite64(3</r/f>, "xy", 2, 0) = 1',
        'pwrite64(3</r/f>, "xy"..., 9, 0) = 9',
        'pwrite64(3</r/f (deleted)>, "xy", 2, 0) = 2',
        'openat(AT_FDCWD</w>, "/r/f", O_WRONLY|O_APPEND) = 3</r/f>',
        'openat(AT_FDCWD</w>, "/r/never made", O_RDONLY) = 3</r/never made>',
        "ioctl(5</r/f>, BTRFS_IOC_CLONE or FICLONE, 3</r/g>) = 0",
        "ioctl(5</r/f>, TCGETS, 0x0) = -1 ENOTTY (Inappropriate ioctl for device)",
        "fcntl(3</r/f>, F_SETFL, O_APPEND) = 0",
        "fallocate(3</r/f>, 0, 0, 9) = 0",
        "fsync(3</r/f> <unfinished ...>",
        "sync() = 0",
    ],
)
def test_what_is_not_modelled_is_refused(template: str) -> None:
    """Nothing that happens below the directory is skipped in silence."""
    with pytest.raises(NotUnderstoodError, match="line 1: "):
        parsed(template)
