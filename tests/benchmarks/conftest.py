"""
Makes the modules beside this file importable.

Its subdirectory `contenders` holds what other interpreters run; no package of ours has that name.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
