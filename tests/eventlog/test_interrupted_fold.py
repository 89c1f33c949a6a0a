"""A registry that stays after an interrupt: what it had half changed is forgotten, and nothing false is written."""

from __future__ import annotations

import linecache
from importlib import import_module

import pytest
from interruption import interrupted
from support import Place, outcome_of

from projections import verify_registry

FOLDING = """
    eventlog.anchors eventlog.batch eventlog.catalog eventlog.catalog_state eventlog.chain eventlog.codec
    eventlog.decisions eventlog.engines.jsonl_scan eventlog.event_ids eventlog.lookup eventlog.marks eventlog.model_rows
    eventlog.past eventlog.reader eventlog.replay eventlog.requests eventlog.runs eventlog.transaction
    projections.registry_json
"""
PATHS = {import_module(name).__file__ or "" for name in FOLDING.split()}


def _leaves_no_lock(path: str, line: int) -> bool:
    """Python passes through the line of a `with` once more before it leaves it; no interrupt comes there."""
    return not linecache.getline(path, line).lstrip().startswith("with ")


@pytest.mark.parametrize("others", [False, True])
def test_an_interrupt_at_any_line_of_the_fold(fast_place: Place, others: bool) -> None:
    """The same object publishes, lists and says what is active as one that is opened anew; also where others write."""
    registry = fast_place.open()
    fast_place.publish("first", registry=registry)
    at, came = 0, True

    while came:
        at += 1
        if others:
            fast_place.publish(f"{at} by another")
        name = f"{at} interrupted"

        def publish(name: str = name) -> None:
            outcome_of(lambda: fast_place.publish(name, registry=registry))

        came = interrupted(publish, at, PATHS, _leaves_no_lock)
        anew = fast_place.open(runtime=False)
        assert registry.get_active_model() == anew.get_active_model(), at
        model = fast_place.publish(f"{at} afterwards", registry=registry)
        assert registry.get_active_model() == model, at

    assert at > 100
    assert registry.list_models() == fast_place.open(runtime=False).list_models()
    report = verify_registry(fast_place.registry_dir, fast_place.state_dir)
    assert (report.verdict, report.findings) == ("intact", [])
