"""The audit: its verdict, how far its claim reaches, and that it only reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support import START, Clock, Place, event_entry, fill, heads_of, reseal

from eventlog import chain
from eventlog.events import Event, JournalCreated
from projections import open_registry, repair_registry, verify_registry

Damage = Callable[[Place], object]


def _flip_journal(place: Place) -> None:
    data = bytearray(place.journal.read_bytes())
    data[300] ^= 1
    place.journal.write_bytes(data)


def _newer_format(place: Place) -> None:
    entry = event_entry(Event(0, "i", START, "t", None, JournalCreated("1" * 36, 2)), "1" * 36)
    place.put({"m": b"", "m/journal.jsonl": entry + b"\n"})
    heads = heads_of([entry + b"\n"])
    place.set_head(*heads)


def _rewind(place: Place) -> None:
    lines = place.lines()[:3]
    place.journal.write_bytes(b"".join(lines))
    place.set_head(*heads_of(lines)[-2:])


_EMPTY_ANCHOR = b'{"metadata":{"active_model":{"journal":{"id":"%s","size":0,"hash":"%s"}}}}'

CASES: dict[str, tuple[Damage, str, str, set[str]]] = {
    "as it should be": (lambda p: None, "intact", "L2", set()),
    "no runtime": (lambda p: p.state_json.unlink(), "intact", "L1", {"derived"}),
    "no registry.json": (lambda p: p.registry_json.unlink(), "intact", "L2", {"derived"}),
    "registry.json changed": (
        lambda p: p.registry_json.write_bytes(p.registry_json.read_bytes() + b" "),
        *("intact", "L2", {"derived"}),
    ),
    "a torn tail": (
        lambda p: p.journal.write_bytes(p.journal.read_bytes() + b"half"),
        *("intact", "L2", {"notice"}),
    ),
    "one slot bad": (lambda p: p.head.write_bytes(b"x" + p.head.read_bytes()[1:]), "intact", "L2", {"notice"}),
    "no head": (lambda p: p.head.unlink(), "cannot tell", "L0", {"unreadable"}),
    "a bit flipped": (_flip_journal, "damaged", "none", {"damage"}),
    "the journal gone": (lambda p: p.journal.unlink(), "damaged", "none", {"damage"}),
    "everything gone but the runtime": (
        lambda p: p.put({"s/state.json": p.state_json.read_bytes()}),
        *("damaged", "none", {"damage"}),
    ),
    "the journal is a directory": (
        lambda p: (p.journal.unlink(), p.journal.mkdir()),
        *("cannot tell", "none", {"unreadable"}),
    ),
    "registry.json is a directory": (
        lambda p: (p.registry_json.unlink(), p.registry_json.mkdir()),
        *("cannot tell", "L2", {"unreadable"}),
    ),
    "registry.json is a directory, and a bit flipped": (
        lambda p: (p.registry_json.unlink(), p.registry_json.mkdir(), _flip_journal(p)),
        *("damaged", "none", {"damage", "unreadable"}),
    ),
    "registry.json is a directory, and the journal rewound": (
        lambda p: (p.registry_json.unlink(), p.registry_json.mkdir(), _rewind(p)),
        *("damaged", "none", {"damage", "unreadable"}),
    ),
    "an anchor of nothing": (
        lambda p: p.state_json.write_bytes(
            _EMPTY_ANCHOR % (str(p.open(runtime=False).catalog().journal_id).encode(), b"0" * 64)
        ),
        *("intact", "L1", {"derived"}),
    ),
    "a newer format": (_newer_format, "cannot tell", "none", {"unreadable"}),
}


@pytest.mark.parametrize(("damage", "verdict", "level", "kinds"), CASES.values(), ids=CASES.keys())
def test_verdicts(place: Place, damage: Damage, verdict: str, level: str, kinds: set[str]) -> None:
    """Each state of the files has its verdict, its level and its kinds of findings; no byte changes."""
    fill(place, 5)
    damage(place)
    before = place.files()

    report = verify_registry(place.registry_dir, place.state_dir)

    assert (report.verdict, report.level) == (verdict, level)
    assert {finding.kind for finding in report.findings} == kinds
    assert place.files() == before


def test_report_says_what_verified(place: Place) -> None:
    """Size, hash and id of the journal, and which files outside agree."""
    fill(place, 5)

    report = verify_registry(place.registry_dir, place.state_dir)

    assert report.size == 5
    assert report.hash == chain.hash_of(place.lines()[-1][:-1])
    assert report.journal_id == place.open().catalog().journal_id
    assert report.anchors == [str(place.registry_json), str(place.state_json)]


def test_damage_has_its_place(place: Place) -> None:
    """The finding says which entry and where it starts."""
    fill(place, 5)
    lines = place.lines()
    place.journal.write_bytes(b"".join([*lines[:2], lines[2].replace(b'"t"', b'"u"'), *lines[3:]]))

    finding = verify_registry(place.registry_dir, place.state_dir).findings[0]

    assert (finding.kind, finding.position, finding.offset_bytes) == ("damage", 2, len(lines[0]) + len(lines[1]))


def test_place_that_only_the_fold_knows(place: Place) -> None:
    """An entry that is sealed and makes no sense, and a cut: each has its line and, if there, its bytes."""
    fill(place, 5)
    lines = place.lines()
    kept = place.journal.read_bytes(), place.head.read_bytes()
    offset = len(lines[0]) + len(lines[1])
    witnesses = place.registry_json, place.state_json

    forged = reseal([*lines[:2], lines[1], *lines[3:]], 2)
    place.journal.write_bytes(b"".join(forged))
    place.set_head(*heads_of(forged)[-2:])
    files = [path.read_bytes() for path in witnesses]
    for path in witnesses:
        path.unlink()
    senseless = verify_registry(place.registry_dir, place.state_dir).findings[0]
    for path, data in zip(witnesses, files, strict=True):
        path.write_bytes(data)
    place.journal.write_bytes(kept[0][: offset + 10])
    place.head.write_bytes(kept[1])
    cut = verify_registry(place.registry_dir, place.state_dir).findings[0]

    assert (senseless.position, senseless.line) == (2, 3)
    assert (senseless.offset_bytes, senseless.size_bytes) == (offset, len(forged[2]) - 1)
    assert (cut.position, cut.line, cut.offset_bytes) == (2, 3, offset + 10)


def test_reach_of_an_anchor_that_lags(place: Place) -> None:
    """A runtime that has not followed to the end confirms no more than it has seen."""
    fill(place, 4)
    place.publish("more", registry=place.open(runtime=False))

    assert "confirms the first 4 of 5 entries" in verify_registry(place.registry_dir, place.state_dir).reach


def test_what_was_set_aside_is_told(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Who gave up what an anchor remembered, or took a runtime over, is in every report: a forger could claim it."""
    fill(place, 5)
    _rewind(place)
    repair_registry("accept-rewind", place.registry_dir, place.state_dir, reason="disk lost", actor="ana")
    other = Place(tmp_path_factory.mktemp("other").resolve())
    open_registry(other.registry_dir, other.state_dir).publish_model(other.artifact("y"), backend="b")
    open_registry(place.registry_dir, other.state_dir).publish_model(
        place.artifact("x"), backend="b", actor="bo", take_over=True
    )

    lines = verify_registry(place.registry_dir, place.state_dir).set_aside

    assert len(lines) == 3
    assert all("ana: gave up the 5 entries that " in line and line.endswith(": disk lost") for line in lines[:2])
    assert "bo: took over a runtime that had followed journal " in lines[2]


