"""
What must hold, checked at every answer and at the end of a run.

Whatever is answered is held to the machine's disk at that moment, and to what a power cut at that moment would leave
of it: with nothing that is pending, and with a draw of it. So a missing sync shows at once, not only when the power
happens to fail there.

*Fixed* entries are those that somebody was told of, by an acknowledgement or by a reading. They stay for ever.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from hashlib import sha256
from typing import Any

from simulated_disk import Disk, Fate
from simulated_history import (
    JOURNAL,
    QUARANTINE,
    STATE_JSON,
    Meaning,
    acknowledged,
    applied_sizes,
    event_of,
    lines,
    meanings_of,
)
from simulated_requests import Attempt, Request
from simulated_scheduler import Actor
from simulated_system import System

from eventlog import chain
from eventlog.errors import JournalDamagedError, ModelogError, OutcomeUnknownError, ProjectionLagError, RefusedError


class ViolationError(AssertionError):
    """A promise is broken."""


class Judge:
    """
    Knows what was told, and to whom.

    Attributes:
        counts: of what was tried.

        attempts: by name.

        fixed: all entries that somebody was told of.

        acknowledged_size: how many of them every reading must show from now on.

        projected_size: how many of them both projections have applied for good.

        recorded_step: the last one that the runtime was told is recorded.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.counts: Counter[str] = Counter()
        self.attempts: dict[str, Attempt] = {}
        self.fixed: list[bytes] = []
        self.acknowledged_size = 0
        self.projected_size = 0
        self.recorded_step = -1
        self._shown: tuple[int, int] = (0, 0)
        self._readings: list[tuple[int, tuple[str, ...], str | None]] = []

    # Requests

    def begin(self, actor: Actor, request: Request) -> Attempt:
        """Note that a request is made now."""
        name = f"{actor.name}-{len(self.attempts)}"
        attempt = Attempt(name, request, self.acknowledged_size, actor.process, actor.process.faults)
        self.attempts[name] = attempt
        return attempt

    def answered(self, attempt: Attempt, model: Any) -> None:
        """Hold an acknowledgement, or a lag, to the disk: the event is there and stays."""
        request = attempt.request
        if attempt.outcome == "under way":
            attempt.outcome = "done"
        self.counts["acknowledgement"] += 1
        if request.dry:
            return
        if request.answer not in (None, model.model_id):
            raise ViolationError(f"{request.id}: answered {request.answer} first, then {model.model_id}")
        request.answer = model.model_id
        position = self._position(request.id, acknowledged(self.system.disk))
        if position is None:
            if request.target is None:
                raise ViolationError(f"{attempt.name}: acknowledged, but {request.id} is not in the journal")
            return  # the model was active already
        entries = acknowledged(self.system.disk)
        event = event_of(entries[position])
        if event["subject"] != model.model_id:
            raise ViolationError(f"{request.id}: answered {model.model_id}, recorded {event['subject']}")
        if request.target is not None and event["actor"] != attempt.name:
            return  # it may have been active already when this attempt looked, and been recorded later
        if event["actor"] == attempt.name and position < attempt.floor:
            raise ViolationError(f"{attempt.name}: recorded at {position}, where {attempt.floor} were there before")
        self._fix(entries[: position + 1], attempt.name)
        self.acknowledged_size = max(self.acknowledged_size, position + 1)
        if attempt.outcome == "done":
            self.projected_size = max(self.projected_size, position + 1)
        for state in self._after_power_cuts():
            self._check_durable(state, position + 1, attempt.name)

    def failed(self, attempt: Attempt, error: Exception) -> None:
        """Hold an error to what it says."""
        request = attempt.request
        harmed = attempt.process.faults > attempt.faults
        waited = self._stood_still(error)
        if isinstance(error, ProjectionLagError) and (harmed or waited):
            attempt.outcome = "lags"
            position = self._position(request.id, acknowledged(self.system.disk))
            if position is not None:
                self.answered(attempt, error.model)
            elif request.target is None:
                raise ViolationError(f"{attempt.name}: lags, but {request.id} is not in the journal")
        elif isinstance(error, OutcomeUnknownError) and harmed:
            attempt.outcome = "unknown"
        elif isinstance(error, RefusedError) and (harmed or waited or self._may_refuse(attempt, str(error))):
            attempt.outcome = "refused"
        else:
            raise ViolationError(f"{attempt.name}: {type(error).__name__}: {error}") from error
        self.counts[attempt.outcome] += 1

    # Readings

    def floor(self) -> int:
        """
        Return how many entries a reading that begins now must show.

        After a power cut that is what was acknowledged. What else was shown is still in the journal, and will be
        acknowledged by the next writer; until then a head that was not yet synced may be an older one.
        """
        life, size = self._shown
        return max(self.acknowledged_size, size if life == self.system.life else 0)

    def shown(self, who: str, floor: int, size: int, published: tuple[str, ...], active: str | None) -> None:
        """Hold a reading of *size* entries to what was told before, and fix it."""
        self.counts["reading"] += 1
        if size < floor:
            raise ViolationError(f"{who}: shows {size} entries, {floor} were known before")
        self._shown = (self.system.life, max(size, self.floor()))
        entries = lines(self.system.disk)
        if size > len(entries):
            raise ViolationError(f"{who}: shows {size} entries of {len(entries)}")
        self._fix(entries[:size], who)
        self._readings.append((size, published, active))
        for state in self._after_power_cuts():
            if lines(state)[:size] != entries[:size]:
                raise ViolationError(f"{who}: shows {size} entries, a power cut leaves {len(lines(state))}")
            self.counts["reading that only the next writer confirms"] += len(acknowledged(state)) < size

    def rebuilt(self, who: str, size: int) -> None:
        """Hold a rebuild to its word: both files have that many entries for good."""
        self.counts["rebuild"] += 1
        self._fix(acknowledged(self.system.disk)[:size], who)
        self.acknowledged_size = max(self.acknowledged_size, size)
        if meanings_of(self.fixed)[size].active is not None:
            self.projected_size = max(self.projected_size, size)
        for state in self._after_power_cuts():
            self._check_durable(state, size, who)

    def confirmed(self, who: str, floor: int, size: int, newest: str) -> None:
        """Hold a report that all is intact to what was told before."""
        entries = lines(self.system.disk)
        if not floor <= size <= len(entries) or chain.hash_of(entries[size - 1]) != newest:
            raise ViolationError(f"{who}: confirms {size} entries up to {newest}, {floor} were known before")
        self._fix(entries[:size], who)

    def followed(self, who: str, size: int, newest: str, active: str | None) -> None:
        """Hold what a projection shows to the journal, which must have all of it for good."""
        entries = lines(self.system.disk)
        if size > len(entries) or chain.hash_of(entries[size - 1]) != newest:
            raise ViolationError(f"{who}: a projection follows {size} entries up to {newest}: not the journal's")
        if meanings_of(entries[:size])[size].active != active:
            raise ViolationError(f"{who}: a projection of {size} entries says that {active} is active")
        self._fix(entries[:size], who)
        for state in self._after_power_cuts():
            self._check_durable(state, size, who)

    def recorded(self, step: int) -> None:
        """Hold the runtime's own write to its word."""
        self.recorded_step = step
        for state in self._after_power_cuts():
            self._check_runtime(state)

    def excuse(self, actor: Actor, error: Exception, faults: int) -> None:
        """Hold a reader's error to what went wrong in its own calls; nothing else excuses it, and nothing damage."""
        self.counts["reading that failed"] += 1
        harmed = actor.process.faults > faults or self._stood_still(error)
        if not isinstance(error, ModelogError) or isinstance(error, JournalDamagedError) or not harmed:
            raise ViolationError(f"{actor.name}: {type(error).__name__}: {error}") from error

    # The end

    def close(self) -> None:
        """Hold the whole history to all that was told."""
        entries = acknowledged(self.system.disk)
        if self.system.disk.content(JOURNAL) != b"".join(entry + b"\n" for entry in entries):
            raise ViolationError("the journal has bytes that nothing acknowledges")
        self._fix(entries, "the end")
        self._check_runtime(self.system.disk)
        self._check_quarantine(entries)
        meanings = meanings_of(entries)
        for size, published, active in self._readings:
            if (meanings[size].published, meanings[size].active) != (published[::-1], active):
                raise ViolationError(f"a reading of {size} entries showed {published}, {active}")
        seen: set[str] = set()
        for position, entry in enumerate(entries):
            event = event_of(entry)
            if event["id"] in seen:
                raise ViolationError(f"{event['id']} is recorded twice")
            seen.add(event["id"])
            if event["type"].startswith("model."):
                self._check_event(position, event, meanings[position])
        for attempt in self.attempts.values():
            request = attempt.request
            told = attempt.outcome in ("done", "lags") and not request.dry and request.target is None
            if told and request.id not in seen:
                raise ViolationError(f"{attempt.name}: {attempt.outcome}, but {request.id} is lost")

    def _check_runtime(self, disk: Disk) -> None:
        stored = json.loads(disk.content(STATE_JSON) or b"{}")
        if self.recorded_step >= 0 and int(stored.get("mode") or -1) < self.recorded_step:
            raise ViolationError(f"the runtime recorded step {self.recorded_step}, its file says {stored}")

    def _check_quarantine(self, entries: list[bytes]) -> None:
        recovered = [event_of(entry)["data"] for entry in entries if event_of(entry)["type"] == "journal.recovered.v1"]
        recorded = {os.path.basename(data["kept_as"]): data["sha256"] for data in recovered}
        disk = self.system.disk
        for name in disk.names(QUARANTINE):
            if name.startswith("."):
                continue  # the beginning of one that was never finished
            if recorded.pop(name, "") != sha256(disk.content(f"{QUARANTINE}/{name}") or b"").hexdigest():
                raise ViolationError(f"{name} in quarantine is not what the journal records")
        if recorded:
            raise ViolationError(f"not in quarantine: {sorted(recorded)}")

    def _check_event(self, position: int, event: dict[str, Any], before: Meaning) -> None:
        attempt = self.attempts.get(event["actor"])
        if attempt is None or attempt.request.id != event["id"]:
            raise ViolationError(f"entry {position} was invented: {event}")
        request = attempt.request
        if attempt.outcome == "refused" or request.dry:
            raise ViolationError(f"entry {position}: {attempt.name} was refused or dry, and is recorded")
        if position < attempt.floor:
            raise ViolationError(f"entry {position}: {attempt.name} began when {attempt.floor} were acknowledged")
        if event["data"]["displaced"] != before.active or request.expect not in (None, before.active):
            raise ViolationError(f"entry {position}: decided on another state than {before}: {event}")
        if request.artifact is not None:
            right = event["data"].get("artifact_path") == request.artifact
        else:
            right = event["subject"] == (request.target or before.before)
        if not right:
            raise ViolationError(f"entry {position}: recorded {event}, asked for {request}")

    # Helpers

    def _after_power_cuts(self) -> tuple[Disk, Disk]:
        disk, rng = self.system.disk, self.system.rng
        return disk.after_power_cut(Fate()), disk.after_power_cut(Fate(rng))

    def _check_durable(self, state: Disk, size: int, who: str) -> None:
        found = acknowledged(state)
        if found[:size] != self.fixed[:size]:
            raise ViolationError(f"{who}: told of {size} entries, a power cut leaves {len(found)}")
        if min(sizes := applied_sizes(state)) < self.projected_size:
            raise ViolationError(f"{who}: projections had {self.projected_size} entries, a power cut leaves {sizes}")

    def _fix(self, entries: list[bytes], who: str) -> None:
        common = min(len(entries), len(self.fixed))
        if entries[:common] != self.fixed[:common]:
            raise ViolationError(f"{who}: history differs from what was told before")
        if len(entries) > len(self.fixed):
            self.fixed = entries

    def _may_refuse(self, attempt: Attempt, message: str) -> bool:
        """Say whether some state that was current meanwhile justifies this refusal."""
        request = attempt.request
        states = meanings_of(lines(self.system.disk))[attempt.floor :]
        if message.startswith("--expect-active"):
            return any(state.active != request.expect for state in states)
        if request.target is not None:  # it may have been chosen from a head that the power cut took back
            return any(request.target not in state.published for state in states)
        return request.artifact is None and any(state.before is None for state in states)

    def _stood_still(self, error: Exception) -> bool:
        """Say whether this is a lock that was waited for in vain, while some process stood still."""
        return self.system.stalls > 0 and ": locked by " in str(error)

    @staticmethod
    def _position(request_id: str, entries: list[bytes]) -> int | None:
        return next((place for place, entry in enumerate(entries) if event_of(entry)["id"] == request_id), None)
