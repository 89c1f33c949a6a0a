"""
What every test may use: `support`, `interruption`, a place to work at, and a tally of how much a suite has tried.

The two modules are loaded by their files, because `tests/` on `sys.path` would put `tests/eventlog` before an
`eventlog` that is installed editable.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")  # how long something takes says nothing of what it does

_TALLY = "tally: "

OPTIONAL = {
    "eventlog/test_lightning_callback.py": ("lightning", "torch"),
    "eventlog/test_transformers_callback.py": ("accelerate", "torch", "transformers"),
}
"""The tests of the extra `test-training`, and the packages that they need."""

collect_ignore = [name for name, packages in OPTIONAL.items() if not all(map(find_spec, packages))]
"""Read by pytest: those that the test command leaves out, which it says in its first lines."""


def _load(name: str) -> None:
    spec = spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    assert spec is not None, "it is a Python file"
    assert spec.loader is not None, "it is a Python file"
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


for _name in ("support", "interruption"):
    if _name not in sys.modules:
        _load(_name)

import support  # noqa: E402 - loaded just above


@pytest.fixture
def place(tmp_path: Path) -> support.Place:
    """A registry that nobody has written to."""
    return support.Place(tmp_path.resolve())


@pytest.fixture
def fast_place() -> Iterator[support.Place]:
    """The same in memory, for sweeps."""
    with support.fast_place() as found:
        yield found


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Give a function that notes how many of something were tried; the sums are printed at the end of the run."""
    return lambda what, count: record_property(_TALLY + what, count)


@pytest.fixture
def exposed() -> Callable[[bytes], Mapping[str, list[tuple[Mapping[str, str], float]]]]:
    """
    Give a function that reads a metrics file with Prometheus' own parser: labels and value of each metric, by its name.

    That parser lets much pass that the server does not, so what the format forbids besides is looked for here.
    """
    from prometheus_client.parser import text_string_to_metric_families

    def read(data: bytes) -> Mapping[str, list[tuple[Mapping[str, str], float]]]:
        assert data.endswith(b"\n")
        assert all(line.isprintable() for line in data.decode().split("\n"))
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for family in text_string_to_metric_families(data.decode()):
            assert family.name not in found, f"{family.name} stands in two places"
            assert (family.type, bool(family.documentation), bool(family.samples)) == ("gauge", True, True), family
            assert {sample.name for sample in family.samples} == {family.name}
            assert all(sample.timestamp is None for sample in family.samples), "node_exporter refuses them"
            found[family.name] = [(sample.labels, sample.value) for sample in family.samples]
            distinct = {tuple(sorted(labels.items())) for labels, _ in found[family.name]}
            assert len(distinct) == len(family.samples), f"{family.name} has the same labels twice"
        return found

    return read


@pytest.fixture
def as_root() -> None:
    """Skip what only root can do, such as mounting, but never where continuous integration runs."""
    if os.geteuid() != 0:
        assert not os.environ.get("CI"), "continuous integration runs this as root"
        pytest.skip("only root can do this")


def pytest_report_header() -> list[str]:
    """Say which optional tests are not run."""
    return [f"not installed, so not collected: tests/{name} ({', '.join(OPTIONAL[name])})" for name in collect_ignore]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was tried, summed over all tests that noted it."""
    sums: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, count in getattr(report, "user_properties", ()) if getattr(report, "when", "") == "call" else ():
                if name.startswith(_TALLY):
                    sums[name.removeprefix(_TALLY)] += count
    if sums:
        terminalreporter.section("what was tried")
        for what, count in sorted(sums.items()):
            terminalreporter.write_line(f"{count:>12,} {what}")
