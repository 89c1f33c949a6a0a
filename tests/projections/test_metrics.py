"""The Prometheus text format: what Prometheus' own parser reads is what was meant, whatever the values are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventlog.verify import Finding, Report
from projections import metrics
from projections.metrics import Metric

TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def _report(*findings: Finding, artifacts: int | None = None) -> Report:
    return Report("intact", "L1", "", None, 7, "", [], [], list(findings), artifacts)


def test_the_literal_text():
    """The file as it is, byte for byte; a metric without a value is not there."""
    data = metrics.merged(b"", "state", [Metric("a_b", "What.", [({"x": "y"}, 1)]), Metric("c", "No.", [])], "/srv")

    assert data == b'# modelog: state\n# HELP a_b What.\n# TYPE a_b gauge\na_b{registry="/srv",x="y"} 1\n'


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('on"nx', None),
        ("\\", None),
        ('\\"', None),
        ("\\n", None),
        ("a\nb", None),
        ("ünï \u6a21\u578b 🦉", None),
        ("{},=# HELP x y", None),
        ("", None),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\tb", "a\\r\\tb"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        ("\u2028\x85\x00", "\\u2028\\x85\\x00"),
    ],
)
def test_hostile_values(exposed, value, read):
    """Quotes, backslashes and newlines come back as they were; what cannot be shown is spelled out."""
    data = metrics.merged(b"", "state", [Metric("m", "What.", [({"x": value}, 1)])], value)

    expected = value if read is None else read
    assert exposed(data) == {"m": [({"registry": expected, "x": expected}, 1.0)]}


@pytest.mark.parametrize("value", [0, 1, 10**15, 0.001, 1e-7, 1767323045.678901, 253402300799.999, -5])
def test_values(exposed, value):
    """Also those that Python spells with an exponent."""
    assert exposed(metrics.merged(b"", "state", [Metric("m", "What.", [({}, value)])], "r"))["m"][0][1] == value


def test_sections_are_left_alone():
    """Whoever writes one changes no byte of the others, whatever the order; what is in none is left out."""
    data = b""
    for section in reversed(metrics.SECTIONS):
        data = metrics.merged(data, section, [Metric(f"m_{section}", "What.", [({}, 1)])], "r")
    other = metrics.merged(data, "verify", [Metric("m_verify", "What.", [({}, 2)])], "other")
    odd = metrics.merged(b"odd\n" + data + b"# modelog: unknown\nm 1\n\n\n", "watch", [], "r")

    names = [line.split()[2].decode() for line in data.splitlines() if line.startswith(metrics.MARK)]
    assert names == list(metrics.SECTIONS)
    assert other == data.replace(b'm_verify{registry="r"} 1', b'm_verify{registry="other"} 2')
    assert odd == data.partition(b"# HELP m_watch")[0] + b"\n"


def test_no_metric_is_in_two_sections(exposed, place):
    """So a file may hold all of them, and two files with one each can be collected together."""
    place.publish()
    registry = place.open()
    parts = {
        "state": metrics.state(registry.catalog(), []),
        "verify": metrics.verified(_report(), ok=True, ended=TIME, seconds=1.0),
        "artifacts": metrics.compared(_report(artifacts=1), ended=TIME),
        "watch": metrics.loaded(registry.open_active(), "bot", at=TIME),
    }
    assert tuple(parts) == metrics.SECTIONS

    data = b""
    for section, found in parts.items():
        data = metrics.merged(data, section, found, "r")

    assert len(exposed(data)) == sum(bool(metric.samples) for found in parts.values() for metric in found)


def test_names(place):
    """As the naming conventions want them: one prefix, base units, no type in the name, and nothing that is counted."""
    registry = place.open()
    place.publish()
    every = [
        *metrics.state(registry.catalog(), []),
        *metrics.verified(_report(), ok=True, ended=TIME, seconds=1.0),
        *metrics.compared(_report(artifacts=1), ended=TIME),
        *metrics.loaded(registry.open_active(), None, at=TIME),
    ]

    for metric in every:
        assert metric.name.startswith("modelog_")
        assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket", "_gauge"))
        assert metric.help.endswith(".")
        assert "\n" not in metric.help
        assert "\\" not in metric.help


def test_an_empty_journal(exposed, place):
    """There is no active model and no time; nothing is said of them."""
    found = exposed(metrics.merged(b"", "state", metrics.state(place.open().catalog(), []), "r"))

    assert found == {name: [({"registry": "r"}, 0)] for name in ("modelog_journal_entries", "modelog_models")}


def test_findings_are_counted(exposed):
    """Each kind is there, also where nothing was found: an alarm needs a value that it can look at."""
    findings = [Finding("damage", "x"), Finding("damage", "y"), Finding("artifact", "z")]
    report = _report(*findings, artifacts=5)
    data = metrics.merged(b"", "verify", metrics.verified(report, ok=False, ended=TIME, seconds=0.1234567), "r")
    found = exposed(metrics.merged(data, "artifacts", metrics.compared(report, ended=TIME), "r"))

    counts = {labels["kind"]: value for labels, value in found.pop("modelog_verify_findings")}
    assert counts == {"damage": 2, "unreadable": 0, "artifact": 1, "derived": 0, "notice": 0}
    assert {name: value for name, [(_, value)] in found.items()} == {
        "modelog_verify_ok": 0,
        "modelog_verify_entries": 7,
        "modelog_verify_timestamp_seconds": TIME.timestamp(),
        "modelog_verify_duration_seconds": 0.123457,
        "modelog_artifacts_compared": 5,
        "modelog_artifacts_bad": 1,
        "modelog_artifacts_timestamp_seconds": TIME.timestamp(),
    }
