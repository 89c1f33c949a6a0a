"""Options of the queries that only look: as of when, which rows, how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts import options
from scripts.declared import Option

if TYPE_CHECKING:
    from eventlog.where import Condition

WHERE_HELP = """\b
Conditions (--where):
  rows >= 1000                    a number; also of text that is one
  source = "lab 2" or stale       text with spaces; a name alone: it is there
  not (tags ~ prod and lr < 0.1)  ~: the text contains it, the list has it
  = != < <= > >= ~, and, or, not, ( ). Names are attributes or metadata keys,
  a.b leads into nested metadata, "a key" is one key; metadata.backend is the
  metadata even where an attribute has that name.
"""

AS_OF = Option(
    "--as-of",
    read=options.as_text,
    metavar="TIME|POSITION",
    help="As it was then: a position, or a time such as 2026-11-23T10:30:00Z (UTC unless it says otherwise).",
)
"""The moment that is asked about."""

LIMITED = (
    Option("--reverse", flag=True, help="The other way round."),
    Option("--limit", number=int, least=1, metavar="N", help="Only the first N."),
)
"""Which end first, and how many rows."""


def conditional(times: tuple[str, ...]) -> Option:
    """Return the condition; *times* are the attributes that are times."""

    def parsed(texts: tuple[str, ...]) -> Condition | None:
        if not texts:
            return None
        from eventlog import where  # noqa: PLC0415 - most ask for all

        return where.both(tuple(where.parse(options.as_text(text), times) for text in texts))

    return Option(
        "--where",
        "condition",
        read=parsed,
        multiple=True,
        metavar="CONDITION",
        help="Only what this holds for; see below. May be repeated: all must hold.",
    )
