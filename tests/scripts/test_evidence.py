"""`keygen`, `keys`, `receipt`, `verify-receipt`, `prove-consistency`, `witness`, and the levels of `verify`."""

from __future__ import annotations

import os
import stat

import pytest


@pytest.fixture
def signed(desk):
    """Two models, signed; `k` is the key, `w` a witness's, `old.note` the tree head after the first model."""
    assert desk.call("keygen", "k", "--name", "example.com/m").status == 0
    assert desk.call("keygen", "w", "--witness", "--name", "example.com/w").status == 0
    desk.first = desk.publish("a", "--sign-key", "k", "--actor", "ana", "--reason", "new")
    desk.note = desk.models / "tree_head.note"
    (desk.root / "old.note").write_bytes(desk.note.read_bytes())
    desk.second = desk.publish("b", "--sign-key", "k", data=b"2")
    return desk


@pytest.fixture(autouse=True)
def _back(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_keygen(desk):
    """The private key is for its owner alone, whatever the umask; the public one is printed, and for everybody."""
    before = os.umask(0)
    try:
        result = desk.call("keygen", "k", "--name", "example.com/m")
    finally:
        os.umask(before)

    private, public = (desk.root / name for name in ("k", "k.pub"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) & 0o022 == 0
    assert result.out == public.read_text()
    assert result.out.startswith("example.com/m+")
    assert private.read_text().startswith("PRIVATE+KEY+example.com/m+")


def test_a_key_is_never_overwritten(desk, refused):
    """Neither half of it."""
    desk.call("keygen", "k")
    (desk.root / "k.pub").rename(desk.root / "x.pub")

    assert "never overwritten" in refused("keygen", "k")
    assert "never overwritten" in refused("keygen", "x")
    assert "1 to 200 characters" in refused("keygen", "y", "--name", "a b")


def test_tree_heads_are_signed_and_demanded(signed):
    """After each event the whole journal is signed; who trusts the key is answered, who trusts another is not."""
    assert signed.note.read_text().split("\n")[1] == "4"
    for verb in (["list"], ["active"], ["history"], ["diff", "0"], ["show", signed.first["model_id"]]):
        assert signed.run(*verb, "--public-key", "k.pub").status == 0
        assert signed.run(*verb, "--public-key", (signed.root / "k.pub").read_text().strip()).status == 0
    signed.call("keygen", "other", "--name", "example.com/m")
    result = signed.run("list", "--public-key", "other.pub")
    assert (result.status, result.out) == (3, "")
    assert "expected a signature of example.com/m+" in result.err


def test_an_unsigned_tail_is_refused(signed):
    """Who trusts only what is signed is not shown what nobody signed; `rebuild --sign-key` signs it."""
    signed.publish("c", data=b"3")

    refused = signed.run("list", "--public-key", "k.pub")
    signed.run("rebuild", "--sign-key", "k")

    assert refused.status == 3
    assert "nobody has signed the newest" in refused.err
    assert signed.run("list", "--public-key", "k.pub").status == 0


def test_rebuilt_to_the_same_bytes(signed):
    """The tree head is derived: the same key and journal give the same bytes."""
    before = signed.note.read_bytes()
    signed.note.unlink()
    assert signed.run("list", "--public-key", "k.pub").status == 3

    signed.run("rebuild", "--sign-key", "k")

    assert signed.note.read_bytes() == before


def test_never_signed_over_a_shrink_or_a_fork(signed):
    """A journal that is shorter than its tree head, or another, is refused before anything is signed."""
    note, bodies = signed.note.read_bytes(), signed.bodies()
    for forged in (bodies[:-1], [*bodies[:-1], bodies[-1].replace(b'"b"', b'"c"')]):
        signed.reseal(forged)
        for verb in (["publish", "--artifact", signed.artifact(), "--backend", "x"], ["rebuild"], ["rollback"]):
            result = signed.run(*verb, "--sign-key", "k")
            assert result.status == 3, result
            assert "tree_head.note remembers" in result.err
        assert signed.note.read_bytes() == note


def test_keys_rotate_and_are_revoked_by_position(signed):
    """Who trusts the first key follows its endorsement; what a revoked key signs of more entries does not count."""
    signed.call("keygen", "k2", "--name", "example.com/m")
    signed.call("keygen", "k3", "--name", "example.com/m")
    added = signed.call("keys", "add", "k2.pub", "--endorse-with", "k", *signed.argv("", "--output", "json")[1:])
    assert added.json["position"] == 4
    assert (
        signed.call("keys", "revoke", "k.pub", "--reason", "lost", "--sign-key", "k2", *signed.argv("")[1:]).status == 0
    )
    assert signed.run("list", "--public-key", "k.pub").status == 0

    late = signed.run("publish", "--artifact", signed.artifact(), "--backend", "x", "--sign-key", "k")
    unknown = signed.run("publish", "--artifact", signed.artifact(), "--backend", "x", "--sign-key", "k3")
    signed.publish("c", "--sign-key", "k2", data=b"3")

    assert (late.status, unknown.status) == (2, 2)
    assert "revoked at position 5" in late.err
    assert "run keys add" in unknown.err
    for key, status in (("k.pub", 0), ("k2.pub", 0), ("k3.pub", 3)):
        assert signed.run("list", "--public-key", key).status == status
    rows = signed.call("keys", "list", *signed.argv("", "--output", "json")[1:]).json
    assert [(row["added_position"], row["revoked_position"]) for row in rows] == [(1, 5), (4, None)]
    assert rows[1]["endorsed_by"] == rows[0]["key"]


def test_a_key_without_endorsement_is_not_followed(signed):
    """Whoever can write the journal can add a key, but not make others trust it."""
    signed.call("keygen", "k2", "--name", "example.com/m")
    signed.call("keys", "add", "k2.pub", *signed.argv("")[1:])
    signed.publish("c", "--sign-key", "k2", data=b"3")

    assert signed.run("list", "--public-key", "k2.pub").status == 0
    assert signed.run("list", "--public-key", "k.pub").status == 3


def test_a_receipt_needs_no_registry(signed, tmp_path):
    """In another directory with the file, the receipt and the key: published here, when, by whom and why."""
    issued = signed.run("receipt", signed.first["model_id"], "--output", "json").json
    path = signed.first["artifact_path"]
    assert issued["path"] == f"{path}.tlog-proof"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in (path, issued["path"]):
        os.rename(name, elsewhere / os.path.basename(name))
    file = str(elsewhere / os.path.basename(path))

    told = signed.call("verify-receipt", file, "--public-key", "k.pub", "--output", "json").json

    assert (told["model_id"], told["actor"], told["reason"]) == (signed.first["model_id"], "ana", "new")
    assert (told["published_at"], told["position"], told["signed_size"]) == (signed.first["created_at"], 2, 4)
    for wrong in (["--public-key", "w.pub"], ["--public-key", "k.pub", "--receipt", "old.note"]):
        assert signed.call("verify-receipt", file, *wrong).status in (2, 3)
    with open(file, "ab") as artifact:
        artifact.write(b"x")
    changed = signed.call("verify-receipt", file, "--public-key", "k.pub")
    assert (changed.status, changed.out) == (3, "")
    assert "expected an artifact with sha256" in changed.err


def test_a_witness(signed):
    """It moves on along one history, from the registry or from a proof, and answers after it has written."""
    state = ["witness", "--state", "seen", "--public-key", "k.pub", "--key", "w"]
    registry = signed.argv("")[1:]
    proof = lambda head: signed.call("prove-consistency", head, *registry).out  # noqa: E731

    first = signed.call(*state, *registry, "--output", "json").json
    signed.publish("c", "--sign-key", "k", data=b"3")
    (signed.root / "request").write_text(proof("seen"))
    second = signed.call(*state, "--request", "request", "--output", "json").json
    again = signed.call(*state, "--request", "request")

    assert (first["entries_before"], first["entries"]) == (0, 4)
    assert (second["entries_before"], second["entries"]) == (4, 5)
    assert again.status == 2
    assert "expected a proof from old size 5, got one from 4" in again.err
    assert signed.call(*state, *registry).status == 0
    trust = ["--public-key", "k.pub", "--witness", "seen", "--witness-key", "w.pub"]
    assert signed.run("verify", *trust, "--output", "json").json["level"] == "L4"
    assert signed.run("verify", "--public-key", "k.pub", "--output", "json").json["level"] == "L3"
    signed.publish("d", "--sign-key", "k", data=b"4")
    assert "confirms the first 5 of 6 entries" in signed.run("verify", *trust).out


def test_a_witness_refuses_what_does_not_extend(signed):
    """A rewound journal, a rewritten one, another one: status 3, and what it keeps is as it was."""
    state = ["witness", "--state", "seen", "--public-key", "k.pub"]
    signed.call(*state, *signed.argv("")[1:])
    kept = (signed.root / "seen").read_bytes()
    old = f"old 0\n\n{(signed.root / 'old.note').read_text()}"
    (signed.root / "rewound").write_text(old)
    (signed.root / "nonsense").write_text(old.replace("old 0", "old 4\n" + "A" * 43 + "="))

    for request, status in (("rewound", 3), ("nonsense", 3), ("k.pub", 2), ("none", 2)):
        result = signed.call(*state, "--request", request)
        assert (result.status, result.out) == (status, ""), result.err
        assert result.err.count("error: ") == 1
    assert signed.call("witness", "--state", "seen", "--public-key", "w.pub", *signed.argv("")[1:]).status == 3
    assert (signed.root / "seen").read_bytes() == kept


def test_prove_consistency_refuses_another_history(signed):
    """A tree head of another journal, of a fork, or of the future is not extended by this one: status 3."""
    text = (signed.root / "old.note").read_text()
    cases = {
        "other": text.replace("modelog/", "modelog/0", 1),
        "fork": text.replace(text.split("\n")[2], "A" * 43 + "=", 1),
        "future": text.replace("\n3\n", "\n9\n", 1),
    }
    for name, changed in cases.items():
        (signed.root / name).write_text(changed)
        result = signed.call("prove-consistency", name, *signed.argv("")[1:])
        assert (result.status, result.out) == (3, ""), (name, result)
    assert signed.call("prove-consistency", "k.pub", *signed.argv("")[1:]).status == 2
    assert signed.call("prove-consistency", "old.note", *signed.argv("")[1:]).out.startswith("old 3\n")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read(signed, refused, mode):
    """It is not used, in a line that says what to do."""
    (signed.root / "k").chmod(mode)
    line = refused(*signed.argv("rollback", "--sign-key", "k"))

    assert "expected one that only its owner can read" in line
    assert "chmod 600" in line


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["rollback", "--sign-key", "none"], "no such file"),
        (["rollback", "--sign-key", "old.note"], "expected one that only its owner"),
        (["list", "--public-key", "k"], "expected a public key"),
        (["list", "--public-key", "nonsense"], "expected a public key"),
        (["receipt", "20200101000000_00000000"], "see list"),
        (["receipt", "x"], "model id"),
        (["verify", "--witness", "seen"], "--public-key"),
        (["verify", "--public-key", "k.pub", "--witness", "seen"], "together"),
    ],
)
def test_bad_input(signed, refused, words, part):
    """One clear line, status 2, nothing changed; a private key is never quoted."""
    line = refused(*signed.argv(*words))

    assert part in line
    assert (signed.root / "k").read_text()[-20:-2] not in line


def test_a_receipt_overwrites_no_other_file(signed, refused):
    """What stands where a receipt should go is kept unless it is one; a receipt is renewed."""
    path = f"{signed.first['artifact_path']}.tlog-proof"
    with open(path, "w") as file:
        file.write("precious")

    assert "not overwritten" in refused(*signed.argv("receipt", signed.first["model_id"]))
    os.unlink(path)
    for _ in range(2):
        assert signed.run("receipt", signed.first["model_id"]).status == 0


def test_no_receipt_without_a_signature(desk, refused):
    """Where nothing was signed nothing can be proven; the line says how."""
    model = desk.publish("a")

    assert "--sign-key" in refused(*desk.argv("receipt", model["model_id"]))


def test_a_tree_head_that_is_no_tree_head(signed):
    """Garbage in its place is told of by every command, and moved away by a person."""
    signed.note.write_text("garbage")

    assert "not used" in signed.run("list").err
    assert signed.run("list", "--public-key", "k.pub").status == 3
    assert signed.run("verify", "--output", "json").json["findings"][0]["kind"] == "derived"
    signed.note.unlink()
    assert signed.run("rebuild", "--sign-key", "k").status == 0
