"""What reaches the two output streams: escaped, encodable, and never a lie about what was recorded."""

from __future__ import annotations

import json
import sys

import msgspec
import pytest

from scripts import output

HOSTILE = {
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "c1 control": "\x9b31m",
    "next line": "\x85",
    "bidi override": "\u202eevil\u2066",
    "line separator": "\u2028\u2029",
    "line feed": "a\nerror: forged\r\n",
    "nul and delete": "\x00\x7f\x08",
    "zero width": "\u200b\u200f\ufeff",
    "tag characters": "\U000e0041\U000e007f",
    "not a character": "\ufffe\uffff",
}
VERBS = ["list", "show", "active", "verify", "rollback", "publish"]


def assert_clean(text: str) -> None:
    """Nothing but printable characters and the ends of our own lines."""
    raw = [ascii(char) for char in text if not char.isprintable() and char != "\n"]
    assert raw == [], f"expected every such character spelled out, got {raw} in {text!r}"


@pytest.fixture
def run_every_verb(desk):
    """Return a function that runs each verb in both formats and gives the results."""

    def run(model_id: str):
        other = desk.artifact("other.bin", b"other")
        for form in ("table", "json"):
            for verb in VERBS[:4]:
                yield desk.run(verb, *([model_id] if verb == "show" else []), "--output", form)
        yield desk.run("publish", "--artifact", other, "--backend", "b", "--dry-run")
        yield desk.run("rollback", "--model-id", model_id)
        yield desk.run("rollback", "--id", "forged-id")
        yield desk.run("rebuild")

    return run


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_values_of_a_resealed_journal(desk, run_every_verb, text):
    """Whatever a forger put into any field of an event, it is shown spelled out, and JSON still decodes to it."""
    marks = ("--actor", "ACTOR", "--reason", "REASON", "--id", "EVENT-ID", "--metadata", "KEY=VALUE")
    model = desk.publish("BACKEND", *marks)
    for mark in ("ACTOR", "REASON", "EVENT-ID", "KEY", "VALUE", "BACKEND", "model-"):
        desk.forge(mark.encode(), msgspec.json.encode(text)[1:-1] + mark.encode())

    results = list(run_every_verb(model["model_id"]))

    assert [result.status for result in results[:6]] == [0, 0, 0, 5, 0, 0], "verify misses the derived files"
    for result in results:
        assert_clean(result.out)
        assert_clean(result.err)
    as_json = results[4].json[0]
    assert as_json["backend"] == text + "BACKEND"
    assert as_json["dataset_metadata"] == {text + "KEY": text + "VALUE"}
    assert len(results[0].out.splitlines()) == 2, "one line of headings, one of the model"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("field", ["type", "source", "sequence", "time", "subject", "specversion", "surplus key"])
def test_hostile_envelopes(desk, run_every_verb, field, text):
    """A field that makes the entry unacceptable is quoted in the message, spelled out."""
    model = desk.publish()
    quoted = msgspec.json.encode(text)
    event = desk.events()[1]
    key = b'"' + field.encode() + b'":'
    if field == "surplus key":
        desk.forge(b'"actor":', quoted + b':1,"actor":')
    else:
        desk.forge(key + msgspec.json.encode(event[field]), key + quoted)

    results = list(run_every_verb(model["model_id"]))

    assert {result.status for result in results} <= {2, 3}
    for result in results:
        assert_clean(result.out)
        assert_clean(result.err)
        assert "Traceback" not in result.err


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_derived_files(desk, run_every_verb, text):
    """The journal id that registry.json or the runtime checkpoint claims is spelled out wherever it is quoted."""
    model = desk.publish()
    quoted = msgspec.json.encode(text)
    registry_json = desk.registry_json.read_bytes()

    desk.registry_json.write_bytes(b'{"journal":{"id":%b,"applied_size":1,"hash":%b}}' % (quoted, quoted))
    results = list(run_every_verb(model["model_id"]))
    desk.registry_json.write_bytes(registry_json)
    anchor = b'{"id":%b,"size":1,"hash":%b}' % (quoted, quoted)
    desk.state_json.write_bytes(b'{"metadata":{"active_model":{"journal":%b}}}' % anchor)
    results += list(run_every_verb(model["model_id"]))

    for result in results:
        assert_clean(result.out)
        assert_clean(result.err)
        assert "Traceback" not in result.err


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_words_of_the_command_line(desk, text):
    """What came from the command line is no better."""
    text = text.replace("\0", "")
    artifact = desk.artifact()
    publish = ["publish", "--artifact", artifact, "--backend", "b"]

    results = [
        desk.call(text),
        desk.call("list", f"--{text}"),
        desk.call("list", "--output", text),
        desk.call("list", "--registry-dir", text),
        desk.run("publish", "--artifact", text, "--backend", "b"),
        desk.run("publish", "--artifact", artifact, "--backend", text),
        desk.run(*publish, "--metadata", text),
        desk.run(*publish, "--metadata", f"{text}=1", "--metadata", f"{text}=2"),
        desk.run(*publish, "--metadata", f"{text}:={text}"),
        desk.run(*publish, "--lock-timeout", text),
        desk.run("rollback", "--model-id", text),
        desk.run("rollback", "--id", text),
        desk.run("show", "--", text),
    ]

    for result in results:
        assert_clean(result.out)
        assert_clean(result.err)
        assert "Traceback" not in result.err


