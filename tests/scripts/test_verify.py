"""`verify`: what can be said of the journal and its derived files, and how far it reaches."""

from __future__ import annotations

import json

import pytest

KEYS = ["verdict", "level", "reach", "journal_id", "size", "hash", "anchors", "set_aside", "findings", "artifacts"]


def test_intact_and_confirmed(desk):
    """A registry and its runtime that agree: status 0, level L2, both files named."""
    desk.publish()

    result = desk.run("verify", "--output", "json")

    assert (result.status, list(result.json)) == (0, KEYS)
    assert (result.json["verdict"], result.json["level"], result.json["size"]) == ("intact", "L2", 2)
    assert result.json["anchors"] == [str(desk.registry_json), str(desk.state_json)]
    assert result.json["findings"] == []


def test_words_for_people(desk):
    """The same in words, one fact a line, with the limit of the claim."""
    desk.publish()

    result = desk.run("verify")

    lines = result.out.splitlines()
    assert lines[0].split() == ["verdict", "intact"]
    assert "could still have recomputed every hash" in lines[1]
    assert sum(line.startswith("agrees") for line in lines) == 2


def test_without_a_witness_outside(desk):
    """Without a runtime checkpoint the claim is L1, and says what it cannot exclude."""
    desk.publish()
    desk.state_json.unlink()

    result = desk.call("verify", "--registry-dir", str(desk.models), "--output", "json")

    assert (result.status, result.json["level"]) == (0, "L1")
    assert "would look the same" in result.json["reach"]


def test_without_a_head(desk):
    """Without head the claim is L0: nothing says how many entries there were."""
    desk.publish()
    for path in (desk.head, desk.registry_json, desk.state_json):
        path.unlink()

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["verdict"], result.json["level"]) == (2, "cannot tell", "L0")
    assert [finding["kind"] for finding in result.json["findings"]].count("unreadable") == 1


def test_a_line_that_blocks_writers(desk):
    """What makes every publish refuse is damage for `verify`, too; the acknowledged entries are still listed."""
    desk.publish()
    desk.journal.write_bytes(desk.journal.read_bytes() + b"garbage\n")

    verified, listed = desk.run("verify", "--output", "json"), desk.run("list", "--output", "json")

    assert (verified.status, verified.json["verdict"]) == (3, "damaged")
    assert "publish and rollback refuse" in verified.out
    assert (listed.status, len(listed.json)) == (0, 1)


def test_what_comes_before_damage(desk):
    """Of a damaged journal the report counts the entries that verify."""
    for name in "abc":
        desk.publish(name)
    lines = desk.journal.read_bytes().split(b"\n")
    desk.journal.write_bytes(b"\n".join([*lines[:2], lines[2].replace(b"/", b"_", 1), *lines[3:]]))

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["size"], result.json["verdict"]) == (3, 2, "damaged")


def test_nothing_there(desk):
    """Of a registry that is not there nothing can be said: status 2, not a good report; nothing is created."""
    before = desk.snapshot()

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["verdict"], result.json["size"]) == (2, "cannot tell", 0)
    assert "expected a journal, got none" in result.json["findings"][0]["what"]
    assert desk.snapshot() == before


@pytest.mark.parametrize("name", ["registry_json", "state_json"])
@pytest.mark.parametrize("damage", ["deleted", "forged"])
def test_derived_file_that_differs(desk, name, damage):
    """It is named with status 5, because `rebuild` mends it; looking does not."""
    desk.publish("original")
    path = getattr(desk, name)
    path.unlink() if damage == "deleted" else path.write_bytes(path.read_bytes().replace(b"original", b"forged"))
    before = desk.snapshot()

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["verdict"]) == (5, "intact")
    (finding,) = result.json["findings"]
    assert (finding["kind"], str(path) in finding["what"]) == ("derived", True)
    assert "run rebuild" in finding["what"]
    assert desk.snapshot() == before
    assert desk.run("rebuild").status == 0
    assert desk.run("verify").status == 0


def test_damaged_entry(desk):
    """A changed byte is damage, status 3, with position and offset."""
    desk.publish("original")
    size_of_first = len(desk.journal.read_bytes().split(b"\n")[0]) + 1
    desk.journal.write_bytes(desk.journal.read_bytes().replace(b"original", b"original".upper()))
    before = desk.snapshot()

    result = desk.run("verify", "--output", "json")

    finding = result.json["findings"][0]
    assert (result.status, result.json["verdict"], result.json["level"]) == (3, "damaged", "none")
    assert (finding["kind"], finding["position"], finding["offset_bytes"]) == ("damage", 1, size_of_first)
    assert desk.snapshot() == before


