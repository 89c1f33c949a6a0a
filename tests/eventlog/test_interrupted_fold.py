"""A registry that stays after an interrupt: what it had half changed is forgotten, and nothing false is written."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from support import Place

from eventlog import (
    anchors,
    batch,
    catalog,
    catalog_state,
    chain,
    codec,
    decisions,
    event_ids,
    lookup,
    marks,
    model_rows,
    past,
    reader,
    replay,
    requests,
    runs,
    transaction,
)
from eventlog.engines import jsonl_scan
from eventlog.errors import ModelogError
from projections import registry_json, verify_registry

MODULES = (
    anchors,
    batch,
    catalog,
    catalog_state,
    chain,
    codec,
    decisions,
    event_ids,
    jsonl_scan,
    lookup,
    marks,
    model_rows,
    past,
    reader,
    registry_json,
    replay,
    requests,
    runs,
    transaction,
)
FOLDING = {module.__file__ for module in MODULES}


class Interrupts:
    """Interrupts a call when it comes to its so many-th line in the modules that fold."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.lines = 0

    def run(self, call: Callable[[], object]) -> None:
        sys.settrace(self._trace)  # type: ignore[arg-type]
        try:
            call()
        except (KeyboardInterrupt, ModelogError):
            pass
        finally:
            sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> object:
        path = frame.f_code.co_filename
        if path not in FOLDING:
            return None
        leaves_a_lock = linecache.getline(path, frame.f_lineno).lstrip().startswith("with ")
        if event == "line" and not leaves_a_lock:
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self._trace

    @property
    def is_over(self) -> bool:
        return self.lines < self.at


@pytest.mark.parametrize("others", [False, True])
def test_an_interrupt_at_any_line_of_the_fold(fast_place: Place, others: bool) -> None:
    """The same object publishes, lists and says what is active as one that is opened anew; also where others write."""
    registry = fast_place.open()
    fast_place.publish("first", registry=registry)
    at = 0

    while True:
        at += 1
        if others:
            fast_place.publish(f"{at} by another")
        interrupts = Interrupts(at)
        interrupts.run(lambda: fast_place.publish(f"{at} interrupted", registry=registry))  # noqa: B023 - at once
        anew = fast_place.open(runtime=False)
        assert registry.get_active_model() == anew.get_active_model(), at
        model = fast_place.publish(f"{at} afterwards", registry=registry)
        assert registry.get_active_model() == model, at
        if interrupts.is_over:
            break

    assert at > 100
    assert registry.list_models() == fast_place.open(runtime=False).list_models()
    report = verify_registry(fast_place.registry_dir, fast_place.state_dir)
    assert (report.verdict, report.findings) == ("intact", [])
