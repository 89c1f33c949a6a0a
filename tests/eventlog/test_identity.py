"""Names and ids: what can be stored and shown."""

from __future__ import annotations

import os
import pwd
import uuid

import pytest
from support import Randomness

from eventlog.errors import RefusedError
from eventlog.identity import TEXT_CHARACTERS_MAX, check_text, check_utf8, default_actor, new_uuid


def test_default_actor_ignores_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """USER and LOGNAME can say anything; the system knows better."""
    for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME"):
        monkeypatch.setenv(name, "somebody")

    assert default_actor() == f"{pwd.getpwuid(os.geteuid()).pw_name}@{os.uname().nodename}"


def test_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user that the system does not know by name is a number."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_294_000_001)

    assert default_actor() == f"4294000001@{os.uname().nodename}"


@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x5a"])
def test_uuid_is_version_4(fill: bytes) -> None:
    """Whatever the random bytes are, version and variant are those of RFC 9562."""
    found = uuid.UUID(text := new_uuid(lambda count: fill * count))

    assert (found.version, found.variant, str(found)) == (4, uuid.RFC_4122, text)


def test_uuids_differ() -> None:
    """Other bytes, another id."""
    random_bytes = Randomness()

    assert len({new_uuid(random_bytes) for _ in range(100)}) == 100


@pytest.mark.parametrize("text", ["a", "a b", "ü€😀", "x" * TEXT_CHARACTERS_MAX])
def test_text_that_can_be_shown(text: str) -> None:
    """Printable text is returned as it is."""
    assert check_text("actor", text) == text


@pytest.mark.parametrize(
    "text",
    ["", "x" * (TEXT_CHARACTERS_MAX + 1), "a\nb", "\x1b[0m", "a\0", "a\u202eb", "a\u2028", "\ud800", None, 3, b"a"],
)
def test_text_that_cannot(text: str) -> None:
    """Empty, too long, not printable or not text: refused, and the message is printable itself."""
    with pytest.raises(RefusedError, match=r"^actor: expected") as caught:
        check_text("actor", text)

    assert str(caught.value).isprintable()


def test_utf8() -> None:
    """Any text but lone surrogates has a UTF-8."""
    assert check_utf8("reason", "two\nlines\u2028") == "two\nlines\u2028"
    with pytest.raises(RefusedError, match=r"^reason: expected"):
        check_utf8("reason", "a\udc80")
