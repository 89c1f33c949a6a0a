"""
What every measured process is: a loop that reads a request a line and answers each with a line. Standard library only.

    → {"call":"append","words":{"count":50}}
    ← {"ok":{"seconds":0.0012}}        or  {"error":"ValueError: …"}

The clock is read inside the process, around the work alone, so what the pipe costs is in no number.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback

STORM_START_SECONDS_MAX = 120


def serve(*functions, **calls):
    """
    Answer requests for *functions*, each by its own name, and for *calls* until the pipe is closed.

    What a library prints goes to stderr, not into answers.
    """
    calls = {function.__name__: function for function in functions} | calls
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": calls[request["call"]](**request["words"])}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)


def timed(function, *arguments):
    """Return how many seconds a call took, and what it returned."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def each(count, function):
    """Call a function with 0, 1, …, and return the seconds that one call took on average."""
    start = time.perf_counter()
    for number in range(count):
        function(number)
    return (time.perf_counter() - start) / count


def listed(count, ask):
    """Ask for all models *count* times; return the seconds that one question took, and how many models there are."""
    models = len(ask(0))
    return {"seconds": each(count, ask), "models": models}


def command(*argv):
    """Return a command as the answer to `cold`, with the environment of this process."""
    return {"argv": list(argv), "environment": dict(os.environ)}


def installed(name):
    """Return the path of a command that a package has put beside this Python."""
    return os.path.join(os.path.dirname(sys.executable), name)


def memory_kib(name):
    """Return a figure of this process's memory: `VmRSS` now, `VmHWM` at its highest."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))


def isolated(function):
    """
    Call a function in a forked child, and return the dictionary that it returns.

    Each round so has a heap of its own: nothing that an earlier one left is collected or used by a later one. Adds
    `grown_mib`: by how much the child's memory was larger at its highest than at its start.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = memory_kib("VmRSS")
            answer = function()
            answer["grown_mib"] = (memory_kib("VmHWM") - before) / 1024
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read() or b'{"error": "the child died"}')
    os.waitpid(child, 0)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer


def storm(processes, count, seconds_max, open_writer):
    """
    Let many processes publish at once, and return how it went.

    Args:
        processes, count: how many, and how many times each publishes.

        seconds_max: nobody starts another publish after so long.

        open_writer: called in each child with its number; returns what publishes once when it is called.

    Returns what all did together: `seconds` from the first start to the last end, `done`, `errors`, and one of those.
    """
    ready, go, results = os.pipe(), os.pipe(), os.pipe()
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            os.close(go[1])
            os.write(
                results[1], json.dumps(_publish(number, count, seconds_max, open_writer, ready, go)).encode() + b"\n"
            )
            os._exit(0)
        children.append(child)
    os.close(results[1])
    _wait_until_ready(ready[0], processes)
    os.close(go[0])
    os.close(go[1])  # the end of the pipe is the start of the storm, for all at once
    with os.fdopen(results[0], "rb") as pipe:
        each_one = [json.loads(line) for line in pipe]
    for child in children:
        os.waitpid(child, 0)
    os.close(ready[0])
    os.close(ready[1])
    return _together(each_one, processes)


def _wait_until_ready(descriptor, processes):
    deadline = time.monotonic() + STORM_START_SECONDS_MAX
    ready = b""
    while len(ready) < processes:
        assert time.monotonic() < deadline, "the writers did not start"
        ready += os.read(descriptor, processes)


def _publish(number, count, seconds_max, open_writer, ready, go):
    """What one child does: open, say that it is ready, wait for all others, publish."""
    errors = []
    done = 0
    try:
        publish = open_writer(number)
    except Exception as error:
        publish = None
        errors.append(f"{type(error).__name__}: {error}"[:200])
    os.write(ready[1], b"r")
    os.read(go[0], 1)
    start = time.monotonic()
    for _ in range(count if publish else 0):
        if time.monotonic() - start > seconds_max:
            break
        try:
            publish()
            done += 1
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:200])
    return {"start": start, "end": time.monotonic(), "done": done, "errors": len(errors), "error": (errors or [""])[0]}


def _together(each_one, processes):
    died = processes - len(each_one)
    return {
        "seconds": max(one["end"] for one in each_one) - min(one["start"] for one in each_one),
        "done": sum(one["done"] for one in each_one),
        "errors": sum(one["errors"] for one in each_one) + died,
        "error": next((one["error"] for one in each_one if one["error"]), f"{died} died" if died else ""),
    }
