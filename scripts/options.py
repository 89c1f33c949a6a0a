"""Options that several verbs share, each also from the environment, and the registry that they name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from eventlog import durable, log
from eventlog.locking import LOCK_TIMEOUT_SECONDS, LOCK_TIMEOUT_SECONDS_MAX
from scripts import interrupts, stderr_log
from scripts.declared import Option, seconds_up_to

if TYPE_CHECKING:
    from eventlog.reader import RegistryReader
    from projections import ModelRegistry

REGISTRY_DIR = "var/models"
STATE_DIR = "var/runtime"
SETTINGS = tuple(
    f"MODELOG_{name}"
    for name in (
        "REGISTRY_DIR",
        "STATE_DIR",
        "JOURNAL",
        "ACTOR",
        "OUTPUT",
        "ARTIFACT_STORE",
        "LOCK_TIMEOUT",
        "LOG_LEVEL",
        "LOG_FORMAT",
        "METRICS_FILE",
        "RECORD_REFUSALS",
        "SIGN_KEY",
        "PUBLIC_KEY",
    )
)
GIVEN = {name: f"MODELOG_{name.upper()}" for name in ("model_id", "artifact_path", "sha256", "backend", "position")}
"""What a command of `watch --exec` is told, and the variable in which it finds that."""

FORMS = ("table", "json", "jsonl", "csv")


def as_text(value: Any) -> Any:
    """Read what was typed as UTF-8 whatever the locale says; bytes that are not stay escapes and are refused later."""
    if isinstance(value, tuple):
        return tuple(map(as_text, value))
    return None if value is None else os.fsencode(value).decode("utf-8", "surrogateescape")


def _as_public_key(value: str | None) -> str | None:
    if value is None:
        return None
    from scripts import keyfiles  # noqa: PLC0415 - few have a key

    return keyfiles.read_public(value)


def _as_sign_key(value: str | None) -> str | None:
    if value is None:
        return None
    from scripts import keyfiles  # noqa: PLC0415 - few have a key

    return keyfiles.read_private(value)


def _as_sign_keys(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        return ()
    from scripts import keyfiles  # noqa: PLC0415 - few have a key

    return tuple(map(keyfiles.read_signing, values))


LOG_LEVEL = Option(
    "--log-level",
    variable="MODELOG_LOG_LEVEL",
    choices=log.LEVELS,
    default="info",
    default_shown=True,
    passed=False,
    read_first=True,
    read=stderr_log.set_level,
    help="How much to say on stderr.",
)
LOG_FORMAT = Option(
    "--log-format",
    variable=stderr_log.FORM_VARIABLE,
    choices=("text", "json"),
    default="text",
    default_shown=True,
    passed=False,
    read_first=True,
    read=stderr_log.set_form,
    help="How to say it: in words for people, or as a JSON object a line.",
)
LOG_LEVEL_UNSEEN = replace(LOG_LEVEL, hidden=True)
"""For the verbs that have little to say."""

LOCAL = (
    Option(
        "--registry-dir",
        variable="MODELOG_REGISTRY_DIR",
        default=REGISTRY_DIR,
        metavar="DIR",
        default_shown=True,
        help="The registry's directory.",
    ),
    Option(
        "--state-dir",
        variable="MODELOG_STATE_DIR",
        metavar="DIR",
        help=f"The runtime's directory.  [default: {STATE_DIR}; to look at a registry elsewhere: none]",
    ),
    LOG_LEVEL,
    LOG_FORMAT,
)
"""What every verb takes."""

COMMON = (
    *LOCAL[:-2],
    Option(
        "--journal",
        variable="MODELOG_JOURNAL",
        metavar="URL",
        help="A journal on a cluster, nats://HOST:PORT,…/NAME; the registry's directory then holds its mirror.",
    ),
    LOG_LEVEL,
    LOG_FORMAT,
)
"""What every verb takes that can also ask a cluster."""

SHOWN = Option(
    "--output",
    "output_format",
    variable="MODELOG_OUTPUT",
    choices=FORMS,
    default="table",
    default_shown=True,
    help="For people or for programs.",
)
"""What every verb takes that shows something."""

TRUSTING = Option(
    "--public-key",
    variable="MODELOG_PUBLIC_KEY",
    read=_as_public_key,
    metavar="KEY",
    help="Go on only if a tree head that this key signed agrees: a public key, or the file it stands in.",
)
"""The public key that whoever asks trusts."""

SIGNING = Option(
    "--sign-key",
    variable="MODELOG_SIGN_KEY",
    read=_as_sign_key,
    metavar="FILE",
    help="Sign the tree head afterwards with this private key (see keygen).",
)
"""What every verb takes after which the tree head may be signed."""

SIGNING_ALSO_ARTIFACTS = replace(
    SIGNING,
    multiple=True,
    whole=True,
    read=_as_sign_keys,
    help="Sign the tree head afterwards with this private key (see keygen); with one of keygen --artifacts, "
    "the artifact. May be repeated, for one of each.",
)
"""The same for the verb that publishes."""

EXPLAINED = (
    Option("--actor", variable="MODELOG_ACTOR", read=as_text, help="Who; kept in the history.  [default: user@host]"),
    Option("--reason", read=as_text, help="Why; kept in the history."),
)
"""What every verb takes that the history tells with who and why."""

REPEATABLE = Option(
    "--id",
    "request_id",
    read=as_text,
    metavar="KEY",
    help="Repeating a request with the same KEY gives the same answer and records it once.",
)
"""The id under which a request that records something may be repeated."""

DRY = Option("--dry-run", flag=True, help="Say what would happen; change nothing.")
"""What every verb takes that can be rehearsed."""

WAITING = Option(
    "--lock-timeout",
    variable="MODELOG_LOCK_TIMEOUT",
    number=float,
    read=seconds_up_to(LOCK_TIMEOUT_SECONDS_MAX),
    metavar="SECONDS",
    default=LOCK_TIMEOUT_SECONDS,
    default_shown=True,
    help="How long to wait for another writer.",
)
"""What every verb takes that may have to wait for another process."""

SHARING = Option(
    "--artifact-store",
    variable="MODELOG_ARTIFACT_STORE",
    metavar="URL",
    help="A directory or bucket that machines share: publish puts artifacts there first; they are fetched from there.",
)
"""What every verb takes after which another machine may want the artifact."""

MEASURED = Option(
    "--metrics-file",
    variable="MODELOG_METRICS_FILE",
    metavar="PATH",
    help="Also keep what is known now in a Prometheus text file, NAME.prom, for node_exporter's textfile collector.",
)
"""What every verb takes that learns what those want to know who watch over a registry."""

CHANGING = (
    *EXPLAINED,
    REPEATABLE,
    Option("--expect-active", metavar="ID", help="Refuse unless this model (or 'none') is active."),
    DRY,
    Option("--take-over", flag=True, help="Let a runtime that follows another journal follow this one."),
    Option(
        "--record-refusals",
        flag=True,
        variable="MODELOG_RECORD_REFUSALS",
        help="If it is refused, record that in the history.",
    ),
    SHARING,
    SIGNING,
    TRUSTING,
    MEASURED,
    WAITING,
)
"""What every verb takes that appends an event about a model."""


def position(name: str, help: str, dest: str | None = None) -> Option:
    """Return an option whose value is the position of an event."""
    from eventlog.moments import POSITION_MAX  # noqa: PLC0415 - few verbs have one

    return Option(name, dest, number=int, least=0, greatest=POSITION_MAX, metavar="POSITION", help=help)


def open_for_change(
    registry_dir: str, state_dir: str | None, journal: str | None, lock_timeout: float, **settings: Any
) -> ModelRegistry:
    """Return the registry with its runtime attached; from the point of no return on, interrupts are held."""
    from projections import open_registry  # noqa: PLC0415 - takes long, and what is wrong with the words is told before

    return open_registry(
        registry_dir,
        STATE_DIR if state_dir is None else state_dir,
        journal=journal,
        lock_timeout_seconds=lock_timeout,
        point_of_no_return=interrupts.holder(),
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


def open_for_reading(
    registry_dir: str, state_dir: str | None, journal: str | None, public_key: str | None = None
) -> RegistryReader:
    """
    Return the registry to ask about its state; imports no more than that takes.

    A runtime checkpoint that belongs to it counts as a witness of the history.
    """
    from projections.wiring import open_reader  # noqa: PLC0415 - as above

    return open_reader(registry_dir, paired_state_dir(registry_dir, state_dir), journal, public_key)


def open_for_questions(
    registry_dir: str, state_dir: str | None, journal: str | None, public_key: str | None = None, **settings: Any
) -> ModelRegistry:
    """Return the registry to ask whatever one may ask of its history; witnesses as in `open_for_reading`."""
    from projections import open_registry  # noqa: PLC0415

    runtime = paired_state_dir(registry_dir, state_dir)
    return open_registry(registry_dir, runtime, journal=journal, public_key=public_key, **settings)
