"""`repair`, `backup`, `restore`, `doctor` on the command line: what they print, statuses, one clear line otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from hashlib import sha256

import pytest

REPORT = ["action", "done", "found", "steps", "removed", "size", "hash", "position", "verification"]


@pytest.fixture
def broken(desk):
    """Three models, a backup of them in `copy`, and then one byte of the journal changed."""
    for name in ("a", "b", "c"):
        desk.publish(name)
    assert desk.run("backup", str(desk.root / "copy")).status == 0
    whole = desk.journal.read_bytes()
    desk.journal.write_bytes(whole[:700] + b"#" + whole[701:])
    return whole


def test_dry_run_and_then_the_repair(desk, broken):
    """The dry run says what the repair then does; both name what is kept and where it came from."""
    before = desk.snapshot()

    dry = desk.run("repair", "--from", str(desk.root / "copy"), "--dry-run")
    assert desk.snapshot() == before
    result = desk.run("repair", "--from", str(desk.root / "copy"), "--reason", "bad disk", "--actor", "ana")

    assert (dry.status, result.status) == (0, 0), result.err
    assert "info: dry run: nothing was changed" in dry.err
    assert [line.split()[0] for line in dry.out.splitlines()] == [
        "repair", "found", "would", "would", "would", "entries", "hash"
    ]  # fmt: skip
    assert [line.split()[0] for line in result.out.splitlines()] == [
        "repair", "found", "did", "did", "kept", "entries", "hash", "recorded", "verdict"
    ]  # fmt: skip
    assert result.out.splitlines()[-1].split() == ["verdict", "intact"]
    assert desk.journal.read_bytes().startswith(broken)
    event = desk.events()[-1]
    assert (event["type"], event["actor"], event["data"]["reason"]) == ("journal.repaired.v1", "ana", "bad disk")


def test_json(desk, broken):
    """A program gets the whole report, with the audit that followed."""
    result = desk.run("repair", "--from", str(desk.root / "copy"), "--output", "json")

    assert (result.status, list(result.json)) == (0, REPORT)
    assert (result.json["done"], result.json["position"], result.json["size"]) == (True, 5, 6)
    assert result.json["verification"]["verdict"] == "intact"


def test_nothing_to_repair(desk):
    """A sound journal: status 0, and it says so."""
    desk.publish()

    for words in (["--discard-tail"], ["--rebuild-head"], ["--accept-rewind", "--reason", "r"]):
        result = desk.run("repair", *words)

        assert (result.status, "nothing to repair: nothing was changed" in result.err) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--discard-tail", "--rebuild-head"],
        ["--discard-tail", "--from", "copy"],
        ["--rebuild-head", "--accept-rewind", "--reason", "r"],
    ],
)
def test_one_repair_at_a_time(desk, broken, refused, words):
    """None or several are bad usage; the message names them all."""
    message = refused(*desk.argv("repair", *words))

    assert "--discard-tail, --rebuild-head, --from COPY and --accept-rewind" in message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--discard-tail"], "repair --from COPY"),
        (["--rebuild-head"], "repair --from COPY"),
        (["--accept-rewind"], "--reason"),
        (["--from", "missing"], "no such file"),
        (["--from", "/dev/null"], "regular file"),
        (["--accept-rewind", "--reason", "r", "--actor", "a\x1bb"], "printable"),
    ],
)
def test_what_cannot_be_proven(desk, broken, refused, words, expected):
    """One line that says what to try next, status 2, and no byte has changed."""
    assert expected in refused(*desk.argv("repair", *words))


def test_older_backup_only(desk):
    """The walk of somebody whose disk died: restore is refused and names the way on, which works."""
    desk.publish("a")
    desk.run("backup", str(desk.root / "copy"))
    desk.publish("b")
    shutil.rmtree(desk.models)

    refused = desk.run("restore", str(desk.root / "copy"))
    assert refused.status == 2
    assert "repair --accept-rewind --from" in refused.err
    result = desk.run("repair", "--accept-rewind", "--from", str(desk.root / "copy"), "--reason", "the disk died")

    assert result.status == 0, result.err
    assert [event["type"] for event in desk.events()][-1] == "journal.rewound.v1"
    assert [model["backend"] for model in desk.run("list", "--output", "json").json] == ["a"]
    assert desk.run("verify").status == 0


def test_restore(desk):
    """A registry that is gone comes back; asked for again, there is nothing to do."""
    desk.publish("a")
    desk.publish("b")
    before = desk.snapshot()
    desk.run("backup", str(desk.root / "copy"))
    shutil.rmtree(desk.models)

    first = desk.run("restore", str(desk.root / "copy"))
    second = desk.run("restore", str(desk.root / "copy"), "--output", "json")

    assert (first.status, second.status) == (0, 0), first.err
    assert (second.json["size_before"], second.json["size"]) == (3, 3)
    assert "nothing that is not in" in second.err
    after = desk.snapshot()
    assert {path: after[path][1] for path in before if path.startswith(str(desk.models) + "/journal.j")} == {
        path: before[path][1] for path in before if path.startswith(str(desk.models) + "/journal.j")
    }


def test_backup_for_programs(desk):
    """Every file with its SHA-256, as the backup's own list has it."""
    desk.publish()

    result = desk.run("backup", str(desk.root / "copy"), "--output", "json")

    listing = (desk.root / "copy" / "SHA256SUMS").read_text().splitlines()
    assert listing == [f"{digest}  {name}" for name, digest in result.json["files"].items()]
    subprocess.run(["sha256sum", "--status", "-c", "SHA256SUMS"], cwd=desk.root / "copy", check=True)


