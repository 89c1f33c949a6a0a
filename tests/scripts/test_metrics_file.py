"""`--metrics-file`: what the commands tell those who watch over a registry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WRITERS = {"publish", "rollback", "sync", "rebuild", "watch", "verify"}


@pytest.fixture
def read(desk, exposed):
    """Return a function that gives the value of each metric that has one, as Prometheus' own parser reads it."""

    def values():
        found = exposed((desk.root / "x.prom").read_bytes())
        assert {labels["registry"] for samples in found.values() for labels, _ in samples} == {str(desk.models)}
        return {name: samples[0][1] for name, samples in found.items() if len(samples) == 1}

    return values


def test_every_command_writes_what_it_knows(desk, read, monkeypatch):
    """All into one file, which MODELOG_METRICS_FILE names; none takes away what another one wrote."""
    monkeypatch.setenv("MODELOG_METRICS_FILE", str(desk.root / "x.prom"))
    desk.publish("a")
    assert read()["modelog_models"] == 1
    desk.publish("b")
    desk.run("rollback")
    state = read()
    assert (state["modelog_journal_entries"], state["modelog_active_position"]) == (4, 3)

    assert desk.run("watch", "--limit", "1", "--debounce", "0").status == 0
    assert desk.run("verify", "--artifacts").status == 0
    audited = read()
    assert desk.run("verify").status == 0
    assert desk.run("sync", "--once").status == 0
    assert desk.run("rebuild").status == 0

    now = read()
    assert now.pop("modelog_verify_timestamp_seconds") > audited.pop("modelog_verify_timestamp_seconds")
    del now["modelog_verify_duration_seconds"], audited["modelog_verify_duration_seconds"]
    assert now == audited
    assert state.items() <= now.items()
    assert (now["modelog_verify_ok"], now["modelog_loaded_position"], now["modelog_artifacts_compared"]) == (1, 3, 2)


def test_a_file_for_each(desk, read):
    """A command that is given a file of its own puts nothing of the others into it, so both can be collected."""
    desk.publish("a")
    path = desk.root / "x.prom"

    for words, first in (
        (("verify",), "modelog_verify_ok"),
        (("watch", "--limit", "1"), "modelog_loaded_model_info"),
        (("rebuild",), "modelog_journal_info"),
    ):
        path.unlink(missing_ok=True)
        assert desk.run(*words, "--metrics-file", str(path)).status == 0
        assert next(iter(read())) == first
        assert path.read_bytes().count(b"# modelog: ") == 1


@pytest.mark.parametrize("verb", sorted(WRITERS))
def test_a_path_that_cannot_be_is_refused_first(desk, refused, verb):
    """Nothing is recorded, read or written."""
    desk.publish("a")
    desk.publish("b")
    words = ["--artifact", desk.artifact(), "--backend", "c"] if verb == "publish" else []
    for path in (desk.root / "missing/x.prom", desk.root / "x.txt", desk.models / "journal.jsonl", ""):
        assert "--metrics-file" in refused(*desk.argv(verb, *words, "--metrics-file", str(path)))


def test_a_directory_of_somebody_else(desk, as_nobody):
    """Whoever may not write there is told so before anything happens; the registry could have been written to."""
    if os.geteuid() != 0:
        pytest.skip("only root can make something that is not its own")
    (desk.root / "collector").mkdir(mode=0o755)
    desk.root.chmod(0o777)
    words = ("--artifact", desk.artifact(), "--backend", "a", "--registry-dir", "m", "--state-dir", "s")

    done = as_nobody("publish", *words, "--metrics-file", "collector/x.prom")

    assert (done.status, done.out) == (2, "")
    assert "collector cannot be written to" in done.err
    assert not (desk.root / "m").exists()


def test_only_a_warning_afterwards(desk):
    """What comes in the way once the event is recorded changes neither answer nor status."""
    obstacle = desk.root / ".x.prom.new"
    obstacle.mkdir()

    result = desk.run(
        "publish", "--artifact", desk.artifact(), "--backend", "b", "--metrics-file", str(desk.root / "x.prom")
    )

    assert result.status == 0
    assert result.json["backend"] == "b"
    assert [line.partition(": ")[0] for line in result.err.splitlines()] == ["warning", "info"]
    assert "x.prom: not written: " in result.err


def test_rehearsals_and_refusals_write_nothing(desk, refused):
    """Nothing has happened that could be told."""
    desk.publish("a")
    words = ("--artifact", desk.artifact(), "--backend", "b", "--metrics-file", str(desk.root / "x.prom"))
    before = desk.snapshot()

    assert desk.run("publish", *words, "--dry-run").status == 0
    assert desk.snapshot() == before
    refused(*desk.argv("publish", *words, "--expect-active", "none"))


