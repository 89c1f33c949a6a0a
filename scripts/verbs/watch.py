"""`watch`: a runtime learns that another model is active, and gets the path of its bytes, just checked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from eventlog import durable, durable_replacement, identity
from eventlog.clock import utc_now
from eventlog.errors import ModelogError, RefusedError
from eventlog.log import log
from eventlog.moments import POSITION_MAX
from eventlog.serving import Loaded
from scripts import interrupts, options, output
from scripts.declared import Option, UsageError, seconds_up_to, verb

RETRY_SECONDS = 2.0
LOOK_SECONDS = 0.2
_SEEN_BYTES = 20


class _StoppedError(Exception):
    """Somebody wants us to end."""


@verb(
    Option(
        "--exec",
        "execute",
        metavar="CMD",
        help="Run by sh until it ends with 0; finds MODELOG_ARTIFACT_PATH, _MODEL_ID, _SHA256, _BACKEND, _POSITION.",
    ),
    Option("--seen", metavar="FILE", help="Keeps the position that was dealt with last, and begins behind it."),
    Option(
        "--debounce",
        number=float,
        read=seconds_up_to(3_600),
        metavar="SECONDS",
        default=0.1,
        default_shown=True,
        help="Changes within that time are one, the last.",
    ),
    Option("--report", metavar="NAME", help="Record that the runtime NAME uses the model, once CMD has ended with 0."),
    Option("--limit", number=int, least=1, metavar="N", help="End after N models."),
    options.SHARING,
    options.SIGNING,
    options.TRUSTING,
    options.MEASURED,
    options.WAITING,
    *options.COMMON,
)
def command(
    execute: str | None,
    seen: str | None,
    debounce: float,
    report: str | None,
    limit: int | None,
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
    Print the active model and, whenever another one takes its place, that one, its bytes just checked; until SIGTERM.

    A model whose bytes are not there is not shown: the one before stays. With --seen nothing is missed by whoever was
    killed: the model that has become active meanwhile comes first, the last of several. A CMD that fails is run again
    every 2 seconds.
    """
    _check_words(execute, report)
    measure = _measuring(metrics_file, registry_dir, report)
    settings: dict[str, Any] = {"artifact_store": artifact_store, "sign_key": sign_key, "public_key": public_key}
    with (
        options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **settings) as registry,
        interrupts.stopping() as stop,
    ):

        def wait(seconds: float) -> None:
            if stop:
                raise _StoppedError
            registry.wait(min(seconds, LOOK_SECONDS))

        last, done = _read(seen), 0
        shown: int | None = None
        _check_can_write(seen)
        try:
            while True:
                for loaded in registry.watch(last, debounce_seconds=debounce, wait=wait):
                    if loaded.position != shown:
                        shown = loaded.position
                        _show(loaded)
                    if execute is not None and not _run(loaded, execute):
                        break
                    if report is not None:
                        _report(registry, loaded, report)
                    last, done = loaded.position, done + 1
                    _write(seen, last)
                    measure(loaded)
                    if done == limit:
                        return
                until = time.monotonic() + RETRY_SECONDS
                while time.monotonic() < until:
                    wait(RETRY_SECONDS)
        except _StoppedError:
            return


def _check_words(execute: str | None, report: str | None) -> None:
    """Refuse at the start what would fail for each model."""
    if report is not None:
        identity.check_text("--report", report)
    if execute is not None and not execute.strip():
        raise UsageError("--exec: expected a command, got none")


def _told(loaded: Loaded) -> dict[str, Any]:
    return {**loaded.model.to_dict(), "artifact_path": loaded.path, "position": loaded.position}


def _show(loaded: Loaded) -> None:
    output.print_json(_told(loaded), one_line=True)


def _run(loaded: Loaded, execute: str) -> bool:
    """Run the command for a model; say whether that ended well."""
    told = _told(loaded)
    ours = {variable: os.fsdecode(os.fsencode(str(told[name]))) for name, variable in options.GIVEN.items()}
    ours[options.GIVEN["artifact_path"]] = loaded.path
    command = ["/bin/sh", "-c", execute]
    status = subprocess.run(command, env={**os.environ, **ours}, check=False).returncode  # noqa: S603 - as was asked
    if status != 0:
        log.warning("%s: the command ended with status %d: tried again", loaded.model.model_id, status)
    return status == 0


def _report(registry: Any, loaded: Loaded, runtime: str) -> None:
    """Record that a model runs; the runtime goes on, whatever becomes of that."""
    try:
        registry.report_loaded(loaded, runtime=runtime, request_id=f"loaded-{runtime}-{loaded.position}")
    except ModelogError as error:
        log.warning("%s: not recorded that %s runs it: %s", loaded.model.model_id, runtime, error)


def _measuring(path: str | None, registry_dir: str, runtime: str | None) -> Callable[[Loaded], None]:
    """Return what keeps in a metrics file which model was handed on last. Raises RefusedError where it never could."""
    if path is None:
        return lambda loaded: None
    from projections import metrics, metrics_file  # noqa: PLC0415 - few are monitored

    file = metrics_file.MetricsFile(path, registry_dir)
    return lambda loaded: file.put(lambda: {metrics.WATCH: metrics.loaded(loaded, runtime, at=utc_now())})


def _read(path: str | None) -> int | None:
    """Return the position in a file; None where there is no file. Raises RefusedError where it holds another thing."""
    if path is None or not os.path.lexists(path):
        return None
    with durable.refusing(f"--seen {path}"):
        text = durable.read_start(path, _SEEN_BYTES).decode("ascii", "replace").strip()
    if not text.isdecimal() or int(text) > POSITION_MAX:
        raise RefusedError(f"--seen {path}: expected a position, got {text!r:.80}: remove the file to begin anew")
    return int(text)


def _check_can_write(path: str | None) -> None:
    """Refuse, before anything is done for a model, a file that could not keep its position."""
    if path is None:
        return
    above = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(above) or not os.access(above, os.W_OK | os.X_OK) or os.path.isdir(path):
        raise RefusedError(f"--seen {path}: expected a file in a directory that we may write to, got another")


def _write(path: str | None, position: int | None) -> None:
    if path is not None:
        with durable.refusing(f"--seen {path}"):
            durable_replacement.replace_file(os.path.abspath(path), b"%d\n" % (position or 0))
