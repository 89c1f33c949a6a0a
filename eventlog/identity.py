"""Who acts, under which id, in text that can be stored and shown."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable

from eventlog.errors import RefusedError

TEXT_CHARACTERS_MAX = 256


def default_actor() -> str:
    """Return `user@host` of this process: the effective user as the system knows it, not as the environment says."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return f"{user}@{os.uname().nodename}"


def new_uuid(random_bytes: Callable[[int], bytes]) -> str:
    """Return a random UUID (RFC 9562, version 4) as 36 characters."""
    value = bytearray(random_bytes(16))
    value[6] = value[6] & 0x0F | 0x40
    value[8] = value[8] & 0x3F | 0x80
    digits = value.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def check_text(what: str, text: str) -> str:
    """Return *text* if it is 1 to `TEXT_CHARACTERS_MAX` printable characters, not all blank; or raise."""
    is_text = isinstance(text, str) and text.isprintable() and text.strip() != ""
    if not is_text or len(text) > TEXT_CHARACTERS_MAX:
        raise RefusedError(f"{what}: expected 1 to {TEXT_CHARACTERS_MAX} printable characters, got {text!r:.300}")
    return text


def check_utf8(what: str, text: str) -> str:
    """Return *text* if it can be written as UTF-8, or raise `RefusedError`."""
    if not isinstance(text, str):
        raise TypeError(f"{what}: expected text, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedError(f"{what}: expected text that is UTF-8, got {text!r:.300}") from None
    return text
