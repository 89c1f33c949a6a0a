"""Options that several verbs share, each also from the environment, and the registry that they name."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from eventlog import durable
from eventlog.locking import LOCK_TIMEOUT_SECONDS, LOCK_TIMEOUT_SECONDS_MAX
from projections import ModelRegistry, open_registry
from scripts import keyfiles, output
from scripts.interrupts import Interrupts

REGISTRY_DIR = "var/models"
STATE_DIR = "var/runtime"
SETTINGS = tuple(
    f"MODELOG_{name}"
    for name in (
        "REGISTRY_DIR",
        "STATE_DIR",
        "ACTOR",
        "OUTPUT",
        "LOCK_TIMEOUT",
        "LOG_LEVEL",
        "RECORD_REFUSALS",
        "SIGN_KEY",
        "PUBLIC_KEY",
    )
)
LEVELS = ("debug", "info", "warning", "error")
_F = TypeVar("_F", bound=Callable[..., Any])


def as_text(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Read what was typed as UTF-8 whatever the locale says; bytes that are not stay escapes and are refused later."""
    if isinstance(value, tuple):
        return tuple(as_text(ctx, param, item) for item in value)
    return None if value is None else os.fsencode(value).decode("utf-8", "surrogateescape")


def _as_seconds(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse what cannot be waited for; not-a-number compares as false."""
    if not 0 <= value <= LOCK_TIMEOUT_SECONDS_MAX:
        raise click.BadParameter(f"expected 0 to {LOCK_TIMEOUT_SECONDS_MAX} seconds, got {value!r}", ctx, param)
    return value


def _set_level(ctx: click.Context, param: click.Parameter, value: str) -> None:
    output.set_log_level(value)


def _as_public_key(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else keyfiles.read_public(value)


def _as_sign_key(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else keyfiles.read_private(value)


def signing(function: _F) -> _F:
    """Add what every verb takes after which the tree head may be signed."""
    add = click.option(
        "--sign-key",
        show_envvar=True,
        envvar="MODELOG_SIGN_KEY",
        callback=_as_sign_key,
        metavar="FILE",
        help="Sign the tree head afterwards with this private key (see keygen).",
    )
    return add(function)


def trusting(function: _F) -> _F:
    """Add the public key that whoever asks trusts."""
    add = click.option(
        "--public-key",
        show_envvar=True,
        envvar="MODELOG_PUBLIC_KEY",
        callback=_as_public_key,
        metavar="KEY",
        help="Go on only if a tree head that this key signed agrees: a public key, or the file it stands in.",
    )
    return add(function)


def common(function: _F) -> _F:
    """Add what every verb takes."""
    for add in (
        click.option(
            "--log-level",
            show_envvar=True,
            envvar="MODELOG_LOG_LEVEL",
            type=click.Choice(LEVELS),
            default="info",
            show_default=True,
            expose_value=False,
            is_eager=True,
            callback=_set_level,
            help="How much to say on stderr.",
        ),
        click.option(
            "--state-dir",
            show_envvar=True,
            envvar="MODELOG_STATE_DIR",
            metavar="DIR",
            help=f"The runtime's directory.  [default: {STATE_DIR}; to look at a registry elsewhere: none]",
        ),
        click.option(
            "--registry-dir",
            show_envvar=True,
            envvar="MODELOG_REGISTRY_DIR",
            default=REGISTRY_DIR,
            metavar="DIR",
            show_default=True,
            help="The registry's directory.",
        ),
    ):
        function = add(function)
    return function


def shown(function: _F) -> _F:
    """Add what every verb takes that shows something."""
    add = click.option(
        "--output",
        "output_format",
        show_envvar=True,
        envvar="MODELOG_OUTPUT",
        type=click.Choice(("table", "json", "jsonl", "csv")),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )
    return add(function)


def explained(function: _F) -> _F:
    """Add what every verb takes that the history tells with who and why."""
    for add in (
        click.option("--reason", callback=as_text, help="Why; kept in the history."),
        click.option(
            "--actor",
            show_envvar=True,
            envvar="MODELOG_ACTOR",
            callback=as_text,
            help="Who; kept in the history.  [default: user@host]",
        ),
    ):
        function = add(function)
    return function


def waiting(function: _F) -> _F:
    """Add what every verb takes that may have to wait for another process."""
    add = click.option(
        "--lock-timeout",
        show_envvar=True,
        envvar="MODELOG_LOCK_TIMEOUT",
        type=float,
        callback=_as_seconds,
        metavar="SECONDS",
        default=LOCK_TIMEOUT_SECONDS,
        show_default=True,
        help="How long to wait for another writer.",
    )
    return add(function)


def dry(function: _F) -> _F:
    """Add what every verb takes that can be rehearsed."""
    return click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")(function)


def changing(function: _F) -> _F:
    """Add what every verb takes that appends an event."""
    for add in (
        waiting,
        trusting,
        signing,
        click.option(
            "--record-refusals",
            is_flag=True,
            show_envvar=True,
            envvar="MODELOG_RECORD_REFUSALS",
            help="If it is refused, record that in the history.",
        ),
        click.option("--take-over", is_flag=True, help="Let a runtime that follows another journal follow this one."),
        dry,
        click.option("--expect-active", metavar="ID", help="Refuse unless this model (or 'none') is active."),
        repeatable,
        explained,
    ):
        function = add(function)
    return function


def repeatable(function: _F) -> _F:
    """Add the id under which a request that records something may be repeated."""
    return click.option(
        "--id",
        "request_id",
        callback=as_text,
        metavar="KEY",
        help="Repeating a request with the same KEY gives the same answer and records it once.",
    )(function)


def hold_interrupts() -> Callable[[], None]:
    """Return what is to be called at the point of no return: from there on, interrupts are only noted."""
    interrupts = click.get_current_context().find_object(Interrupts)
    return interrupts.hold if interrupts else lambda: None


def open_for_change(registry_dir: str, state_dir: str | None, lock_timeout: float, **settings: Any) -> ModelRegistry:
    """Return the registry with its runtime attached; from the point of no return on, interrupts are held."""
    return open_registry(
        registry_dir,
        STATE_DIR if state_dir is None else state_dir,
        lock_timeout_seconds=lock_timeout,
        point_of_no_return=hold_interrupts(),
        **settings,
    )


def paired_state_dir(registry_dir: str, state_dir: str | None) -> str | None:
    """
    Return the runtime's directory that belongs to a registry which is only looked at.

    One that was named counts; the default one counts beside the default registry, and not beside another.
    """
    if state_dir is not None:
        return state_dir
    with durable.refusing("working directory"):
        return STATE_DIR if os.path.realpath(registry_dir) == os.path.realpath(REGISTRY_DIR) else None


def open_for_reading(registry_dir: str, state_dir: str | None, public_key: str | None = None) -> ModelRegistry:
    """Return the registry to ask; a runtime checkpoint that belongs to it counts as a witness of the history."""
    return open_registry(registry_dir, paired_state_dir(registry_dir, state_dir), public_key=public_key)
