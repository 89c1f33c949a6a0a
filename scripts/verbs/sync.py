"""`sync`: keep the derived files of this machine up to the journal, also of one that others write."""

from __future__ import annotations

import time
from typing import Any

from eventlog.errors import LockTimeoutError, OutcomeUnknownError, ProjectionLagError, RefusedError, UnreachableError
from eventlog.log import log
from eventlog.model import ModelMetadata
from scripts import interrupts, options
from scripts.declared import Option, verb

LOOK_SECONDS = 0.5
"""How long a wait for something new may last before it is seen whether we are to stop."""

PAUSE_SECONDS = 1.0
PASSING = (ProjectionLagError, UnreachableError, OutcomeUnknownError, LockTimeoutError)
"""What is tried again from the beginning; what else is refused then is most likely a mistake in the command."""


@verb(
    Option("--once", flag=True, help="Bring them up to date and end."),
    options.SHARING,
    options.SIGNING,
    options.TRUSTING,
    options.MEASURED,
    options.WAITING,
    *options.COMMON,
)
def command(
    once: bool,
    artifact_store: str | None,
    sign_key: str | None,
    public_key: str | None,
    metrics_file: str | None,
    lock_timeout: float,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """
    Keep registry.json and the runtime's state.json of this machine up to the journal, until SIGTERM or Ctrl-C.

    With --journal, an event that another machine has recorded is here within milliseconds; with --artifact-store, a
    model's file is here, whole and right, before state.json names it. What cannot be reached or written is tried again;
    damage ends it.
    """
    fetched = ""

    def ready(model: ModelMetadata) -> None:
        nonlocal fetched
        if artifact_store is not None and model.model_id != fetched:
            log.info("%s: at %s", model.model_id, registry.fetch(model.model_id))
            fetched = model.model_id

    settings: dict[str, Any] = {"artifact_store": artifact_store, "sign_key": sign_key, "public_key": public_key}
    settings["metrics_file"] = metrics_file
    with options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **settings) as registry:
        if once:
            size, _ = registry.sync(ready)
            log.info("%s: up to %d entries", registry_dir, size)
            return
        seen, problem = -1, ""
        with interrupts.stopping() as stop:
            while not stop:
                try:
                    size, model = registry.sync(ready)
                    if size != seen or problem:
                        active = model.model_id if model else "none"
                        log.info("%s: up to %d entries, active: %s", registry_dir, size, active)
                    seen, problem = size, ""
                    registry.wait(LOOK_SECONDS)
                except (ProjectionLagError, OutcomeUnknownError, RefusedError) as error:
                    if seen < 0 and not isinstance(error, PASSING):
                        raise
                    if str(error) != problem:
                        log.warning("%s", error)
                    problem = str(error)
                    _pause(stop)
        log.info("%s: stopped at %d entries", registry_dir, max(0, seen))


def _pause(stop: list[int]) -> None:
    """Let a moment pass before what failed is tried again."""
    until = time.monotonic() + PAUSE_SECONDS
    while not stop and time.monotonic() < until:
        time.sleep(PAUSE_SECONDS / 20)
