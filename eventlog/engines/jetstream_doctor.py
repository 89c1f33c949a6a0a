"""
What a person should know of a cluster that holds a journal, each finding with its remedy. Reads only.

Two things are asked, because neither tells all. The *monitoring pages* of the nodes say how each is set up, who leads and
how many entries each counts; no connection to the cluster is needed for them. But a node counts an entry whose bytes have
changed on its disk, too, and says that it is well; so *each copy* is read through, see `jetstream_copies`.

A finding is four words: `problem` or `risk`, what was looked at, what was found, what to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from eventlog.engines import jetstream_api as api
from eventlog.engines import jetstream_pages, jetstream_url
from eventlog.engines.jetstream_pages import Detail, Held, Node
from eventlog.errors import ModelogError

VERSION_MIN = (2, 15, 1)
CLOCK_SECONDS_MAX = 1.0
CERTIFICATE_DAYS_MIN = 14
MOMENT_SECONDS = 3.0
"""How long a node may be on its way: catching up, or electing a leader."""

MEND_COPY = "stop that node, wipe its store, start it: it copies the stream from the others"
MEND_ALL = (
    "wipe nothing: take a copy of a mirror that verify finds intact, delete the stream, and run import-journal from it"
)
_AGAIN_SECONDS = 0.2
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})")
Row = tuple[Literal["problem", "risk"], str, str, str]


class Look:
    """
    What the pages said at one time.

    Args:
        address: of the journal.

    Attributes:
        nodes: each node behind `monitor=`.
    """

    def __init__(self, address: jetstream_url.Address) -> None:
        self._address = address
        self.nodes = jetstream_pages.look(address.monitor)
        self._reached = max((held.last_seq for held in self._held().values()), default=0)

    def checks(self, size: int, entry_hash: str) -> dict[str, Iterator[Row]]:
        """
        Return what is to be looked at, by name, each with what is found as soon as it is asked for.

        Args:
            size, entry_hash: of the mirror, as it was after this look.
        """
        checks = {"nodes": self._nodes()}
        if self._address.monitor:
            checks |= {
                "versions": self._versions(),
                "syncing": self._syncing(),
                "encryption": self._encryption(),
                "clocks of the nodes": self._clocks(),
                "stream": self._stream(),
                "mirror": self._mirror(size),
            }
        return checks | {"copies": self._copies(size, entry_hash)}

    def _said(self) -> list[Node]:
        """The nodes that said something."""
        return [node for node in self.nodes if node.why is None]

    def _details(self) -> dict[str, Detail | None]:
        """The stream on each node that said something, by name; None where it has none."""
        found: dict[str, Detail | None] = {}
        for node in self._said():
            streams = [item for account in node.jsz.account_details or () for item in account.stream_detail or ()]
            found[name_of(node)] = next((item for item in streams if item.name == self._address.stream), None)
        return found

    def _held(self) -> dict[str, Held]:
        return {name: detail.state for name, detail in self._details().items() if detail is not None}
