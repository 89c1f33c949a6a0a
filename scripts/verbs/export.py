"""`export`: the history for others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from eventlog import durable, durable_replacement
from eventlog.change import Change
from eventlog.clock import utc_now
from eventlog.engines.jsonl import HEAD, JOURNAL
from eventlog.errors import RefusedError
from eventlog.log import log
from projections import audit_page
from projections.audit_page import Page
from projections.evidence import journal_lines, tree_head_text
from projections.maintenance import verify_registry
from scripts import options, output, rows
from scripts.declared import Argument, Option, UsageError, verb

_MARKS = {
    "jsonl": b'{"specversion":',
    "csv": ",".join(rows.HISTORY).encode(),
    "html": b"<title>Model registry audit",
}
"""What each form has near its start."""

_START_BYTES = 1_024


@verb(
    Argument("form", choices=tuple(_MARKS)),
    Option("--to", "destination", metavar="FILE", help="Write it there, all of it or nothing.  [default: stdout]"),
    options.TRUSTING,
    *options.COMMON,
)
def command(
    form: str,
    destination: str | None,
    public_key: str | None,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """
    Write the history for others; everything is verified first.

    jsonl: the very lines of the journal. csv: a row an event. html: one page for an audit file, with a picture of which
    model was active when, a table, the result of the audit and the signed tree head; it needs no network.
    """
    if destination is not None:
        _check_may_replace(destination, form)
    runtime = options.paired_state_dir(registry_dir, state_dir)
    if form == "jsonl":
        data = b"".join(line + b"\n" for line in journal_lines(registry_dir, runtime, public_key, journal=journal))
    elif form == "html":
        changes = _history(registry_dir, state_dir, journal, public_key)
        report = verify_registry(registry_dir, runtime, public_key=public_key, journal=journal)
        note = tree_head_text(registry_dir)
        data = audit_page.render(Page(changes, report, note, utc_now(), output.escape)).encode()
    else:
        with output.collected() as text:
            rows.print_changes(_history(registry_dir, state_dir, journal, public_key), "csv")
        data = text.getvalue().encode()
    _write(data, destination)


def _history(registry_dir: str, state_dir: str | None, journal: str | None, public_key: str | None) -> Sequence[Change]:
    changes = list(options.open_for_questions(registry_dir, state_dir, journal, public_key).history())
    if not changes:
        log.warning("no events in %s", registry_dir)
    return changes


def _check_may_replace(path: str, form: str) -> None:
    """Refuse, before anything is read, what is there and is no earlier export: it would be lost."""
    with durable.refusing(path):
        try:
            start = durable.read_start(path, _START_BYTES)
        except FileNotFoundError:
            return
    directory, name = os.path.split(path)
    is_journal = name == JOURNAL and os.path.lexists(os.path.join(directory, HEAD))
    if is_journal or (start and _MARKS[form] not in start):
        raise RefusedError(
            f"{path}: expected an earlier export as {form}, or no file, got another file: it is not overwritten"
        )


def _write(data: bytes, destination: str | None) -> None:
    if destination is not None:
        with durable.refusing(destination):
            durable_replacement.replace_file(destination, data)
    elif sys.stdout.isatty():
        raise UsageError("expected --to FILE or a pipe, got a terminal: what is exported is not made for one")
    else:
        sys.stdout.buffer.write(data)
        output.flush()
