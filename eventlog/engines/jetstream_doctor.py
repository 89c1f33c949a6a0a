"""
What a person should know of a cluster that holds a journal, each finding with its remedy. Reads only.

Two things are asked, because neither tells all. The *monitoring pages* of the nodes say how each is set up, who leads,
and how many entries each counts; no connection to the cluster is needed for them. But a node also counts an entry whose
bytes have changed on its disk, and says that it is well; so *each copy* is read through, see `jetstream_copies`.

A finding is four words: `problem` or `risk`, what was looked at, what was found, what to do.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from eventlog.engines import jetstream_api as api
from eventlog.engines import jetstream_pages, jetstream_url
from eventlog.engines.jetstream_pages import Detail, Node
from eventlog.errors import ModelogError, RefusedError

VERSION_MIN = (2, 15, 1)
CLOCK_SECONDS_MAX = 1.0
CERTIFICATE_DAYS_MIN = 14
MOMENT_SECONDS = 3.0
"""How long a node may be on its way: catching up, or electing a leader."""

MAJORITY = api.REPLICAS // 2 + 1
MEND_COPY = "stop that node, wipe its store, start it: it copies the stream from the others"
MEND_LATER = "wipe nothing yet: bring the other nodes up, then run doctor again"
MEND_ALL = (
    "wipe nothing: keep every mirror, make a backup of one that verify finds intact, delete the stream, and run "
    "import-journal on the backup"
)
_RESTART = f"restart it; if that does not help: {MEND_COPY}"
_START = "start that node, or check monitor= in --journal"
_NAME = "check monitor= in --journal"
_AGAIN = "mend that, then run doctor again"
_AGAIN_SECONDS = 0.2
_VERSION = re.compile(r"v?(\d{1,6})\.(\d{1,6})\.(\d{1,6})")
Row = tuple[Literal["problem", "risk"], str, str, str]


class Look:
    """
    A look at the cluster that *url* names; what is found is told by `checks`.

    Raises:
        RefusedError: the URL does not make sense.
    """

    def __init__(self, url: str) -> None:
        self._address = jetstream_url.parse(url)
        self._nodes, self._silent = jetstream_pages.look(self._address.monitor)
        counts = sorted((detail.state.last_seq for detail in self._details(self._nodes).values()), reverse=True)
        self._most = counts[0] if counts else 0
        self._majority = counts[MAJORITY - 1] if len(counts) >= MAJORITY else 0

    def checks(self, size: int, entry_hash: str) -> dict[str, Iterator[Row]]:
        """
        Return the checks by name, each with what it finds, which is looked for as soon as it is asked for.

        Args:
            size, entry_hash: of the mirror, when it had read on after this look.
        """
        if not self._address.monitor:
            return {"nodes": _not_named(), "copies": self._copies(size, entry_hash)}
        return {
            "nodes": self._who(),
            "versions": self._versions(),
            "syncing": self._syncing(),
            "encryption": self._encryption(),
            "clocks of the nodes": self._clocks(),
            "stream": self._stream(),
            "mirror": self._mirror(size),
            "copies": self._copies(size, entry_hash),
        }

    def _who(self) -> Iterator[Row]:
        """Each page is of a node of its own, all are of one cluster, and there is one for every node."""
        for silent in self._silent:
            few = len(self._nodes) < MAJORITY
            yield "problem" if few else "risk", "nodes", f"{silent.where}: {silent.why}", _START
        peers: set[str] = set()
        seen: dict[str, str] = {}
        for node in self._nodes:
            group = node.jsz.meta_cluster
            if node.jsz.disabled or group is None:
                what = f"{node.where}: expected JetStream in a cluster, got none"
                yield "problem", "nodes", what, "jetstream { … } and cluster { … } in its configuration"
                continue
            if node.varz.server_id in seen:
                what = f"{node.where}: expected a node of its own, got the one at {seen[node.varz.server_id]}"
                yield "risk", "nodes", what, _NAME
            elif not seen and len(self._address.monitor) < group.cluster_size:
                what = f"expected the pages of {group.cluster_size} nodes, got {len(self._address.monitor)}"
                yield "risk", "nodes", what, "name them all in monitor="
            seen[node.varz.server_id] = node.where
            peers = peers or {node.name, group.leader, *(peer.name for peer in group.replicas or ())}
            if node.name not in peers:
                what = f"{node.where}: expected one of {', '.join(sorted(peers - {''}))}, got {node.name}"
                yield "problem", "nodes", what, _NAME

    def _versions(self) -> Iterator[Row]:
        meant = ".".join(map(str, VERSION_MIN))
        for node in self._nodes:
            found = _VERSION.match(node.varz.version)
            if found is None or tuple(map(int, found.groups())) < VERSION_MIN:
                what = f"{node.name}: expected nats-server {meant} or newer, got {node.varz.version}"
                yield "risk", "versions", what, "upgrade the nodes, one after the other"

    def _syncing(self) -> Iterator[Row]:
        for node in self._nodes:
            if node.jsz.config is not None and not node.jsz.config.sync_always:
                what = f"{node.name}: expected sync_interval: always: a power cut can lose what was acknowledged"
                yield "risk", "syncing", what, "set it in jetstream { … }, then restart the node"

    def _encryption(self) -> Iterator[Row]:
        """Whoever listens beyond this machine demands TLS and a key, and shows its pages to nobody else."""
        for node in self._nodes:
            page, routes = node.varz, node.varz.cluster
            for who, host, good, remedy in (
                ("clients without TLS", page.host, page.tls_required, "tls { … }"),
                ("clients without a key", page.host, page.auth_required, "accounts { … }"),
                ("nodes without TLS", routes.addr, routes.tls_required, "tls { … } in cluster { … }"),
                ("anybody to its monitoring page", page.http_host, False, "http: 127.0.0.1:8222"),
            ):
                if not good and not _is_loopback(host):
                    what = f"{node.name}: lets in {who} at {host or 'every address'}"
                    yield "risk", "encryption", what, f"{remedy} in its configuration"
            now, ends = datetime.now(UTC), page.tls_cert_not_after
            if ends is not None and ends < now + timedelta(days=CERTIFICATE_DAYS_MIN):
                what = f"{node.name}: its certificate ends at {ends}"
                yield "problem" if ends < now else "risk", "encryption", what, "make a new one, then restart the node"

    def _clocks(self) -> Iterator[Row]:
        for node in self._nodes:
            if not node.asked - CLOCK_SECONDS_MAX <= node.varz.now.timestamp() <= node.answered + CLOCK_SECONDS_MAX:
                ours = datetime.fromtimestamp(node.answered, UTC)
                what = f"{node.name}: expected about our time, {ours}, got {node.varz.now}"
                remedy = "set the one that is wrong; order is the position, whatever the time says"
                yield "risk", "clocks of the nodes", what, remedy

    def _details(self, nodes: list[Node]) -> dict[str, Detail]:
        """The stream on each node that has it, by the node's name."""
        found = {}
        for node in nodes:
            for account in node.jsz.account_details or ():
                for detail in account.stream_detail or ():
                    if detail.name == self._address.stream:
                        found[node.name] = detail
        return found

    def _stream(self) -> Iterator[Row]:
        """What stays so for a while."""
        deadline, nodes = time.monotonic() + MOMENT_SECONDS, self._nodes
        while (rows := [*self._counts(nodes), *self._lead(nodes)]) and time.monotonic() < deadline:
            time.sleep(_AGAIN_SECONDS)
            nodes = jetstream_pages.look([node.where for node in nodes])[0] or nodes
        yield from rows

    def _counts(self, nodes: list[Node]) -> Iterator[Row]:
        """Each node that is to have the stream counts all of it."""
        details = self._details(nodes)
        if not details and nodes:
            remedy = "the first publish makes it; if there was one, run import-journal on a backup of a mirror"
            yield "problem", "stream", f"expected {self._address.stream} on the nodes, got none", remedy
        broken = {name: what for name, detail in details.items() if (what := _why_broken(detail))}
        meant = {name for detail in details.values() for name in _group(detail)}
        for node in nodes:
            detail = details.get(node.name)
            if detail is None:
                if node.name in meant:
                    what = f"{node.name}: expected a copy of {self._address.stream}, got none"
                    yield "problem", "stream", what, _RESTART
                continue
            yield from self._settings(node.name, detail)
            if node.name in broken:
                enough = len(details) - len(broken) >= MAJORITY
                later = MEND_LATER if len(details) < api.REPLICAS else MEND_ALL
                what = f"{node.name}: {broken[node.name]}"
                yield "problem", "stream", what, MEND_COPY if enough else later
            elif detail.state.last_seq < self._most:
                what = f"{node.name}: expected {self._most} entries, got {detail.state.last_seq}: it is behind"
                yield "risk", "stream", what, _RESTART

    def _settings(self, name: str, detail: Detail) -> Iterator[Row]:
        try:
            api.check_settings(self._address, api.Info(config=detail.config))
        except RefusedError as error:
            what, _, remedy = str(error).removeprefix(f"{self._address.where}: ").rpartition(": ")
            yield "problem", "stream", f"{name}: {what}", remedy

    def _lead(self, nodes: list[Node]) -> Iterator[Row]:
        """All name the same leader, whom the others follow; and each says that it is well."""
        leaders = {name: detail.cluster.leader for name, detail in self._details(nodes).items()}
        if len(set(leaders.values())) > 1 or "" in leaders.values():
            said = ", ".join(f"{name} says {leader or 'none'}" for name, leader in leaders.items())
            yield (
                "problem",
                "stream",
                f"expected one leader, got: {said}",
                "start all nodes; nobody can write meanwhile",
            )
        for name, detail in self._details(nodes).items():
            current = [peer.name for peer in detail.cluster.replicas or () if peer.current and not peer.offline]
            if detail.cluster.leader == name and len(current) + 1 < api.REPLICAS:
                what = f"expected {api.REPLICAS} copies that are current, got {', '.join([name, *current])}"
                yield "risk", "stream", what, "start the others, or wait for them; with one less nobody can write"
        for node in nodes:
            if node.healthz.status != "ok":
                what = f"{node.name}: says that it is not well: {node.healthz.error or node.healthz.status}"
                yield "risk", "stream", what, "wait; if it stays so, see its log"

    def _mirror(self, size: int) -> Iterator[Row]:
        """The mirror has what a majority had before it read on, and no more than there is."""
        if size < self._majority:
            what = f"expected at least {self._majority} entries, as most nodes had, got {size}"
            yield "risk", "mirror", what, "check that the nodes in --journal can be reached, then run list"
        if size > self._most:
            nodes, _ = jetstream_pages.look([node.where for node in self._nodes])
            most = max((detail.state.last_seq for detail in self._details(nodes).values()), default=size)
            if size > most:
                what = f"expected at most {most} entries, as the nodes have, got {size}: entries were lost, or it is of"
                remedy = "keep the mirror; check --journal and --registry-dir"
                yield "problem", "mirror", f"{what} another cluster", remedy

    def _copies(self, size: int, entry_hash: str) -> Iterator[Row]:
        """Each copy gives out every entry, in a chain that ends as the mirror does."""
        try:
            from eventlog.engines import jetstream_copies  # noqa: PLC0415 - the pages are told also without the library

            copies = jetstream_copies.read(self._address, size, entry_hash, {node.name for node in self._nodes})
        except ModelogError as error:
            yield "risk", "copies", f"cannot be compared: {error}", _AGAIN
            return
        verdicts = [copy.verdict for copy in copies]
        for copy in copies:
            if copy.verdict == "unread":
                yield "risk", "copies", f"{copy.name}: {copy.why}", _AGAIN
            elif copy.verdict != "sound":
                remedy = MEND_LATER if "unread" in verdicts else MEND_ALL
                if verdicts.count("sound") >= MAJORITY:
                    remedy = MEND_COPY
                elif copy.verdict == "other":
                    remedy = "keep the mirror; check --journal and --registry-dir"
                yield "problem", "copies", f"{copy.name}: {copy.why}", remedy


def _not_named() -> Iterator[Row]:
    what = "no monitor= in --journal: whether the nodes sync, agree and are up to date cannot be looked at"
    yield "risk", "nodes", what, "add monitor=HOST:8222,HOST:8222,HOST:8222 to --journal"


def _group(detail: Detail) -> set[str]:
    """The nodes that are to have a stream, as one of them says, but for itself."""
    return {detail.cluster.leader, *(peer.name for peer in detail.cluster.replicas or ())}


def _why_broken(detail: Detail) -> str | None:
    """Say what is wrong with how a copy counts; None where nothing is."""
    state = detail.state
    if state.messages == state.last_seq and not state.num_deleted and not state.lost and state.first_seq in (0, 1):
        return None
    return f"expected all of {state.last_seq} entries, got {state.messages}, from {state.first_seq - 1} on"


def _is_loopback(host: str) -> bool:
    """Say whether a node can be reached from its own machine only; an empty host is every address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
