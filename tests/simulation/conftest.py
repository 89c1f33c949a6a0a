"""
Makes the modules beside this file importable, and those of `tests/crash`, whose model of torn writes is shared.

Neither directory has a subdirectory, so on `sys.path` they cannot stand before a package of ours.
"""

from __future__ import annotations

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
for _directory in (_HERE.parent / "crash", _HERE):
    if str(_directory) not in sys.path:
        sys.path.insert(0, str(_directory))
