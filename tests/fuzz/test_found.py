"""What the fuzzers of this directory have found, each as the smallest case."""

from __future__ import annotations

from collections.abc import Iterator

import journal_laws
import pytest
from command_desk import CommandDesk, rich_history
from command_laws import check_answer
from forged_files import HEAD, REGISTRY_JSON, STATE_JSON, Forged
from support import fast_place

from eventlog.dataset_metadata import parse_pairs
from eventlog.engines.jsonl_head import Head, format_slot
from scripts.models import metadata_text

WINDOW_LEVELS = 30
"""The verbs call the JSON library at different depths of the stack; so many levels apart at most."""


@pytest.fixture
def desk() -> Iterator[CommandDesk]:
    with fast_place() as place:
        yield CommandDesk(place.root)


def nested(desk: CommandDesk, base: dict[str, bytes], depth: int) -> int:
    """Put a registry on the disk whose metadata is nested so deep; return how `list` ends."""
    forged = Forged(base)
    forged.bodies[-1] = forged.bodies[-1].replace(
        b'"dataset_metadata":{}', b'"dataset_metadata":{"a":%b1%b}' % (b'{"a":' * depth, b"}" * depth)
    )
    forged.seal()
    del forged.files[REGISTRY_JSON], forged.files[STATE_JSON]
    desk.put(forged.files)
    return desk.call("list").status


@pytest.mark.parametrize(
    "words",
    [("verify",), ("rebuild",), ("rollback", "--actor", "t"), ("publish", "--artifact", "NEW", "--backend", "b")],
    ids=lambda words: words[0],
)
def test_metadata_nested_about_as_deep_as_python_can(desk: CommandDesk, words: tuple[str, ...]) -> None:
    """However deep it is, no verb ends with a traceback, least of all after it has recorded something."""
    base = rich_history(desk.place)
    accepted, refused = 1, 3_000
    assert (nested(desk, base, accepted), nested(desk, base, refused)) == (0, 3)
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        accepted, refused = (middle, refused) if nested(desk, base, middle) == 0 else (accepted, middle)

    for depth in range(max(1, accepted - WINDOW_LEVELS), refused + WINDOW_LEVELS):
        nested(desk, base, depth)
        answer = desk.call(*({"NEW": desk.artifact}.get(word, word) for word in words))

        assert answer.status != 1, f"{depth} levels: {answer.err}"


def test_head_that_claims_more_entries_than_can_be(desk: CommandDesk) -> None:
    """`list --verified-prefix` shows what verifies, whatever number stands in the head."""
    files = rich_history(desk.place)
    head = Forged(files).head()
    desk.put({**files, HEAD: format_slot(Head(10**19, head.end_bytes, head.hash)) * 2})

    answer = desk.call("list", "--verified-prefix", "--output", "json")

    check_answer(answer)
    assert (answer.status, len(answer.json)) == (3, 4)


def test_verified_prefix_ends_before_a_line_that_is_too_long(desk: CommandDesk) -> None:
    """A sealed line that is longer than an entry may be is damage, also to what is shown of a damaged journal."""
    forged = Forged(rich_history(desk.place))
    forged.bodies[-1] = forged.bodies[-1].replace(b'"backend":"b"', b'"backend":"%b"' % (b"b" * 70_000))
    forged.seal()
    desk.put(forged.files)

    answer = desk.call("list", "--verified-prefix", "--output", "json")

    assert (answer.status, len(answer.json)) == (3, 3)


def test_salvage_stops_where_reading_stops() -> None:
    """The same as the one before, for the function itself: what reading calls damaged is not salvaged."""
    assert not journal_laws.scan(b"+" + b"a" * journal_laws.LINE_BYTES_MAX + b"\n")


def test_metadata_is_shown_as_it_would_be_typed() -> None:
    """A text under a key that ends with a colon does not look like a number."""
    values = parse_pairs(('rows::="1024"',))
    assert values == {"rows:": "1024"}

    assert parse_pairs((metadata_text(values).strip("'"),)) == values
