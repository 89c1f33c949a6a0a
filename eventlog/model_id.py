"""The ids of models: `<UTC %Y%m%d%H%M%S>_<first 8 hex of the sha256>`, with microseconds where that is taken."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime, timedelta

from eventlog.errors import RefusedError

_MODEL_ID = r"[0-9]{14}(?:[0-9]{6})?_[0-9a-f]{8}"
MODEL_ID_LINES = re.compile(rf"(?:{_MODEL_ID}\n)*+")


def is_model_id(text: str) -> bool:
    """Say whether *text* looks like one."""
    return re.fullmatch(_MODEL_ID, text) is not None


def new_model_id(time: datetime, digest: str, taken: Container[str]) -> str:
    """
    Return an id that none of the *taken* is.

    A clock that stands still moves on by one microsecond in the id alone.
    """
    model_id = f"{time:%Y%m%d%H%M%S}_{digest[:8]}"
    while model_id in taken:
        model_id = f"{time:%Y%m%d%H%M%S%f}_{digest[:8]}"
        time += timedelta(microseconds=1)
    return model_id


def check_model_id(model_id: str) -> str:
    """Return *model_id*, or raise `RefusedError` unless it looks like one; done before an id touches anything else."""
    if not is_model_id(model_id):
        raise RefusedError(f"model id: expected YYYYMMDDHHMMSS_xxxxxxxx, whole and as in list, got {model_id!r:.80}")
    return model_id
