"""What is done to a registry that is open, shared, copied back or forked; each of these was seen to fail once."""

from __future__ import annotations

import enum
import errno
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from support import Place, fill, outcome_of

from eventlog import locking
from eventlog.engines import open_journal
from eventlog.engines.jsonl_scan import CHUNK_BYTES
from eventlog.errors import JournalDamagedError, OutcomeUnknownError, ProjectionLagError, RefusedError
from eventlog.journal import ENTRY_BYTES_MAX
from projections import ModelRegistry, RuntimeStateManager, verify_registry


def test_a_take_over_is_no_licence_for_ever(tmp_path: Path) -> None:
    """Once the owner has taken its runtime back, the other needs to be told again: neither steals it silently."""
    runtime = RuntimeStateManager(tmp_path / "runtime")
    (tmp_path / "model").write_bytes(b"weights")
    owner, other = ModelRegistry(tmp_path / "owner", runtime), ModelRegistry(tmp_path / "other", runtime)
    owner.publish_model(tmp_path / "model", backend="b")
    other.publish_model(tmp_path / "model", backend="b", take_over=True)
    owner.publish_model(tmp_path / "model", backend="b", take_over=True)
    mine = runtime.path.read_bytes()

    published = outcome_of(lambda: other.publish_model(tmp_path / "model", backend="b"))
    rebuilt = outcome_of(other.rebuild)

    assert isinstance(published, RefusedError)
    assert isinstance(rebuilt, ProjectionLagError)
    assert runtime.path.read_bytes() == mine


def test_a_fork_does_not_keep_the_lock(place: Place) -> None:
    """A child that inherited the locked descriptor does not keep everybody else out."""
    journal = open_journal(str(place.registry_dir))
    with journal.exclusive():
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)

    try:
        other = open_journal(str(place.registry_dir), lock_timeout_seconds=0)
        with other.exclusive():
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_directory_lock_is_given_back_in_spite_of_a_fork(tmp_path: Path) -> None:
    """The same holds for the lock that guards derived files."""
    with locking.locked_directory(str(tmp_path), timeout_seconds=0):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)

    try:
        with locking.locked_directory(str(tmp_path), timeout_seconds=0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_an_open_registry_notices_that_it_was_set_back(place: Place, tmp_path: Path) -> None:
    """Registry and runtime restored from a copy under an open object: it shows and writes nothing of what is gone."""
    registry = place.open()
    place.publish("a", registry=registry)
    shutil.copytree(place.root, tmp_path / "copy")
    lost = place.publish("b", registry=registry)
    place.put(_files(tmp_path / "copy"))
    place.publish("c")
    before = place.files()

    outcomes = [outcome_of(call) for call in (registry.list_models, registry.rebuild)]
    outcomes.append(outcome_of(lambda: registry.rollback(lost.model_id)))

    assert [type(outcome) for outcome in outcomes] == [JournalDamagedError] * 3
    assert place.files() == before


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_threads_may_list_while_one_publishes(place: Place) -> None:
    """A list is taken of one state, whatever another thread appends meanwhile."""
    registry, failures, done = place.open(), [], threading.Event()
    place.publish("a", registry=registry)
    earlier = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)

    def keep_listing() -> None:
        while not done.is_set():
            failures.extend(filter(None, [outcome_of(registry.list_models)]))

    lister = threading.Thread(target=keep_listing)
    lister.start()
    for number in range(60):
        place.publish(f"n{number}", registry=registry)
    done.set()
    lister.join()
    sys.setswitchinterval(earlier)

    assert failures == []


