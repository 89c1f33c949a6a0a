"""The commands with `--journal`: the same events, files and answers as with a local journal, on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from machines import REPOSITORY, Machine, fresh_mirror

from eventlog.engines import open_journal
from eventlog.errors import ProjectionLagError, RefusedError
from projections import verify_registry


def test_publish_here_roll_back_there(here: Machine, there: Machine):
    """Both machines see one history, and their mirrors and derived files have the same bytes."""
    first = here.publish("onnx", "--metadata", "rows:=3")
    second = there.publish("torch", data=b"other")

    listed = here.run("list", "--output", "json").json
    back = there.run("rollback", "--reason", "worse")
    here.run("sync", "--once")

    assert [row["model_id"] for row in listed] == [second["model_id"], first["model_id"]]
    assert back.json["model_id"] == first["model_id"]
    assert here.run("active", "--output", "json").json["model_id"] == first["model_id"]
    assert there.run("sync", "--once").status == 0
    assert here.files()["models/journal.jsonl"] == there.files()["models/journal.jsonl"]
    assert here.files()["models/registry.json"] == there.files()["models/registry.json"]
    assert here.state_json.read_bytes() == there.state_json.read_bytes()
    assert here.run("history").out == there.run("history").out
    for machine in (here, there):
        assert machine.run("verify", "--output", "json").json["verdict"] == "intact"


def test_the_bytes_are_those_of_a_local_journal(here: Machine, tmp_path):
    """The same requests give the same entries, but for what is random or a time: engines do not look at them."""
    local = Machine(tmp_path / "mine", None)
    for machine in (here, local):
        machine.publish("b", "--id", "one", "--actor", "me")

    mine, others = (machine.journal.read_bytes().splitlines() for machine in (here, local))

    assert [len(line) for line in mine] == [len(line) for line in others]
    assert verify_registry(here.registry_dir, here.state_dir, journal=here.url).verdict == "intact"


def test_environment_and_python_name_the_journal_too(here: Machine, there: Machine):
    """`MODELOG_JOURNAL` and `journal=` mean what `--journal` means."""
    here.publish()
    assert here.url is not None

    listed = there.without_cluster().run("list", "--output", "json", MODELOG_JOURNAL=here.url)
    with there.open() as registry:
        models = registry.list_models()

    assert [row["model_id"] for row in listed.json] == [model.model_id for model in models]
    assert len(models) == 1


def test_a_registry_that_stays_sees_what_others_publish(here: Machine, there: Machine):
    """Each question is answered from all that is acknowledged by then."""
    with there.open() as staying, here.open() as other:
        for number in range(5):
            model = other.publish_model(here.artifact(data=b"%d" % number), backend="b")
            active = staying.get_active_model()
            assert active is not None
            assert active.model_id == model.model_id


def test_displaced_is_what_was_active_when_two_machines_publish_at_once(here: Machine, there: Machine):
    """Each event names the model that was active just before it; none is lost or invented, none recorded twice."""
    failures: list[BaseException] = []

    def publish(machine: Machine) -> None:
        try:
            with machine.open() as registry:
                for number in range(25):
                    path = machine.artifact(f"{number}", b"%s %d" % (machine.root.name.encode(), number))
                    registry.publish_model(path, backend="b", request_id=f"{machine.root.name}{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=publish, args=(machine,)) for machine in (here, there)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    with here.open() as registry:
        events = [change.event for change in registry.history()]

    assert failures == []
    published = [event for event in events if event.type == "model.published.v1"]
    assert sorted(event.id for event in published) == sorted(
        f"{name}{n}" for name in ("here", "there") for n in range(25)
    )
    assert [event.data.displaced for event in published] == [None, *(event.subject for event in published[:-1])]


def test_an_id_is_recorded_once_on_whatever_machine(here: Machine, there: Machine):
    """The same request with the same id from two machines is one event, and both get its model."""
    path = here.artifact()
    words = ("--artifact", path, "--backend", "b", "--id", "key", "--actor", "me")

    answers = [machine.run("publish", *words) for machine in (here, there, here)]

    assert [answer.status for answer in answers] == [0, 0, 0]
    assert len({answer.json["model_id"] for answer in answers}) == 1
    assert here.run("history", "--output", "jsonl").out.count('"key"') == 1


def test_a_mirror_is_read_without_the_cluster_and_never_written(here: Machine):
    """Whoever does not name the cluster is told that he reads a mirror; what would change it is refused."""
    here.publish()
    here.publish(data=b"second")
    alone, before = here.without_cluster(), here.files()

    listed = alone.run("list", "--output", "json")
    repairs = [alone.run("repair", "--accept-rewind"), alone.run("repair", "--rebuild-head", "--dry-run")]
    refused = [
        alone.run("publish", "--artifact", here.artifact(), "--backend", "b"),
        alone.run("rollback"),
        alone.run("review"),
    ]

    assert len(listed.json) == 2
    assert "the mirror of REGISTRY_" in listed.err
    assert [result.status for result in (*refused, *repairs)] == [2] * 5
    assert all("journal.head away; with --journal they are read anew" in result.err for result in repairs)
    assert all("pass --journal nats://" in result.err.splitlines()[-1] for result in refused)
    assert alone.run("verify", "--output", "json").json["verdict"] == "intact"
    assert here.files() == before


def test_a_lost_mirror_comes_back_with_the_same_bytes(here: Machine, there: Machine):
    """Mirror and derived files can be deleted; the next command and a rebuild make them anew."""
    here.publish()
    there.publish()
    here.run("sync", "--once")
    before = here.files()
    for path in (*here.registry_dir.iterdir(), *here.state_dir.iterdir()):
        path.unlink()

    assert here.run("rebuild").status == 0

    after = here.files()
    del before["models/journal.stamp"], after["models/journal.stamp"]  # tells of this disk
    head = "models/journal.head"
    assert after.keys() == before.keys()
    assert {name for name in before if before[name] != after[name]} <= {head}


def test_a_torn_mirror_is_mended_and_no_event_tells_of_it(here: Machine, there: Machine):
    """What an interrupted write of the mirror left is no history of the registry."""
    here.publish()
    with here.journal.open("ab") as journal:
        journal.write(b'{"half": ')
    there.publish()

    assert here.run("list").status == 0

    assert here.journal.read_bytes() == there.journal.read_bytes()
    assert "recovery" not in here.run("history").out


def test_a_mirror_that_cannot_be_written_is_told(here: Machine, there: Machine, monkeypatch):
    """A reader goes on with what is there and says so; after an append it is a derived file that is behind."""
    here.publish()
    with here.open() as registry:
        registry.catalog()
        mirror = registry._replay.journal._mirror
        there.publish(data=b"second")

        def full(*_arguments, **_settings):
            raise RefusedError("models: no space left on device") from OSError(28, "No space left on device")

        monkeypatch.setattr(mirror, "append", full)
        assert registry.catalog().size == 2
        assert "as of position 1" in registry._replay.journal.notices()[-1].what

        with pytest.raises(RefusedError):
            registry.publish_model(here.artifact(), backend="b", request_id="mine")
        monkeypatch.undo()
        assert registry.catalog().size == 3
        monkeypatch.setattr(mirror, "append", full)
        with pytest.raises(ProjectionLagError, match="recorded, but the mirror is behind"):
            registry.publish_model(here.artifact(), backend="b", request_id="mine")
        monkeypatch.undo()
        assert registry.publish_model(here.artifact(), backend="b", request_id="mine").backend == "b"
        assert registry.catalog().size == 4


def test_a_forked_process_connects_anew(here: Machine, there: Machine):
    """The connection's thread does not survive a fork; the child has its own, and both go on."""
    here.publish()
    with here.open() as registry:
        registry.catalog()
        there.publish(data=b"second")
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if registry.catalog().size == 3 else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert registry.catalog().size == 3


