"""Where an artifact is recorded to be: paths as the journal has them, and as this machine does."""

from __future__ import annotations

import os
import re

KEPT = "artifacts"
"""Below a registry's directory: the artifacts that it keeps itself."""

DIGEST = re.compile("[0-9a-f]{64}")
"""A SHA-256, as the names of what is kept have it."""


def path_to_text(path: str) -> tuple[str, str | None]:
    """Return *path* as text for the journal, and its bytes in hex where they are not UTF-8; whatever the locale."""
    raw = os.fsencode(path)
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), raw.hex()


def path_from_text(text: str, path_hex: str | None) -> str:
    """Return the path that `open` understands; the inverse of `path_to_text`."""
    return os.fsdecode(text.encode() if path_hex is None else bytes.fromhex(path_hex))


def kept_path(digest: str, *, is_directory: bool) -> str:
    """Return where, from the registry's directory on, it keeps the artifact with a hash."""
    return f"{KEPT}/{'trees' if is_directory else 'sha256'}/{digest[:2]}/{digest}"


def located(path: str, digest: str, home: str | None) -> str:
    """Return where an artifact that is recorded at *path* is on this machine, whose registry's directory is *home*."""
    if path.startswith("/") or home is None:
        return path
    is_kept = path in (kept_path(digest, is_directory=False), kept_path(digest, is_directory=True))
    return os.path.join(home, path) if is_kept else path
