"""
What must hold of every command on every directory, however it was forged; a violation raises AssertionError.

Nothing here looks at how a directory was made: the laws connect what commands say with each other, with the bytes on
disk and with a reading of the journal that shares no code with the project.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from hashlib import sha256
from random import Random
from typing import Any

from command_desk import Answer, CommandDesk
from forged_files import HEAD, JOURNAL, QUARANTINE, Files
from odd_json import Members, Verbatim, dump, parse

READING: tuple[tuple[str, ...], ...] = (
    ("list",),
    ("list", "--verified-prefix"),
    ("list", "--verified-prefix", "--output", "json"),
    ("active",),
    ("active", "--output", "json"),
    ("verify",),
    ("show", "MODEL"),
    ("show", "MODEL", "--output", "json"),
    ("publish", "--dry-run", "--artifact", "NEW", "--backend", "fuzz", "--actor", "t"),
    ("rollback", "--dry-run", "--actor", "t"),
)
CHANGING: tuple[tuple[str, ...], ...] = (
    ("publish", "--artifact", "NEW", "--backend", "fuzz", "--actor", "t", "--metadata", "a:=[1]"),
    ("publish", "--artifact", "NEW", "--backend", "fuzz", "--actor", "t", "--id", "one"),
    ("publish", "--artifact", "NEW", "--backend", "fuzz", "--actor", "t", "--take-over", "--reason", "x"),
    ("rollback", "--actor", "t"),
    ("rollback", "--actor", "t", "--model-id", "MODEL"),
    ("rebuild",),
)
STATUSES = {"list": {0, 2, 3}, "show": {0, 2, 3}, "active": {0, 2, 3}, "verify": {0, 2, 3, 5}, "rebuild": {0, 2, 3, 5}}
RECORDING = {0, 2, 3, 5}
"""4 is for a disk that fails, and the one here does not."""

MODEL_ID = re.compile(r"[0-9]{14}(?:[0-9]{6})?_[0-9a-f]{8}")
REFUSES = "publish and rollback refuse because of"
KEPT = "entries of an interrupted append"
NOT_RECORDED = ("was recorded at position", "nothing was recorded")
EXTENT_UNKNOWN = "not knowing how many there were"


def check(desk: CommandDesk, files: Files, random: Random) -> Counter[str]:
    """Put *files* on the disk, run some commands, and hold them to the laws; return how each ended."""
    desk.put(files)
    before = desk.files()
    listed, audit = desk.call("list", "--output", "json"), desk.call("verify", "--output", "json")
    models = listed.json if listed.status == 0 else []
    meant = {"MODEL": random.choice(models)["model_id"] if models else "20260102030406_a7937b64", "NEW": desk.artifact}
    looked = desk.call(*(meant.get(word, word) for word in random.choice(READING)))
    assert desk.files() == before, f"list, verify or {looked.argv} changed something"
    check_agreement(listed, audit)
    if listed.status == 0 and EXTENT_UNKNOWN not in listed.err:
        check_history(models, before)
    changed = desk.call(*(meant.get(word, word) for word in random.choice(CHANGING)))
    answers = (listed, audit, looked, changed)
    for answer in answers:
        check_answer(answer)
    if changed.status in (2, 3):
        check_refusal(changed, before, desk.files())
    else:
        told_to = "--take-over" in changed.argv  # then a runtime that remembers a lost journal is no reason to refuse
        assert listed.status == 0 or told_to, f"{changed} is done on a history that list refuses"
        check_change(desk, changed, models, before)
    return Counter(f"{answer.verb} ended with {answer.status}" for answer in answers)


def check_answer(answer: Answer) -> None:
    """The status is one of the verb's; nothing raw reaches a terminal; JSON is JSON; an error is one clear line."""
    what = f"{answer}"[:3_000]
    assert answer.status in STATUSES.get(answer.verb, RECORDING), what
    for text in (answer.out, answer.err):
        assert text.replace("\n", "").isprintable(), f"a raw control character: {what}"
    assert "Traceback" not in answer.err, what
    errors = [line for line in answer.err.split("\n") if line.startswith("error: ")]
    if answer.verb == "verify":
        assert errors == [], what
    else:
        assert len(errors) == (answer.status != 0), what
    assert all(line.startswith(("error: ", "warning: ", "info: ")) for line in answer.err.split("\n")[:-1]), what
    shown = (
        answer.verb == "verify"
        or answer.status in (0, 5)
        or ("--verified-prefix" in answer.argv and answer.status == 3)
    )
    if not shown:
        assert answer.out == "", what
    elif "json" in answer.argv or (answer.verb in ("publish", "rollback") and answer.status in (0, 5)):
        assert isinstance(answer.json, dict | list | None), what


def check_agreement(listed: Answer, audit: Answer) -> None:
    """What `list` shows `verify` does not call damaged, but where FORMAT.md says that only a writer refuses it."""
    report = audit.json
    damage = [finding["what"] for finding in report["findings"] if finding["kind"] == "damage"]
    unreadable = [finding["what"] for finding in report["findings"] if finding["kind"] == "unreadable"]
    derived = any(finding["kind"] == "derived" for finding in report["findings"])
    what = f"list {listed.status} {listed.err!r:.1500}, verify {audit.status} {audit.out:.1500}"
    verdict = report["verdict"]
    assert verdict == ("damaged" if damage else "cannot tell" if unreadable else "intact"), what
    assert audit.status == ({"damaged": 3, "cannot tell": 2}.get(verdict) or (5 if derived else 0)), what
    if listed.status == 0:
        assert all(REFUSES in line for line in damage), what
        known = (EXTENT_UNKNOWN, "expected a journal, got none")
        assert all(any(reason in line for reason in known) for line in unreadable), what
    elif listed.status == 3:
        assert verdict == "damaged", what
    else:
        assert verdict != "intact", what


