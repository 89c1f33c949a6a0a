"""
Bundles that were cut off, changed, put together anew or made up: one clear line, and not a byte changed.

What is changed without knowledge is found by hashes. What is sealed again with right hashes is found by what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from carrying import Hosts, packed, unpacked
from support import LONG

from eventlog import bundle_format
from eventlog.bundle_format import BLOCK_BYTES

STRIDE = 1 if LONG else 97
Members = dict[str, bytes]
Tally = Callable[[str, int], None]


def boundaries(path: Path) -> list[int]:
    """Return where the header, the content and the padding of each member begin, and the end."""
    table, members = unpacked(path)
    found, offset = [], 0
    for data in (table.encoded(), *members.values()):
        found += [offset, offset + BLOCK_BYTES, offset + BLOCK_BYTES + len(data)]
        offset += BLOCK_BYTES + len(data) + bundle_format.padding(len(data))
    return [*found, offset, offset + BLOCK_BYTES]


def test_cut_off(signed: Hosts, tally: Tally) -> None:
    """At every boundary, beside it, and at many other places; and with something behind its end."""
    data = signed.path.read_bytes()
    cut = signed.path.with_name("cut.tar")
    places = {place + step for place in boundaries(signed.path) for step in (-1, 0, 1)} | set(
        range(0, len(data), STRIDE)
    )
    for place in sorted(place for place in places if 0 <= place < len(data)):
        cut.write_bytes(data[:place])
        signed.refused(cut)
    for more in (b"\0", bytes(BLOCK_BYTES), data):
        cut.write_bytes(data + more)
        assert "cut off or changed" in signed.refused(cut)
    tally("bundles cut off", len(places))


def test_every_bit_counts(signed: Hosts, tally: Tally) -> None:
    """A bit turned over in `bundle.json`, a receipt, the journal, an artifact, a header or the zeros between."""
    data = bytearray(signed.path.read_bytes())
    changed = signed.path.with_name("changed.tar")
    edges = {place + step for place in boundaries(signed.path) for step in (0, 1, 100, 124, 156, 157, 257, 345)}
    places = sorted({place for place in edges if place < len(data)} | set(range(0, len(data), STRIDE)))
    for place in places:
        data[place] ^= 1 << place % 8
        changed.write_bytes(data)
        signed.refused(changed)
        data[place] ^= 1 << place % 8
    tally("bundles with a bit turned over", len(places))
    changed.write_bytes(data)
    assert signed.take(changed).size == len(signed.here.lines())


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("what", ["reordered", "twice", "missing", "more", "out of the directory", "absolute", "empty"])
def test_other_members(signed: Hosts, what: str, told: bool) -> None:
    """Whether `bundle.json` tells of them or not."""
    table, members = unpacked(signed.path)
    found = list(members.items())
    if what == "reordered":
        found[-1], found[-2] = found[-2], found[-1]
    elif what == "twice":
        found.append(found[-1])
    elif what == "missing":
        del found[-1]
    elif what == "more":
        found.append(("artifacts/sha256/ff/" + "f" * 64, b"x"))
    elif what == "empty":
        found = []
    else:
        found.append(({"absolute": "/etc/passwd"}.get(what, "../../x"), b"x"))

    signed.refused(packed(signed.path.with_name("x.tar"), table, found, told=told))


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"x", b"g", b"S", b"\0"])
def test_members_that_are_no_files(signed: Hosts, kind: bytes) -> None:
    """Links, devices, directories, FIFOs and extensions, with a right check sum, are not what must stand there."""
    data = bytearray(signed.path.read_bytes())
    begins = boundaries(signed.path)[3]
    header = data[begins : begins + BLOCK_BYTES]
    header[156:157] = kind
    header[157:170] = b"../../../etc/"
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])
    data[begins : begins + BLOCK_BYTES] = header
    signed.path.with_name("x.tar").write_bytes(data)

    assert "expected the header of" in signed.refused(signed.path.with_name("x.tar"))


@pytest.mark.parametrize("size", [-1, 2**33, 2**63, 2**70, 10**400])
def test_sizes_that_cannot_be(signed: Hosts, size: int) -> None:
    """Neither memory nor disk is asked for: what the members come to is not the size of the file."""
    text = signed.path.read_bytes()
    table, _ = unpacked(signed.path)
    old = f'"size_bytes":{table.members[-1].size_bytes},"sha256":"{table.members[-1].sha256}"'.encode()
    data = table.encoded().replace(old, old.replace(str(table.members[-1].size_bytes).encode(), str(size).encode(), 1))
    parts = bundle_format.framed(bundle_format.TABLE, len(data), iter([data]))
    rest = text[boundaries(signed.path)[3] :]
    signed.path.with_name("x.tar").write_bytes(b"".join(parts) + rest)

    signed.refused(signed.path.with_name("x.tar"))


@pytest.mark.parametrize("size", [0, 1, bundle_format.TABLE_BYTES_MAX, bundle_format.TABLE_BYTES_MAX + 1, 8**11 - 1])
def test_table_of_another_size(hosts: Hosts, size: int) -> None:
    """A header may say what it likes: no more is read than the file has."""
    path = hosts.path.with_name("x.tar")
    path.write_bytes(bundle_format.header(bundle_format.TABLE, size) + bytes(5 * BLOCK_BYTES))

    hosts.refused(path)


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 512, bytes(10_240), b'{"format":"modelog-bundle-v1"}'])
def test_files_that_are_no_bundle(hosts: Hosts, data: bytes) -> None:
    """They are called what they are."""
    hosts.path.write_bytes(data)

    assert str(hosts.path) in hosts.refused()


@pytest.mark.parametrize("what", ["missing", "a directory"])
def test_no_file(hosts: Hosts, what: str) -> None:
    """There is nothing to read."""
    if what == "a directory":
        hosts.path.mkdir()

    hosts.refused()
