"""Registry files that somebody prepared, or that are not what they should be: refused, not followed, not waited for."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

VERBS = ["list", "active", "verify", "publish", "rollback", "rebuild", "list --verified-prefix"]


@pytest.fixture
def every_verb(desk):
    """Return a function that runs every verb, requires one of *statuses*, no traceback, and that nothing changes."""

    def run(*statuses: int, verbs=VERBS):
        words = {"publish": ["--artifact", desk.artifact(), "--backend", "b"]}
        before = desk.snapshot()
        said = []
        for line in verbs:
            verb, *options = line.split()
            result = desk.run(verb, *options, *words.get(verb, []))
            assert result.status in statuses, (verb, result)
            assert "Traceback" not in result.err, verb
            assert all(len(line) < 20_000 for line in result.err.splitlines()), verb
            said.append(result.out + result.err)
        assert desk.snapshot() == before
        return said

    return run


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.head", "registry.json"])
@pytest.mark.parametrize("kind", ["link to a victim", "dangling link", "fifo", "/dev/zero", "directory", "loop"])
def test_file_that_is_no_regular_file(desk, every_verb, name, kind):
    """Each verb refuses it at once, by name; a link is not followed and its target not touched."""
    desk.publish("a")
    desk.publish("b")
    victim, path = desk.root / "victim", desk.models / name
    victim.write_bytes(path.read_bytes())
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        target = {"dangling link": "nowhere", "loop": name, "/dev/zero": kind}
        path.symlink_to(target.get(kind, victim))

    said = every_verb(2, 3)

    assert all(name in words for words in said)


@pytest.mark.parametrize("name", ["registry.json", "journal.head"])
def test_temporary_name_that_is_a_link_to_a_victim(desk, name):
    """A prepared `.NAME.new` is removed, not written through."""
    victim = desk.root / "victim"
    victim.write_bytes(b"precious")
    desk.models.mkdir()
    (desk.models / f".{name}.new").symlink_to(victim)

    desk.publish()

    assert victim.read_bytes() == b"precious"
    assert desk.run("verify").status == 0
    assert not (desk.models / f".{name}.new").is_symlink()


@pytest.mark.parametrize("which", ["models", "runtime"])
def test_directory_that_is_a_file(desk, every_verb, which):
    """A registry or runtime directory that is a file is refused."""
    if which == "runtime":
        desk.publish()
        desk.state_json.unlink()
        desk.runtime.rmdir()
    getattr(desk, which).write_bytes(b"a file")

    said = every_verb(2)

    assert all("not a directory" in words for words in said)


def test_directory_name_with_a_nul(desk):
    """A name that no file can have is bad usage, not a bug."""
    for words in (["--registry-dir", "a\0b"], ["--state-dir", "a\0b"]):
        for verb in (["list"], ["verify"], ["rebuild"], ["publish", "--artifact", desk.artifact(), "--backend", "b"]):
            result = desk.call(*desk.argv(*verb), *words)

            assert (result.status, "Traceback" in result.err) == (2, False), (verb, words)


GARBAGE = {
    "empty lines": b"\n\n\n",
    "huge line without a newline": b"x" * (1 << 20),
    "huge line with one": b"x" * (1 << 20) + b"\n",
    "nul bytes": b"\0" * 4096,
    "UTF-16": '{"specversion":"1.0"}\n'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}\n",
    "deep nesting": b"[" * 100_000 + b"\n",
    "deep objects": b'{"a":' * 50_000 + b"\n",
    "10,000 digits": b'{"specversion":' + b"9" * 10_000 + b"}\n",
    "another program's log": b'{"level":"info","msg":"hello"}\n' * 3,
    "invalid UTF-8": b'{"a":"\xff\xfe"}\n',
}


@pytest.mark.parametrize("head", [True, False], ids=["with head", "without head"])
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_instead_of_a_journal(desk, every_verb, data, head):
    """It is damage with status 3, never an empty registry."""
    desk.publish("a")
    desk.publish("b")
    desk.journal.write_bytes(data)
    desk.registry_json.unlink()
    if not head:
        desk.head.unlink()

    every_verb(3)


RESEALED = {
    "deep nesting": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "10,000 digits": b'{"a":' + b"9" * 10_000 + b"}",
    "infinite number": b'{"a":1e999}',
    "invalid UTF-8": b'{"a":"\xff"}',
    "lone surrogate": b'{"a":"\\ud800"}',
    "doubled key": b'{"a":1,"a":2}',
    "another spelling": b'{ "a":1}',
    "not an object": b"[]",
    "not JSON": b"{",
    "nothing": b"",
    "raw control character": b'{"a":"\x1b"}',
}


@pytest.mark.parametrize("metadata", RESEALED.values(), ids=RESEALED)
def test_resealed_event_that_is_not_as_we_write_it(desk, every_verb, metadata):
    """Right hashes do not make a right event: whatever this program would not have written is damage."""
    desk.publish("a")
    desk.publish("b")
    desk.forge(b'"dataset_metadata":{}', b'"dataset_metadata":' + metadata)

    every_verb(3)


FORGED_FIELDS = {
    "path-like model id": (b'"subject":"', b'"subject":"../'),
    "no subject": (b'"subject":', b'"sujet":'),
    "wrong sequence": (b"00000000000000000001", b"00000000000000000007"),
    "another source": (b'"source":"urn:uuid:', b'"source":"urn:uuid:x'),
    "time without a zone": (b'Z","actor"', b'","actor"'),
    "time of another zone": (b'Z","actor"', b'+01:00","actor"'),
    "surplus field": (b',"displaced":', b',"extra":1,"displaced":'),
    "wrong type": (b'"artifact_size_bytes":7', b'"artifact_size_bytes":"7"'),
    "displaced model that was not active": (b'"displaced":null', b'"displaced":"20250101103000_abcd1234"'),
    "path bytes that are not hex": (b',"displaced":null', b',"displaced":null,"artifact_path_hex":"zz"'),
    "format version as text": (b'"format_version":1', b'"format_version":"1"'),
}


@pytest.mark.parametrize(("old", "new"), FORGED_FIELDS.values(), ids=FORGED_FIELDS)
def test_resealed_event_that_cannot_be(desk, every_verb, old, new):
    """An event that cannot stand at its place is damage."""
    desk.publish("a")
    desk.publish("b")
    desk.forge(old, new)

    every_verb(3)


def test_resealed_values_with_odd_consequences(desk, every_verb):
    """Values that the schema allows but nothing can use are refused where they are used, without a bug."""
    model = desk.publish("a")
    desk.publish("b", data=b"other")
    path = msgspec.json.encode(model["artifact_path"])

    for text in ("", "relative", "/dev/zero", "\0", "/" + "x" * 5_000, "/proc/self/mem"):
        desk.forge(b'"artifact_path":' + path, b'"artifact_path":' + msgspec.json.encode(text))
        path = msgspec.json.encode(text)
        every_verb(2, verbs=["rollback"])
    desk.forge(path + b',"artifact_size_bytes":7', path + b',"artifact_size_bytes":7'.replace(b"7", b"-7"))
    every_verb(0, 2, 3, 5, verbs=["list", "rollback"])


ODD_DERIVED = {
    "empty": b"",
    "garbage": b"\xff\x00{",
    "UTF-16": "{}".encode("utf-16"),
    "deep nesting": b"[" * 100_000,
    "deep inside": b'{"journal":' + b'{"a":' * 50_000,
    "not an object": b"[]",
    "null": b"null",
    "no journal": b"{}",
    "10,000 digits": b'{"journal":{"id":"a","applied_size":%b,"hash":"a"}}' % (b"9" * 10_000),
    "text as size": b'{"journal":{"id":"a","applied_size":"1","hash":"a"}}',
}


@pytest.mark.parametrize("data", ODD_DERIVED.values(), ids=ODD_DERIVED)
def test_registry_json_that_is_not_understood(desk, data):
    """It is only derived: questions are answered with a warning at most, and the next publish writes it anew."""
    desk.publish("a")
    desk.registry_json.write_bytes(data)

    results = [desk.run("list", "--output", "json"), desk.run("active", "--output", "json")]
    audit = desk.run("verify", "--output", "json")
    after = desk.publish("b")

    assert [result.status for result in results] == [0, 0]
    assert (audit.status, audit.json["verdict"]) == (5, "intact")
    assert json.loads(desk.registry_json.read_bytes())["active_model_id"] == after["model_id"]
    assert desk.run("verify").status == 0


@pytest.mark.parametrize("size", [-1, 0, 10**18, 2**63, 10**30])
@pytest.mark.parametrize("where", ["registry_json", "state_json"])
def test_anchor_with_an_odd_size(desk, where, size):
    """No number in an anchor is a bug: it is damage, or not understood."""
    desk.publish("a")
    created = desk.events()[0]["data"]["journal_id"]
    anchor = {"id": created, "size": size, "applied_size": size, "hash": "0" * 64}
    content = {"journal": anchor, "metadata": {"active_model": {"journal": anchor}}}
    getattr(desk, where).write_text(json.dumps(content))

    for verb in ("list", "verify", "rollback"):
        result = desk.run(verb)
        assert result.status in (0, 2, 3, 5), (verb, result)
        assert "Traceback" not in result.err