@pytest.mark.parametrize("where", ["registry_json", "state_json"])
def test_anchor_with_another_hash(desk, where):
    """History that was rewritten and sealed again still differs from what another file remembers."""
    desk.publish("original")
    kept = getattr(desk, where).read_bytes()
    desk.forge(b'"original"', b'"rewritten"')
    getattr(desk, where).write_bytes(kept)

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["verdict"]) == (3, "damaged")
    assert "history was rewritten" in result.json["findings"][0]["what"]


def test_runtime_of_another_journal(desk):
    """A runtime checkpoint that follows another journal says nothing of this one, and is named."""
    desk.publish()
    desk.state_json.write_bytes(
        b'{"metadata":{"active_model":{"journal":{"id":"another","size":1,"hash":"%s"}}}}' % (b"0" * 64)
    )

    result = desk.run("verify", "--output", "json")

    assert (result.status, result.json["level"]) == (5, "L1")
    assert any("follows journal another" in finding["what"] for finding in result.json["findings"])


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"model.published.v1", b"model.published.v9"), (b'"format_version":1', b'"format_version":2')],
)
def test_written_by_a_newer_program(desk, refused, old, new):
    """An unknown type or version is not damage: status 2, "cannot tell", and the advice to upgrade."""
    desk.publish()
    desk.forge(old, new)

    result = desk.run("verify", "--output", "json")
    line = refused(*desk.argv("list"))

    assert (result.status, result.json["verdict"]) == (2, "cannot tell")
    assert result.json["findings"][0]["kind"] == "unreadable"
    assert "written by a newer program" in line


def test_clock_that_went_backwards(desk):
    """A time before an earlier entry's is a notice, never a reason for another order."""
    desk.publish("a")
    year = desk.events()[-1]["time"][:4].encode()
    desk.publish("b")
    bodies = desk.bodies()
    desk.reseal([*bodies[:-1], bodies[-1].replace(b'"time":"' + year, b'"time":"1999')])

    result = desk.run("verify", "--output", "json")

    kinds = [(finding["kind"], finding["position"]) for finding in result.json["findings"]]
    assert result.json["verdict"] == "intact"
    assert ("notice", 2) in kinds


def _change_id(desk):
    data = desk.registry_json.read_bytes()
    start = data.index(b'"id":"') + 6
    desk.registry_json.write_bytes(data[:start] + b"0123" + data[start + 4 :])


def _change_size(desk):
    state = json.loads(desk.state_json.read_bytes())
    state["metadata"]["active_model"]["journal"]["size"] = 600
    desk.state_json.write_text(json.dumps(state))


def _change_hash(desk):
    data = desk.registry_json.read_bytes()
    start = data.index(b'"hash":"') + 8
    desk.registry_json.write_bytes(data[:start] + b"0123" + data[start + 4 :])


def _forget_active(desk):
    state = json.loads(desk.state_json.read_bytes())
    del state["metadata"]["active_model"]
    desk.state_json.write_text(json.dumps(state))


@pytest.mark.parametrize(
    ("change", "advice", "follow"),
    [
        (_change_id, "if it was that file, move it away and run rebuild", lambda desk: desk.registry_json.unlink()),
        (_change_hash, "if it was that file, move it away and run rebuild", lambda desk: desk.registry_json.unlink()),
        (_change_size, "if it was that file, take metadata.active_model out of it and run rebuild", _forget_active),
    ],
)
def test_anchor_that_is_wrong_itself(desk, change, advice, follow):
    """Journal or witness, one of them was changed: both are named, and following the advice loses nothing."""
    desk.publish("a")
    desk.publish("b")
    change(desk)

    for verb in ("verify", "list", "rebuild"):
        result = desk.run(verb)
        assert result.status == 3
        assert advice in result.out + result.err
    follow(desk)

    assert desk.run("rebuild").status == 0
    assert desk.run("verify").status == 0
    assert len(desk.run("list", "--output", "json").json) == 2
    assert len(desk.events()) == 3


def test_who_else_agrees(desk):
    """Where another file agrees with the journal, that is said: it makes the first one the suspect."""
    desk.publish("a")
    _change_size(desk)

    assert f"{desk.registry_json} agrees with the journal" in desk.run("verify").out


def test_prefix_beside_an_unreadable_witness(desk):
    """A derived file that cannot be read hides neither the damage nor what comes before it."""
    for name in "abc":
        desk.publish(name)
    lines = desk.journal.read_bytes().split(b"\n")
    desk.journal.write_bytes(b"\n".join([*lines[:2], lines[2].replace(b"/", b"_", 1), *lines[3:]]))
    desk.registry_json.unlink()
    desk.registry_json.mkdir()

    result = desk.run("list", "--verified-prefix", "--output", "json")

    assert (result.status, len(result.json)) == (3, 1)
