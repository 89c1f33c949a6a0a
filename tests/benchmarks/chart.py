"""
One picture of a run: bars on a log scale, ours beside each peer and the floor, and how each command grows.

Needs matplotlib, from the extra `bench`; it is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from measure import Series, spread
from report import TIMES, Group, Report, digits, seconds_text

OURS, FLOOR, PEER, INK, QUIET = "#0b6e75", "#b9bec4", "#d98e4a", "#24292f", "#6e7781"
LINES = ("#0b6e75", "#d1603d", "#5b5ea6", "#8a9a2b", "#b0467a")
MARKERS = "osD^v"
GRID = "#e4e8ec"
SLOTS_MIN = 4
DECADES_MAX = 4
LABEL_SHARE = 0.065
YARDSTICKS = ("ours", "ours, whole publish", "hash_artifact")
"""The bar of ours that those of the peers are counted in."""

FLOORS = ("import click, msgspec", "one write + fdatasync", "OpenSSL, in memory")
TITLES = {
    "cold list": "Cold list",
    "register and activate": "Register and activate",
    "list in process": "List in process",
}
LABELS = {
    "mlflow": "MLflow, SQLite",
    "trackio": "trackio",
    "bentoml": "BentoML",
    "gto": "GTO",
    "model_signing": "model-signing",
    "import click, msgspec": "floor: import click, msgspec",
    "one write + fdatasync": "floor: a write and fdatasync",
    "OpenSSL, in memory": "floor: OpenSSL, in memory",
    "hash_artifact": "ours",
}
STYLE = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "axes.edgecolor": "#d0d7de",
    "svg.hashsalt": "bench",
}
Panel = tuple[int, Callable[[Any], None]]


def can_draw() -> bool:
    """Say whether matplotlib is there."""
    return find_spec("matplotlib") is not None


def draw(report: Report, path: Path) -> None:
    """Draw what a report has into *path* with `.png` and `.svg`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    groups = {group.name: group for group in report.groups}
    panels = _panels(groups)
    if not panels:
        return
    with plt.rc_context(STYLE):
        rows = -(-sum(width for width, _ in panels) // 3)
        figure = plt.figure(figsize=(17, 1.3 + 4.6 * rows), facecolor="white")
        grid = figure.add_gridspec(rows, 3, left=0.128, right=0.985, top=1 - 1.35 / (1.3 + 4.6 * rows),
                                   bottom=0.62 / (1.3 + 4.6 * rows), wspace=0.52, hspace=0.36)  # fmt: skip
        place = 0
        for width, paint in panels:
            row, column = divmod(place, 3)
            paint(figure.add_subplot(grid[row, column : column + width]))
            place += width
        _caption(figure, report)
        figure.savefig(path.with_suffix(".png"), dpi=130)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        plt.close(figure)


def _panels(groups: dict[str, Group]) -> list[Panel]:
    found: list[Panel] = []
    peers = groups.get("peers")
    for row, title in TITLES.items():
        if peers is not None and peers.series:
            headline = f"{title}, {peers.title.removeprefix('a peer at ').partition(' ÷')[0]}"
            chosen = _of(peers, f"{row}: ")
            found.append((1, lambda axes, title=headline, chosen=chosen: _bars(axes, title, chosen)))
    growth = groups.get("growth")
    if growth is not None and growth.series:
        found.append((2, lambda axes: _growth(axes, growth)))
    hashing = groups.get("hashing")
    if hashing is not None and hashing.series:
        size = hashing.title.rpartition(", ")[2]
        found.append((1, lambda axes: _bars(axes, f"Hash a file of {size}", hashing.series)))
    return found


def _of(group: Group, prefix: str) -> dict[str, Series]:
    return {name.removeprefix(prefix): one for name, one in group.series.items() if name.startswith(prefix)}


def _bars(axes: Any, title: str, chosen: dict[str, Series]) -> None:
    """Draw seconds on a log scale, the shortest bar on top, with the middle half of the rounds as a thin line."""
    spreads = {name: spread(one.values("seconds")) for name, one in chosen.items()}
    ran = sorted((name for name, one in spreads.items() if one), key=lambda name: _median(spreads, name))
    names = [*ran, *(name for name in spreads if name not in ran)]
    own = next((_median(spreads, name) for name in YARDSTICKS if name in ran), None)
    least, most = (_median(spreads, ran[0]), _median(spreads, ran[-1])) if ran else (0.1, 1.0)
    left = least / 3
    axes.set_xscale("log")
    axes.set_xlim(left, max(left * (most / left) ** 1.5, most * 2.6))
    axes.set_ylim(max(len(names), SLOTS_MIN) - 0.4, -0.6)
    for height, name in enumerate(names):
        found = spreads[name]
        if found is None:
            axes.text(left * 1.1, height, "cannot run", va="center", color=QUIET, style="italic")
            continue
        axes.barh(height, found.median - left, left=left, height=0.66, color=_color(name), linewidth=0)
        axes.plot([found.low, found.high], [height, height], color=INK, linewidth=1.1, solid_capstyle="butt")
        beside = f"  {seconds_text(found.median)}"
        if own is not None and _color(name) == PEER:
            beside += f" · {digits(found.median / own)}{TIMES}"
        axes.text(max(found.median, found.high), height, beside, va="center", fontsize=9.5, color=INK)
    axes.set_yticks(range(len(names)), [LABELS.get(name, name) for name in names])
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if _color(name) == OURS else "normal")
        label.set_color(QUIET if _color(name) == FLOOR else INK)
    _plain(axes, title)
    crowded = most / left > 10**DECADES_MAX
    axes.xaxis.set_major_formatter(lambda value, _: "" if value > most * 4 else _tick(value, sparse=crowded))
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color=GRID, linewidth=0.8)


