"""What must hold of a bundle's reader for any bytes; see `journal_laws` for the form."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from random import Random

from odd_json import mutated, mutated_bytes

from eventlog import bundle_claims, bundle_format, chain, codec, tree
from eventlog.bundle_file import BundleFile
from eventlog.bundle_format import End, Member, Start, Table
from eventlog.engines.memory import MemoryJournal
from eventlog.errors import EvidenceError, RefusedError
from eventlog.events import Event, JournalCreated, ModelPublished
from eventlog.replay import Replay

_ID = "9b5ec1ca-1c64-4c25-a28d-ad9d9516d2a7"
_TIME = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
_WEIGHTS = b"weights"
_place: tempfile.TemporaryDirectory[str] | None = None


def bundle(data: bytes) -> bool:
    """It is refused; or every claim in it is true, and what it says of itself gives the very same bytes."""
    global _place  # noqa: PLW0603 - made by the first input, so that importing this module makes no files
    if _place is None:
        usable = os.access("/dev/shm", os.W_OK)
        _place = tempfile.TemporaryDirectory(dir="/dev/shm" if usable else None, prefix="modelog-fuzz-")
    path = os.path.join(_place.name, "b.tar")
    with open(path, "wb") as file:
        file.write(data)
    try:
        with closing(BundleFile(path)) as opened:
            verified = bundle_claims.verify(opened, Replay(MemoryJournal()), None)
            table, again = opened.table, b"".join(_again(opened))
    except (RefusedError, EvidenceError):
        return False
    catalog = verified.replay.catalog
    assert again == data
    assert (catalog.journal_id, catalog.size, catalog.hash) == (table.journal_id, table.end.size, table.end.hash)
    assert catalog.active_id() in table.models
    return True


def _again(opened: BundleFile) -> Iterator[bytes]:
    """Yield the bytes of the bundle that has these members."""
    table = opened.table.encoded()
    yield from bundle_format.framed(bundle_format.TABLE, len(table), iter([table]))
    for member in opened.table.members:
        yield from bundle_format.framed(member.name, member.size_bytes, opened.parts(member))
    yield bundle_format.END


def seeds() -> list[bytes]:
    """Return bundles of one model: a file, and the same with more entries behind it."""
    digest = sha256(_WEIGHTS).hexdigest()
    model_id = f"20261123103000_{digest[:8]}"
    published = ModelPublished("b", "/a", len(_WEIGHTS), digest, {"rows": 1}, None)
    events = [Event(0, "0", _TIME, "t", None, JournalCreated(_ID, 1)), Event(1, "1", _TIME, "t", model_id, published)]
    entries, prev = [], chain.GENESIS
    for event in events:
        entries.append(codec.encode(event, _ID, prev))
        prev = chain.hash_of(entries[-1])
    table = Table(bundle_format.FORMAT, _ID, Start(0, chain.GENESIS), End(2, prev, ""), [model_id], [])
    return [sealed(table, [entry + b"\n" for entry in entries], _WEIGHTS)]


def sealed(table: Table, lines: list[bytes], weights: bytes) -> bytes:
    """Return a bundle whose sizes, hashes and links are right, whatever its lines and its artifact are."""
    entries, prev = [], chain.GENESIS
    for line in lines:
        entries.append(chain.seal(chain.body_of(line.removesuffix(b"\n")), prev))
        prev = chain.hash_of(entries[-1])
    growing = tree.Growing()
    for entry in entries:
        growing.add(tree.leaf_hash(entry))
    data = b"".join(entry + b"\n" for entry in entries)
    kept = sha256(weights).hexdigest()
    members = [
        Member(bundle_format.JOURNAL, len(data), sha256(data).hexdigest()),
        Member(bundle_format.artifact_name(kept), len(weights), kept),
    ]
    end = End(len(entries), prev, growing.root().hex())
    told = Table(table.format, table.journal_id, table.start, end, table.models, members).encoded()
    whole = [(bundle_format.TABLE, told), (members[0].name, data), (members[1].name, weights)]
    parts = [part for name, item in whole for part in bundle_format.framed(name, len(item), iter([item]))]
    return b"".join([*parts, bundle_format.END])


def changed(data: bytes, random: Random) -> bytes:
    """Change bytes anywhere; or what a bundle says, or one of its entries, and let all sizes and hashes fit again."""
    kind = random.randrange(4)
    if kind == 0:
        return mutated_bytes(data, random)
    try:
        size = bundle_format.table_size(data[:512], "b")
        told = data[512 : 512 + size]
        table = bundle_format.parse(told, "b")
    except RefusedError:
        return mutated_bytes(data, random)
    begins = 512 + size + bundle_format.padding(size) + 512
    if kind == 1:  # its size may be another one now
        told = mutated(told.removesuffix(b"\n"), random) + b"\n"
        framed = b"".join(bundle_format.framed(bundle_format.TABLE, len(told), iter([told])))
        return framed + data[begins - 512 :]
    lines = data[begins : begins + table.members[0].size_bytes].splitlines(keepends=True)
    one = random.randrange(len(lines)) if lines else 0
    if lines and kind == 2:
        body = mutated(chain.body_of(lines[one][:-1]) + b"}", random).removesuffix(b"}")
        lines[one] = chain.seal(body, chain.GENESIS) + b"\n"
    weights = _WEIGHTS if random.randrange(8) else mutated_bytes(_WEIGHTS, random)
    return sealed(table, lines, weights)
