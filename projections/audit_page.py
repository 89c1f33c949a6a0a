"""
journal → one HTML page for an audit file: which model was active when, every event, what the audit found.

The page needs no network and no other file. Everything in it that comes from a registry is text: escaped, with what
cannot be seen spelled out, under a content-security policy that lets nothing run but the one script that it names by
its hash. Without it the page only lacks its filter. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from itertools import accumulate

from msgspec import Struct

from eventlog.change import Change
from eventlog.timeline import Stretch, stretches
from eventlog.verify import Report

WIDTH = 1000
_LABELS = 215
_LANES_MAX = 30
_LANE_HEIGHT = 18
_COLOURS = 12
_HASH_DIGITS = 16

_STYLE = """
:root{color-scheme:light}
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{font-weight:600}
dd{margin:0;overflow-wrap:anywhere}pre,td{font:11px/1.4 ui-monospace,monospace}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}caption{text-align:left;padding:.3rem 0}
th,td{border-bottom:1px solid #bbb;padding:.2rem .4rem;text-align:left;vertical-align:top;white-space:nowrap}
td:nth-child(5),td:nth-child(6),td:nth-child(9){white-space:normal;overflow-wrap:anywhere;min-width:6rem}
th{font-size:12px}svg{width:100%;height:auto}svg text{font:11px ui-monospace,monospace;fill:#1a1a1a}
.intact{color:#0a5d1e}.damaged{color:#a40000}label{display:inline-block;margin:.5rem 1rem .5rem 0}input{font:inherit}
@media print{body{margin:0;max-width:none;font-size:10px}form{display:none}thead{display:table-header-group}
tr,svg{break-inside:avoid}td,th,pre{font-size:7px}td{white-space:normal;overflow-wrap:anywhere}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""" + "\n".join(f".c{number}{{fill:hsl({number * 150} 60% {38 + 10 * (number % 2)}%)}}" for number in range(_COLOURS))

_SCRIPT = """
"use strict";
const box=document.getElementById("filter"),rows=[...document.querySelectorAll("#events tbody tr")];
const count=document.getElementById("count");
box.form.hidden=false;box.form.addEventListener("submit",e=>e.preventDefault());
box.addEventListener("input",()=>{
const words=box.value.toLowerCase().split(/\\s+/).filter(Boolean);let shown=0;
for(const row of rows){const text=row.textContent.toLowerCase();
row.hidden=!words.every(word=>text.includes(word));shown+=row.hidden?0:1}
count.textContent=shown+" of "+rows.length+" events";
});
"""


class Page(Struct, frozen=True):
    """
    What a page is made of.

    Attributes:
        changes: every event from the first on.

        report: what the audit found of the same journal.

        note: the signed tree head as it is written, or None.

        made: when, UTC.

        visible: spells out what cannot be seen in a text.
    """

    changes: Sequence[Change]
    report: Report
    note: str | None
    made: datetime
    visible: Callable[[str], str]


def render(page: Page) -> str:
    """Return the page; its text is UTF-8, and about 360 bytes an event."""

    def text(value: object) -> str:
        return escape(page.visible("" if value is None else str(value)))

    sources = f"style-src '{_hash(_STYLE)}'; script-src '{_hash(_SCRIPT)}'"
    policy = f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"
    active = list(stretches(page.changes))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>Model registry audit, journal {text(page.report.journal_id)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Model registry audit</h1>
{_audit(page, text)}
<h2 id="timeline-heading">Which model was active when</h2>
{_picture(active, text) if active else "<p>No model was ever active.</p>"}
<h2>Every event</h2>
<form hidden><label>Show events that contain <input id="filter" type="search" autocomplete="off"></label>
<span id="count" role="status" aria-live="polite">{len(page.changes)} events</span></form>
{_table(page.changes, text)}
<h2>Signed tree head</h2>
{f"<pre>{escape(_lines(page.note, page.visible))}</pre>" if page.note else "<p>None: no key is configured.</p>"}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _audit(page: Page, text: Callable[[object], str]) -> str:
    report = page.report
    fields = [
        ("Verdict", report.verdict),
        ("Reach", f"{report.level}: {report.reach}"),
        ("Journal", report.journal_id),
        ("Entries", report.size),
        ("Hash of the last", report.hash),
        ("Agrees with", ", ".join(report.anchors) or "nothing outside the journal"),
        *(("Set aside", line) for line in report.set_aside),
        *((finding.kind.capitalize(), finding.what) for finding in report.findings),
        ("Made", f"{page.made:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    kind = "intact" if report.verdict == "intact" else "damaged"
    rows = [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in fields]
    rows[0] = f'<dt>Verdict</dt><dd class="{kind}"><strong>{text(report.verdict)}</strong></dd>'
    return f"<dl>{''.join(rows)}</dl>"


def _picture(active: Sequence[Stretch], text: Callable[[object], str]) -> str:
    """
    Return the picture: a lane for each model, in the order in which they became active; time to the right, to scale.

    Where there are more models than lanes, models share lanes; as one model is active at a time, no bars overlap.
    Where a clock went backwards, the picture stays where it was until the clock has caught up; the table says so.
    """
    models = list(dict.fromkeys(item.model_id for item in active))
    lanes = {model_id: number % _LANES_MAX for number, model_id in enumerate(models)}
    times = [item.began.event.time for item in active]
    marks = [time.timestamp() for time in accumulate(times, max)]
    first, last = marks[0], max(marks[-1] + (marks[-1] - marks[0]) * 0.03, marks[0] + 1)
    left = _LABELS if len(models) <= _LANES_MAX else 0
    scale = (WIDTH - left) / (last - first)
    bars = []
    for item, start, stop in zip(active, marks, [*marks[1:], last], strict=True):
        until = "still active" if item.ended is None else f"to {item.ended.position}"
        lane, width = lanes[item.model_id], max(1.5, (stop - start) * scale)
        place = f"M{left + (start - first) * scale:.1f} {lane * _LANE_HEIGHT}h{width:.1f}v14h-{width:.1f}z"
        title = text(f"{item.model_id}: position {item.began.position}, {until}")
        bars.append(f'<path class="c{lane % _COLOURS}" d="{place}"><title>{title}</title></path>\n')
    labels = [
        f'<text x="0" y="{lane * _LANE_HEIGHT + 11}">{text(model_id)}</text>\n'
        for model_id, lane in lanes.items()
        if left
    ]
    bottom = min(len(models), _LANES_MAX) * _LANE_HEIGHT
    places = ((first, "start"), ((first + last) / 2, "middle"), (last, "end"))
    axis = [_tick(left + (at - first) * scale, bottom, at, anchor) for at, anchor in places]
    said = f"{len(models)} models in {len(active)} stretches from {_when(times[0])} on; the table has the same."
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 22}" role="img" aria-labelledby="timeline-heading timeline-text">'
        f'<desc id="timeline-text">{text(said)}</desc>{"".join(axis)}{"".join(bars)}{"".join(labels)}</svg>'
    )


def _tick(x: float, bottom: int, at: float, anchor: str) -> str:
    return (
        f'<path d="M{x:.1f} 0V{bottom + 4}" stroke="#999" stroke-width=".5"/>'
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="{anchor}">{_when(datetime.fromtimestamp(at, UTC))}</text>\n'
    )


def _table(changes: Sequence[Change], text: Callable[[object], str]) -> str:
    headings = (
        "Position",
        "Time (UTC)",
        "Event",
        "Actor",
        "Reason",
        "Backend",
        "Active before",
        "Active after",
        "Hash",
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in headings)
    rows = []
    for change in changes:
        changed = change.before != change.after
        clock = " (before an earlier event's: some clock went backwards)" if change.clock_went_backwards else ""
        words = ": ".join(filter(None, (change.summary(), change.reason)))
        cells = (
            f"{change.event.time:%Y-%m-%d %H:%M:%S.%f}{clock}",
            change.event.type.rpartition(".")[0],
            change.event.actor,
            words,
            "" if change.model is None else change.model.backend,
            (change.before or "none") if changed else "",
            (change.after or "none") if changed else "",
            change.hash[:_HASH_DIGITS],
        )
        row = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{change.position}</th>{row}</tr>\n')
    caption = (
        f"In order of position. Of each hash {_HASH_DIGITS} of 64 digits; an entry carries that of the one before."
    )
    return (
        f'<table id="events"><caption>{caption}</caption><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"


def _lines(note: str, visible: Callable[[str], str]) -> str:
    return "\n".join(map(visible, note.split("\n")))


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(sha256(content.encode()).digest()).decode()
