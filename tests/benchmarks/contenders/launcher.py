"""
Starts commands and says what each cost. Run as `python -I -S`, so that it stays small.

Linux counts what a child shared with its parent before `exec` into the child's peak memory, so a large parent would
make every command look large; this one has about 11 MiB.
"""

from __future__ import annotations

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from serving import memory_kib, serve


def run(argv, directory, environment, quiet=True):
    """Run a command with its output thrown away; return seconds from the call to its end, and its peak memory."""
    os.chdir(directory)
    sink = os.open(os.devnull, os.O_RDWR)
    files = [(os.POSIX_SPAWN_DUP2, sink, 0), (os.POSIX_SPAWN_DUP2, sink, 1)]
    if quiet:
        files.append((os.POSIX_SPAWN_DUP2, sink, 2))
    start = time.perf_counter()
    child = os.posix_spawn(argv[0], argv, environment, file_actions=files)
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    os.close(sink)
    return {"seconds": seconds, "peak_mib": used.ru_maxrss / 1024, "status": os.waitstatus_to_exitcode(status)}


def own_peak():
    """Return the peak memory of this process, below which no command's can be seen."""
    return {"peak_mib": memory_kib("VmHWM") / 1024}


if __name__ == "__main__":
    serve(run, own_peak)
