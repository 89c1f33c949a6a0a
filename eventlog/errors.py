"""
Every exception of the project, grouped by what is now true on disk.

| raised                | what is now true                                                            |
|-----------------------|-----------------------------------------------------------------------------|
| `RefusedError`        | nothing was appended                                                        |
| `JournalDamagedError` | nothing was appended; what was acknowledged earlier is not all there        |
| `EvidenceError`       | nothing changed; a proof or signature does not show what it should          |
| `OutcomeUnknownError` | the event may or may not be in the journal; the same id settles it          |
| `ProjectionLagError`  | the event is in the journal for good; a file derived from it is behind      |
| `RuntimeStateError`   | nothing changed in the runtime's directory                                  |

Exit statuses are not known here: they stand in one table in `scripts/manage_models.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MEND_LINES = "run repair --from COPY, or where there is no copy --accept-rewind"
"""The way on where acknowledged lines are damaged or gone."""


class ModelogError(Exception):
    """The root: catch it, never raise it."""


class ModelRegistryError(ModelogError):
    """What a call of a `ModelRegistry` raises: catch it, never raise it."""


class RefusedError(ModelRegistryError):
    """
    The request cannot be done as asked. Nothing was appended.

    Attributes:
        rule: the rule that refused, one word such as `artifact` or `expect-active`; see `refused_by`.
    """

    rule = "request"


class ConflictError(RefusedError):
    """The journal has grown since the caller read it. Nothing was appended."""


class LockTimeoutError(RefusedError):
    """Another process held the lock for too long. Nothing was appended."""


class UnreachableError(RefusedError):
    """The cluster that holds the journal cannot be reached, or has no majority. Nothing was appended."""


class UnsupportedFormatError(RefusedError):
    """The journal holds an event type or a format version that this program does not know. It is not damaged."""


class JournalDamagedError(ModelRegistryError):
    """
    The journal does not hold what it once acknowledged: changed, cut, rewound or replaced.

    Attributes:
        position: the first entry that does not fit, 0-based, or None where no one entry is to blame.

        offset_bytes, size_bytes: the bytes of the journal file that do not fit, as far as they are known.

        expected, actual: what should be there and what is, as far as that is one value each, such as a hash.
    """

    def __init__(
        self,
        message: str,
        *,
        position: int | None = None,
        offset_bytes: int | None = None,
        size_bytes: int | None = None,
        expected: str | None = None,
        actual: str | None = None,
    ) -> None:
        super().__init__(message)
        self.position = position
        self.offset_bytes = offset_bytes
        self.size_bytes = size_bytes
        self.expected = expected
        self.actual = actual


class EvidenceError(ModelRegistryError):
    """A signature, proof or tree head does not show what it should. Nothing was changed."""


class OutcomeUnknownError(ModelRegistryError):
    """The entry was handed to the disk, which did not confirm it. Retry with the same id to learn the outcome."""


class ProjectionLagError(ModelRegistryError):
    """
    The event is recorded, but a file derived from the journal could not be brought up to date.

    Attributes:
        model: the `ModelMetadata` that the recorded event is about, or None where the event was recorded earlier.
    """

    def __init__(self, message: str, *, model: object | None = None) -> None:
        super().__init__(message)
        self.model = model


class RuntimeStateError(ModelogError):
    """The runtime checkpoint is missing, unreadable or not the one that was asked for. Nothing was changed."""


@contextmanager
def refused_by(rule: str) -> Iterator[None]:
    """Name the rule behind every refusal inside the block that does not have a name yet."""
    try:
        yield
    except RefusedError as error:
        if error.rule == RefusedError.rule:
            error.rule = rule
        raise


def reason_of(error: OSError) -> str:
    """Return why the system refused, as it fits into a message."""
    return (error.strerror or str(error)).lower()
