"""`prove-consistency`: show that the journal extends a tree head that somebody saw."""

from __future__ import annotations

from eventlog import durable, tree_head
from eventlog.signed_note import NOTE_BYTES_MAX
from projections.evidence import prove_consistency
from scripts import options, output
from scripts.declared import Argument, verb


@verb(Argument("old_head", metavar="OLD_HEAD"), *options.COMMON)
def command(old_head: str, registry_dir: str, state_dir: str | None, journal: str | None) -> None:
    """
    Show that the journal extends the tree head in the file OLD_HEAD, a tree_head.note that somebody kept.

    Prints a proof that a witness, or any C2SP tool, checks with the two tree heads alone.
    """
    with durable.refusing(old_head):
        data = durable.read_file(old_head, bytes_max=NOTE_BYTES_MAX)
    old, _ = tree_head.parsed(data, old_head)
    runtime = options.paired_state_dir(registry_dir, state_dir)
    request = prove_consistency(old.size, old.root, registry_dir, runtime, origin=old.origin, journal=journal)
    for line in request.spelled().decode().removesuffix("\n").split("\n"):
        output.print_line(output.escape(line))
