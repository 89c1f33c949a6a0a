r"""
What people and programs see: JSON and tables on stdout, words on stderr.

Registry files may be hostile. No control character, terminal escape or invisible character reaches the output as it
is: JSON shows it as `\uXXXX`, everything else as `\xNN` or `\uXXXX`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, Literal

import msgspec

from eventlog import clock
from eventlog.errors import reason_of
from eventlog.log import log

_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)]))
)
"""Leaves no ink though Python calls it printable: Default_Ignorable_Code_Point of Unicode 15.1, and blank Braille."""


def escape(text: str) -> str:
    """Return *text* with every character that is not printable, or cannot be seen, spelled out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_visible(char) else _spelled(char) for char in text)


def _is_visible(char: str) -> bool:
    return char.isprintable() and char not in _INVISIBLE


def _spelled(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a path that is not UTF-8 (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("ascii", "backslashreplace").decode() if char > "\x7f" else f"\\x{ord(char):02x}"


def print_json(value: Any, *, one_line: bool = False) -> None:
    """Print *value* as JSON: indented on a terminal, on one line elsewhere."""
    text = json_text(value)
    if sys.stdout.isatty() and not one_line:
        text = msgspec.json.format(text, indent=2)
    _print(text)


def print_json_array(parts: Sequence[bytes]) -> None:
    """Print an array as `print_json` does; its elements are in *parts* as JSON, with commas between."""
    if sys.stdout.isatty():
        print_json(msgspec.Raw(b"[%b]" % b",".join(parts)))
        return
    ascii_only = not all(part.isascii() or _can_encode(part.decode(), _encoding()) for part in parts)
    start = "["
    for part in parts:
        sys.stdout.write(start + _json_shown(part.decode(), ascii_only))
        start = ","
    _print("]" if parts else "[]")


def print_json_lines(values: Sequence[bytes]) -> None:
    """Print each of *values*, which are JSON, as `print_json` does on one line."""
    lines = b"\n".join(values)
    if values and lines.isascii() and b"" not in lines:
        _print(lines.decode())
        return
    for value in values:
        print_json(msgspec.Raw(value), one_line=True)


def json_text(value: Any) -> str:
    """Return *value* as JSON on one line, with everything spelled out that stdout cannot show."""
    text = msgspec.json.encode(value).decode()
    return _json_shown(text, not text.isascii() and not _can_encode(text, _encoding()))


def is_plain_json(text: bytes) -> bool:
    """Say whether nothing but ASCII that can be seen is in JSON, nor in the strings that it spells."""
    return text.isascii() and b"\x7f" not in text and b"\\" not in text


def _json_shown(text: str, ascii_only: bool) -> str:
    if text.isascii() and "\x7f" not in text:  # JSON spells out all other ASCII that cannot be seen
        return text
    return "".join(char if _plain(char, ascii_only) else _json_escape(char) for char in text)


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _can_encode(text: str, encoding: str = "utf-8") -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _plain(char: str, ascii_only: bool) -> bool:
    return _is_visible(char) and (not ascii_only or char < "\x7f")


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def log_line(level: str, message: str, form: str, traceback: str = "") -> str:
    """Return a message as it is shown on stderr: one line, but for a traceback in text."""
    if form == "json":
        told = {"time": msgspec.to_builtins(clock.utc_now()), "level": level, "message": message}
        return json_text({**told, "traceback": traceback} if traceback else told)
    lines = [f"{level}: {escape(message)}", *(escape(line) for line in traceback.splitlines())]
    return "\n".join(lines)


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Print one name and value a line."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        print_line(f"{name:{width}}  {escape(value)}")


def print_csv(headings: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> None:
    """
    Print RFC 4180 rows: null as nothing, lists and objects as JSON, text with what cannot be seen spelled out.

    Text that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP advises.
    """
    import csv  # noqa: PLC0415 - few ask for it

    class Lines:
        write = staticmethod(lambda line: print_line(line.removesuffix("\r\n")))

    writer = csv.writer(Lines)
    if headings is not None:
        writer.writerow(headings)
    for row in rows:
        writer.writerow(map(_csv_cell, row))


def _csv_cell(value: Any) -> str:
    if isinstance(value, str):
        return ("'" if value[:1] in tuple("=+-@\t\r") else "") + escape(value)
    return "" if value is None else json_text(value)


def print_line(line: str) -> None:
    """Print a line that is already escaped; what stdout cannot encode is spelled out."""
    _print(line if line.isascii() else line.encode(_encoding(), "backslashreplace").decode(_encoding()))


def print_path(path: str) -> None:
    """Print a path: byte for byte where a program reads it, with everything odd spelled out on a terminal."""
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None or sys.stdout.isatty():
        _print(escape(path))
        return
    sys.stdout.flush()
    raw.write(os.fsencode(path) + b"\n")


def _print(text: str) -> None:
    """Print a line, and hand it on at once: whoever follows waits for it, and what stderr says comes in its order."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def collected() -> Iterator[io.StringIO]:
    """Collect what is printed to stdout meanwhile, whatever the terminal can show, instead of printing it."""
    text = io.StringIO()
    with redirect_stdout(text):
        yield text


def flush() -> None:
    """Hand everything to the operating system, so that an error shows while it can still be told."""
    sys.stdout.flush()


def reserve_standard_streams() -> None:
    """
    Give a closed stdin, stdout or stderr a descriptor, so that no file of ours gets its number and is written to.

    What is printed to a closed stdout then fails, as it should; what is said on a closed stderr is lost.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as we do
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as we do
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def abandon_streams() -> None:
    """Let what cannot be written any more go nowhere, so that no later flush fails or changes the exit status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                stream.flush()


def end_echo() -> None:
    """End the line on which a terminal shows `^C`."""
    with suppress(AttributeError, OSError, ValueError):
        if sys.stderr.isatty():
            sys.stderr.write("\n")


def print_done(text: str) -> None:
    """Print lines that are already escaped, of what is done: where they cannot be written, that is reported."""
    try:
        print_line(text)
        flush()
    except OSError as error:
        abandon_streams()
        _warn_unwritten(error)


def _warn_unwritten(error: OSError) -> None:
    if not isinstance(error, BrokenPipeError):
        log.warning("it is done, but stdout cannot be written: %s", reason_of(error))


def print_report(
    report: Any, fields: Sequence[tuple[str, str]], output_format: str, *, done: bool = False
) -> Literal[0, 2]:
    """
    Print a report as JSON, or its fields in words or as CSV; return 0, or 2 where it could not be written.

    What the report says decides the exit status first. Who reads no further has read enough. Where something was
    *done*, an output that cannot be written must not look like a refusal: it is reported, and 0.
    """
    try:
        if output_format in ("json", "jsonl"):
            print_json(_as_utf8(msgspec.to_builtins(report)), one_line=output_format == "jsonl")
        elif output_format == "csv":
            print_csv(("name", "value"), fields)
        else:
            print_fields(fields)
        flush()
    except BrokenPipeError:
        abandon_streams()
    except OSError as error:
        abandon_streams()
        if not done:
            log.error("stdout: %s", reason_of(error))
            return 2
        _warn_unwritten(error)
    return 0


def _as_utf8(value: Any) -> Any:
    """Return JSON values with every byte of a path that is not UTF-8 spelled out."""
    if isinstance(value, dict):
        return {key: _as_utf8(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_as_utf8, value))
    if isinstance(value, str) and not _can_encode(value):
        return "".join(char if _can_encode(char) else _spelled(char) for char in value)
    return value
