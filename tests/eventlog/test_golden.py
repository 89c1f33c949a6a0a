"""
The golden journal: one of every event type, written once and committed. Later programs must read it and write the same.

`MODELOG_REFRESH_GOLDEN=1 pytest tests/eventlog/test_golden.py` writes it anew. A difference that shows up then is a
change of the format: it needs a new format version or a new event type, not a refreshed file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import START, Clock, Randomness

from eventlog import chain, codec, decisions
from eventlog.artifacts import Artifact
from eventlog.catalog import Catalog
from eventlog.contents import Contents
from eventlog.decisions import Decide, Decision, Terms
from eventlog.engines import jsonl_stamp, open_journal
from eventlog.events import (
    EVENT_TYPES,
    Data,
    HistoryReviewed,
    JournalRepaired,
    JournalRewound,
    Remembered,
    RequestRefused,
    RuntimeLoaded,
)
from eventlog.journal import Anchor
from eventlog.key_events import KeyAdded, KeyRevoked
from eventlog.manifest import File
from eventlog.model_signature import Signature
from eventlog.replay import Replay
from eventlog.retention_events import ArtifactRemoved, ModelHeld, ModelReinstated, ModelReleased, ModelRetired
from eventlog.snapshot import Settings, SettingsChanged
from eventlog.training_events import Training, TrainingFailed
from eventlog.transaction import Transaction
from eventlog.verify import verify
from projections import ModelRegistry, verify_registry
from projections.projection import write_all
from projections.registry_json import RegistryJson

GOLDEN = Path(__file__).parent.parent / "golden" / "format1"
REFRESH = os.environ.get("MODELOG_REFRESH_GOLDEN") == "1"
OLD_KEY = "example.com/m+8c54bba3+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
NEW_KEY = "example.com/m+872312e1+AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
SIGNATURE = Signature("d" * 64, "e" * 64)
FILES = ["journal.head", "journal.jsonl", "registry.json"]
METADATA: dict[str, Any] = {
    "rows": 1024,
    "rate": 0.1,
    "tiny": 5e-324,
    "large": (1 << 64) - 1,
    "negative": -(1 << 63),
    "none": None,
    "yes": True,
    "text": 'ü€😀"\\\u2028\x7f\x00\n',
    "nested": {"list": [1, [2.5, {}], []]},
}


def _write(directory: str) -> None:
    """Write the golden files; every clock and every random byte is fixed, and no artifact is looked at."""
    journal = open_journal(directory)
    replay = Replay(journal)
    transaction = Transaction(replay, Clock(), Randomness())

    def run(decide: Decide, terms: Terms) -> None:
        replay.catch_up()
        transaction.run(decide, terms, lambda: None)

    def publish(number: int, path: str, metadata: dict[str, Any], **terms: Any) -> None:
        asked = Terms(actor="ana@trainer-3", request_id=f"publish-{number}", **terms)
        artifact = Artifact(path, f"{number:x}" * 64, number * 1000, (0, 0, 0, 0, 0))
        run(decisions.publish(asked, artifact, "onnx", metadata, lambda position: pytest.fail("no retry here")), asked)

    def rollback(number: int, **terms: Any) -> None:
        asked = Terms(actor="bob@ops-1", request_id=f"rollback-{number}", **terms)
        find = lambda position: pytest.fail("no retry here")  # noqa: E731 - as short as its only use
        run(decisions.rollback(asked, None, find, lambda catalog, target: catalog.model(target).sha256), asked)

    publish(1, "/srv/models/first.onnx", {})
    publish(2, "/srv/models/second.onnx", METADATA, reason='after "review"\u2028ü')
    publish(3, os.fsdecode(b"/srv/models/\xff.onnx"), {"a b": "c"})
    rollback(1)
    Path(journal.where).write_bytes(Path(journal.where).read_bytes() + b'{"specversion":"1.0","sequ')
    rollback(2, reason="too slow", took_over=Anchor("22222222-2222-4222-8222-222222222222", 7, "7" * 64))
    publish(4, "/srv/models/first.onnx", {"rows": 2048}, took_over=Anchor("3" * 36, 1, "e" * 64))
    for number, data in enumerate(
        (
            JournalRepaired("from-copy", [Remembered("journal.head", 9, "a" * 64)], "bad block", "/mnt/backup"),
            JournalRewound("disk died", [Remembered("var/runtime/state.json", 12, "b" * 64)]),
            RequestRefused("publish", "metadata", "--metadata: no", {"artifact": "/a"}, "why", "key"),
            HistoryReviewed(9, "as it should be"),
            KeyAdded(OLD_KEY),
            KeyAdded(NEW_KEY, "rotation", OLD_KEY, "QUJD"),
            KeyRevoked(OLD_KEY, "lost"),
        )
    ):
        decision = Decision("", data)
        run(lambda catalog, now: decision, Terms(actor="ana@trainer-3", request_id=f"repair-{number}"))  # noqa: B023
    for number in range(4):
        taking = Terms(actor="ana@trainer-3", request_id=f"snapshot-{number}")
        told = {} if number > 1 else {"rows_hash": None}  # as the first program that took any told them
        run(lambda catalog, now: Decision("", replace(catalog.taken(), **told)), taking)  # noqa: B023
    _write_what_came_later(run, replay.catalog)
    write_all([RegistryJson(directory, lock_timeout_seconds=1.0)], replay.catalog, rebuild=True)
    os.unlink(os.path.join(directory, jsonl_stamp.NAME))  # of this file on this disk: nothing to keep


def _write_what_came_later(run: Callable[[Decide, Terms], object], catalog: Catalog) -> None:
    """Write the events that joined the vocabulary after the first release."""
    settings = Terms(actor="ana@trainer-3", request_id="settings")
    run(lambda catalog, now: Decision("", SettingsChanged(Settings(copy=True), "never again")), settings)
    contents = Contents("onnx", True, 2, 10, {"FLOAT": 2}, {"ai.onnx": 18}, "spox 1")
    training = Training("run-1", START, 1.5, "trainer-3", "a" * 40, True)
    for number, origin in ((5, "/srv/models/first.onnx"), (6, os.fsdecode(b"/srv/models/\xfe"))):
        asked = Terms(actor="ana@trainer-3", request_id=f"publish-{number}")
        files = [File("config.json", 2, "c" * 64)] if number == 6 else None
        artifact = Artifact("/kept", f"{number:x}" * 64, number * 1000, (0, 0, 0, 0, 0), files, origin=origin)
        find = lambda position: pytest.fail("no retry here")  # noqa: E731 - as above
        run(decisions.publish(asked, artifact, "onnx", {}, find, contents, training, SIGNATURE), asked)
    failed = Terms(actor="ana@trainer-3", request_id="failed")
    run(lambda catalog, now: Decision("", TrainingFailed("onnx", training, "ValueError: NaN", "nightly")), failed)
    loaded = Terms(actor="bot", request_id="loaded")
    run(lambda catalog, now: Decision(catalog.active_id() or "", RuntimeLoaded("bot-1", 21, "6" * 64, "warm")), loaded)
    for subject, data in _kept_or_not(list(catalog.published)):
        number = catalog.size
        marking = Terms(actor="ana@trainer-3", request_id=f"kept-{number}")
        run(lambda catalog, now: Decision(subject, data), marking)  # noqa: B023
    run(lambda catalog, now: Decision("", catalog.taken()), Terms(actor="ana@trainer-3", request_id="snapshot-4"))


def _kept_or_not(model_ids: list[str]) -> list[tuple[str, Data]]:
    """Return whatever may be said of how long a model is kept, each with the model."""
    return [
        (model_ids[0], ModelRetired("worse")),
        (model_ids[1], ModelRetired()),
        (model_ids[1], ModelReinstated("needed")),
        (model_ids[2], ModelHeld("audit")),
        (model_ids[2], ModelReleased()),
        (model_ids[0], ArtifactRemoved("1" * 64, 1000, 3, "room", [model_ids[1]])),
        ("", ArtifactRemoved("9" * 64, 7)),
        ("", SettingsChanged(Settings(copy=True, keep_last=3, keep_days=30))),
    ]


@pytest.fixture(scope="module", autouse=True)
def _refreshed() -> None:
    if REFRESH:
        shutil.rmtree(GOLDEN, ignore_errors=True)
        _write(str(GOLDEN))


@pytest.fixture
def entries() -> list[bytes]:
    return (GOLDEN / "journal.jsonl").read_bytes().split(b"\n")[:-1]


def test_it_is_intact() -> None:
    """Read as any registry: nothing is damaged, and registry.json is what the journal says, byte for byte."""
    report = verify_registry(GOLDEN, None)

    assert (report.verdict, report.level, report.findings) == ("intact", "L1", [])


def test_it_has_every_event_type(entries: list[bytes]) -> None:
    """An event type that joins the vocabulary joins this journal, too."""
    catalog = ModelRegistry(GOLDEN).catalog()

    assert {f'"type":"{name}"' for name in EVENT_TYPES} <= {
        part for entry in entries for part in entry.decode().split(",") if part.startswith('"type"')
    }
    assert catalog.size == len(entries)
    assert len(catalog.published) == 6


def test_each_entry_is_encoded_to_the_same_bytes(entries: list[bytes]) -> None:
    """What this program writes is what was written then."""
    journal_id = ModelRegistry(GOLDEN).catalog().journal_id
    assert journal_id is not None
    prev = chain.GENESIS

    for position, entry in enumerate(entries):
        event = codec.decode(entry, position, journal_id, "golden")
        assert codec.encode(event, journal_id, prev) == entry
        prev = chain.hash_of(entry)


def test_all_values_come_back() -> None:
    """Every kind of JSON value, odd text and odd paths are what was put in."""
    models = ModelRegistry(GOLDEN).list_models()

    assert models[4].dataset_metadata == METADATA
    assert os.fsencode(models[3].artifact_path) == b"/srv/models/\xff.onnx"
    assert models[3].to_dict()["artifact_path"] == "/srv/models/\\xff.onnx"
    kept = [f"artifacts/trees/66/{'6' * 64}", f"artifacts/sha256/55/{'5' * 64}"]
    assert [str(Path(model.artifact_path).relative_to(GOLDEN)) for model in models[:2]] == kept


def test_written_again_it_is_the_same(tmp_path: Path) -> None:
    """The same requests at the same times give the same files, to the byte."""
    _write(str(tmp_path))

    for name in FILES:
        assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "quarantine").iterdir()) == sorted(
        path.name for path in (GOLDEN / "quarantine").iterdir()
    )


def test_it_moves_to_another_engine_unchanged(entries: list[bytes]) -> None:
    """Handed to the memory engine, the same bytes are a journal with the same hashes."""
    memory = open_journal("memory:")

    memory.append(entries, expected_size=0)

    assert list(memory.read()) == entries
    assert verify(Replay(memory), []).hash == chain.hash_of(entries[-1])
