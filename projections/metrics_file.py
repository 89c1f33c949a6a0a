"""
`--metrics-file`: `projections.metrics`, kept where the textfile collector of node_exporter reads it.

The file is replaced at once, so nobody reads half of it. It is for alarms alone: nothing is decided on what it says, so
it is no anchor, and where it cannot be written that is a warning and no more. A path at which it could never be written
is refused before anything happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from eventlog import durable, durable_replacement, locking
from eventlog.errors import ModelogError, RefusedError, reason_of
from eventlog.journal import FoundAnchor
from eventlog.log import log
from eventlog.replay import Replay
from projections import metrics
from projections.metrics import Metric
from projections.projector import Projector

ENDING = ".prom"
BYTES_MAX = 1 << 20
LOCK_TIMEOUT_SECONDS = 1.0
"""Whoever waits has recorded its event already, and is not to be kept from saying so."""


class MetricsFile:
    """
    One such file; several processes may write to it.

    Args:
        path: ends in `.prom`, in a directory that is there. What has that name is empty, or holds metrics of ours.

        registry_dir: which registry the metrics are about.

    Raises:
        RefusedError: *path* can never be written to.
    """

    def __init__(self, path: str | os.PathLike[str], registry_dir: str | os.PathLike[str]) -> None:
        self.where = durable.checked_path(path, "--metrics-file")
        self._directory = os.path.dirname(self.where) or "."
        if not self.where.endswith(ENDING):
            raise RefusedError(f"--metrics-file: expected a name that ends in {ENDING}, got {self.where!r:.200}")
        with durable.refusing(f"--metrics-file {self.where}"):
            self._registry = os.path.abspath(os.fspath(registry_dir))
            if not os.path.isdir(self._directory):
                raise RefusedError(f"--metrics-file: expected a directory {self._directory}, got none: create it")
            if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
                raise RefusedError(f"--metrics-file: {self._directory} cannot be written to")
            self._read()

    def put(self, found: Callable[[], Mapping[str, Sequence[Metric]]]) -> None:
        """
        Replace sections of the file, and leave the others as they are; where that cannot be done, warn.

        Args:
            found: returns the metrics of each; called while no other process writes to the file.
        """
        try:
            with locking.locked_directory(self._directory, timeout_seconds=LOCK_TIMEOUT_SECONDS):
                old = new = self._read()
                for section, lines in found().items():
                    new = metrics.merged(new, section, lines, self._registry)
                if new != old:
                    durable_replacement.replace_file(self.where, new)
        except ModelogError as error:
            log.warning("%s: not written: %s", self.where, error)
        except OSError as error:
            log.warning("%s: not written: %s", self.where, reason_of(error))

    def _read(self) -> bytes:
        """Return what is there; nothing where there is no file. Raises RefusedError where it is none of ours."""
        try:
            data = durable.read_file(self.where, bytes_max=BYTES_MAX)
        except FileNotFoundError:
            return b""
        if data and not data.startswith(metrics.MARK):
            raise RefusedError(f"{self.where}: expected a metrics file of ours, got another: move it away")
        if data and not metrics.is_of(data, self._registry):
            raise RefusedError(
                f"{self.where}: expected metrics of {self._registry}, got those of another registry: "
                "give each a file of its own, or move this one away"
            )
        return data


class StateMetrics:
    """
    The subscriber that keeps the section `state` up to date; see `eventlog.journal.Subscriber`.

    Args:
        projector: of the derived files; it is told before this is.
    """

    def __init__(self, file: MetricsFile, replay: Replay, projector: Projector) -> None:
        self._file = file
        self._replay = replay
        self._projector = projector

    def files(self) -> list[str]:
        """None: no answer rests on what the file says."""
        return []

    def anchors(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[FoundAnchor]:
        """None: it vouches for nothing."""
        return []

    def catch_up(self, *, rebuild: bool = False) -> None:
        """Write what is true now; never raises."""
        self._file.put(self._found)

    def audit(self, unreadable: Callable[[ModelogError], object] | None = None) -> list[str]:
        """None: it may be of any age."""
        return []

    def _found(self) -> Mapping[str, Sequence[Metric]]:
        """
        Return the newest state: of two who write, the one that comes second may have been asked first.

        How far the files lag is told of the state for which they were just written; for what others recorded
        meanwhile, the others are about to write them.
        """
        lags = self._projector.lags()
        return {metrics.STATE: metrics.state(self._replay.catch_up(), lags)}