@pytest.mark.parametrize(
    ("damage", "status", "kind"),
    [
        (lambda desk: desk.registry_json.unlink(), 5, "derived"),
        (
            lambda desk: desk.journal.write_bytes(desk.journal.read_bytes().replace(b"tampered", b"tempered")),
            3,
            "damage",
        ),
        (lambda desk: Path(desk.artifact("model-61.bin")).unlink(), 3, "artifact"),
        (lambda desk: desk.head.unlink(), 2, "unreadable"),
    ],
    ids=["derived", "damage", "artifact", "unreadable"],
)
def test_what_verify_found(desk, exposed, damage, status, kind):
    """1 only where it ended with status 0; else a count says why."""
    desk.publish("tampered", data=b"a")
    damage(desk)
    path = desk.root / "x.prom"

    assert desk.run("verify", "--artifacts", "--metrics-file", str(path)).status == status

    found = exposed(path.read_bytes())
    assert found["modelog_verify_ok"][0][1] == 0
    counts = {labels["kind"]: value for labels, value in found["modelog_verify_findings"]}
    assert counts[kind] >= 1
    assert found["modelog_artifacts_bad"][0][1] == (kind == "artifact")


def test_hostile_history(desk, exposed):
    """Whatever a forged journal has for a backend is read as one label; so is the path of the registry."""
    desk.publish("FORGED")
    for text in (rb"\"} 1\nx{y=\"", rb"\\", rb"\\\"", rb"\u00fc\ud83e\udd89", b"# HELP", b"{}"):
        desk.forge(b'"backend":"FORGED"', b'"backend":"%b"' % text)
        result = desk.run("rebuild", "--metrics-file", str(desk.root / "x.prom"))
        if result.status == 0:
            ((labels, _),) = exposed((desk.root / "x.prom").read_bytes())["modelog_active_model_info"]
            assert labels["backend"] == desk.run("active", "--output", "json").json["backend"]
        else:
            assert (result.status, "Traceback" in result.err) == (3, False)
        desk.forge(b'"backend":"%b"' % text, b'"backend":"FORGED"')


def test_a_registry_whose_name_is_no_utf_8(desk, exposed):
    """It is spelled out; the file can be read."""
    models = os.fsencode(desk.root) + b'/\xff"\n\\'
    words = ["publish", "--artifact", desk.artifact(), "--backend", "b", "--registry-dir", os.fsdecode(models)]

    done = desk.spawn(*words, "--metrics-file", "x.prom", env={"LC_ALL": "C"})

    assert done.returncode == 0, done.stderr
    ((labels, _),) = exposed((desk.root / "x.prom").read_bytes())["modelog_models"]
    assert labels == {"registry": f'{desk.root}/\\udcff"\n\\'}


def test_watch_tells_what_ran(desk, exposed):
    """Only once the command has ended well, and under the name that it reports as; what is wished may be ahead."""
    path = desk.root / "x.prom"
    model = desk.publish("a")
    words = ("--debounce", "0", "--metrics-file", str(path), "--report", 'bot "1"', "--exec")
    failing = [sys.executable, "-m", "scripts.manage_models", *desk.argv("watch", *words, "echo ran; false")]
    process = subprocess.Popen(failing, env=desk.environment(), cwd=desk.root, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != "ran\n":
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert not path.exists()

    assert desk.run("watch", *words, "true", "--limit", "1").status == 0

    found = exposed(path.read_bytes())
    ((labels, _),) = found["modelog_loaded_model_info"]
    assert (labels["runtime"], labels["model_id"]) == ('bot "1"', model["model_id"])
    assert found["modelog_loaded_position"][0][1] == 1


def test_which_commands_take_it(desk):
    """Those that learn the state or a part of it; each says so in its help, beside the form of its messages."""
    from scripts.manage_models import VERBS

    told = {verb: desk.call(verb, "--help").out for verb in VERBS}

    assert {verb for verb, text in told.items() if "--metrics-file PATH" in text} == WRITERS
    for verb in WRITERS:
        assert "MODELOG_METRICS_FILE" in told[verb]
        assert "MODELOG_LOG_FORMAT" in told[verb]


@pytest.mark.parametrize("verb", ["publish", "verify", "rebuild"])
def test_without_it_nothing_is_imported(desk, verb):
    """Who is not monitored does not pay for it."""
    desk.publish()
    words = ["--artifact", desk.artifact(), "--backend", "b"] if verb == "publish" else []
    script = "import sys; from scripts.manage_models import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", script, *desk.argv(verb, *words)]

    def imported(*more: str) -> set[str]:
        done = subprocess.run([*command, *more], env=desk.environment(), capture_output=True, text=True, check=True)
        return {name for name in done.stdout.split() if name.startswith("projections.metrics")}

    assert imported() == set()
    assert imported("--metrics-file", str(desk.root / "x.prom")) == {"projections.metrics", "projections.metrics_file"}
