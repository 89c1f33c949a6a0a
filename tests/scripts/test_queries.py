"""`history`, `diff`, `blame`, `review`, and what `list`, `show` and `active` take with them."""

from __future__ import annotations

import csv
import io
import json

import pytest

SCHEMA = [
    "position",
    "time",
    "type",
    "event_id",
    "actor",
    "reason",
    "model_id",
    "backend",
    "before",
    "after",
    "clock_went_backwards",
    "hash",
    "data",
]


@pytest.fixture
def filled(desk):
    """Three models and a rollback: positions 0 to 4."""
    desk.models_published = [
        desk.publish(
            name, "--metadata", f"rows:={rows}", "--actor", name, "--reason", f"why {name}", data=name.encode()
        )
        for name, rows in (("ana", 5), ("bob", 50), ("eve", 500))
    ]
    assert desk.run("rollback", "--actor", "ops", "--reason", "bad").status == 0
    return desk


def test_history_in_every_format(filled):
    """The same rows with the same keys: an array, an object a line, RFC 4180 with a heading."""
    array = filled.run("history", "--output", "json").json
    lines = [json.loads(line) for line in filled.run("history", "--output", "jsonl").out.splitlines()]
    rows = list(csv.reader(io.StringIO(filled.run("history", "--output", "csv").out)))

    assert array == lines
    assert [list(row) for row in array] == [SCHEMA] * 5
    assert rows[0] == SCHEMA
    assert [row[SCHEMA.index("event_id")] for row in rows[1:]] == [row["event_id"] for row in array]
    assert json.loads(rows[2][SCHEMA.index("data")]) == array[1]["data"]
    assert [entry["data"] for entry in filled.events()] == [row["data"] for row in array]


def test_history_for_people(filled):
    """A heading, and a line an event with what it changed."""
    lines = filled.run("history").out.splitlines()

    ids = [model["model_id"] for model in filled.models_published]
    assert lines[0].split() == ["POSITION", "TIME", "(UTC)", "EVENT", "BEFORE", "AFTER", "ACTOR", "REASON"]
    assert lines[2].split()[3:] == ["model.published", "none", ids[0], "ana", "why", "ana"]
    assert lines[5].split()[3:] == ["model.rolled_back", ids[2], ids[1], "ops", "bad"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--from", "1", "--to", "2"], [1, 2]),
        (["--actor", "bob", "--actor", "ops"], [2, 4]),
        (["--type", "model.published"], [1, 2, 3]),
        (["--backend", "bob"], [2, 4]),
        (["--where", "metadata.rows >= 50", "--where", "actor != ops"], []),
        (["--where", "actor != ops and position > 1"], [2, 3]),
        (["--limit", "2"], [0, 1]),
        (["--limit", "2", "--reverse"], [4, 3]),
        (["--as-of", "2"], [0, 1, 2]),
        (["--until", "2020-01-01"], []),
    ],
)
def test_history_filters(filled, words, expected):
    """Each option narrows the rows; metadata is the model's."""
    if "metadata.rows" in " ".join(words):
        expected = [2, 3]

    assert [row["position"] for row in filled.run("history", *words, "--output", "json").json] == expected


def test_history_by_model(filled):
    """A model's own events and those that displaced it."""
    model_id = filled.models_published[1]["model_id"]

    rows = filled.run("history", "--model", model_id, "--output", "json").json

    assert [row["position"] for row in rows] == [2, 3, 4]


def test_active_as_of(filled):
    """Which model was live then, since when, and on which entry of the journal the answer rests."""
    rows = filled.run("history", "--output", "json").json

    for row in rows:
        for moment in (str(row["position"]), row["time"]):
            answer = filled.run("active", "--as-of", moment, "--output", "json")
            if row["time"] == rows[0]["time"] and moment != "0":
                continue  # the journal and its first model begin at the same instant
            shown = answer.json
            assert (shown and shown["model_id"]) == row["after"]
            if shown:
                assert (shown["as_of_position"], shown["as_of_hash"]) == (row["position"], row["hash"])
    nothing = filled.run("active", "--as-of", "2020-01-01")
    assert (nothing.status, nothing.out) == (0, "")
    assert "as of 2020-01-01" in nothing.err


def test_list_as_of_filtered_and_sorted(filled):
    """By a moment, a condition, an order, a count."""
    names = lambda *words: [model["backend"] for model in filled.run("list", "--output", "json", *words).json]  # noqa: E731

    assert names() == ["eve", "bob", "ana"]
    assert names("--as-of", "2") == ["bob", "ana"]
    assert names("--where", "rows >= 50") == ["eve", "bob"]
    assert names("--sort", "rows", "--limit", "2") == ["ana", "bob"]
    assert names("--sort", "-rows") == ["eve", "bob", "ana"]
    assert names("--reverse") == ["ana", "bob", "eve"]
    assert [row[1] for row in csv.reader(io.StringIO(filled.run("list", "--output", "csv").out))][1:] == names()
    assert "like that" in filled.run("list", "--where", "rows = 1").err


def test_show_as_of(filled):
    """A model as it was then: what displaced it later is not known yet; before its publication there is none."""
    model_id = filled.models_published[0]["model_id"]

    shown = filled.run("show", model_id, "--as-of", "1", "--output", "jsonl").json

    assert (shown["active"], shown["displaced_by"], shown["as_of_position"]) == (True, None, 1)
    assert filled.run("show", model_id, "--as-of", "0").status == 2