def test_backup_is_a_registry(desk):
    """Every reading command works on it, and finds nothing missing."""
    desk.publish()
    desk.run("backup", str(desk.root / "copy"))

    for verb in ("list", "active", "verify"):
        result = desk.call(verb, "--registry-dir", str(desk.root / "copy"), "--output", "json")
        assert result.status == 0, result.err


def test_reading_tools_on_a_read_only_copy(desk, broken, as_nobody):
    """Who may only read can verify, examine and rehearse repairs on a registry that is not theirs."""
    desk.root.chmod(0o755)

    verify = as_nobody("verify", "--registry-dir", "models", "--state-dir", "runtime")
    dry = as_nobody(*["repair", "--from", "copy", "--dry-run", "--registry-dir", "models", "--state-dir", "runtime"])
    doctor = as_nobody("doctor", "--registry-dir", "models", "--state-dir", "runtime")

    assert verify.status == 3
    assert dry.status == 0, dry.err
    assert doctor.status == 3
    assert "permission denied" in doctor.out


def test_doctor(desk, monkeypatch):
    """Findings with remedies, and the worst one decides the status."""
    from eventlog import surroundings

    monkeypatch.setattr(surroundings, "mount_of", lambda path: None)
    monkeypatch.setattr(surroundings, "free_bytes", lambda path: None)
    desk.publish("a")
    stale = desk.registry_json.read_bytes()
    desk.publish("b")

    clean = desk.run("doctor")
    desk.models.chmod(0o777)
    risky = desk.run("doctor", "--output", "json")
    desk.models.chmod(0o755)
    desk.registry_json.write_bytes(stale)
    behind = desk.run("doctor")
    desk.journal.write_bytes(b"#" + desk.journal.read_bytes()[1:])
    damaged = desk.run("doctor")

    assert (clean.status, clean.out.splitlines()[-1].split()) == (0, ["verdict", "clean"])
    assert (risky.status, [symptom["about"] for symptom in risky.json["symptoms"]]) == (2, ["permissions"])
    assert (behind.status, "run rebuild" in behind.out) == (5, True)
    assert (damaged.status, "run repair --from COPY" in damaged.out) == (3, True)


