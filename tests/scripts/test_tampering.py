"""
Who can tamper with what, and which level notices: the table of the README, measured.

A forger here is careful: what he puts in place is what the program itself would have written, had that history happened
in this very journal; every hash, head, derived file and runtime checkpoint in it is right.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Clock, Place, Randomness

from eventlog.signed_note import KIND_LOG, KIND_WITNESS, PrivateKey
from projections.evidence import observe
from scripts.manage_models import main

README = Path(__file__).parents[2] / "README.md"
KEY = PrivateKey("k", KIND_LOG, bytes(range(32)))
WITNESS = PrivateKey("w", KIND_WITNESS, bytes(range(1, 33)))
HISTORY = [("a", "b1", 1), ("b", "b1", 2), ("c", "b1", 3), ("d", "b1", 4)]

HISTORIES: dict[str, list[tuple[str, str, int]]] = {
    "edit an event": [("a", "b1", 1), ("b", "EVIL", 2), ("c", "b1", 3), ("d", "b1", 4)],
    "edit metadata": [("a", "b1", 1), ("b", "b1", 2), ("c", "b1", 9), ("d", "b1", 4)],
    "delete from the middle": [("a", "b1", 1), ("c", "b1", 3), ("d", "b1", 4)],
    "reorder": [("a", "b1", 1), ("c", "b1", 3), ("b", "b1", 2), ("d", "b1", 4)],
    "replay an old event": [*HISTORY, ("b", "b1", 2)],
    "forge a new event": [*HISTORY, ("x", "b1", 5)],
    "replace by another journal": HISTORY,
    "cut the tail": HISTORY[:2],
    "roll everything back": HISTORY[:2],
}
LEVELS = ("L1", "L2", "L3", "L4", "never")


def _write(place: Place, history: list[tuple[str, str, int]], *, signed: bool, seed: str = "") -> None:
    """Let the program write *history*; also a forger without the key can say that the journal began with it."""
    place.root.mkdir(parents=True, exist_ok=True)
    key = {"sign_key": KEY.spelled()} if signed else {"signing": str(KEY.public)}
    registry = place.open(now=Clock(), random_bytes=Randomness(seed), **key)
    for name, backend, rows in history:
        artifact = Place(place.root.parent if place.root.name in ("forged", "other") else place.root).artifact(name)
        registry.publish_model(artifact, backend=backend, actor="t", dataset_metadata={"rows": rows})


def _put(source: Path, destination: Path) -> None:
    shutil.rmtree(destination)
    shutil.copytree(source, destination)


@pytest.fixture
def place(place: Place) -> Place:
    """A signed registry, what a witness has seen of it, and a copy from when it had half of its events."""
    _write(place, HISTORY[:2], signed=True)
    for name in ("m", "s"):
        shutil.copytree(place.root / name, place.root / f"old-{name}")
    shutil.rmtree(place.registry_dir)
    shutil.rmtree(place.state_dir)
    _write(place, HISTORY, signed=True)
    (place.root / "w").mkdir()
    observe(place.root / "w" / "seen", [str(KEY.public)], sign_key=WITNESS.spelled(), registry_dir=place.registry_dir)
    return place


def _forged(place: Place, case: str, *, signed: bool) -> Place:
    forged = Place(place.root / "forged")
    _write(forged, HISTORIES[case], signed=signed, seed="other" if "another" in case else "")
    return forged


def _only_the_journal(place: Place, case: str) -> None:
    """Somebody with an editor: journal.jsonl alone, no hash recomputed."""
    lines = place.lines()
    other = Place(place.root / "other")
    _write(other, HISTORY, signed=False, seed="other")
    changed: dict[str, Callable[[], list[bytes]]] = {
        "edit an event": lambda: [
            line.replace(b'"b1"', b'"b2"') if number == 3 else line for number, line in enumerate(lines)
        ],
        "edit metadata": lambda: [line.replace(b'"rows":3', b'"rows":9') for line in lines],
        "delete from the middle": lambda: [*lines[:3], *lines[4:]],
        "reorder": lambda: [*lines[:3], lines[4], lines[3], *lines[5:]],
        "replay an old event": lambda: [*lines[:4], lines[3], *lines[5:]],
        "forge a new event": lambda: [*lines[:4], lines[4].replace(b'"t"', b'"u"'), *lines[5:]],
        "replace by another journal": lambda: [*lines[:4], other.lines()[3], *lines[5:]],
        "cut the tail": lambda: lines[:-1],
        "roll everything back": lambda: (place.root / "old-m" / "journal.jsonl").read_bytes().splitlines(keepends=True),
    }
    data = b"".join(changed[case]())
    assert data != place.journal.read_bytes()
    place.journal.write_bytes(data)


def _registry_directory(place: Place, case: str) -> None:
    """Whoever may write the registry's directory, but not the runtime's; the signed tree head goes or is an old one."""
    old = case in ("cut the tail", "roll everything back")
    _put(place.root / "old-m" if old else _forged(place, case, signed=False).registry_dir, place.registry_dir)


def _both_directories(place: Place, case: str) -> None:
    """Whoever may write both directories, but has no key; he has kept old copies."""
    if case in ("cut the tail", "roll everything back"):
        sources = place.root / "old-m", place.root / "old-s"
    else:
        forged = _forged(place, case, signed=False)
        sources = forged.registry_dir, forged.state_dir
    _put(sources[0], place.registry_dir)
    _put(sources[1], place.state_dir)


def _both_and_the_key(place: Place, case: str) -> None:
    """Whoever also has the signing key."""
    forged = _forged(place, case, signed=True)
    _put(forged.registry_dir, place.registry_dir)
    _put(forged.state_dir, place.state_dir)


POWERS = {
    "an editor": _only_the_journal,
    "the registry directory": _registry_directory,
    "both directories": _both_directories,
    "both, and the key": _both_and_the_key,
}


def _noticed_at(place: Place) -> str:
    """Return the lowest level at which a command refuses with status 3; the higher ones must refuse, too."""
    registry, state, key = ["--registry-dir", str(place.registry_dir)], str(place.state_dir), str(KEY.public)
    witness = ["--witness", str(place.root / "w" / "seen"), "--witness-key", str(WITNESS.public)]
    commands = [
        ["list", *registry, "--state-dir", str(place.root / "nowhere")],
        ["list", *registry, "--state-dir", state],
        ["list", *registry, "--state-dir", state, "--public-key", key],
        ["verify", *registry, "--state-dir", state, "--public-key", key, *witness],
    ]
    refused = [main(command) == 3 for command in commands]
    assert refused == sorted(refused), f"a higher level must not know less: {refused}"
    return LEVELS[refused.index(True) if True in refused else 4]


def _documented() -> dict[tuple[str, str], str]:
    """Return the table of the README, by row and column."""
    lines = README.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| tampering "))
    headings = [cell.strip() for cell in lines[start].strip("|").split("|")][1:]
    table = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        table |= {(name, heading): cell for heading, cell in zip(headings, cells, strict=True)}
    return table


def test_the_table_is_whole():
    """The README has a cell for each tampering by each forger, and no other."""
    assert set(_documented()) == {(case, power) for case in HISTORIES for power in POWERS}


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("case", HISTORIES)
def test_where_it_is_noticed(place: Place, case: str, power: str, tally: Callable[[str, int], None]) -> None:
    """At the level that the README says, and not before; an honest registry is not refused at any."""
    assert _noticed_at(place) == "never", "an honest registry"

    POWERS[power](place, case)

    assert _noticed_at(place) == _documented()[case, power]
    tally("tampering by a forger", 1)
