"""`list`: the models, newest first, whatever else is missing."""

from __future__ import annotations

import json
import os
import shutil
from unicodedata import combining, east_asian_width

import pytest

SIX_AND_ACTIVE = ["model_id", "backend", "artifact_path", "sha256", "created_at", "dataset_metadata", "active"]


@pytest.mark.parametrize("there", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize("output", ["json", "table"])
def test_nothing_there(desk, there, output):
    """A missing or empty directory is an empty list with status 0; nothing is created."""
    if there:
        desk.models.mkdir()
    before = desk.snapshot()

    result = desk.run("list", "--output", output)

    assert (result.status, result.out) == (0, "[]\n" if output == "json" else "")
    assert desk.snapshot() == before


def test_exact_command_as_typed(desk):
    """From a checkout, the documented line prints a JSON array; without `--output` it prints a table."""
    desk.run("publish", "--artifact", desk.artifact(), "--backend", "b")

    as_json = desk.spawn("list", "--registry-dir", "models", "--output", "json")
    as_table = desk.spawn("list", "--registry-dir", "models")

    assert (as_json.returncode, as_table.returncode) == (0, 0)
    assert [list(model) for model in json.loads(as_json.stdout)] == [SIX_AND_ACTIVE]
    assert as_table.stdout.splitlines()[0].split()[:2] == [b"MODEL", b"ID"]
    assert (as_json.stderr, as_table.stderr) == (b"", b"")


def test_json_newest_first(desk):
    """Each model has its six attributes and whether it is active; the newest publication comes first."""
    first, second, third = (desk.publish(backend) for backend in "abc")
    desk.run("rollback", "--model-id", second["model_id"])

    result = desk.run("list", "--output", "json")

    assert [list(model) for model in result.json] == [SIX_AND_ACTIVE] * 3
    assert result.json == [
        {**third, "active": False},
        {**second, "active": True},
        {**first, "active": False},
    ]
    assert result.err == ""


def test_active_is_the_model_and_not_who_mentions_it(desk):
    """A model whose metadata spell the row of the active one is not taken for it."""
    first = desk.publish("a")
    row = json.dumps({"model_id": first["model_id"], "backend": "a"}, separators=(",", ":"))
    desk.publish("b", "--metadata", f"row:={row}", "--metadata", f"rows:=[{row},{row}]")
    desk.run("rollback", "--model-id", first["model_id"])

    for words in ((), ("--reverse",), ("--sort", "backend")):
        found = desk.run("list", "--output", "json", *words).json
        assert {model["backend"]: model["active"] for model in found} == {"a": True, "b": False}
        stars = [line for line in desk.run("list", *words).out.splitlines() if line.startswith("*")]
        assert [star.split()[1] for star in stars] == [first["model_id"]]


def test_table_newest_first(desk):
    """One line a model below the headings; the active one has a star."""
    first, second = desk.publish("old", "--metadata", "rows=1"), desk.publish("new", "--metadata", "lags:=[1,2]")

    result = desk.run("list")

    headings, upper, lower = result.out.splitlines()
    assert "MODEL ID" in headings
    assert upper.startswith(f"*  {second['model_id']}")
    assert lower.startswith(f"   {first['model_id']}")
    assert "lags:=[1,2]" in upper
    assert "rows=1" in lower


def test_columns_stand_below_their_headings(desk):
    """Wide characters and combining ones do not shift the columns behind them."""
    digest = desk.publish("plain")["sha256"][:12]
    desk.publish("\u6a21\u578b")
    desk.publish("e\u0301")

    headings, *lines = desk.run("list").out.splitlines()

    assert {_columns(line[: line.index(digest)]) for line in lines} == {_columns(headings[: headings.index("SHA256")])}


def _columns(text):
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def test_without_registry_json(desk):
    """The journal is what is listed; the derived file is not needed and not written."""
    desk.publish()
    expected = desk.run("list", "--output", "json").out
    desk.registry_json.unlink()
    before = desk.snapshot()

    result = desk.run("list", "--output", "json")

    assert (result.status, result.out) == (0, expected)
    assert desk.snapshot() == before


def test_from_journal_alone(desk):
    """Without the head too: the entries verify, and the reader says that it cannot know how many there were."""
    model = desk.publish()
    for path in (desk.registry_json, desk.head, desk.state_json):
        path.unlink()

    result = desk.run("list", "--output", "json")

    assert [found["model_id"] for found in result.json] == [model["model_id"]]
    assert "not knowing how many there were" in result.err


def test_read_only_directory_and_no_privileges(desk, as_nobody):
    """Reading needs only the right to read: no lock file, no temporary file, nothing written."""
    model = desk.publish()
    for directory, _, files in os.walk(desk.root):
        os.chmod(directory, 0o555)
        for name in files:
            os.chmod(os.path.join(directory, name), 0o444)
    before = desk.snapshot()

    results = [
        as_nobody("list", "--registry-dir", "models", "--state-dir", "runtime", "--output", "json"),
        as_nobody("active", "--registry-dir", "models", "--output", "json"),
        as_nobody("show", model["model_id"], "--registry-dir", "models", "--output", "json"),
        as_nobody("verify", "--registry-dir", "models", "--state-dir", "runtime", "--output", "json"),
    ]

    assert [(result.status, result.err) for result in results] == [(0, "")] * 4
    assert results[0].json[0]["model_id"] == results[1].json["model_id"] == results[2].json["model_id"]
    assert desk.snapshot() == before


def test_directory_that_we_may_not_read(desk, as_nobody):
    """It is refused, not taken for an empty registry."""
    desk.publish()
    os.chmod(desk.root, 0o755)
    os.chmod(desk.models, 0o700)

    result = as_nobody("list", "--registry-dir", "models", "--output", "json")

    assert (result.status, result.out) == (2, "")
    assert "permission denied" in result.err


def test_copy_of_the_registry_elsewhere(desk):
    """A registry that was moved lists the same; nothing in it depends on where it is."""
    desk.publish()
    expected = desk.run("list", "--output", "json").out
    shutil.copytree(desk.models, desk.root / "elsewhere")

    result = desk.call("list", "--registry-dir", str(desk.root / "elsewhere"), "--output", "json")

    assert (result.status, result.out) == (0, expected)


def test_default_runtime_is_no_witness_for_another_registry(desk, monkeypatch):
    """Without `--state-dir`, the default runtime counts beside the default registry only."""
    monkeypatch.chdir(desk.root)
    artifact = desk.artifact()
    desk.call("publish", "--artifact", artifact, "--backend", "b")
    desk.publish("other registry")

    result = desk.call("list", "--registry-dir", str(desk.models), "--output", "json")

    assert (result.status, result.err) == (0, "")


def test_rewound_directory(desk, refused):
    """A journal that is shorter than the runtime checkpoint remembers is reported with status 3, not listed."""
    desk.publish("first")
    kept = {path: path.read_bytes() for path in desk.models.iterdir()}
    desk.publish("second")
    for path, data in kept.items():
        path.write_bytes(data)

    line = refused(*desk.argv("list"), status=3)

    assert "the journal was rewound" in line


def test_lost_directory(desk, refused):
    """An empty registry whose runtime remembers a journal is not an empty list."""
    desk.publish()
    shutil.rmtree(desk.models)

    line = refused(*desk.argv("list"), status=3)

    assert "got no entries" in line


def test_verified_prefix(desk):
    """Of a damaged journal it shows what comes before the damage, says what is wrong, and still ends with 3."""
    first, second = desk.publish("first"), desk.publish("second")
    data = bytearray(desk.journal.read_bytes())
    data[-200] ^= 1
    desk.journal.write_bytes(data)
    before = desk.snapshot()

    whole = desk.run("list", "--output", "json")
    prefix = desk.run("list", "--output", "json", "--verified-prefix")

    assert (whole.status, whole.out) == (3, "")
    assert (prefix.status, [model["model_id"] for model in prefix.json]) == (3, [first["model_id"]])
    assert second["model_id"] not in prefix.out
    assert "damaged entry 2" in prefix.err
    assert desk.snapshot() == before


def test_verified_prefix_of_a_good_journal(desk):
    """Where nothing is wrong it is the list, with status 0."""
    desk.publish()

    assert desk.run("list", "--verified-prefix").out == desk.run("list").out
    assert desk.run("list", "--verified-prefix").status == 0
