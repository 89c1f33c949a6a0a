"""The bytes of a bundle: headers as every tar program reads them, and one spelling of what it says."""

from __future__ import annotations

import io
import tarfile

import pytest
from msgspec.structs import replace
from support import outcome_of

from eventlog import bundle_format
from eventlog.bundle_format import End, Member, Start, Table
from eventlog.errors import RefusedError

DIGEST = "c52ffab8d69244923a9cc012b793ea2b3ba722f5f0d5237eec63d5d4add26b3e"
MODEL = "20261123103000_c52ffab8"
JOURNAL = Member("journal.jsonl", 10, DIGEST)
ARTIFACT = Member(f"artifacts/sha256/c5/{DIGEST}", 5000, DIGEST)
NOTE = [Member("tree_head.note", 300, DIGEST), Member(f"receipts/{MODEL}.tlog-proof", 900, DIGEST)]
TABLE = Table("modelog-bundle-v1", "j", Start(0, "0" * 64), End(2, DIGEST, DIGEST), [MODEL], [JOURNAL, ARTIFACT])


@pytest.mark.parametrize("size", [0, 1, 511, 8**11 - 1, 8**11, 2**63])
def test_header(size: int) -> None:
    """Name, size and nothing else; also of more than 8 GiB."""
    header = bundle_format.header(ARTIFACT.name, size)

    found = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    assert len(header) == 512
    assert (found.name, found.size, found.mode, found.mtime, found.uid, found.type) == (
        ARTIFACT.name, size, 0o444, 0, 0, tarfile.REGTYPE
    )  # fmt: skip


def test_as_tarfile_writes_it() -> None:
    """Byte for byte what the standard library makes of the same values, as POSIX has it."""
    info = tarfile.TarInfo("journal.jsonl")
    info.size, info.mode = 77, 0o444

    ours, theirs = bundle_format.header("journal.jsonl", 77), info.tobuf(tarfile.USTAR_FORMAT)

    differs = [at for at in range(512) if ours[at] != theirs[at]]
    assert set(differs) <= {*range(148, 156), *range(329, 345)}, "but for the device numbers, and the sum over them"


def test_framed() -> None:
    """A member is padded to a block, and an archive of it ends in two."""
    data = b"".join(bundle_format.framed("journal.jsonl", 3, iter([b"abc"]))) + bundle_format.END

    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        assert found.getnames() == ["journal.jsonl"]
    assert len(data) == 4 * 512


@pytest.mark.parametrize(
    "table", [TABLE, replace(TABLE, members=[*NOTE, JOURNAL, ARTIFACT]), replace(TABLE, models=[])]
)
def test_round_trip(table: Table) -> None:
    """What was said is what is understood."""
    assert bundle_format.parse(table.encoded(), "b") == table


def test_literal_example() -> None:
    """As it stands in FORMAT.md."""
    assert TABLE.encoded() == (
        b'{"format":"modelog-bundle-v1","journal_id":"j","start":{"size":0,"hash":"%b"},"end":{"size":2,"hash":"%b",'
        b'"root":"%b"},"models":["%b"],"members":[{"name":"journal.jsonl","size_bytes":10,"sha256":"%b"},'
        b'{"name":"artifacts/sha256/c5/%b","size_bytes":5000,"sha256":"%b"}]}\n'
    ) % (b"0" * 64, *[DIGEST.encode()] * 2, MODEL.encode(), *[DIGEST.encode()] * 3)


OTHERS = {
    "a newer format": replace(TABLE, format="modelog-bundle-v2"),
    "backwards": replace(TABLE, start=Start(3, DIGEST)),
    "negative": replace(TABLE, start=Start(-1, DIGEST)),
    "nothing": replace(TABLE, end=End(0, DIGEST, DIGEST)),
    "a model twice": replace(TABLE, models=[MODEL, MODEL]),
    "a model that is a path": replace(TABLE, models=["../" + MODEL]),
    "no journal": replace(TABLE, members=[ARTIFACT]),
    "two journals": replace(TABLE, members=[JOURNAL, JOURNAL, ARTIFACT]),
    "an artifact twice": replace(TABLE, members=[JOURNAL, ARTIFACT, ARTIFACT]),
    "another order": replace(TABLE, members=[ARTIFACT, JOURNAL]),
    "a receipt without a tree head": replace(TABLE, members=[NOTE[1], JOURNAL, ARTIFACT]),
    "a tree head without a receipt": replace(TABLE, members=[NOTE[0], JOURNAL, ARTIFACT]),
    "another name": replace(TABLE, members=[JOURNAL, replace(ARTIFACT, name="../x")]),
    "another hash than its name": replace(TABLE, members=[JOURNAL, replace(ARTIFACT, sha256="0" * 64)]),
    "a hash that is none": replace(TABLE, members=[replace(JOURNAL, sha256="x")]),
    "a negative size": replace(TABLE, members=[replace(JOURNAL, size_bytes=-1)]),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_cannot_be(what: str) -> None:
    """It is refused, whoever wrote it."""
    assert type(outcome_of(lambda: bundle_format.parse(OTHERS[what].encoded(), "b"))) is RefusedError


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"null", TABLE.encoded()[:-1], TABLE.encoded() + b"\n", TABLE.encoded().replace(b",", b", ", 1),
     TABLE.encoded().replace(b'"j"', b'"\\u006a"'), TABLE.encoded().replace(b'{"name"', b'{"x":1,"name"'),
     TABLE.encoded().replace(b"5000", b"5e3"), b"[" * 100_000, b"\xff", TABLE.encoded().replace(b"5000", b"5000.0")],
)  # fmt: skip
def test_other_spellings(data: bytes) -> None:
    """There is one."""
    assert type(outcome_of(lambda: bundle_format.parse(data, "b"))) is RefusedError