def test_verify_artifacts(desk):
    """An artifact that is not the published one any more is named with both hashes, status 3."""
    desk.publish("a")
    assert desk.run("verify", "--artifacts").status == 0
    path = next(desk.root.glob("model-*.bin"))
    path.write_bytes(b"other")

    words = desk.run("verify", "--artifacts")
    result = desk.run("verify", "--artifacts", "--output", "json")

    assert (words.status, result.status, desk.run("verify").status) == (3, 3, 0)
    (finding,) = result.json["findings"]
    assert (finding["kind"], finding["line"], result.json["artifacts"]) == ("artifact", 2, 1)
    assert finding["expected"] in words.out
    assert finding["actual"] in words.out


def test_verify_names_line_and_bytes(desk, broken):
    """Damage is named by line, byte range, expected and actual."""
    (finding,) = desk.run("verify", "--output", "json").json["findings"]

    start = broken.index(b"\n") + 1
    assert (finding["kind"], finding["position"], finding["line"]) == ("damage", 1, 2)
    assert (finding["offset_bytes"], finding["size_bytes"]) == (start, broken.index(b"\n", start) - start)
    line = desk.journal.read_bytes().split(b"\n")[1]
    assert finding["expected"] == line[-66:-2].decode(), "what was recorded"
    assert finding["actual"] == sha256(line[:-75]).hexdigest(), "what is there now"
    words = desk.run("verify").out
    assert f"line 2, bytes {start} to {start + finding['size_bytes']}" in words
    assert f"expected hash {finding['expected']}, got {finding['actual']}" in words


@pytest.mark.parametrize("form", ["json", "table"])
def test_directory_whose_name_is_not_utf8(desk, form, monkeypatch):
    """Every tool works there; its name is shown with the odd bytes spelled out."""
    root = desk.root / os.fsdecode(b"v\xe9")
    root.mkdir()
    monkeypatch.chdir(root)
    words = ("--registry-dir", str(root / "m"), "--state-dir", str(root / "s"), "--output", form)
    assert desk.call("publish", "--artifact", desk.artifact(), "--backend", "b", *words[:4]).status == 0

    results = [desk.call("backup", str(root / "copy"), *words), desk.call("verify", *words)]
    results += [desk.call("doctor", *words)]
    shutil.rmtree(root / "m")
    results += [desk.call("restore", str(root / "copy"), *words)]
    (root / "m" / "journal.head").unlink()
    results += [desk.call("verify", *words), desk.call("repair", "--rebuild-head", *words)]

    assert [result.status for result in results if "/dev/shm" not in result.out][-3:] == [0, 2, 0]
    assert {result.status for result in results} <= {0, 2}
    assert all("Traceback" not in result.err for result in results)
    assert "v\\xe9" in results[1].out.replace("\\\\", "\\")


def test_what_lies_about_is_not_imported(desk):
    """Files in the working directory that are called like our modules, or like those we need, change nothing."""
    for name in ("eventlog/__init__.py", "scripts/progress.py", "msgspec/__init__.py", "click.py", "logging.py"):
        path = desk.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('hidden')")

    done = desk.spawn("publish", "--artifact", desk.artifact(), "--backend", "b")
    examined = desk.spawn("doctor")

    assert done.returncode == 0, done.stderr
    assert b"hidden" not in examined.stderr
    assert b"packages:" not in examined.stdout


def test_module_that_hides_one_of_ours(desk):
    """On the path of Python, though, it is imported, and the doctor says so."""
    hiding = desk.root / "hiding"
    (hiding / "scripts").mkdir(parents=True)
    (hiding / "scripts" / "demo.py").touch()

    done = desk.spawn("doctor", env={"PYTHONPATH": f"{hiding}:" + desk.environment()["PYTHONPATH"]})

    assert b"scripts/demo.py: expected the one in" in done.stdout
    assert done.returncode == 2