def test_blame(filled):
    """By whom and why, each stretch, what displaced it, who brought it back."""
    bob, eve = (model["model_id"] for model in filled.models_published[1:])

    found = filled.run("blame", bob, "--output", "json").json
    rows = [json.loads(line) for line in filled.run("blame", bob, "--output", "jsonl").out.splitlines()]
    table = filled.run("blame", bob).out

    assert (found["published"]["actor"], found["published"]["reason"], found["active"]) == ("bob", "why bob", True)
    assert found["stretches"] == rows
    assert [(row["from_position"], row["until_position"], row["displaced_by"]) for row in rows] == [
        (2, 3, eve),
        (4, None, None),
    ]
    assert (rows[1]["how"], rows[1]["from_actor"], rows[1]["from_reason"]) == ("model.rolled_back.v1", "ops", "bad")
    assert "still" in table
    assert "why bob" in table


def test_diff(filled):
    """What was active, what is new, and the events in between."""
    ids = [model["model_id"] for model in filled.models_published]

    found = filled.run("diff", "1", "4", "--output", "json").json

    assert (found["from"]["active_model_id"], found["to"]["active_model_id"]) == (ids[0], ids[1])
    assert (found["active_changed"], found["published"]) == (True, ids[1:])
    assert [row["position"] for row in found["changes"]] == [2, 3, 4]
    assert f"{ids[0]} -> {ids[1]}" in filled.run("diff", "1").out
    same = filled.run("diff", "4", "4")
    assert f"{ids[1]} still" in same.out
    assert "POSITION" not in same.out


def test_review(filled):
    """What was recorded is printed, and stands in the history."""
    told = filled.run("review", "--actor", "carol", "--reason", "fine", "--position", "3", "--output", "json").json

    assert (told["position"], told["reviewed_position"], told["actor"], told["reason"]) == (5, 3, "carol", "fine")
    assert "up to position 3: fine" in filled.run("history").out


def test_refusals_on_record(filled):
    """Also what is refused before the registry is asked; the status stays 2, and the environment can ask for it."""
    malformed = filled.run(
        "publish", "--artifact", filled.artifact(), "--backend", "b", "--metadata", "rows", "--record-refusals"
    )
    missing = filled.run("rollback", "--model-id", "20200101000000_00000000", "--record-refusals", "--actor", "eve")

    rows = filled.run("history", "--type", "request.refused", "--output", "json").json
    assert (malformed.status, missing.status) == (2, 2)
    assert [(row["data"]["request"], row["data"]["rule"]) for row in rows] == [
        ("publish", "metadata"),
        ("rollback", "target"),
    ]
    assert rows[1]["actor"] == "eve"
    assert malformed.err.splitlines()[-1].startswith("error: --metadata: expected KEY=VALUE")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["list", "--as-of", "soon"], "expected a position, or a time such as"),
        (["active", "--as-of", "99"], "expected a position from 0 to 4, got 99"),
        (["history", "--as-of", "2100-01-01"], "expected a time that has come"),
        (["history", "--since", "soon"], "--since: expected a time such as"),
        (["history", "--until", "5"], "--until: expected a time such as"),
        (["history", "--from", "6"], "expected positions from 5 at most, got from 6"),
        (["history", "--to", "5"], "expected positions up to 4 at most, got up to 5"),
        (["history", "--where", "rows >"], "column 7: expected a value, got the end"),
        (["history", "--where", "time > soon"], "column 8: expected a time such as"),
        (["history", "--type", "model.publish"], "--type: expected one of"),
        (["history", "--model", "x"], "model id: expected"),
        (["history", "--limit", "0"], "--limit"),
        (["list", "--where", "(a"], "column 3: expected ')', 'and' or 'or', got the end"),
        (["list", "--sort", "--reverse", "--where", ""], "--where"),
        (["diff", "4", "1"], "the earlier moment first"),
        (["diff", "x"], "expected a position"),
        (["blame", "20200101000000_00000000"], "see list"),
        (["blame", "../x"], "model id: expected"),
        (["review", "--position", "5"], "expected a position from 0 to 4, got 5"),
        (["follow", "--from", "6"], "from 0 to 5"),
        (["follow", "--where", "x ="], "column 4: expected a value"),
        (["list", "--verified-prefix", "--as-of", "1"], "--verified-prefix"),
    ],
)
def test_bad_input(filled, refused, words, part):
    """One clear line, status 2, nothing changed."""
    assert part in refused(*filled.argv(*words))


def test_a_clock_that_went_backwards_is_marked(filled):
    """In the table with a mark and a word on stderr, for programs in a column; times in between are refused."""
    filled.forge(b'"time":"20', b'"time":"19')
    bodies = filled.bodies()
    bodies[3] = bodies[3].replace(b'"time":"19', b'"time":"18')
    filled.reseal(bodies)

    table, rows = filled.run("history"), filled.run("history", "--output", "json").json

    assert [row["position"] for row in rows if row["clock_went_backwards"]] == [3]
    assert [number for number, line in enumerate(table.out.splitlines()) if " ! " in line] == [4]
    assert "order is the position" in table.err
    asked = filled.run("active", "--as-of", rows[3]["time"])
    assert asked.status == 2
    assert "clock went backwards" in asked.err


def test_hostile_text_stays_text(desk):
    """No escape reaches a terminal, no formula a spreadsheet."""
    desk.publish("b", "--reason", "=cmd|' /C calc'!A0\x1b]0;x\x07\u202e")

    outputs = {form: desk.run("history", "--output", form).out for form in ("table", "json", "jsonl", "csv")}

    for text in outputs.values():
        assert all(char.isprintable() or char == "\n" for char in text)
    assert "'=cmd|' /C calc'!A0\\x1b]0;x\\x07\\u202e" in outputs["csv"]
