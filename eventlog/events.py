"""
The vocabulary: what can have happened. Facts in the past tense, never changed once written.

A new optional field may join an event at its end with a default that is left out when it is not set; every other change
is a new version of the type (`model.published.v2`) and an upcaster. `README.md` has the checklist.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from eventlog.artifact_signature import Signature
from eventlog.contents import Contents
from eventlog.journal import Anchor
from eventlog.key_events import KeyAdded, KeyRevoked
from eventlog.retention_events import ArtifactRemoved, ModelHeld, ModelReinstated, ModelReleased, ModelRetired
from eventlog.snapshot import Activation, SettingsChanged, SnapshotTaken
from eventlog.training_events import Training, TrainingFailed

FORMAT_VERSION = 1
Time = Annotated[datetime, Meta(tz=True)]


class JournalCreated(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The journal began. Always and only at position 0."""

    journal_id: str
    format_version: int


class ModelPublished(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """
    A model became known and active. Its id is the event's subject, its time of creation the event's time.

    Attributes:
        artifact_path: absolute, symbolic links resolved; bytes that are not UTF-8 are spelled out. Of an artifact that
            the registry keeps itself: from its directory on, `artifacts/…`.

        artifact_size_bytes, sha256: of the artifact's bytes when it was published; 64 hex. Of a directory: of all its
            files, and of its manifest.

        dataset_metadata: what the publisher said about the data; JSON.

        displaced: the model that was active until then, or None.

        reason: why, in the publisher's words.

        took_over: the other journal that the runtime checkpoint followed until then.

        artifact_path_hex: the bytes of the path in hex, only where they are not UTF-8.

        artifact_files: how many files a directory holds; None for a file.

        contents: what the artifact's headers said, where its format is known.

        training: how it came about, where a training run published it.

        origin_path, origin_path_hex: what was published, where the registry keeps a copy of it; as the path above.

        signature: who signed the artifact, and with what result; None for one that nobody signed.
    """

    backend: str
    artifact_path: str
    artifact_size_bytes: int
    sha256: str
    dataset_metadata: dict[str, Any]
    displaced: str | None
    reason: str | None = None
    took_over: Anchor | None = None
    artifact_path_hex: str | None = None
    artifact_files: int | None = None
    origin_path: str | None = None
    origin_path_hex: str | None = None
    contents: Contents | None = None
    training: Training | None = None
    signature: Signature | None = None


class ModelRolledBack(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """
    An older model, the event's subject, became active again; its artifact was there with the recorded hash.

    Attributes:
        displaced: the model that was active until then.

        sha256: of the artifact, as found just before; 64 hex.

        reason, took_over: as in `ModelPublished`.
    """

    displaced: str
    sha256: str
    reason: str | None = None
    took_over: Anchor | None = None


class JournalRecovered(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Bytes were taken out of the journal; the fields of `eventlog.journal.DiscardedTail`."""

    offset_bytes: int
    size_bytes: int
    sha256: str
    reason: str
    kept_as: str


class Remembered(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file beside the entries says of the journal: that it had *size* entries, the last with *hash*."""

    where: str
    size: int
    hash: str


class JournalRepaired(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A person had the journal repaired; nothing that was acknowledged is missing, as far as its witnesses say.

    Attributes:
        action: `discard-tail`, `rebuild-head` or `from-copy`.

        witnesses: what confirmed the result: the head, anchors.

        reason: why, in the person's words.

        copy: the path of the copy that lines were taken from.
    """

    action: str
    witnesses: list[Remembered]
    reason: str | None = None
    copy: str | None = None


class JournalRewound(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A person knowingly went on from less than was acknowledged: from here on, what *remembered* says is history lost.

    Attributes:
        reason: why, in the person's words.

        remembered: what the head and anchors said, where the journal no longer has it.

        copy: the path of the copy that lines were taken from.
    """

    reason: str
    remembered: list[Remembered]
    copy: str | None = None


class RequestRefused(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    Somebody asked for something that was refused; recorded only where that is asked for.

    Attributes:
        request: `publish` or `rollback`.

        rule: the rule that refused, as in `eventlog.errors.RefusedError`.

        message: what the caller was told.

        wanted: what was asked for, in the caller's words, each cut at `WANTED_CHARACTERS_MAX`.

        reason: why it was asked for, in the caller's words.

        request_id: the idempotency key, where the caller gave one; it stays free.
    """

    request: str
    rule: str
    message: str
    wanted: dict[str, str]
    reason: str | None = None
    request_id: str | None = None


WANTED_CHARACTERS_MAX = 1_000


class HistoryReviewed(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A person examined the history up to and with the entry at *position*.

    Attributes:
        position: of the last entry that was examined, before this event's own.

        reason: what the person says of it.
    """

    position: int
    reason: str | None = None


class RuntimeLoaded(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    A runtime says that it uses a model, the event's subject, from now on: what ran, not only what was wished.

    Attributes:
        runtime: which one, in its own words.

        position: of the event by which the model had become active.

        sha256: of the artifact, as found just before it was loaded; 64 hex.

        reason: what else the runtime says.
    """

    runtime: str
    position: int
    sha256: str
    reason: str | None = None


Data = (
    JournalCreated
    | ModelPublished
    | ModelRolledBack
    | JournalRecovered
    | JournalRepaired
    | JournalRewound
    | RequestRefused
    | HistoryReviewed
    | KeyAdded
    | KeyRevoked
    | SnapshotTaken
    | SettingsChanged
    | RuntimeLoaded
    | TrainingFailed
    | ModelRetired
    | ModelReinstated
    | ModelHeld
    | ModelReleased
    | ArtifactRemoved
)

EVENT_TYPES: dict[str, type[Data]] = {
    "journal.created.v1": JournalCreated,
    "model.published.v1": ModelPublished,
    "model.rolled_back.v1": ModelRolledBack,
    "journal.recovered.v1": JournalRecovered,
    "journal.repaired.v1": JournalRepaired,
    "journal.rewound.v1": JournalRewound,
    "request.refused.v1": RequestRefused,
    "history.reviewed.v1": HistoryReviewed,
    "key.added.v1": KeyAdded,
    "key.revoked.v1": KeyRevoked,
    "journal.snapshot_taken.v1": SnapshotTaken,
    "settings.changed.v1": SettingsChanged,
    "runtime.loaded.v1": RuntimeLoaded,
    "training.failed.v1": TrainingFailed,
    "model.retired.v1": ModelRetired,
    "model.reinstated.v1": ModelReinstated,
    "model.held.v1": ModelHeld,
    "model.released.v1": ModelReleased,
    "artifact.removed.v1": ArtifactRemoved,
}
TYPE_NAMES = {data_type: name for name, data_type in EVENT_TYPES.items()}


class Event(Struct, frozen=True, gc=False):
    """
    Something that happened, with who, when, and its place in the order.

    Attributes:
        position: 0-based; this is the order, whatever `time` says.

        id: unique in the journal; the key under which a retry finds what it already did.

        time: the writer's clock, UTC.

        subject: the model id, or None for what concerns the journal itself.
    """

    position: int
    id: str
    time: datetime
    actor: str
    subject: str | None
    data: Data

    @property
    def type(self) -> str:
        """The stored type name, for example `model.published.v1`."""
        return TYPE_NAMES[type(self.data)]


def activation_of(event: Event, data: ModelPublished | ModelRolledBack) -> Activation:
    """Return what *event*, whose data is *data*, made active."""
    return Activation(event.subject or "", event.position, event.time, event.actor, data.reason, data.displaced)
