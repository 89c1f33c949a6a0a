"""
The runtime checkpoint: one JSON file that belongs to the runtime, in which the registry owns one key.

`RuntimeStateManager` is what a runtime uses to write and read it. Whoever writes, every other key and value is kept
byte for byte: values are carried as raw JSON and never decoded. A file that is not JSON is moved aside, never lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from eventlog import durable, durable_replacement, locking
from eventlog.dataset_metadata import checked
from eventlog.errors import RefusedError, RuntimeStateError, reason_of
from eventlog.log import Once, log

if TYPE_CHECKING:
    from pathlib import Path

NAME = "state.json"
ACTIVE_MODEL = "active_model"
BYTES_MAX = 64 << 20
_ASIDE_MAX = 1_000
_Keys = dict[str, Raw]


class RuntimeCheckpoint(Struct, frozen=True):
    """
    What the runtime last recorded of itself.

    Attributes:
        entrypoint, mode, config_path: as given to `record_checkpoint`; None where only the registry has written so far.

        created_at: when it was recorded, or None.

        metadata: the runtime's own, and under `active_model` the registry's.
    """

    entrypoint: str | None = None
    mode: str | None = None
    config_path: str | None = None
    created_at: datetime | None = None
    metadata: dict[str, Any] = {}


class RuntimeStateManager:
    """
    Reads and writes the runtime checkpoint of one runtime.

    Attributes:
        root, path: the directory, and the file `state.json` in it.

    Args:
        root: the runtime's directory; created when first written to.

        lock_timeout_seconds: how long a writer waits for another one.

        now: the clock; aware UTC times.

    Attributes:
        where: the file, as text.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "var/runtime",
        *,
        lock_timeout_seconds: float = locking.LOCK_TIMEOUT_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = durable.checked_path(root, "runtime directory")
        self.where = os.path.join(self._directory, NAME)
        self._lock_timeout_seconds = locking.checked_timeout(lock_timeout_seconds)
        self._now = now
        self._odd = Once()

    @property
    def root(self) -> Path:
        """The directory."""
        from pathlib import Path  # noqa: PLC0415 - takes longer to import than to read the file

        return Path(self._directory)

    @property
    def path(self) -> Path:
        """The file in it."""
        return self.root / NAME

    def record_checkpoint(
        self,
        *,
        entrypoint: str,
        mode: str,
        config_path: str | os.PathLike[str],
        metadata: Mapping[str, Any] | None = None,
    ) -> RuntimeCheckpoint:
        """
        Record what runs now; keeps the active model and every key that is not one of the five.

        Returns what is now stored.

        Raises:
            RuntimeStateError: *metadata* is not JSON, or the file cannot be written; nothing changed.
        """
        for name, value in (("entrypoint", entrypoint), ("mode", mode), ("config_path", os.fspath(config_path))):
            if not isinstance(value, str):
                raise RuntimeStateError(f"{name}: expected text, got {type(value).__name__}")
        with self._failing():
            new = _raw(metadata or {})
            fields = _raw(
                {
                    "entrypoint": entrypoint,
                    "mode": mode,
                    "config_path": os.fspath(config_path),
                    "created_at": msgspec.to_builtins(self._now()),
                }
            )
        with self._failing(), self.locked():
            top, old = self._read_for_writing()
            kept = {ACTIVE_MODEL: old[ACTIVE_MODEL]} if ACTIVE_MODEL in old else {}
            data = self._spelled(top | fields, new | kept)
            durable_replacement.replace_file(self.where, data)
            return _decoded(data)

    def load_checkpoint(self) -> RuntimeCheckpoint | None:
        """
        Return what is stored, or None where there is no file.

        Raises:
            RuntimeStateError: the file is not a runtime checkpoint, or cannot be read.
        """
        with self._failing():
            data = self._bytes()
        if data is None:
            return None
        try:
            return _decoded(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise RuntimeStateError(f"{self.where}: expected a runtime checkpoint, got {error}") from error

    def require_checkpoint(self, *, target_mode: str, entrypoint: str) -> RuntimeCheckpoint:
        """
        Return the runtime checkpoint if it is the one of *entrypoint* in *target_mode*.

        Raises:
            RuntimeStateError: there is none, it is of another mode or entrypoint, or it cannot be read.
        """
        stored = self.load_checkpoint()
        if stored is None:
            raise RuntimeStateError(f"{self.where}: expected a runtime checkpoint, got none: record one first")
        for name, expected, got in (
            ("mode", target_mode, stored.mode),
            ("entrypoint", entrypoint, stored.entrypoint),
        ):
            if got != expected:
                raise RuntimeStateError(f"{self.where}: {name}: expected {expected!r}, got {got!r}")
        return stored

    def set_active_model(self, active_model: Mapping[str, Any]) -> None:
        """
        Write `metadata.active_model` and nothing else; create the file with that one key where there is none.

        Raises:
            RuntimeStateError: not JSON, or the file cannot be written; nothing changed.
        """
        with self._failing():
            value = _raw({ACTIVE_MODEL: dict(active_model)})[ACTIVE_MODEL]
        with self._failing(), self.locked():
            durable_replacement.replace_file(self.where, self.with_active_model(bytes(value)))

    def active_model(self) -> Raw | None:
        """Return `metadata.active_model` as raw JSON, or None; a file that is not JSON has none. Raises OSError."""
        try:
            found = self._keys()[1].get(ACTIVE_MODEL)
        except ValueError as error:
            self._odd.warning(f"{self.where}: {error}: the next write moves it aside")
            return None
        self._odd.warning(None)
        return found

    def with_active_model(self, value: bytes) -> bytes:
        """
        Return what the file is to be for its active model to be *value*, JSON; with `locked` held by the caller.

        A file that is not JSON is moved aside. Raises OSError, RefusedError.
        """
        top, metadata = self._read_for_writing()
        return self._spelled(top, {**metadata, ACTIVE_MODEL: Raw(value)})

    def clear(self) -> None:
        """Remove the file. Raises RuntimeStateError where it cannot be removed."""
        if os.path.isdir(self._directory):
            with self._failing(), self.locked():
                durable.remove_file(self.where)

    @contextmanager
    def locked(self, is_needless: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """
        Keep other writers of this runtime checkpoint out; gives what `eventlog.locking.acquire` returns.

        Raises LockTimeoutError, OSError.
        """
        if not os.path.isdir(self._directory):
            durable.create_directory(self._directory)
        timeout = self._lock_timeout_seconds
        with locking.locked_directory(self._directory, timeout_seconds=timeout, is_needless=is_needless) as held:
            yield held

    def _bytes(self) -> bytes | None:
        try:
            return durable.read_file(self.where, bytes_max=BYTES_MAX)
        except FileNotFoundError:
            return None

    def _keys(self) -> tuple[_Keys, _Keys]:
        """Return the top-level keys without `metadata`, and those of `metadata`; ValueError where it is not JSON."""
        data = self._bytes()
        if data is None:
            return {}, {}
        try:
            msgspec.json.decode(data)
            top = msgspec.json.decode(data, type=_Keys)
            metadata = msgspec.json.decode(top.pop("metadata", Raw(b"null")), type=_Keys | None)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise ValueError(f"expected a JSON object, got {error}") from error
        return top, metadata or {}

    def _read_for_writing(self) -> tuple[_Keys, _Keys]:
        try:
            return self._keys()
        except ValueError as error:
            for number in range(_ASIDE_MAX):
                aside = f"{self.where}.broken-{self._now():%Y%m%dT%H%M%SZ}" + (f"-{number}" if number else "")
                try:
                    durable.move_aside(self.where, aside)
                except FileExistsError:
                    continue
                log.warning("%s: %s: moved aside as %s", self.where, error, aside)
                return {}, {}
            raise

    def _spelled(self, top: _Keys, metadata: _Keys) -> bytes:
        data = msgspec.json.encode({**top, "metadata": metadata})
        shown = msgspec.json.format(data, indent=2) + b"\n"
        data = shown if len(shown) <= BYTES_MAX else data
        if len(data) > BYTES_MAX:
            what = f"expected at most {BYTES_MAX} bytes, got {len(data)}: nothing was written"
            raise RefusedError(f"{self.where}: {what}")
        return data

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RefusedError) as error:
            reason = str(error) if isinstance(error, RefusedError) else f"{self.where}: {reason_of(error)}"
            raise RuntimeStateError(reason) from error


def _raw(values: Mapping[str, Any]) -> _Keys:
    """Return each value as raw JSON. Raises RefusedError where one is not JSON."""
    return {key: Raw(msgspec.json.encode(value)) for key, value in checked(values).items()}


def _decoded(data: bytes) -> RuntimeCheckpoint:
    return msgspec.json.decode(data, type=RuntimeCheckpoint)
