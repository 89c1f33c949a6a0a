"""
Bundles that somebody made up, every size and hash in them right: what they mean is not so, or nobody signed it.

One clear line, and not a byte changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from carrying import KEY, Hosts, hosts_below, packed, unpacked
from msgspec.structs import replace
from support import entries, reseal

from eventlog import bundle_format, manifest, tree
from eventlog.bundle_format import End, Start, Table
from eventlog.errors import EvidenceError
from projections.evidence import issue_receipt

Members = dict[str, bytes]


def refused_in_any_way(hosts: Hosts, path: Path) -> None:
    """See that a bundle is refused; whether by a hash or by what it proves does not matter."""
    try:
        hosts.refused(path)
    except AssertionError:
        hosts.refused(path, EvidenceError)


def forged(table: Table, members: Members, lines: list[bytes]) -> Table:
    """Put other lines, which follow one another, into a bundle, and let `bundle.json` tell of them."""
    members[bundle_format.JOURNAL] = b"".join(lines)
    root = tree.root([tree.leaf_hash(line[:-1]) for line in lines])
    return replace(table, end=End(len(lines), json.loads(lines[-1])["hash"], root.hex()))


def _another_event(table: Table, members: Members) -> Table:
    lines = members["journal.jsonl"].splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"backend":"b"', b'"backend":"B"')
    return forged(table, members, reseal(lines))


def _event_that_cannot_be(table: Table, members: Members) -> Table:
    lines = members["journal.jsonl"].splitlines(keepends=True)
    displaced = b'"displaced":"%b"'
    lines[-1] = lines[-1].replace(displaced % table.models[3].encode(), displaced % table.models[1].encode())
    return forged(table, members, reseal(lines))


def _no_events(table: Table, members: Members) -> Table:
    return forged(table, members, [entry + b"\n" for entry in entries(5)])


def _half_a_line(table: Table, members: Members) -> Table:
    members["journal.jsonl"] = members["journal.jsonl"][:-1]
    return table


def _one_entry_less(table: Table, members: Members) -> Table:
    members["journal.jsonl"] = b"".join(members["journal.jsonl"].splitlines(keepends=True)[:-1])
    return table


def _endless_line(table: Table, members: Members) -> Table:
    members["journal.jsonl"] += b"x" * 70_000
    return table


def _another_root(table: Table, members: Members) -> Table:
    return replace(table, end=replace(table.end, root="0" * 64))


def _another_end(table: Table, members: Members) -> Table:
    return replace(table, end=replace(table.end, hash="0" * 64))


def _begins_elsewhere(table: Table, members: Members) -> Table:
    return replace(table, start=Start(0, "1" * 64))


def _another_journal(table: Table, members: Members) -> Table:
    return replace(table, journal_id="00000000-0000-0000-0000-000000000000")


def _active_model_left_out(table: Table, members: Members) -> Table:
    data = b"a"
    del members[next(name for name, item in members.items() if item == data)]
    return replace(table, models=table.models[1:])


def _unknown_model(table: Table, members: Members) -> Table:
    return replace(table, models=[*table.models, "20260102030405_00000000"])


def _artifact_left_out(table: Table, members: Members) -> Table:
    del members[next(name for name, item in members.items() if item == b"a")]
    return table


def _part_of_a_directory_left_out(table: Table, members: Members) -> Table:
    del members[next(name for name, item in members.items() if item == b"{}")]
    return table


def _manifest_left_out(table: Table, members: Members) -> Table:
    del members[next(name for name, item in members.items() if item.startswith(manifest.HEADER))]
    return table


FORGERIES = [
    _event_that_cannot_be, _no_events, _half_a_line, _one_entry_less, _endless_line, _another_root,
    _another_end, _begins_elsewhere, _another_journal, _active_model_left_out, _unknown_model, _artifact_left_out,
    _part_of_a_directory_left_out, _manifest_left_out,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("is_signed", [True, False])
def test_sealed_again(
    signed: Hosts, fast_hosts: Hosts, forge: Callable[[Table, Members], Table], is_signed: bool
) -> None:
    """Every size and hash in it is right; it says what is not so."""
    hosts = signed if is_signed else fast_hosts
    hosts.bundle(*hosts.models)
    table, members = unpacked(hosts.path)
    table = forge(table, members)

    refused_in_any_way(hosts, packed(hosts.path.with_name("x.tar"), table, list(members.items())))


def test_a_history_that_never_was(signed: Hosts, fast_hosts: Hosts) -> None:
    """Where every event is possible and nobody has signed, nothing tells; a signature does, and so does the journal."""
    table, members = unpacked(signed.path)
    path = packed(signed.path.with_name("x.tar"), _another_event(table, members), list(members.items()))

    assert "it was signed of another history" in signed.refused(path, EvidenceError)
    fast_hosts.bundle(*fast_hosts.models)
    table, members = unpacked(fast_hosts.path)
    fast_hosts.take()
    path = packed(fast_hosts.path.with_name("x.tar"), _another_event(table, members), list(members.items()))
    assert "at position 2" in fast_hosts.refused(path)


def test_an_honest_bundle_put_together_again(signed: Hosts) -> None:
    """The forgers' tool makes of what is in a bundle the very same bundle, so what they meet is what they did."""
    table, members = unpacked(signed.path)

    path = packed(signed.path.with_name("x.tar"), table, list(members.items()))

    assert path.read_bytes() == signed.path.read_bytes()


@pytest.mark.parametrize(
    "what", ["another model's receipt", "an older tree head", "an older receipt", "of another journal"]
)
def test_proofs_of_something_else(signed: Hosts, what: str) -> None:
    """Receipts and tree head are of this history, of these models, and of one another."""
    table, members = unpacked(signed.path)
    names = [bundle_format.receipt_name(model_id) for model_id in table.models]
    if what == "another model's receipt":
        members[names[0]] = members[names[1]]
    elif what == "of another journal":
        root = signed.here.root.parent / "other"
        root.mkdir()
        other = hosts_below(root, signed=True)
        members[bundle_format.NOTE] = (other.here.registry_dir / "tree_head.note").read_bytes()
    else:
        old = members[bundle_format.NOTE]
        receipt = signed.here.root / "r"
        signed.here.publish("z", registry=signed.here.open(sign_key=KEY.spelled()))
        issue_receipt(table.models[0], signed.here.registry_dir, None, destination=receipt)
        if what == "an older receipt":
            members[names[0]] = receipt.read_bytes()
        else:
            signed.bundle(*signed.models)
            table, members = unpacked(signed.path)
            members[bundle_format.NOTE] = old
    path = packed(signed.path.with_name("x.tar"), table, list(members.items()))

    refused_in_any_way(signed, path)


def test_what_is_refused_is_the_bundle(signed: Hosts) -> None:
    """The first words name the file, so that nobody looks for the damage in the registry."""
    table, members = unpacked(signed.path)
    table = _event_that_cannot_be(table, members)
    path = packed(signed.path.with_name("x.tar"), table, list(members.items()))

    message = signed.refused(path)

    assert message.startswith(f"{path}: damaged, so nothing is taken from it")
    assert "as displaced model" in message
