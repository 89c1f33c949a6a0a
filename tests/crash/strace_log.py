"""
A log of `strace -f -xx -y` → the operations that it shows below one directory, in order. Nothing is skipped in silence.

A line that touches the directory in a way that is not modelled raises `NotUnderstoodError`: a crash state that rests
on half of what happened would prove nothing. Lines about other places are left out, and so are calls that change
nothing on a disk (`close`, `flock`, reading opens, calls that failed because a name was or was not there).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TRACED = (
    "openat,open,creat,write,pwrite64,writev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,dup,dup2,fcntl,close,flock,"
    "dup3,rmdir,ioctl,truncate,fallocate,pwritev,pwritev2,sendfile,copy_file_range,sync,syncfs,sync_file_range,"
    "symlink,symlinkat,mknod,mknodat,openat2"
)
"""What is asked of strace. The last two lines are not understood below the directory, and so must be seen."""

Kind = Literal["create", "mkdir", "write", "truncate", "sync", "sync_dir", "rename", "link", "unlink", "rmdir", "ack"]
Tree = dict[str, bytes | None]
"""The files below a directory by relative path; None is a directory."""

_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (.*)")
_EVENT = re.compile(r"\d+ +(\+\+\+ exited with \d+ \+\+\+|--- SIGCHLD .*)")
_HEX = r"(?:\\x[0-9a-f]{2})*"
_ARGUMENT = re.compile(
    rf'"(?P<text>{_HEX})"(?!\.)|(?P<number>\d+|AT_FDCWD)<(?P<path>{_HEX})>(?P<deleted>\(deleted\))?|(?P<word>[^,"<>\[\]]+)'
)
_DELETED = b" (deleted)"
_HARMLESS_FCNTL = {"F_GETFD", "F_SETFD", "F_GETFL", "F_DUPFD", "F_DUPFD_CLOEXEC"}
_HARMLESS = {"close", "flock", "dup", "dup2", "dup3"}
_HARMLESS_ERRORS = {
    "openat": {"ENOENT", "EEXIST"},
    "open": {"ENOENT", "EEXIST"},
    "mkdir": {"EEXIST"},
    "mkdirat": {"EEXIST"},
    "unlink": {"ENOENT"},
    "unlinkat": {"ENOENT"},
    "flock": {"EAGAIN"},
}
_FICLONE = "FICLONE"
_NOT_MODELLED_FLAGS = {"O_APPEND", "__O_TMPFILE", "O_TMPFILE", "O_DIRECT"}


class NotUnderstoodError(Exception):
    """The log shows something that the model has no place for."""


@dataclass(frozen=True)
class Op:
    """
    One operation.

    Attributes:
        path: relative to the directory, which itself is `.`; for `ack` the id of the model.

        target: the new name of a `rename` or `link`.

        offset: of a `write`; the size of a `truncate`.
    """

    kind: Kind
    path: str
    target: str = ""
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        words = [self.kind, self.path, self.target, f"{len(self.data)} bytes at {self.offset}" if self.data else ""]
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class _Argument:
    text: bytes | None = None
    number: str = ""
    path: bytes = b""
    word: str = ""


def parse(log: str, root: str, cwd: str, start: Mapping[str, bytes | None]) -> list[Op]:
    """
    Return the operations below *root*.

    Args:
        log: what strace wrote.

        root: absolute and resolved.

        cwd: of the traced command, which does not change it.

        start: what was below *root* before.
    """
    reader = _Reader(root, cwd, start)
    for number, line in enumerate(log.splitlines(), 1):
        try:
            reader.take(line)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(f"line {number}: {error}: {_readable(line)[:500]}") from None
    if reader.said:
        raise NotUnderstoodError(f"stdout: expected lines of JSON, got the rest {reader.said!r}")
    return reader.ops


class _Reader:
    """Follows which names exist, because whether an open creates is not in the log."""

    def __init__(self, root: str, cwd: str, start: Mapping[str, bytes | None]) -> None:
        self.ops: list[Op] = []
        self.said = b""
        self._root = root
        self._cwd = cwd
        self._directories = {".", *(path for path, data in start.items() if data is None)}
        self._files = {path for path, data in start.items() if data is not None}

    def take(self, line: str) -> None:
        """Add what one line shows."""
        match = _LINE.fullmatch(line)
        if match is None:
            if not _EVENT.fullmatch(line):
                raise NotUnderstoodError("expected a finished call")
            return
        call, result = match[2], match[4]
        arguments = self._arguments(call, match[3])
        if call == "sync":
            raise NotUnderstoodError("not modelled")
        if call in ("write", "writev") and arguments[0].number == "1":
            self._say(call, arguments, result)
            return
        paths = self._paths(call, arguments)
        if not any(path is not None for path in paths):
            return
        if call == "ioctl":
            if not any(_FICLONE in argument.word for argument in arguments) or not result.startswith("-1 "):
                raise NotUnderstoodError("not modelled: a file that shares blocks with another")
            return
        if result.startswith("-1 "):
            if result.split()[1] not in _HARMLESS_ERRORS.get(call, set()):
                raise NotUnderstoodError("not modelled: a call that failed")
            return
        self._understand(call, arguments, paths, result)

    def _arguments(self, call: str, text: str) -> list[_Argument]:
        found: list[_Argument] = []
        place = 0
        while place < len(text):
            match = _ARGUMENT.match(text, place)
            if match is None:
                if call in ("write", "pwrite64") or self._root in _readable(text):
                    raise NotUnderstoodError(f"argument at {place}")
                return found
            path = _bytes(match["path"] or "")
            if match["deleted"] or path.endswith(_DELETED):
                path = path.removesuffix(_DELETED) + _DELETED
            found.append(
                _Argument(
                    None if match["text"] is None else _bytes(match["text"]),
                    match["number"] or "",
                    path,
                    (match["word"] or "").strip(),
                )
            )
            place = match.end()
            if text.startswith(", ", place):
                place += 2
        return found

    def _paths(self, call: str, arguments: list[_Argument]) -> list[str | None]:
        """Return the paths that the call names, relative to the root, or None for those that lie elsewhere."""
        paths: list[str | None] = []
        base = self._cwd
        for argument in arguments:
            if argument.number:
                base = os.fsdecode(argument.path)
                if argument.number != "AT_FDCWD":
                    paths.append(self._below(base))
            elif argument.text is not None and call not in ("write", "pwrite64", "writev"):
                paths.append(self._below(os.path.normpath(os.path.join(base, os.fsdecode(argument.text)))))
                base = self._cwd
        return paths

    def _below(self, path: str) -> str | None:
        if path == self._root:
            return "."
        return path[len(self._root) + 1 :] if path.startswith(self._root + "/") else None

    def _understand(self, call: str, arguments: list[_Argument], paths: list[str | None], result: str) -> None:
        words = [argument.word for argument in arguments if argument.word]
        if call in _HARMLESS or (call == "fcntl" and words[0] in _HARMLESS_FCNTL):
            return
        if call in ("openat", "unlinkat", "mkdirat"):
            paths = paths[-1:]
        path = paths[0]
        if None in paths and call != "openat":
            raise NotUnderstoodError("leads out of the directory, or into it")
        if path is None or path.endswith(os.fsdecode(_DELETED)):
            raise NotUnderstoodError("not modelled: a file without a name, or a directory as a place to start from")
        if call in ("openat", "open"):
            self._open(path, words[0].split("|"))
        elif call in ("mkdir", "mkdirat"):
            self._directories.add(path)
            self.ops.append(Op("mkdir", path))
        elif call == "pwrite64":
            self._write(path, arguments, result)
        elif call == "ftruncate":
            self.ops.append(Op("truncate", self._file(path), offset=int(words[0])))
        elif call in ("fsync", "fdatasync"):
            self._sync(path)
        elif call in ("rename", "renameat", "renameat2", "link", "linkat"):
            self._second_name(call, path, paths, words)
        elif call == "rmdir" or (call == "unlinkat" and words == ["AT_REMOVEDIR"]):
            self._directories.remove(path)
            self.ops.append(Op("rmdir", path))
        elif call in ("unlink", "unlinkat") and not (set(words) - {"0"}):
            self._files.remove(self._file(path))
            self.ops.append(Op("unlink", path))
        else:
            raise NotUnderstoodError("not modelled")

    def _open(self, path: str, flags: list[str]) -> None:
        if _NOT_MODELLED_FLAGS.intersection(flags):
            raise NotUnderstoodError("not modelled: an open with such flags")
        if "O_CREAT" in flags and path not in self._files:
            self._files.add(path)
            self.ops.append(Op("create", path))
        elif "O_TRUNC" in flags:
            self.ops.append(Op("truncate", self._file(path)))
        elif path not in self._files and path not in self._directories:
            raise NotUnderstoodError("opened a file that should not be there")

    def _write(self, path: str, arguments: list[_Argument], result: str) -> None:
        data, count, offset = arguments[1].text, arguments[2].word, arguments[3].word
        if data is None or not len(data) == int(count) == int(result):
            raise NotUnderstoodError("expected all bytes in the log, and all written")
        self.ops.append(Op("write", self._file(path), offset=int(offset), data=data))

    def _sync(self, path: str) -> None:
        if path in self._directories:
            self.ops.append(Op("sync_dir", path))
        else:
            self.ops.append(Op("sync", self._file(path)))

    def _second_name(self, call: str, old: str, paths: list[str | None], words: list[str]) -> None:
        new = paths[1] if len(paths) == 2 else None
        kind: Kind = "rename" if call.startswith("rename") else "link"
        if new is None or set(words) - {"0", "RENAME_NOREPLACE"}:
            raise NotUnderstoodError("not modelled: with flags")
        if kind == "rename" and old in self._directories:
            for known in (self._directories, self._files):
                moved = {path for path in known if path == old or path.startswith(old + "/")}
                known.difference_update(moved)
                known.update(new + path[len(old) :] for path in moved)
        else:
            if kind == "rename":
                self._files.remove(self._file(old))
            self._files.add(new)
        self.ops.append(Op(kind, self._file(old) if kind == "link" else old, new))

    def _file(self, path: str) -> str:
        if path not in self._files:
            raise NotUnderstoodError(f"expected a file that is known, got {path!r}")
        return path

    def _say(self, call: str, arguments: list[_Argument], result: str) -> None:
        if call != "write" or arguments[1].text is None or len(arguments[1].text) != int(result):
            raise NotUnderstoodError("expected one whole write to stdout")
        *lines, self.said = (self.said + arguments[1].text).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self.ops.append(Op("ack", json.loads(line)["model_id"], data=line))


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _readable(line: str) -> str:
    return re.sub(r"(?:\\x[0-9a-f]{2})+", lambda match: _bytes(match[0]).decode("utf-8", "backslashreplace"), line)
