"""What must hold after a signal: what the command said is true of the disk, and the disk keeps every other promise."""

from __future__ import annotations

import json
import signal

from check_state import Expected, check
from scenarios import Trace
from signal_points import Ended
from workshop import JOURNAL, REGISTRY_JSON, STATE_JSON, Workshop

from eventlog.batch import RECOVERY_ID_START
from projections import verify_registry

NOTHING_RECORDED = {130, -signal.SIGINT}
RECORDED = {0, 5}
UNKNOWN = 4


def check_signalled(trace: Trace, number: signal.Signals, ended: Ended, workshop: Workshop) -> bool:
    """
    Hold the disk, as the command left it, to what was promised, and return whether its event is recorded.

    Args:
        trace: the same command undisturbed; what it started from, and what it was asked.
    """
    (request,) = trace.requests
    tree = workshop.tree()
    journal = tree.get(JOURNAL) or b""
    entries = journal.split(b"\n")[:-1]
    events = [json.loads(entry) for entry in entries]
    ids = [event["id"] for event in events]
    recorded = request.id in ids
    assert ids.count(request.id) <= 1, f"recorded {ids.count(request.id)} times"
    before = max(len((trace.start.get(JOURNAL) or b"").split(b"\n")) - 1, 1)
    invented = [id for id in ids[before:] if id != request.id and not id.startswith(RECOVERY_ID_START)]
    assert invented == [], f"nobody asked for {invented}"

    for path in (REGISTRY_JSON, STATE_JSON):
        if path in tree:
            json.loads(tree[path] or b"")

    position = ids.index(request.id) if recorded else None
    subject = None if position is None else events[position]["subject"]
    acknowledged = _check_words(number, ended, subject, touched=f'"id":"{request.id}"'.encode() in journal)
    promised = position + 1 if acknowledged and position is not None else trace.acknowledged
    if ended.status == 0:
        assert verify_registry(workshop.models, workshop.runtime).findings == [], "status 0, but not all is up to date"
    check(tree, Expected(entries, promised, trace.requests, trace.torn), workshop)
    return recorded


def _check_words(number: signal.Signals, ended: Ended, subject: str | None, *, touched: bool) -> bool:
    """
    Hold the status and the words to what is recorded, and return whether they promise it.

    Args:
        subject: the model that is recorded, or None.

        touched: whether a part of the event is in the journal.
    """
    status, err = ended.status, ended.err
    assert "Traceback" not in err, err
    assert "Exception" not in err, err
    if number == signal.SIGINT:
        assert status in {*NOTHING_RECORDED, *RECORDED, UNKNOWN}, f"status {status}: {err}"
        assert ended.out == b"" or ended.out.endswith(b"\n"), f"a part of an answer: {ended.out!r}"
        assert ("interrupted: nothing was recorded" in err) == (status == 130), f"status {status}: {err}"
    else:
        assert status == -number, f"status {status}: {err}"
    said = json.loads(ended.out)["model_id"] if ended.out.endswith(b"\n") else None
    assert said in (None, subject), f"said {said}, but recorded is {subject}"
    assert subject is not None or "recorded as active" not in err, f"not recorded, but: {err}"
    if status in NOTHING_RECORDED and number == signal.SIGINT:
        assert not touched, f"status {status}: {err}, but it is in the journal"
        assert said is None, f"status {status}, but it was acknowledged: {ended.out!r}"
    if status in RECORDED:
        assert said is not None, f"status {status}, but no answer"
    return said is not None