def _median(spreads: dict[str, Any], name: str) -> float:
    return float(spreads[name].median)


def _color(name: str) -> str:
    if name in FLOORS:
        return FLOOR
    return OURS if name.startswith("ours") or name == "hash_artifact" else PEER


def _growth(axes: Any, group: Group) -> None:
    """Draw each command over the number of events, both on log scales, with the floor and what linear would be."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for series, one in group.series.items():
        name, _, size = series.rpartition(", ")
        seconds = one.median()
        if seconds is not None and series not in FLOORS:
            lines.setdefault(name, []).append((int(size.replace(",", "")), seconds))
    axes.set_xscale("log")
    axes.set_yscale("log")
    last = max(size for points in lines.values() for size, _ in points)
    for points, color, marker in zip(lines.values(), LINES, MARKERS, strict=False):
        sizes, seconds = zip(*points, strict=True)
        axes.plot(sizes, seconds, color=color, linewidth=2, marker=marker, markersize=6, markeredgecolor="white")
    first = min(size for points in lines.values() for size, _ in points)
    for name in FLOORS:
        floor = group.series[name].median() if name in group.series else None
        if floor is not None:
            axes.plot([first, last], [floor, floor], color=FLOOR, linewidth=2.5, zorder=0)
            axes.annotate(LABELS[name], (first, floor), (0, -14), textcoords="offset points", color=QUIET, fontsize=9.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.6, high * 1.2)
    ends = _apart({name: points[-1][1] for name, points in lines.items()}, (high / low) ** LABEL_SHARE)
    for (name, points), color in zip(lines.items(), LINES, strict=False):
        label = f"{name}  {seconds_text(points[-1][1])}"
        axes.annotate(
            label, (last * 1.14, ends[name]), va="center", color=color, fontweight="bold", annotation_clip=False
        )
    axes.set_xlim(first / 1.25, last * (last / first) ** 0.3)
    _plain(axes, "How each command grows with the history")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value <= last else "")
    axes.yaxis.set_major_formatter(lambda value, _: _tick(value))
    axes.minorticks_off()
    axes.set_xlabel("events in the journal")
    axes.grid(color=GRID, linewidth=0.8)


def _apart(ends: dict[str, float], factor: float) -> dict[str, float]:
    """Return where labels go on a log scale: none covers another, and as many move down as up."""
    placed: dict[str, float] = {}
    lowest = 0.0
    for name, value in sorted(ends.items(), key=lambda item: item[1]):
        placed[name] = lowest = max(value, lowest * factor)
    moved = geometric_mean(placed[name] / ends[name] for name in ends)
    return {name: value / moved for name, value in placed.items()}


def _tick(value: float, *, sparse: bool = False) -> str:
    """Return a power of ten of a second in the unit that suits it; with *sparse* only 1 s, 1 ms and so on."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        number = round(value * factor)
        if number >= 1:
            return "" if sparse and number != 1 else f"{number:,} {unit}"
    return ""


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=10)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    axes.minorticks_off()


def _caption(figure: Any, report: Report) -> None:
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.36 / height, "modelog beside its peers and the floor", fontsize=17, fontweight="bold")
    under = (
        f"Medians of {report.settings.get('rounds')} rounds taken in turn; thin line: the middle half. "
        "Log scales: each grid line is ten times the one before. Shorter is better; "
        "behind a peer's time, how many times ours."
    )
    figure.text(0.012, 1 - 0.68 / height, under, color=QUIET, fontsize=10.5)
    machine = " · ".join(str(value) for value in report.machine.values())
    figure.text(0.012, 0.16 / height, f"{report.date} · {machine}", color=QUIET, fontsize=9)
