"""
What must hold after a command met a fault, whatever it was.

| status | promise                                                                                              |
|--------|------------------------------------------------------------------------------------------------------|
| 0      | recorded once, printed unless stdout failed, and the derived files are up to date                    |
| 2      | not recorded, nor by the next publish; no byte changed, but for what the tail rule lets a writer mend |
| 4      | a retry with the same id ends with the event there once                                              |
| 5      | recorded once; `rebuild` mends the derived files                                                     |

No other status and no traceback. And always: what was acknowledged is there, unchanged and in order, and nothing has
come to it but what was asked for; the next publish works without anybody's help and leaves an intact registry, whose
derived files are rebuilt to the same bytes.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from fault_scenarios import HEAD, JOURNAL, NEXT, OWN, REGISTRY_JSON, STATE_JSON, WANTED, Files, Scenario
from real_command import Outcome
from support import Place, artifact_key

from eventlog.engines import jsonl_head
from eventlog.engines.jsonl_head import Head, format_slot
from projections import verify_registry
from projections.bundles import unbundle


def check(place: Place, scenario: Scenario, outcome: Outcome, *, heard: bool = True) -> None:
    """
    Hold a command to what its status says. Raises AssertionError.

    Args:
        heard: its output could be written.
    """
    assert "Traceback" not in outcome.err, outcome.err
    assert outcome.status in _STATUSES[scenario.kind], f"status {outcome.status}: {outcome.err}"
    if scenario.kind == "changes":
        check_change(place, scenario, outcome, heard=heard)
    elif scenario.kind == "removes":
        _check_removal(place, scenario, outcome)
    elif scenario.kind == "derives":
        _check_rebuild(place, scenario, outcome)
    elif scenario.kind == "brings":
        _check_unbundle(place, scenario, outcome)
    else:
        assert place.files() == scenario.start, "reading has changed something"
        if heard and outcome.status == 0:
            assert outcome.out == scenario.answer, f"status 0, but the answer is {outcome.out!r}"


_STATUSES = {"changes": (0, 2, 4, 5), "derives": (0, 2, 5), "reads": (0, 2)}
_STATUSES |= dict.fromkeys(("removes", "brings"), (0, 2, 4, 5))
"""What a fault may lead to: it is no damage (3), and no bug (1)."""


def check_tidy(place: Place) -> None:
    """See that a command that failed took its temporary files away again."""
    found = [path for path in place.files() if path.endswith(".new")]
    assert found == [], f"left behind: {found}"


def check_change(place: Place, scenario: Scenario, outcome: Outcome, *, heard: bool = True) -> None:
    """Hold a publish or a rollback to its status, and see that everything goes on."""
    found = place.files()
    acknowledged = scenario.journal_lines()[: scenario.acknowledged]
    assert found.get(JOURNAL, b"").startswith(b"".join(acknowledged)), "acknowledged events are lost"
    if outcome.status == 2:
        _check_refused(scenario, found)
    recorded = place.ids().count(WANTED)
    assert place.files() == found, "reading has changed something"
    if outcome.status == 0 and heard:
        assert json.loads(outcome.out)["model_id"] == place.event(len(place.ids()) - 1).subject, "another was printed"
    if outcome.status == 5:
        place.open().rebuild()
    if outcome.status in (0, 5):
        assert recorded == 1, f"status {outcome.status}, recorded {recorded} times"
        _check_intact(place)
    place.publish(NEXT, request_id=NEXT)
    if outcome.status == 2:
        assert WANTED not in place.ids(), "refused, and yet recorded after the next publish"
    else:
        ask_again(place, scenario)
    assert place.lines()[: len(acknowledged)] == acknowledged, "acknowledged events have changed"
    _check_history(place, scenario, refused=outcome.status == 2)
    _check_intact(place)
    _check_derived(place, own=bool(scenario.start))


def _check_removal(place: Place, scenario: Scenario, outcome: Outcome) -> None:
    """Whatever is needed is there, whatever is gone is on record; the next one removes what this one did not."""
    found = place.files()
    assert found[JOURNAL].startswith(scenario.start[JOURNAL]), "acknowledged events are lost"
    added = [json.loads(line) for line in place.lines()[scenario.acknowledged :]]
    assert {event["type"] for event in added} <= {"artifact.removed.v1"}, f"came: {added}"
    if outcome.status == 2:
        assert added == [], "refused, and yet recorded"
        gone = [path for path in scenario.start if "/artifacts/" in path and path not in found]
        assert gone == [], f"refused, and yet removed: {gone}"
    if outcome.status == 5:
        place.open().rebuild()
    _check_needed(place)
    place.open().gc(reason="again", unnamed=True)
    kept = list(place.kept().values())
    assert sorted(data for data in kept if not data.startswith(b"modelog")) == [b"active", b"needed", b"x", b"z"]
    assert len(list((place.registry_dir / "artifacts" / "trees").glob(f"*/{64 * '?'}"))) == 1
    _check_needed(place)
    _check_intact(place)
    _check_derived(place, own=True)


def _check_needed(place: Place) -> None:
    """Each model that was published with a copy and is not retired can be had."""
    registry = place.open()
    catalog = registry.catalog()
    for model in registry.list_models():
        if str(place.registry_dir) in model.artifact_path and not catalog.marks.is_retired(model.model_id):
            registry.load(model.model_id, full=True)
    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)
    missing = [finding.what for finding in report.findings if finding.kind == "artifact"]
    assert missing == [], f"gone, and not recorded: {missing}"


def ask_again(place: Place, scenario: Scenario) -> None:
    """Make the same request once more."""
    if scenario.words[0] == "rollback":
        place.open().rollback(actor="t", request_id=WANTED)
    else:
        artifact, copy = scenario.words[2], "--copy" in scenario.words
        key = artifact_key() if "--sign-key" in scenario.words else None
        place.open(sign_key=key).publish_model(artifact, backend="b", actor="t", request_id=WANTED, copy=copy)


def _check_refused(scenario: Scenario, found: Files) -> None:
    """Nothing has changed; or an empty journal is begun; or what an interrupted append left is dealt with."""
    start = scenario.start
    for path in (REGISTRY_JSON, STATE_JSON):
        assert found.get(path) == start.get(path), f"refused, and yet {path} has changed"
    journal = b"".join(scenario.journal_lines())
    mended = journal.removesuffix(scenario.torn)
    assert found.get(JOURNAL, b"") in (journal, mended), "refused, and yet the journal has changed"
    if not start:
        assert found.get(HEAD) in (None, format_slot(Head()) * 2), "refused, and yet the head says something"
    elif not scenario.adopts:
        assert found[HEAD] == start[HEAD], "refused, and yet the head has changed"
    else:
        newest = jsonl_head.parse(found[HEAD]).newest
        assert newest is not None, "the head is lost"
        assert newest.size in (scenario.acknowledged, scenario.acknowledged + 1), f"the head says {newest}"


def _check_history(place: Place, scenario: Scenario, *, refused: bool) -> None:
    """Everything is there once and in order; what was taken out of the journal is kept and recorded."""
    events = [json.loads(line) for line in place.lines()]
    added = [_name_of(event) for event in events[scenario.acknowledged :]]
    orders = [[NEXT]] if refused else [[WANTED, NEXT], [NEXT, WANTED]]
    assert added in [[*scenario.mending, *order] for order in orders], f"to what was acknowledged came {added}"
    recovered = [event["data"] for event in events if event["type"] == "journal.recovered.v1"]
    kept = [(place.registry_dir / data["kept_as"]).read_bytes() for data in recovered]
    assert b"".join(kept) == scenario.torn, "what was taken out is not kept"
    assert [data["sha256"] for data in recovered] == [sha256(data).hexdigest() for data in kept]
    surplus = [path for path in place.files() if path.endswith((".new", ".pending")) or ".broken-" in path]
    assert surplus == [], f"left behind: {surplus}"


def _name_of(event: dict[str, Any]) -> str:
    return {"journal.created.v1": "created", "journal.recovered.v1": "recovered"}.get(event["type"], event["id"])


def _check_rebuild(place: Place, scenario: Scenario, outcome: Outcome) -> None:
    """The journal is as it was; the derived files are right, or as they were, or the next rebuild mends them."""
    found = place.files()
    for path in (JOURNAL, HEAD):
        assert found[path] == scenario.start[path], f"{path} has changed"
    if outcome.status == 2:
        assert found == scenario.start, "refused, and yet something has changed"
    if outcome.status != 0:
        place.open().rebuild()
    _check_intact(place)
    _check_derived(place, own=True)


def _check_unbundle(place: Place, scenario: Scenario, outcome: Outcome) -> None:
    """All of it is recorded, or none; asked again, all is there, and the runtime is told of a file of its own."""
    found = place.files()
    if outcome.status == 2:
        for path in (JOURNAL, HEAD, REGISTRY_JSON, STATE_JSON):
            assert found.get(path) == scenario.start.get(path), f"refused, and yet {path} has changed"
    if outcome.status in (0, 5):
        assert found[JOURNAL] == scenario.brought, f"status {outcome.status}, and it is not recorded"
    unbundle(scenario.words[1], place.registry_dir, place.state_dir, lock_timeout_seconds=5.0)
    assert place.journal.read_bytes() == scenario.brought
    _check_intact(place)
    _check_derived(place, own=True)
    told = json.loads(place.state_json.read_text())["metadata"]["active_model"]["artifact_path"]
    assert told.startswith(str(place.registry_dir))


def _check_intact(place: Place) -> None:
    report = verify_registry(place.registry_dir, place.state_dir, artifacts=True)
    assert (report.verdict, report.findings) == ("intact", []), f"{report.verdict}: {report.findings}"


def _check_derived(place: Place, *, own: bool) -> None:
    """Thrown away and folded anew, the derived files are the same; the runtime's own values were never touched."""
    before = place.files()
    metadata = json.loads(before[STATE_JSON])["metadata"]
    assert {key: value for key, value in metadata.items() if key != "active_model"} == (OWN if own else {})
    place.registry_json.unlink()
    place.state_json.unlink()
    place.open().rebuild()
    after = place.files()
    assert after[REGISTRY_JSON] == before[REGISTRY_JSON], "registry.json is rebuilt differently"
    assert json.loads(after[STATE_JSON])["metadata"] == {"active_model": metadata["active_model"]}
