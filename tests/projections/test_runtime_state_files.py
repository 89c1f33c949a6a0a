"""The runtime checkpoint as a file: broken ones are kept, owner and permissions too, links are not followed."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime

import pytest

from eventlog.errors import RuntimeStateError
from projections import RuntimeStateManager

RECORD = {"entrypoint": "demo", "mode": "demo", "config_path": "runtime.yml"}
NO_JSON = {
    "empty": b"",
    "garbage": b"\xff\x00\x01",
    "cut": b'{"mode": "li',
    "yaml": b"mode: live\n",
    "UTF-16": "{}".encode("utf-16"),
    "trailing": b"{} {}",
    "NaN": b'{"x":NaN}',
    "deep nesting": b"[" * 100_000,
    "array": b"[1,2]",
    "text": b'"state"',
    "null": b"null",
    "metadata is an array": b'{"mode":"live","metadata":[1]}',
    "metadata is text": b'{"mode":"live","metadata":"x"}',
}


@pytest.mark.parametrize("data", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("writer", ["publish", "set_active_model", "record_checkpoint"])
def test_file_that_is_not_ours_to_understand(place, caplog, data, writer):
    """It is moved aside with its bytes and reported, never overwritten; a fresh one takes its place."""
    place.write_state(data)

    if writer == "publish":
        place.publish()
    elif writer == "set_active_model":
        place.manager.set_active_model({"model_id": "x"})
    else:
        place.manager.record_checkpoint(**RECORD)

    aside = [path for path in place.runtime.iterdir() if path != place.state_json]
    assert [path.read_bytes() for path in aside] == [data]
    assert f"moved aside as {aside[0]}" in caplog.text
    assert isinstance(place.state(), dict)


def test_moved_aside_in_the_same_second(place):
    """Each broken file gets a name of its own; none is lost."""
    manager = RuntimeStateManager(place.runtime, now=lambda: datetime(2026, 1, 2, tzinfo=UTC))

    for number in range(5):
        place.write_state(b"broken %d" % number)
        manager.set_active_model({"model_id": "x"})

    aside = {path.read_bytes() for path in place.runtime.iterdir() if path != place.state_json}
    assert aside == {b"broken %d" % number for number in range(5)}


def test_broken_file_is_only_looked_at_by_questions(place):
    """Reading reports it and changes nothing."""
    place.publish()
    place.write_state(b"broken")
    before = place.snapshot()

    assert len(place.open().list_models()) == 1
    with pytest.raises(RuntimeStateError, match="expected a runtime checkpoint"):
        place.manager.load_checkpoint()

    assert place.snapshot() == before


@pytest.mark.parametrize(("mode", "kept"), [(0o600, 0o600), (0o640, 0o640), (0o664, 0o664), (0o666, 0o664)])
def test_permissions_are_kept(place, mode, kept):
    """The runtime's choice stays, but nobody else may write."""
    place.write_state(b"{}")
    place.state_json.chmod(mode)

    place.publish()

    assert stat.S_IMODE(place.state_json.stat().st_mode) == kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_is_kept(place):
    """A root who publishes does not take the file away from its runtime."""
    place.write_state(b"{}")
    os.chown(place.state_json, 12345, 54321)

    place.publish()

    status = place.state_json.stat()
    assert (status.st_uid, status.st_gid) == (12345, 54321)


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "directory", "device"])
def test_file_that_is_no_regular_file(place, kind):
    """Refused by every call, at once; what a link points to is neither read nor written."""
    victim = place.root / "victim"
    victim.write_bytes(b"{}")
    place.runtime.mkdir()
    if kind == "fifo":
        os.mkfifo(place.state_json)
    elif kind == "directory":
        place.state_json.mkdir()
    else:
        place.state_json.symlink_to({"link": victim, "device": "/dev/zero"}.get(kind, "nowhere"))
    before = place.snapshot()

    for call in (
        place.manager.load_checkpoint,
        lambda: place.manager.record_checkpoint(**RECORD),
        lambda: place.manager.set_active_model({"model_id": "x"}),
        lambda: place.manager.require_checkpoint(target_mode="demo", entrypoint="demo"),
    ):
        with pytest.raises(RuntimeStateError, match="expected a regular file"):
            call()

    assert place.snapshot() == before


def test_temporary_name_that_is_a_link(place):
    """A prepared `.state.json.new` is removed, not written through."""
    victim = place.root / "victim"
    victim.write_bytes(b"precious")
    place.runtime.mkdir()
    (place.runtime / ".state.json.new").symlink_to(victim)

    place.manager.record_checkpoint(**RECORD)

    assert victim.read_bytes() == b"precious"
    assert [path.name for path in place.runtime.iterdir()] == ["state.json"]


def test_directory_that_cannot_be_written(place):
    """The project's error, and nothing created."""
    place.runtime.write_bytes(b"a file")
    before = place.snapshot()

    for call in (lambda: place.manager.record_checkpoint(**RECORD), lambda: place.manager.set_active_model({})):
        with pytest.raises(RuntimeStateError):
            call()

    assert place.snapshot() == before