def check_history(models: list[Any], files: Files) -> None:
    """The acknowledged lines are what they claim, by a reading of our own, and `list` shows just their models."""
    history = read_journal(files.get(JOURNAL, b""), files.get(HEAD, b""))
    published = {event["subject"]: event for event in history if event["type"] == "model.published.v1"}
    activated = [event["subject"] for event in history if event["type"].startswith("model.")]
    assert [model["model_id"] for model in models] == [*reversed(published)], "other models, or in another order"
    for model in models:
        event = published[model["model_id"]]
        for name in ("backend", "sha256"):
            assert model[name] == event["data"][name], f"another {name}"
        assert model["dataset_metadata"] == event["data"]["dataset_metadata"], "other metadata"
        assert model["created_at"] == event["time"], "another time"
        assert model["active"] == (model["model_id"] == activated[-1]), "another active model"


def read_journal(journal: bytes, head: bytes) -> list[dict[str, Any]]:
    """Return the events that the head acknowledges. Raises AssertionError where the bytes are not what they claim."""
    stated = [slot for slot in (head[:128], head[128:256]) if slot[106:] == b" %b    \n" % _digest(slot[:106])[:16]]
    size, end_bytes = max(
        ((int(slot[:20]), int(slot[21:41])) for slot in stated), default=(0, 0), key=lambda pair: pair[0]
    )
    lines = journal.split(b"\n")[:-1]
    if len(stated) == 2:
        lines = lines[:size]
        assert sum(map(len, lines)) + size == end_bytes, "the head names another end"
    events, ids, prev = [], set(), b"0" * 64
    for number, line in enumerate(lines):
        if line[-140:-76] != prev or line[-66:-2] != _digest(line[:-75]):
            assert number >= size, f"line {number} does not fit the chain"
            break
        prev, text = line[-66:-2], line.decode()
        tree = parse(text)
        assert dump(tree) == text, f"line {number} has another spelling"
        event = _plain(tree)
        assert event["sequence"] == f"{number:020d}", f"line {number} says that it is another"
        assert event["source"] == f"urn:uuid:{(events or [event])[0]['data']['journal_id']}", "of another journal"
        assert event["time"].endswith("Z"), "not in UTC"
        assert not event["type"].startswith("model.") or MODEL_ID.fullmatch(event["subject"]), "no model id"
        assert event["id"] not in ids, f"line {number} has an id that was there"
        assert len(line) <= 65_535, f"line {number} is too long"
        ids.add(event["id"])
        events.append(event)
    return events


def _digest(data: bytes) -> bytes:
    return sha256(data).hexdigest().encode()


def _plain(tree: Any) -> Any:
    """Return a document as dictionaries and lists; a key that stands twice is an error."""
    if isinstance(tree, Members):
        found = {key: _plain(value) for key, value in tree}
        assert len(found) == len(tree), f"a key stands twice in {[key for key, _ in tree]}"
        return found
    if isinstance(tree, Verbatim):
        return json.loads(tree)
    return [_plain(item) for item in tree] if isinstance(tree, list) else tree


def check_refusal(changed: Answer, before: Files, after: Files) -> None:
    """Nothing changed, but that entries which fit the chain behind the head are kept, whatever they say."""
    differing = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if KEPT in changed.err:
        check_bytes(before, after)
        differing = [name for name in differing if name not in (HEAD, JOURNAL) and not name.startswith(QUARANTINE)]
    assert differing == [], f"{changed} has changed {differing}"


def check_change(desk: CommandDesk, changed: Answer, models: list[Any], before: Files) -> None:
    """The new model is active, the old ones and all bytes of the journal are still there, and `verify` is content."""
    after = desk.files()
    listed, audit = desk.call("list", "--output", "json"), desk.call("verify", "--output", "json")
    what = f"{changed}, then {listed}, {audit}"[:4_000]
    recorded = changed.verb != "rebuild" and not any(words in changed.err for words in NOT_RECORDED)
    headless = not recorded and EXTENT_UNKNOWN in changed.err
    assert (listed.status, audit.json["verdict"]) == (0, "cannot tell" if headless else "intact"), what
    assert headless or audit.status == 0 or changed.status == 5 or (changed.verb != "rebuild" and not recorded), what
    known = [model["model_id"] for model in listed.json]
    old = [model["model_id"] for model in models]
    assert known[len(known) - len(old) :] == old, what
    if changed.verb != "rebuild" and "--id" not in changed.argv:
        assert [model["model_id"] for model in listed.json if model["active"]] == [changed.json["model_id"]], what
        assert KEPT in changed.err or len(known) == len(old) + (changed.verb == "publish"), what
    check_bytes(before, after)


def check_bytes(before: Files, after: Files) -> None:
    """All bytes of the journal are still there, or were put into quarantine."""
    journal = before.get(JOURNAL, b"")
    taken_out = [data for name, data in after.items() if name.startswith(QUARANTINE) and name not in before]
    kept = [journal[: len(journal) - len(data)] for data in (b"", *taken_out) if journal.endswith(data)]
    assert any(after[JOURNAL].startswith(start) for start in kept), "bytes of the journal are lost"
