"""Refusals on record: that somebody asked for something and did not get it, with the rule that refused it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from eventlog import decisions
from eventlog.decisions import Decision
from eventlog.errors import (
    ConflictError,
    LockTimeoutError,
    ModelogError,
    RefusedError,
    UnreachableError,
    UnsupportedFormatError,
)
from eventlog.events import RequestRefused
from eventlog.log import log
from eventlog.replay import catch_up_all
from eventlog.requests import RegistryRequests


class RecordedRequests(RegistryRequests):
    """
    Carries requests out, and records those that it refuses, if it is asked to.

    Args:
        record_refusals: whether a request that is refused is recorded as such.

        arguments, settings: as `eventlog.requests.RegistryRequests`.
    """

    def __init__(self, *arguments: Any, record_refusals: bool = False, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._record_refusals = record_refusals

    @contextmanager
    def on_record(
        self,
        request: str,
        wanted: Mapping[str, object],
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
    ) -> Iterator[None]:
        """
        Record in the history that what is asked for in the block was refused, where this registry does so at all.

        A lock that was not to be had in time refuses nothing, and a dry run asks for nothing. Before the first publish
        there is no history. Where the refusal cannot be recorded, that is logged; the refusal is raised either way.

        Args:
            request: `publish` or `rollback`.

            wanted: what was asked for.
        """
        try:
            yield
        except RefusedError as error:
            passing = isinstance(error, ConflictError | LockTimeoutError | UnreachableError | UnsupportedFormatError)
            if self._record_refusals and not dry_run and not passing:
                data = decisions.refusal(request, error, wanted, reason, request_id)
                try:
                    self._record_refusal(data, actor)
                except (ModelogError, OSError) as failed:
                    log.warning("the refusal is not recorded: %s", failed)
            raise

    def _record_refusal(self, data: RequestRefused, actor: str | None) -> None:
        try:
            terms = self._terms(actor, None, None)
        except RefusedError:
            terms = self._terms(None, None, None)
        with self._threads:
            if self.catalog().size == 0:
                log.info("the refusal is not recorded: there is no history yet")
                return
            self._transaction.run(lambda _catalog, _now: Decision("", data), terms)
            log.info("the refusal is recorded at position %d", self._replay.catalog.size - 1)
            for failure in catch_up_all(self._subscribers):
                log.warning("a derived file is behind: %s: run rebuild", failure)
