"""`bundle` and `unbundle` on the command line; and a registry's directory that was moved or copied as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPORT = ["bundle", "journal_id", "start", "size", "hash", "models", "signed", "size_bytes"]
TAKEN = ["bundle", "journal_id", "size_before", "size", "hash", "models", "signed_by_trusted", "done"]


@pytest.fixture
def bundled(desk):
    """Two models that were published by path, in `b.tar`; then their files and the registry are gone."""
    desk.first = desk.publish("a")
    desk.second = desk.publish("b", data=b"2")
    desk.tar = str(desk.root / "b.tar")
    desk.report = desk.run("bundle", desk.first["model_id"], "-o", desk.tar, "--output", "json")
    assert desk.report.status == 0, desk.report.err
    desk.history = desk.journal.read_bytes()
    for path in desk.root.glob("*.bin"):
        path.unlink()
    shutil.rmtree(desk.models)
    shutil.rmtree(desk.runtime)
    return desk


def active(desk):
    """Return what the runtime is told."""
    return json.loads(desk.state_json.read_text())["metadata"]["active_model"]


def test_there_and_back(bundled):
    """The host that got the bundle has the history and the bytes, and can go back to the model that was by path."""
    report, desk = bundled.report, bundled
    assert list(report.json) == REPORT
    assert "info: " + desk.second["model_id"] + ": active, so it comes along" in report.err

    done = desk.run("unbundle", desk.tar, "--output", "json")

    assert (done.status, list(done.json)) == (0, TAKEN)
    assert desk.journal.read_bytes() == desk.history
    assert Path(active(desk)["artifact_path"]).read_bytes() == b"2"
    assert desk.run("path", "--verified").out == desk.run("path").out == active(desk)["artifact_path"] + "\n"
    back = desk.run("rollback")
    assert back.json["model_id"] == desk.first["model_id"] == active(desk)["model_id"]
    assert Path(active(desk)["artifact_path"]).read_bytes() == b"weights"
    assert desk.run("verify", "--artifacts").status == 0
    assert desk.run("list").status == 0


def test_twice(bundled):
    """The second one changes nothing and says so."""
    assert bundled.run("unbundle", bundled.tar).status == 0
    before = bundled.snapshot()

    done = bundled.run("unbundle", bundled.tar)

    assert (done.status, bundled.snapshot()) == (0, before)
    assert "has no entry that is not in" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "bundle", "journal", "entries", "entries", "hash", "models", "signed"
    ]  # fmt: skip


def test_dry_run(bundled):
    """It is verified, and nothing changes."""
    before = bundled.snapshot()

    done = bundled.run("unbundle", bundled.tar, "--dry-run")

    assert (done.status, bundled.snapshot()) == (0, before)
    assert "info: dry run: nothing was changed" in done.err


def test_the_second_bundle_is_small(bundled):
    """What the other side has is left out; without the rest it is partial, and says what to ask for."""
    desk = bundled
    assert desk.run("unbundle", desk.tar).status == 0
    desk.publish("c", data=b"3")
    tar = str(desk.root / "more.tar")
    assert desk.run("bundle", "-o", tar, "--since", "3").status == 0
    newer = desk.journal.read_bytes()
    shutil.rmtree(desk.models)
    shutil.rmtree(desk.runtime)

    alone = desk.run("unbundle", tar)
    assert (alone.status, alone.out) == (2, "")
    assert "bundle --since 0" in alone.err
    assert not desk.models.exists()
    assert desk.run("unbundle", desk.tar).status == 0
    assert desk.run("unbundle", tar).status == 0
    assert desk.journal.read_bytes() == newer


def test_refused(bundled, refused, monkeypatch):
    """One line, status 2, and no byte has changed."""
    monkeypatch.chdir(bundled.root)
    desk, tar = bundled, Path(bundled.tar)
    data = tar.read_bytes()
    cut = desk.root / "cut.tar"
    cut.write_bytes(data[:-100])
    assert "cut off or changed" in refused(*desk.argv("unbundle", str(cut)))
    cut.write_bytes(data.replace(b"weights", b"wEights"))
    assert "it was changed" in refused(*desk.argv("unbundle", str(cut)))
    assert "no such file" in refused(*desk.argv("unbundle", "missing.tar"))
    assert "on a cluster" in refused(*desk.argv("unbundle", desk.tar, "--journal", "nats://x:1/prod"))
    assert "Missing" in refused(*desk.argv("unbundle"))
    assert "Missing" in refused(*desk.argv("bundle"))
    assert "--since" in refused(*desk.argv("bundle", "-o", "x", "--since", "-1"))
    refused(*desk.argv("unbundle", desk.tar, "--public-key", "nonsense"))
    desk.publish("other", data=b"other")
    assert "expected journal" in refused(*desk.argv("unbundle", desk.tar))
    assert "it is not overwritten" in refused(*desk.argv("bundle", "-o", desk.tar))
    assert "expected a published model" in refused(*desk.argv("bundle", desk.first["model_id"], "-o", "x"))


def test_runtime_of_another_registry(bundled, refused):
    """It is not taken over."""
    bundled.publish("other")
    shutil.rmtree(bundled.models)

    assert "follows journal" in refused(*bundled.argv("unbundle", bundled.tar))


def test_signed(desk, refused, monkeypatch):
    """The key is asked for where it is named: status 3 where it did not sign, and receipts come along."""
    monkeypatch.chdir(desk.root)
    assert desk.call("keygen", "k", "--name", "example.com/m").status == 0
    assert desk.call("keygen", "other", "--name", "example.com/m").status == 0
    model = desk.publish("a", "--sign-key", "k")
    assert desk.run("bundle", "-o", "b.tar", "--public-key", "k.pub").status == 0
    shutil.rmtree(desk.models)
    shutil.rmtree(desk.runtime)

    refused(*desk.argv("unbundle", "b.tar", "--public-key", "other.pub"), status=3)
    assert desk.run("unbundle", "b.tar", "--public-key", "k.pub").status == 0

    assert desk.run("list", "--public-key", "k.pub").status == 0
    subprocess.run(["tar", "xf", "b.tar", "receipts"], check=True)
    words = [model["artifact_path"], "--receipt", f"receipts/{model['model_id']}.tlog-proof", "--public-key", "k.pub"]
    assert desk.call("verify-receipt", *words).status == 0


@pytest.mark.parametrize("how", ["mv", "cp -a"])
def test_directory_that_was_moved(desk, how):
    """It works as it is, and every path that is told leads to where it is now; the runtime is told, too."""
    models = [desk.publish(f"m{number}", "--copy", data=b"%d" % number * 9) for number in range(3)]
    (desk.root / "d").mkdir()
    (desk.root / "d" / "x").write_bytes(b"x")
    models.append(desk.run("publish", "--artifact", str(desk.root / "d"), "--backend", "b", "--copy").json)
    for path in desk.root.glob("*.bin"):
        path.unlink()
    shutil.rmtree(desk.root / "d")
    listed = desk.run("list", "--output", "json").json
    registry_json = desk.registry_json.read_bytes()
    old, desk.models = desk.models, desk.root / "elsewhere" / "registry"
    desk.models.parent.mkdir()
    subprocess.run([*how.split(), str(old), str(desk.models)], check=True)
    if how == "cp -a":
        old.rename(desk.root / "gone")

    for model in listed:
        model["artifact_path"] = model["artifact_path"].replace(str(old), str(desk.models))
    assert desk.run("list", "--output", "json").json == listed
    assert desk.run("verify", "--artifacts").status in (0, 5)
    assert desk.run("rebuild").status == 0
    assert (desk.models / "registry.json").read_bytes() == registry_json
    assert active(desk)["artifact_path"].startswith(f"{desk.models}/")
    for model in models:
        assert desk.run("rollback", "--model-id", model["model_id"]).status == 0
        assert active(desk)["artifact_path"] == desk.run("path", "--verified").out.strip()
        assert Path(active(desk)["artifact_path"]).is_relative_to(desk.models)
        assert os.path.exists(active(desk)["artifact_path"])
    assert desk.run("verify", "--artifacts").status == 0
