"""What is recorded of how long a model is kept: it is retired or held, that is taken back, its artifact is removed."""

from msgspec import Struct


class ModelRetired(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model, the event's subject, is not to become active again; its artifact may be removed. *reason* says why."""

    reason: str | None = None


class ModelReinstated(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A retired model is so no longer."""

    reason: str | None = None


class ModelHeld(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The artifact of a model, the event's subject, is not to be removed, whatever else is said of it."""

    reason: str | None = None


class ModelReleased(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A held model is so no longer."""

    reason: str | None = None


class ArtifactRemoved(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    An artifact is removed from what the registry keeps: that of the event's subject, or one that no model names.

    Attributes:
        sha256, size_bytes, files: as in `eventlog.events.ModelPublished`; it was whole and right until then.

        reason: why, in the person's words.

        also: the other models whose artifact it was, oldest first; the subject is the newest.
    """

    sha256: str
    size_bytes: int
    files: int | None = None
    reason: str | None = None
    also: list[str] = []

    def models(self, subject: str | None) -> list[str]:
        """Return the ids of the models whose artifact it was, oldest first; *subject* is the event's."""
        return [*self.also, *([] if subject is None else [subject])]


Marked = ModelRetired | ModelReinstated | ModelHeld | ModelReleased
