"""The result of a run: rows with a target, as a table for people and as JSON that reads back into the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from measure import Series, Spread, ratio, spread
from msgspec import Struct, field

FORMAT = 1
TIMES = "\N{MULTIPLICATION SIGN}"
COUNT = "errors"
DASH = "\N{EN DASH}"
_HEADINGS = ("what", "against", "ratio", "middle half", "target", "", "medians", "rounds")


class Row(Struct):
    """
    One line of the table.

    Attributes:
        what, against: the two that are compared; `against` is empty where `value` is no ratio.

        value: None where one of them could not run; then `note` says why.

        unit: a multiplication sign for ratios.

        target: such as `≤ 1.2`, or empty.

        detail: the medians behind the ratio.
    """

    what: str
    against: str
    value: Spread | None
    unit: str = TIMES
    target: str = ""
    detail: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if not self.target or self.value is None:
            return None
        sense, limit = self.target.split()
        number = float(limit.replace(",", ""))
        return self.value.median <= number if sense == "≤" else self.value.median >= number


class Group(Struct):
    """
    What one module measured.

    Attributes:
        notes: what a reader must know of how it was done.
    """

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    series: dict[str, Series] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def compare(self, what: str, against: str, *, target: str = "", inverse: bool = False, each: str = "") -> None:
        """
        Add the row of two series by their names.

        Args:
            inverse: how many times as fast instead of how many times as long.

            each: what one of the seconds is for, such as `event`.
        """
        upper, lower = self.series[what], self.series[against]
        value = ratio(lower, upper) if inverse else ratio(upper, lower)
        medians = [seconds_text(series.median()) for series in (upper, lower)]
        detail = f"{medians[0]} : {medians[1]}" + (f" per {each}" if each else "")
        note = next((f"{series.name}: {series.failure}" for series in (upper, lower) if series.failure), "")
        self.rows.append(Row(what, against, value, target=target, detail=detail, note=note))

    def state(self, what: str, name: str, key: str, unit: str, *, target: str = "", factor: float = 1.0) -> None:
        """Add the row of a figure that is no ratio: memory, or a count."""
        series = self.series[name]
        values = [value * factor for value in series.values(key)]
        self.rows.append(Row(what, "", spread(values), unit=unit, target=target, note=series.failure))


class Report(Struct):
    """A whole run: when, of what, on what, and the groups in order."""

    date: str
    machine: dict[str, Any]
    versions: dict[str, str]
    settings: dict[str, Any]
    groups: list[Group] = field(default_factory=list)
    format: int = FORMAT


def encode(report: Report) -> bytes:
    """Return a report as JSON, to be kept."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def load(path: Path) -> Report:
    """Read a report that `encode` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def seconds_text(seconds: float | None) -> str:
    """Return a duration with three digits and the unit that suits it."""
    if seconds is None:
        return DASH
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{digits(seconds * factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def digits(value: float) -> str:
    """Return a number with three significant digits, a small one with two, without an exponent."""
    if 0 < value < 0.095:
        return f"{value:.2g}" if value >= 0.0001 else "<0.0001"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(report: Report) -> str:
    """Return the whole report as text."""
    lines = [f"{report.date} · {' · '.join(f'{name} {found}' for name, found in report.versions.items())}"]
    lines.append(" · ".join(str(value) for value in report.machine.values()))
    for group in report.groups:
        lines += ["", f"{group.name}: {group.title}"]
        lines += _aligned([_HEADINGS, *map(_cells, group.rows)]) if group.rows else []
        lines += [f"  - {note}" for note in group.notes]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    if row.value is None:
        return (row.what, row.against, "cannot run", row.note, row.target, "", "", "0")
    unit = row.unit if row.unit == TIMES else f" {row.unit}"
    low, middle, high = (
        f"{value:,.0f}" if row.unit == COUNT else digits(value)
        for value in (row.value.low, row.value.median, row.value.high)
    )
    judged = {True: "met", False: "MISSED", None: ""}[row.met]
    detail = f"{row.detail} ({row.note})" if row.note else row.detail
    return (row.what, row.against, middle + unit, f"{low} {DASH} {high}", row.target, judged, detail,
            str(row.value.rounds))  # fmt: skip


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the cells in columns; a sign that takes no place of its own is not counted."""
    found = list(rows)
    widths = [max(_width(row[column]) for row in found) for column in range(len(found[0]))]
    padded = [[cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)] for row in found]
    return [("  " + "  ".join(row)).rstrip() for row in padded]


def _width(text: str) -> int:
    return sum(not unicodedata.combining(sign) for sign in text)
