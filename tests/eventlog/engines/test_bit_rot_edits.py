"""Acknowledged history that somebody or something has edited is refused by whoever looks, however well it is sealed."""

from __future__ import annotations

import pytest
from journal_edits import BYTE_EDITS, LINE_EDITS, SEALINGS, whole_chain
from specimen import SHARDS, SIZE, Specimen
from support import heads_of, outcome_of

from eventlog.errors import RefusedError

ANCHORS = ("m/registry.json", "s/state.json")
"""The derived files that remember the journal's hash."""

HEAD = "m/journal.head"
WITNESSES = (HEAD, *ANCHORS)

WORTH_SHARDS = ("nul_runs", "blocks")


@pytest.mark.parametrize("sealing", SEALINGS)
@pytest.mark.parametrize("kind", LINE_EDITS)
def test_every_edit_of_lines(specimen: Specimen, kind: str, sealing: str) -> None:
    """Lines taken out, doubled, moved, forged or from elsewhere are refused, also where hashes were computed anew."""
    edits = 0

    for number, lines in enumerate(LINE_EDITS[kind](specimen)):
        data = b"".join(SEALINGS[sealing](lines))
        assert data != specimen.journal, f"{kind} {number}, {sealing}, changes nothing"
        specimen.place.journal.write_bytes(data)
        specimen.check_noticed(f"{kind} {number}, {sealing}", number)
        edits += 1

    specimen.place.journal.write_bytes(specimen.journal)
    specimen.finish()
    assert edits >= SIZE - 1


@pytest.mark.parametrize("witness", WITNESSES)
@pytest.mark.parametrize("kind", LINE_EDITS)
def test_every_edit_of_lines_with_one_witness_left(specimen: Specimen, kind: str, witness: str) -> None:
    """A forger who seals journal and head anew is found out by any single file that remembers the old hash."""
    place = specimen.place
    for name in {*ANCHORS} - {witness}:
        (place.root / name).unlink()

    for number, edited in enumerate(LINE_EDITS[kind](specimen)):
        lines = whole_chain(edited)
        place.journal.write_bytes(b"".join(lines))
        if witness != HEAD:
            heads = heads_of(lines)
            place.set_head(heads[-2], heads[-1])
        specimen.check_noticed(f"{kind} {number}, {witness} left", number)

    specimen.restore()
    specimen.finish()


@pytest.mark.parametrize(
    ("kind", "shard"),
    [(kind, shard) for kind in BYTE_EDITS for shard in range(SHARDS if kind in WORTH_SHARDS else 1)],
)
def test_every_edit_of_bytes(specimen: Specimen, kind: str, shard: int) -> None:
    """Lines blanked, joined or in another encoding, runs of NULs, lost and misplaced blocks are refused."""
    edits = 0

    for number, data in enumerate(BYTE_EDITS[kind](specimen)):
        if kind in WORTH_SHARDS and number % SHARDS != shard:
            continue
        assert data != specimen.journal, f"{kind} {number} changes nothing"
        specimen.place.journal.write_bytes(data)
        specimen.check_noticed(f"{kind} {number}", number // SHARDS)
        edits += 1

    specimen.place.journal.write_bytes(specimen.journal)
    specimen.finish()
    assert edits >= SIZE


SET_BACK = {
    "journal": ("m/journal.jsonl",),
    "journal and head": ("m/journal.jsonl", "m/journal.head"),
    "journal, head and registry.json": ("m/journal.jsonl", "m/journal.head", "m/registry.json"),
    "journal, head and state.json": ("m/journal.jsonl", "m/journal.head", "s/state.json"),
    "all but the journal's head": ("m/journal.jsonl", "m/registry.json", "s/state.json"),
}


@pytest.mark.parametrize("names", SET_BACK.values(), ids=SET_BACK.keys())
def test_every_earlier_state(specimen: Specimen, names: tuple[str, ...]) -> None:
    """Files set back to an earlier state of their own are noticed while one that remembers a later state is left."""
    for number, earlier in enumerate(specimen.history[2:-1]):
        for name in names:
            (specimen.place.root / name).write_bytes(earlier[name])
        specimen.check_noticed(f"set back to {number + 2} events", number)
        specimen.restore()

    specimen.finish()
    assert number == SIZE - 3


@pytest.mark.parametrize("kept", ANCHORS)
def test_the_journal_of_another_registry(specimen: Specimen, kept: str) -> None:
    """A journal and head put in place of ours: damage to who looks beside it, to the runtime another journal."""
    place, heads = specimen.place, heads_of(specimen.foreign)
    for name in {*ANCHORS} - {kept}:
        (place.root / name).unlink()

    place.journal.write_bytes(b"".join(specimen.foreign))
    place.set_head(heads[-2], heads[-1])
    if kept == "m/registry.json":
        specimen.check_noticed("another journal", 0)
    else:
        status, _, said = specimen.command("list")
        assert (status, "follows journal" in said) == (0, True)
        status, report, _ = specimen.command("verify")
        assert (status, "follows journal" in report, '"level":"L1"' in report) == (5, True, True)
        assert isinstance(outcome_of(lambda: place.publish("a0")), RefusedError)
        specimen.tried["other journals in the place of ours"] += 1

    specimen.restore()
    specimen.finish()