def test_clock_that_stays_wrong_is_one_notice(place: Place) -> None:
    """One event from the future does not make a finding of each later one."""
    fill(place, 6, clock=Clock(step=-timedelta(seconds=1)))

    (finding,) = verify_registry(place.registry_dir, place.state_dir).findings

    assert (finding.kind, finding.position) == ("notice", 2)
    assert "3 later ones, too" in finding.what


def test_clock_that_went_backwards_is_a_notice(place: Place) -> None:
    """It does no harm, and is shown."""
    fill(place, 3)
    place.publish("new", registry=place.open(now=Clock(START.replace(year=2020))))

    report = verify_registry(place.registry_dir, place.state_dir)

    assert report.verdict == "intact"
    assert [(finding.kind, finding.position) for finding in report.findings] == [("notice", 3)]


def test_runtime_of_another_journal_is_no_witness(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It neither confirms nor contradicts; the level is what the registry directory alone can give."""
    fill(place, 3)
    other = Place(tmp_path_factory.mktemp("other").resolve())
    other.publish("x")

    report = verify_registry(place.registry_dir, other.state_dir)

    assert (report.verdict, report.level) == ("intact", "L1")
    assert {finding.kind for finding in report.findings} == {"derived"}


def test_nothing_there(place: Place) -> None:
    """Of a journal that is not there nothing can be said, and nothing is created."""
    report = verify_registry(place.registry_dir, place.state_dir)

    assert (report.verdict, report.level, report.size) == ("cannot tell", "none", 0)
    assert place.files() == {}


@pytest.mark.parametrize("position", range(5))
def test_verified_prefix(place: Place, position: int) -> None:
    """Of a damaged journal the entries before the damage can be shown, together with what is wrong."""
    fill(place, 5)
    lines = place.lines()
    damaged = lines[position].replace(b'"time":"2', b'"time":"3')
    place.journal.write_bytes(b"".join([*lines[:position], damaged, *lines[position + 1 :]]))

    catalog, problem = place.open().verified_prefix()

    assert catalog.size == position
    assert problem is not None
    assert place.open(runtime=False).verified_prefix()[0].size == position


def test_verified_prefix_of_a_good_journal(place: Place) -> None:
    """Nothing is wrong, and all of it is shown."""
    fill(place, 5)

    catalog, problem = place.open().verified_prefix()

    assert (catalog.size, problem) == (5, None)
