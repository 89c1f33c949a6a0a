"""`verify.sh`: a shell, sed, sha256sum, jq and openssl come to the same verdicts as the program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Place, fast_place, fill, reseal

from eventlog.engines.jsonl_head import Head, format_slot
from eventlog.signed_note import KIND_LOG, PrivateKey
from projections import verify_registry
from projections.evidence import issue_receipt, verify_receipt
from scripts.manage_models import main

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify.sh"
KEY = PrivateKey("example.com/models", KIND_LOG, bytes(range(32)))
OTHER = PrivateKey("example.com/models", KIND_LOG, bytes(range(1, 33)))


@pytest.fixture
def signed(place: Place) -> Place:
    """Seven entries, signed, with a receipt for the model at position 3 and both public keys beside."""
    registry = place.open(sign_key=KEY.spelled())
    for name in "abcde":
        model = place.publish(name, registry=registry, reason="größer\u2028 'q' \\ $(id)")
        if name == "b":
            kept = model
    issue_receipt(kept.model_id, place.registry_dir, place.state_dir)
    for name, key in (("k.pub", KEY), ("other.pub", OTHER)):
        (place.root / name).write_text(f"{key.public}\n")
    return place


def _sh(place: Place, *words: str) -> subprocess.CompletedProcess[str]:
    shell = shutil.which("dash") or "/bin/sh"
    return subprocess.run(
        [shell, str(SCRIPT), *words], cwd=place.root, capture_output=True, text=True, timeout=60, check=False
    )


def _ours(place: Place, *words: str) -> int:
    return main(["list", "--registry-dir", str(place.registry_dir), "--state-dir", str(place.root / "none"), *words])


def test_it_is_portable():
    """It names a POSIX shell and uses nothing that only bash has; the least of shells can read it."""
    text = SCRIPT.read_text(encoding="utf-8")

    assert text.startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    assert not any(word in text for word in ("[[", "function ", "local ", "<<<", "$'", "=~", "pipefail"))
    assert subprocess.run([shutil.which("dash") or "/bin/sh", "-n", str(SCRIPT)], check=False).returncode == 0


def test_an_honest_journal(signed: Place):
    """Chain, head, signature and root hold."""
    done = _sh(signed, "journal", "m", "k.pub")

    assert (done.returncode, done.stderr) == (0, "")
    assert "chain and head: 7 entries" in done.stdout
    assert "tree head: 7 of 7 entries signed by example.com/models" in done.stdout
    assert _sh(signed, "journal", "m").returncode == 0


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 9, 17])
def test_journals_of_any_size(size: int):
    """Trees of every shape have the root that was signed."""
    with fast_place() as place:
        fill(place, size)
        (place.root / "k.pub").write_text(f"{KEY.public}\n")
        place.open().add_key(KEY.public)
        place.open(sign_key=KEY.spelled()).rebuild()

        assert _sh(place, "journal", "m", "k.pub").returncode == 0
        assert _ours(place, "--public-key", str(KEY.public)) == 0


def _line(number: int, old: bytes, new: bytes) -> Callable[[Place], None]:
    def damage(place: Place) -> None:
        lines = place.lines()
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new, 1)
        place.journal.write_bytes(b"".join(lines))

    return damage


def _resealed(place: Place) -> None:
    lines = place.lines()
    lines[3] = lines[3].replace(b'"backend":"b"', b'"backend":"e"')
    lines = reseal(lines, 3)
    place.journal.write_bytes(b"".join(lines))
    head = Head(len(lines), sum(map(len, lines)), lines[-1][-67:-3].decode())
    place.head.write_bytes(format_slot(head) * 2)
    place.registry_json.unlink()


DAMAGES: dict[str, Callable[[Place], object]] = {
    "a letter": _line(2, b'"b"', b'"c"'),
    "a hash": _line(2, b'"hash":"', b'"hash":"0'),
    "a duplicate key": _line(3, b'"actor"', b'"actor":"x","actor"'),
    "a line too few": lambda place: place.journal.write_bytes(b"".join(place.lines()[:3] + place.lines()[4:])),
    "two lines swapped": lambda place: place.journal.write_bytes(
        b"".join([*place.lines()[:3], place.lines()[4], place.lines()[3], *place.lines()[5:]])
    ),
    "the end cut off": lambda place: place.journal.write_bytes(place.journal.read_bytes()[:-10]),
    "both slots of the head": lambda place: place.head.write_bytes(place.head.read_bytes().replace(b"7", b"8")),
    "no JSON": _line(4, b'{"specversion"', b'{specversion"'),
    "every hash recomputed": _resealed,
    "the tree head's root": lambda place: _edit(place.registry_dir / "tree_head.note", b"=\nchain", b"A\nchain"),
    "the tree head's size": lambda place: _edit(place.registry_dir / "tree_head.note", b"\n7\n", b"\n6\n"),
    "no tree head": lambda place: (place.registry_dir / "tree_head.note").unlink(),
}


def _edit(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal(signed: Place, damage: str):
    """Both refuse it, with status 3 and a line that says what was expected."""
    DAMAGES[damage](signed)

    done = _sh(signed, "journal", "m", "k.pub")

    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "expected" in done.stderr
    verdict = verify_registry(signed.registry_dir, None, public_key=str(KEY.public)).verdict
    assert verdict == ("cannot tell" if "both slots" in damage else "damaged")


def test_a_tail_that_nobody_acknowledged(signed: Place):
    """What stands behind the acknowledged lines says nothing, to both."""
    with signed.journal.open("ab") as file:
        file.write(b'{"specversion":"1.0","seq')

    assert _sh(signed, "journal", "m", "k.pub").returncode == 0
    assert _ours(signed) == 0


def test_one_slot_of_the_head_is_enough(signed: Place):
    """The older slot tells of less, and the tree head of more than that."""
    data = bytearray(signed.head.read_bytes())
    newest = 0 if b"00000000000000000007" in bytes(data[:20]) else 128
    data[newest] ^= 1
    signed.head.write_bytes(data)

    assert _sh(signed, "journal", "m").returncode == 0


def test_another_key(signed: Place):
    """A signature by a key of the same name does not count."""
    for words in (("journal", "m", "other.pub"), ("receipt", "b.tlog-proof", "b", "other.pub")):
        done = _sh(signed, *words)
        assert done.returncode == 3
        assert "expected a signature of example.com/models+" in done.stderr


def test_a_receipt(signed: Place):
    """Published, when and by whom: as the program says."""
    done = _sh(signed, "receipt", "b.tlog-proof", "b", "k.pub")
    proven = verify_receipt(signed.root / "b.tlog-proof", signed.root / "b", str(KEY.public))

    assert (done.returncode, done.stderr) == (0, "")
    assert str(proven.event.subject) in done.stdout
    assert proven.event.actor in done.stdout


@pytest.mark.parametrize("change", ["extra", "index 3", "proof", "artifact", "size"])
def test_a_receipt_that_does_not_fit(signed: Place, change: str):
    """Both refuse it with status 3."""
    path = signed.root / "b.tlog-proof"
    lines = path.read_text(encoding="utf-8").split("\n")
    if change == "artifact":
        (signed.root / "b").write_text("other")
    elif change == "extra":
        lines[1] = lines[1].replace("QiOi", "QiOj", 1) if "QiOi" in lines[1] else lines[1][:80] + "AAAA" + lines[1][84:]
    elif change == "index 3":
        lines[2] = "index 4"
    elif change == "proof":
        lines[3], lines[4] = lines[4], lines[3]
    else:
        lines[lines.index("7")] = "8"
    path.write_text("\n".join(lines), encoding="utf-8")

    done = _sh(signed, "receipt", "b.tlog-proof", "b", "k.pub")

    assert done.returncode == 3, done.stdout + done.stderr
    assert main(["verify-receipt", str(signed.root / "b"), "--public-key", str(KEY.public)]) == 3


@pytest.mark.parametrize(
    "words",
    [(), ("journal",), ("journal", "none"), ("receipt", "b.tlog-proof"), ("receipt", "none", "b", "k.pub"), ("x", "y")],
)
def test_bad_usage(signed: Place, words: tuple[str, ...]):
    """One line and status 2."""
    done = _sh(signed, *words)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
