"""An interrupt at a line that is chosen, for sweeps over all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from types import FrameType
from typing import Any


def interrupted(
    action: Any, at: int, paths: Container[str], counts: Callable[[str, int], bool] = lambda path, line: True
) -> bool:
    """
    Call *action*, and raise KeyboardInterrupt in it at its so many-th line in the files *paths*; say whether it came.

    Only lines for which *counts*, given the path and the number of the line, are counted.
    """
    left = at

    def trace(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal left
        path = frame.f_code.co_filename
        if path not in paths:
            return None
        if event == "line" and counts(path, frame.f_lineno):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        action()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(earlier)
    return left <= 0
