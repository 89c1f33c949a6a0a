"""What people record of the journal itself: that they examined it, who may sign, how the registry behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from eventlog import journal_decisions
from eventlog.decisions import Decide, Terms
from eventlog.errors import RefusedError
from eventlog.events import Event
from eventlog.key_events import KeyRevoked
from eventlog.refusals import RecordedRequests
from eventlog.snapshot import Settings, SettingsChanged
from eventlog.training_events import TrainingFailed

if TYPE_CHECKING:
    from eventlog.signed_note import PrivateKey, PublicKey


class Administration(RecordedRequests):
    """See the module; arguments as of `eventlog.requests.RegistryRequests`."""

    def review(
        self,
        position: int | None = None,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that somebody examined the history up to and with the entry at *position*; return that event.

        Args:
            position: None for the newest entry there is now.

            actor, reason, request_id: as in `ModelRegistry.publish_model`; the reason says what was found.

        Raises as `publish_model`.
        """
        terms = self._terms(actor, reason, request_id)
        with self._threads:
            catalog = self.catalog()
            examined = catalog.size - 1 if position is None else position

            def prepare(terms: Terms) -> Decide:
                return journal_decisions.review(terms, examined, position, self.read_event)

            return self._record(prepare, terms)

    def add_key(
        self,
        key: PublicKey,
        *,
        endorser: PrivateKey | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that *key* may sign tree heads from now on; return that event.

        Args:
            endorser: a key that may sign now; whoever trusts it may then trust the new one.

            actor, reason, request_id: as in `ModelRegistry.publish_model`.

        Raises as `publish_model`.
        """
        terms = replace(self._terms(actor, reason, request_id), key=None)
        from eventlog import keys  # noqa: PLC0415 - few registries have keys

        keys.check_kind(key)
        with self._threads:
            journal_id = self.catalog().journal_id
            if journal_id is None:
                raise RefusedError(
                    f"{self._replay.journal.where}: expected a journal, got none: publish with --sign-key"
                )
            data = keys.added(key, journal_id, endorser, terms.reason)
            return self._record(lambda terms: journal_decisions.change_key(terms, data, self.read_event), terms)

    def revoke_key(
        self,
        key: PublicKey,
        *,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Event:
        """
        Record that *key* may sign no tree head of more entries than there are now; return that event.

        Raises as `publish_model`.
        """
        terms = replace(self._terms(actor, reason, request_id), key=None)
        data = KeyRevoked(str(key), terms.reason)
        return self._record(lambda terms: journal_decisions.change_key(terms, data, self.read_event), terms)

    def report_failed_training(self, data: TrainingFailed, *, actor: str | None = None) -> Event:
        """Record that a training run failed; return that event. Raises as `publish_model`."""
        terms = self._terms(actor, data.reason, None)
        return self._record(lambda terms: journal_decisions.fail_training(terms, data, self.read_event), terms)

    @property
    def settings(self) -> Settings:
        """How the registry behaves where a request does not say. Raises as `list_models`."""
        with self._threads:
            return self.catalog().settings

    def change_settings(
        self,
        *,
        copy: bool | None = None,
        keep_last: int | None = None,
        keep_days: int | None = None,
        actor: str | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Settings:
        """
        Record how the registry behaves from now on where a request does not say; return all settings.

        Args:
            copy: whether a publish keeps a copy of the artifact; None leaves that as it is, here and below.

            keep_last, keep_days: which copies `gc` does not remove in any case; see `eventlog.snapshot.Settings`.

            actor, reason, request_id: as in `ModelRegistry.publish_model`.

        Where all is as it is to be, nothing is recorded. Raises as `publish_model`.
        """
        terms = self._terms(actor, reason, request_id)

        wanted = {"copy": copy, "keep_last": keep_last, "keep_days": keep_days}
        wanted = {name: value for name, value in wanted.items() if value is not None}

        try:
            msgspec.convert(wanted, Settings)
        except msgspec.ValidationError as error:
            raise RefusedError(f"settings: {str(error)[:1].lower()}{str(error)[1:]}") from None

        def change(settings: Settings) -> Settings:
            return replace(settings, **wanted)

        if request_id is None and change(self.settings) == self.settings:
            return self.settings
        event = self._record(lambda terms: journal_decisions.change_settings(terms, change, self.read_event), terms)
        assert isinstance(event.data, SettingsChanged), "it says so"
        return event.data.settings