def test_an_interrupted_fold_is_begun_anew(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of an event leaves no half of it: the next question is answered from the whole journal."""
    registry = filled.open()

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("eventlog.catalog.Catalog._go_on", interrupt)
        with pytest.raises(KeyboardInterrupt):
            registry.list_models()

    assert registry.list_models() == filled.open().list_models()


@pytest.fixture
def filled(place: Place) -> Place:
    fill(place, 5)
    return place


def test_a_head_whose_sync_failed_is_written_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a retry says done, the slot that the disk may not have is handed to it once more, then synced."""
    place.publish("a")
    real, calls = os.fdatasync, []

    def fail_second(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", fail_second)
        unknown = outcome_of(lambda: place.publish("b", request_id="key"))
    written: list[str] = []
    write = os.pwrite

    def watch(descriptor: int, data: bytes, offset: int) -> int:
        written.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return write(descriptor, data, offset)

    monkeypatch.setattr("os.pwrite", watch)
    place.publish("b", request_id="key")

    assert isinstance(unknown, OutcomeUnknownError)
    assert written[0] == str(place.head)
    assert place.ids().count("key") == 1


def test_a_large_runtime_checkpoint_stays_readable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where indentation would make the file larger than what we read, it is written without."""
    monkeypatch.setattr("projections.runtime_state.BYTES_MAX", 3_000)
    place.state_dir.mkdir()
    place.state_json.write_text('{"metadata":{"numbers":[' + ",".join("1" * 500) + "]}}")

    place.publish("a")

    assert len(place.state_json.read_bytes()) < 3_000
    assert place.open().get_active_model() is not None


def test_text_of_an_enumeration_is_its_value(place: Place) -> None:
    """A member of a text enumeration is recorded as the text that it is, as key and as value."""

    class Split(str, enum.Enum):  # noqa: UP042 - its str() is not its value
        TRAIN = "train"

    model = place.publish("a", dataset_metadata={"split": Split.TRAIN, Split.TRAIN: 1})

    assert model.dataset_metadata == {"split": "train", "train": 1}


def test_what_nobody_acknowledged_is_not_a_verified_prefix(place: Place) -> None:
    """Also somebody who looks at damage is not shown entries behind a head that can be read."""
    place.publish("a")
    head = place.head.read_bytes()
    place.publish("b")
    place.head.write_bytes(head)

    place.registry_json.unlink()
    place.state_json.unlink()
    catalog, problem = place.open().verified_prefix()

    assert (catalog.size, problem) == (2, None)


def test_too_long_a_line_is_damage_wherever_it_stands(filled: Place) -> None:
    """The bound on a line does not depend on where the chunks of the reader end."""
    from support import reseal

    outcomes = []
    for padding in (0, 20_000, 40_000):
        lines = filled.lines()
        long = lines[3].replace(b'"backend":"', b'"backend":"' + b"x" * ENTRY_BYTES_MAX)
        first = lines[2].replace(b'"backend":"', b'"backend":"' + b"y" * padding)
        copy = filled.root / f"copy{padding}"
        copy.mkdir()
        (copy / "journal.jsonl").write_bytes(b"\n".join(reseal([*lines[:2], first, long])) + b"\n")
        outcomes.append(outcome_of(ModelRegistry(copy).list_models))

    assert CHUNK_BYTES > 40_000
    assert [type(outcome) for outcome in outcomes] == [JournalDamagedError] * 3


def test_pending_files_of_somebody_else_are_left_alone(filled: Place) -> None:
    """A file in quarantine whose bytes are not what its name says is neither recorded nor renamed."""
    filled.quarantine.mkdir()
    name = f"{7:020d}-3-{'0' * 64}.no-newline.pending"
    (filled.quarantine / name).write_bytes(b"xyz")

    filled.publish("a")

    assert (filled.quarantine / name).read_bytes() == b"xyz"
    assert all(filled.event(position).type != "journal.recovered.v1" for position in range(len(filled.lines())))


def _behind_the_head(place: Place) -> tuple[str, str]:
    """Publish A and B, then set head and derived files back: B is whole, and nobody acknowledged it."""
    first = place.publish("a")
    before = {name: data for name, data in place.files().items() if not name.endswith("journal.jsonl")}
    second = place.publish("b")
    place.put({**place.files(), **before})
    return first.model_id, second.model_id


def test_an_answer_is_given_on_the_state_that_confirming_leaves(place: Place) -> None:
    """A rollback to what was active before an interrupted publish is kept really makes it active again."""
    first, second = _behind_the_head(place)

    place.open().rollback(first)

    active = place.open().get_active_model()
    assert active is not None
    assert active.model_id == first
    assert [model.model_id for model in place.open().list_models()] == [second, first]


def test_a_rebuild_contains_what_it_kept(place: Place) -> None:
    """Where confirming keeps an entry of an interrupted publish, the derived files have it, too."""
    _behind_the_head(place)

    assert place.open().rebuild() == 3
    assert verify_registry(place.registry_dir, place.state_dir).findings == []


def test_one_bad_slot_and_a_bad_line(place: Place) -> None:
    """The audit says that writers refuse, whichever of the two it saw first."""
    place.publish("a")
    place.head.write_bytes(b"x" + place.head.read_bytes()[1:])
    place.journal.write_bytes(place.journal.read_bytes() + b"garbage\n")

    report = verify_registry(place.registry_dir, place.state_dir)

    assert report.verdict == "damaged"
    assert isinstance(outcome_of(lambda: place.publish("b")), JournalDamagedError)
