"""
A command that has everything imported, waits until a file is there, and begins at once.

    python waiting_command.py FILE SECONDS VERB …

It tries an append for so many seconds. It makes a file `FILE.ready` when it waits.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from cluster_client import append_for, end_with_parent

import eventlog.engines.jetstream  # noqa: F401 - what publish imports when it is run
import projections.opening  # noqa: F401 - as above
from scripts.manage_models import main
from scripts.verbs import publish  # noqa: F401 - as above

if __name__ == "__main__":
    end_with_parent()
    append_for(float(sys.argv[2]))
    Path(f"{sys.argv[1]}.ready").touch()
    while not Path(sys.argv[1]).exists():
        time.sleep(0.005)
    sys.exit(main(sys.argv[3:]))
