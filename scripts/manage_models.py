"""
The command line: `publish`, `list`, `rollback` and the rest. Parses, makes one call, prints.

Exit statuses, all of them:

|     |                                                                        |
|-----|------------------------------------------------------------------------|
| 0   | done                                                                   |
| 1   | a bug of ours, with a traceback                                        |
| 2   | refused, or bad usage; nothing changed                                 |
| 3   | the journal is damaged or was rewound; a proof does not hold           |
| 4   | outcome unknown: retry with the same `--id`                            |
| 5   | recorded, but a derived file is behind: run `rebuild`                  |
| 130 | interrupted (Ctrl-C) before anything was recorded                      |
"""

from __future__ import annotations

import gc
import os
import sys

if __name__ == "__main__" and not (
    sys.flags.safe_path or sys.path[0] == os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
):
    del sys.path[0]  # the working directory: what happens to lie about there must not be imported

if __name__ == "__main__":
    gc.set_threshold(100_000)  # what is imported stays: to look for garbage in it again and again takes 3 ms more

from scripts import interrupts

if __name__ == "__main__":
    interrupts.let_kill()  # also while the rest is imported

from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from eventlog.errors import (
    EvidenceError,
    JournalDamagedError,
    ModelogError,
    OutcomeUnknownError,
    ProjectionLagError,
    RefusedError,
    RuntimeStateError,
    reason_of,
)
from eventlog.log import log
from scripts import output, plain, stderr_log
from scripts.declared import Call, Group, UsageError, Verb

STATUS_DONE = 0
STATUS_BUG = 1
STATUS_REFUSED = 2
STATUS_INTERRUPTED = 130
STATUSES: dict[type[ModelogError], int] = {
    RefusedError: STATUS_REFUSED,
    RuntimeStateError: STATUS_REFUSED,
    JournalDamagedError: 3,
    EvidenceError: 3,
    OutcomeUnknownError: 4,
    ProjectionLagError: 5,
}

VERBS = {
    "publish": "record a model and make it active",
    "list": "list the models, newest first",
    "rollback": "make an older model active again",
    "show": "show one model and how it was published",
    "active": "show the model that is active, or was at a moment",
    "path": "print where the bytes of a model are",
    "history": "show every event: who, when, why, before and after",
    "follow": "show each new event as it happens",
    "sync": "keep the derived files of this machine up to the journal",
    "diff": "show what changed between two moments",
    "blame": "show who published a model and when it was active",
    "review": "record that somebody examined the history",
    "keygen": "make a key that signs tree heads, or artifacts",
    "keys": "list, add and revoke the keys of a journal",
    "receipt": "write the proof that a model was published",
    "export": "write lines, CSV, or a page for an audit file",
    "verify-receipt": "check such a proof, without a registry",
    "prove-consistency": "show that the journal extends an old tree head",
    "witness": "remember tree heads, refuse what does not extend them",
    "watch": "tell a runtime when another model is active",
    "settings": "show or change how a registry behaves",
    "retire": "say that a model is not to become active again",
    "hold": "say that a model's artifact is not to be removed",
    "gc": "remove the artifacts that nobody needs any longer",
    "rebuild": "write the derived files anew from the journal",
    "verify": "audit the journal and the derived files",
    "repair": "mend a damaged journal, as far as that can be proven",
    "backup": "copy the history, verified, beside running writers",
    "restore": "bring a registry up to a backup",
    "bundle": "write models, their history and proofs into one file",
    "unbundle": "bring a registry what a bundle holds, verified",
    "import-journal": "move the journal into a cluster",
    "export-journal": "copy the journal of a cluster into a directory",
    "doctor": "say everything that a person should know of a registry",
}


def module_of(verb: str) -> str:
    """Return the name of a verb's module."""
    return f"scripts.verbs.{verb.replace('-', '_')}"


def find(verb: str) -> Verb | Group | None:
    """Return what a verb takes and does, or None where there is no such verb; only then is its module imported."""
    if verb not in VERBS:
        return None
    command: Verb | Group = import_module(module_of(verb)).command
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit status; never exits.

    Args:
        argv: the words behind the program's name; those of this process by default.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    with interrupts.interruptible() as held, stderr_log.listening():
        return _main(words, held)


def _main(words: list[str], held: interrupts.Interrupts) -> int:  # noqa: PLR0911 - one return for each status
    streams = sys.stdout, sys.stderr
    try:
        with held.armed():
            asked = plain.parse(words, find, os.environ) or _asked_of_click(words)
            status = asked() if isinstance(asked, Call) else asked
            output.flush()
        return int(status or STATUS_DONE)
    except UsageError as error:
        log.error("%s", error)
        return STATUS_REFUSED
    except (BrokenPipeError, SystemExit):  # the latter, and streams of its own, are what click makes of the former
        sys.stdout, sys.stderr = streams
        return STATUS_DONE
    except ModelogError as error:
        log.error("%s", error)
        return next(status for kind, status in STATUSES.items() if isinstance(error, kind))
    except OSError as error:
        output.abandon_streams()
        log.error("%s: %s", error.filename or "stdout", reason_of(error))
        return STATUS_REFUSED
    except KeyboardInterrupt:
        output.end_echo()
        log.error("interrupted: nothing was recorded")
        return STATUS_INTERRUPTED
    except Exception:
        log.exception("this is a bug: please report it")
        return STATUS_BUG


def _asked_of_click(words: list[str]) -> Call | int:
    from scripts import click_commands  # noqa: PLC0415 - takes longer than most answers

    return click_commands.parse(words, VERBS, find)


def run() -> NoReturn:
    """
    Run `main` as a process of its own: streams that are closed or fail late do not change what the status says.

    Ends the process at once. All is told, and nothing is left to wind up; taking the interpreter apart takes 8 ms more.
    """
    interrupts.let_kill()
    gc.set_threshold(100_000)  # as above, where a console script called us
    output.reserve_standard_streams()
    status = main()
    output.abandon_streams()
    os._exit(status)


if __name__ == "__main__":
    run()