@pytest.mark.parametrize("text", [*HOSTILE.values(), "plain", "é", "模型 \U0001f600", '"\\'])
def test_json_means_the_same(capsys, text):
    """Spelling characters out does not change what the JSON says."""
    output.print_json({text: [text]})

    out = capsys.readouterr().out
    assert json.loads(out) == {text: [text]}
    assert_clean(out)


def test_json_on_a_terminal_is_indented(monkeypatch, pseudo_terminal):
    """People get one value a line; the spelling out holds there too."""
    monkeypatch.setattr(sys, "stdout", pseudo_terminal.file)

    output.print_json({"a": "\x9b", "b": 1})

    assert pseudo_terminal.shown().splitlines() == ["{", '  "a": "\\u009b",', '  "b": 1', "}"]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_of_the_table(desk, monkeypatch, pseudo_terminal, no_color):
    """On a terminal headings and the active model stand out, unless NO_COLOR is set and not empty."""
    desk.publish("a")
    desk.publish("b")
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys, "stdout", pseudo_terminal.file)

    status = desk.run("list").status

    lines = pseudo_terminal.shown().splitlines()
    coloured = [line.startswith("\x1b[") for line in lines]
    assert status == 0
    assert coloured == ([False] * 3 if no_color else [True, True, False])


def test_no_colour_in_a_pipe(desk):
    """What another program reads has no escapes."""
    desk.publish()

    assert "\x1b" not in desk.run("list").out


ASCII_ONLY = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
]


@pytest.mark.parametrize("env", ASCII_ONLY, ids=str)
def test_output_that_cannot_encode_everything(desk, env):
    """With an ASCII stdout every command works; what it cannot write is spelled out, and JSON stays JSON."""
    artifact = desk.artifact("módel.bin")
    words = ["--registry-dir", "models", "--state-dir", "runtime"]

    published = desk.spawn("publish", "--artifact", artifact, "--backend", "模型-é", *words, env=env)
    table = desk.spawn("list", *words, env=env)
    as_json = desk.spawn("list", "--output", "json", *words, env=env)
    missing = desk.spawn("publish", "--artifact", "模型", "--backend", "b", *words, env=env)

    assert [published.returncode, table.returncode, as_json.returncode, missing.returncode] == [0, 0, 0, 2]
    assert json.loads(published.stdout.decode("ascii"))["backend"] == "模型-é"
    assert json.loads(as_json.stdout.decode("ascii"))[0]["backend"] == "模型-é"
    assert b"\\u6a21\\u578b" in table.stdout
    assert b"no such file" in missing.stderr
    assert missing.stderr.count(b"\n") == 1


def test_c_locale_with_a_file_name_that_is_not_utf8(desk):
    """Names are bytes: what the locale says does not change which file is meant."""
    name = b"caf\xe9.bin"
    with open(desk.root / name.decode("utf-8", "surrogateescape"), "wb") as file:
        file.write(b"weights")
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = ["--registry-dir", "models", "--state-dir", "runtime"]

    published = desk.spawn("publish", "--artifact", name, "--backend", "b", *words, env=env)
    desk.publish("other")
    back = desk.spawn("rollback", *words, env={**env, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"})

    assert (published.returncode, back.returncode) == (0, 0)
    assert json.loads(back.stdout) == json.loads(published.stdout)


@pytest.mark.parametrize("char", ["\u3164", "\u034f", "\u2800", "\ufe0f", "\U000e0100"])
def test_what_leaves_no_ink_is_spelled_out(char):
    """Two names that look alike are not alike."""
    assert output.escape(f"a{char}") == "a" + char.encode("ascii", "backslashreplace").decode()
