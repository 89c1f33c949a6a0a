"""Ways in which the files of a registry can be found, as functions from all files to all files; and pairs of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import permutations

from support import heads_of

from eventlog.engines import jsonl_head

JOURNAL, HEAD, REGISTRY, STATE = "m/journal.jsonl", "m/journal.head", "m/registry.json", "s/state.json"
Files = dict[str, bytes]
Damage = Callable[[Files], None]


def damages(history: list[Files]) -> dict[str, Damage]:
    """
    Return the ways by name; each changes the dictionary it is given, and finds there what another one left.

    Args:
        history: as `support.fill` returns it.
    """
    whole = history[-1][JOURNAL].splitlines(keepends=True)
    heads = heads_of(whole)
    slot = jsonl_head.format_slot
    edits: dict[str, Callable[[bytes], bytes]] = {
        "last line gone": lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
        "last two lines gone": lambda data: b"".join(data.splitlines(keepends=True)[:-2]),
        "cut inside the last line": lambda data: data[:-100],
        "a bit in the first line": lambda data: _flipped(data, 20),
        "a bit in the second line": lambda data: _flipped(data, 700),
        "a bit in the last line": lambda data: _flipped(data, -200),
        "a line deleted": lambda data: _with_lines(data, lambda lines: lines[:3] + lines[4:]),
        "two lines swapped": lambda data: _with_lines(data, lambda lines: [*lines[:2], *lines[2:4][::-1], *lines[4:]]),
        "a line doubled": lambda data: _with_lines(data, lambda lines: lines[:4] + lines[3:]),
        "a newline lost": lambda data: _with_lines(data, lambda lines: [b"".join(lines[:3])[:-1], *lines[3:]]),
        "a garbage line behind": lambda data: data + b"garbage\n",
        "garbage behind": lambda data: data + b"garb",
        "NUL bytes behind": lambda data: data + bytes(500),
        "an old line behind": lambda data: data + whole[4],
        "journal empty": lambda data: b"",
        "journal of earlier": lambda data: history[6][JOURNAL],
    }
    contents: dict[str, tuple[str, bytes]] = {
        "head unreadable": (HEAD, b"z" * 256),
        "head empty": (HEAD, b""),
        "head of earlier": (HEAD, slot(heads[6]) * 2),
        "head of much earlier": (HEAD, slot(heads[3]) * 2),
        "registry.json unreadable": (REGISTRY, b"{"),
        "registry.json of earlier": (REGISTRY, history[6][REGISTRY]),
        "state.json unreadable": (STATE, b"{{"),
        "state.json of earlier": (STATE, history[6][STATE]),
    }
    gone = {"no journal": JOURNAL, "no head": HEAD, "no registry.json": REGISTRY, "no state.json": STATE}
    return {
        **{name: _edit(change) for name, change in edits.items()},
        **{name: _put(*content) for name, content in contents.items()},
        **{name: _remove(path) for name, path in gone.items()},
        "first slot unreadable": lambda files: files.update({HEAD: b"z" * 128 + files.get(HEAD, b"")[128:]}),
        "second slot unreadable": lambda files: files.update({HEAD: files.get(HEAD, b"")[:128] + b"z" * 128}),
        "directory of earlier": lambda files: _directory(files, history[6]),
        "no directory": lambda files: _directory(files, {}),
    }


def remembered(files: Files, history: list[Files]) -> int:
    """Return how many entries the head and the derived files among *files* remember, 0 where none can be read."""
    head = jsonl_head.parse(files.get(HEAD, b"")).newest
    sizes = [0 if head is None else head.size]
    for path in (REGISTRY, STATE):
        sizes += [size for size in range(2, len(history)) if files.get(path) == history[size][path]]
    return max(sizes)


def one_or_two(names: list[str], share: float, seed: int) -> Iterator[tuple[str, ...]]:
    """Yield each name, and that *share* (0 to 1) of all ordered pairs that *seed* picks."""
    pairs = list(permutations(names, 2))
    yield from ((name,) for name in names)
    yield from random.Random(seed).sample(pairs, round(len(pairs) * share))


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[max(-len(changed), min(at, len(changed) - 1))] ^= 1
    return bytes(changed)


def _with_lines(data: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return b"".join(change(data.splitlines(keepends=True)))


def _edit(change: Callable[[bytes], bytes]) -> Damage:
    return lambda files: files.update({JOURNAL: change(files[JOURNAL])} if JOURNAL in files else {})


def _put(path: str, data: bytes) -> Damage:
    return lambda files: files.update({path: data})


def _remove(path: str) -> Damage:
    return lambda files: files.pop(path, None) and None


def _directory(files: Files, instead: Files) -> None:
    for path in [path for path in files if path.startswith("m/")]:
        del files[path]
    files.update({path: data for path, data in instead.items() if path.startswith("m/")})
