"""
Facts about a registry for those who watch over it, in the Prometheus text format 0.0.4. Pure.

A file of them has *sections*. Each belongs to the commands that know what stands in it, and begins with a comment:

    # modelog: verify
    # HELP modelog_verify_ok 1 if the newest verify ended with status 0, else 0.
    # TYPE modelog_verify_ok gauge
    modelog_verify_ok{registry="/srv/models"} 1

No metric is in two sections: they can share a file, or have one each that the same collector reads.

Source: "Exposition formats" and "Metric and label naming" of the Prometheus documentation.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.model import ModelMetadata
from projections.projector import Lag

if TYPE_CHECKING:
    from eventlog.serving import Loaded
    from eventlog.verify import Report

MARK = b"# modelog: "
STATE, VERIFY, ARTIFACTS, WATCH = "state", "verify", "artifacts", "watch"
SECTIONS = (STATE, VERIFY, ARTIFACTS, WATCH)
KINDS = ("damage", "unreadable", "artifact", "derived", "notice")
"""Of the findings of `eventlog.verify`; each is there, also where nothing was found."""

Labels = dict[str, str]


class Metric(Struct, frozen=True):
    """One metric, a gauge, with a value for each of several labels; without any it is left out."""

    name: str
    help: str
    samples: Sequence[tuple[Labels, float]]


def state(catalog: Catalog, lags: Sequence[Lag]) -> list[Metric]:
    """Return what the journal says, and how far each derived file lags behind it."""
    active = catalog.active.get(ACTIVE)
    journal = {} if catalog.journal_id is None else {"journal_id": catalog.journal_id}
    files = [({"file": os.path.basename(lag.where)}, lag) for lag in lags]
    return [
        Metric("modelog_journal_info", "Which journal this is.", [(journal, 1)] if journal else []),
        _one("modelog_journal_entries", "Entries in the journal.", catalog.size),
        _one("modelog_latest_event_timestamp_seconds", "Latest time of any event.", _seconds(catalog.latest_time)),
        _one("modelog_models", "Models that were published.", len(catalog.published)),
        Metric(
            "modelog_active_model_info",
            "Which model is active.",
            [] if active is None else [(_labels(catalog.model(active.model_id)), 1)],
        ),
        _one(
            "modelog_active_position",
            "Position of the event by which the active model became active.",
            None if active is None else active.position,
        ),
        _one(
            "modelog_active_since_timestamp_seconds",
            "When the active model became active.",
            None if active is None else _seconds(active.time),
        ),
        Metric(
            "modelog_derived_file_lag_entries",
            "Entries of the journal that a derived file has not got to.",
            [(labels, lag.entries) for labels, lag in files],
        ),
        Metric(
            "modelog_derived_file_behind",
            "1 if a derived file lags more than it may, else 0.",
            [(labels, int(lag.behind)) for labels, lag in files],
        ),
    ]


def verified(report: Report, *, ok: bool, ended: datetime, seconds: float) -> list[Metric]:
    """Return how an audit ended, when, and how many *seconds* it took."""
    found: Counter[str] = Counter(finding.kind for finding in report.findings)
    return [
        _one("modelog_verify_ok", "1 if the newest verify ended with status 0, else 0.", int(ok)),
        Metric(
            "modelog_verify_findings",
            "What the newest verify found.",
            [({"kind": kind}, found[kind]) for kind in KINDS],
        ),
        _one("modelog_verify_entries", "Entries that verified in the newest verify.", report.size),
        _one("modelog_verify_timestamp_seconds", "When the newest verify ended.", ended.timestamp()),
        _one("modelog_verify_duration_seconds", "How long the newest verify took.", round(seconds, 6)),
    ]


def compared(report: Report, *, ended: datetime) -> list[Metric]:
    """Return how an audit of all artifacts ended, and when."""
    bad = sum(finding.kind == "artifact" for finding in report.findings)
    return [
        _one("modelog_artifacts_compared", "Models in the newest verify --artifacts.", report.artifacts),
        _one("modelog_artifacts_bad", "Those whose artifact was gone, or not the one that was published.", bad),
        _one("modelog_artifacts_timestamp_seconds", "When the newest verify --artifacts ended.", ended.timestamp()),
    ]


def loaded(found: Loaded, runtime: str | None, *, at: datetime) -> list[Metric]:
    """Return which model a runtime has got; `modelog_active_position` says which one it should have."""
    labels = {} if runtime is None else {"runtime": runtime}
    where = [] if found.position is None else [(labels, found.position)]
    return [
        Metric(
            "modelog_loaded_model_info", "The model that watch dealt with last.", [(labels | _labels(found.model), 1)]
        ),
        Metric("modelog_loaded_position", "Position of the event by which that model had become active.", where),
        Metric("modelog_loaded_timestamp_seconds", "When watch had dealt with it.", [(labels, at.timestamp())]),
    ]


def merged(old: bytes, section: str, metrics: Sequence[Metric], registry: str) -> bytes:
    """
    Return the bytes of a file with *metrics* in place of what a section had; the others stay as they are.

    Args:
        old: the file; what is in no section that we know is left out.

        registry: the label of that name of all *metrics*.
    """
    parts = [part.partition(b"\n") for part in (b"\n" + old).split(b"\n" + MARK)[1:]]
    found = {name.decode("ascii", "replace"): lines.rstrip(b"\n") for name, _, lines in parts}
    found[section] = _render(metrics, registry)
    return b"".join(b"%b%b\n%b\n" % (MARK, name.encode(), found[name]) for name in SECTIONS if name in found)


def is_of(data: bytes, registry: str) -> bool:
    """Say whether there are metrics of *registry* in the bytes of a file."""
    return b'registry="%b"' % _quoted(registry).encode() in data


def _render(metrics: Sequence[Metric], registry: str) -> bytes:
    lines = []
    for metric in metrics:
        if metric.samples:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
        for labels, value in metric.samples:
            pairs = ",".join(f'{name}="{_quoted(text)}"' for name, text in ({"registry": registry} | labels).items())
            lines.append(f"{metric.name}{{{pairs}}} {value!r}")
    return "\n".join(lines).encode()


def _quoted(text: str) -> str:
    """Return a label's value as the format has it; what is neither printable nor a newline is spelled out first."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else _spelled(char) for char in text)
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _one(name: str, text: str, value: float | None) -> Metric:
    return Metric(name, text, [] if value is None else [({}, value)])


def _labels(model: ModelMetadata) -> dict[str, str]:
    return {"model_id": model.model_id, "backend": model.backend, "sha256": model.sha256}


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()