@pytest.mark.parametrize("verb", ["list", "publish", "verify", "follow"])
def test_a_local_journal_never_pays_for_the_engine(tmp_path, verb):
    """Neither the client library nor what it needs is imported without --journal."""
    machine = Machine(tmp_path, None)
    machine.publish()
    words = machine.words(verb)[3:]
    if verb == "publish":
        words += ["--artifact", machine.artifact(), "--backend", "b"]
    if verb == "follow":
        words += ["--from", "0", "--limit", "1"]
    script = (
        "import sys; from scripts.manage_models import main; status = main(sys.argv[1:]); "
        "bad = {'nats', 'asyncio', 'ssl', 'obstore', 'socket'} & set(sys.modules); "
        "bad |= {name for name in sys.modules if 'jetstream' in name}; "
        "assert status in (0, 5) and not bad, (status, bad)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        check=False,
        env=machine.environment(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


def test_a_thousand_events_are_mirrored(here: Machine, tmp_path):
    """A new machine reads a longer history in pieces, byte for byte, with its snapshots."""
    with here.open() as registry:
        for number in range(40):
            threads = [
                threading.Thread(
                    target=registry.publish_model,
                    args=(here.artifact(f"{number}-{worker}", b"%d %d" % (number, worker)),),
                    kwargs={"backend": "b"},
                )
                for worker in range(30)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        assert registry.catalog().size > 1_200

    assert fresh_mirror(str(here.url), tmp_path / "fresh") == here.journal.read_bytes()


def test_a_journal_on_a_cluster_is_no_file(here: Machine):
    """Nothing is created on this machine by a question about a journal that nobody has written to."""
    journal = open_journal(str(here.url), directory=str(here.registry_dir))
    journal.refresh()
    journal.close()

    assert here.run("list").status == 0
    assert not here.registry_dir.exists()
