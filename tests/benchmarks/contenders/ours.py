"""What of ours is measured in process; `our_data` makes the registries, the command line is measured from outside."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
import uuid
from datetime import UTC, datetime
from hashlib import sha256
from operator import itemgetter

import msgspec
import our_data
from serving import each, isolated, listed, memory_kib, serve, storm, timed

from eventlog import artifacts, chain, codec, model_rows, tree
from eventlog.engines import open_journal
from eventlog.events import Event, ModelPublished
from eventlog.replay import Replay
from eventlog.runs import StoredPublication
from eventlog.vault import Vault

_BODY_BYTES = 149
_PART_BYTES = 64 << 10
_PUBLISHED = b'"type":"model.published.v1"'
_opened = {}


def _kept(kind, directory, make):
    """Return what *make* returned for this directory before, or call it: the object of a process that stays."""
    if (kind, directory) not in _opened:
        _opened[kind, directory] = make()
    return _opened[kind, directory]


def _bodies(directory, count):
    """Return the bodies of *count* publications, ready to be sealed, as long as those of the data."""
    return _kept("bodies", directory, lambda: [entry[:-_BODY_BYTES] for entry in our_data.encoded(count)])[:count]


def append(directory, count, batch, sealed_before=False):
    """
    Append *count* times *batch* entries to a journal that stays open; seconds of one entry.

    Their bodies are there before. Sealing them, one hash each, is measured too, but with *sealed_before*.
    """
    journal = _kept("journal", directory, lambda: open_journal(directory))
    bodies = _bodies(directory, 1_000)[:batch]
    tail = journal.tail()
    prev, ready = tail.hash, []
    for _ in range(count if sealed_before else 0):
        ready.append(_sealed(bodies, prev))
        prev = chain.hash_of(ready[-1][-1])

    def one(number):
        nonlocal tail
        entries = ready[number] if sealed_before else _sealed(bodies, tail.hash)
        tail = journal.append(entries, expected_size=tail.size)

    return {"seconds": each(count, one) / batch}


def _sealed(bodies, prev):
    entries = []
    for body in bodies:
        entries.append(chain.seal(body, prev))
        prev = chain.hash_of(entries[-1])
    return entries


def publish(directory, artifact, count, durable=False):
    """Publish *count* times in a registry that stays open; with *durable* write and sync the artifact first."""
    registry = _kept("registry", directory, lambda: our_data.opened(directory))
    registry.list_models(limit=1)
    with open(artifact, "rb") as file:
        data = file.read()

    def one(_):
        if durable:
            _write_durably(artifact, data)
        registry.publish_model(
            artifact, backend="onnx", dataset_metadata={"rows": 1_024}, actor="bench", reason="bench"
        )

    return {"seconds": each(count, one)}


def _write_durably(path, data):
    for name, flags in ((path, os.O_WRONLY | os.O_CREAT), (os.path.dirname(path), os.O_RDONLY)):
        descriptor = os.open(name, flags)
        if flags & os.O_WRONLY:
            os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)


def publish_on_fresh_copy(source, directory, artifact, count):
    """The same on a new copy of a registry each time, so that it is of the same size in each round."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(source, directory)
    _opened.pop(("registry", directory), None)
    publish(directory, artifact, 1)
    os.sync()
    return publish(directory, artifact, count)


def append_event(directory, count):
    """Append publications as `codec` writes them, to the journal of a registry: what a register costs without files."""
    journal = _kept("journal", directory, lambda: open_journal(os.path.join(directory, "models")))
    tail = journal.tail()

    def one(_):
        nonlocal tail
        data = ModelPublished("onnx", "/srv/m.onnx", 1_024, "0" * 64, {"rows": 1_024}, None)
        event = Event(tail.size, str(uuid.uuid4()), datetime.now(UTC), "bench", "20260102030405_00000000", data)
        tail = journal.append([codec.encode(event, our_data.JOURNAL_ID, tail.hash)], expected_size=tail.size)

    return {"seconds": each(count, one)}


def list_warm(directory, count):
    """List all models of a registry that stays open."""
    registry = _kept("registry", directory, lambda: our_data.opened(directory))
    return listed(count, lambda _: registry.list_models())


def list_verified(directory, count):
    """List all models in a registry that is opened anew each time, so that every hash is checked each time."""
    return {"seconds": each(count, lambda _: our_data.opened(directory).list_models())}


def replay(directory):
    """Read and fold a whole journal from its first entry on, every hash checked, in a process of its own."""

    def fold():
        gc.collect()
        before = memory_kib("VmRSS")
        replay = Replay(open_journal(os.path.join(directory, "models")), whole=True)
        seconds, catalog = timed(replay.catch_up)
        gc.collect()
        return {"seconds": seconds, "size": catalog.size, "held_bytes": (memory_kib("VmRSS") - before) * 1024}

    return isolated(fold)


def checks(directory):
    """Check what a fold from zero promises of each line, many at a time, by as few calls as can be; keep nothing."""

    def check():
        return {"seconds": timed(_check, os.path.join(directory, "models", "journal.jsonl"))[0]}

    return isolated(check)


def _check(journal):
    decoder, encoder = msgspec.json.Decoder(StoredPublication), msgspec.json.Encoder()
    body_of = itemgetter(slice(None, -_BODY_BYTES))
    prev, left, rows = chain.GENESIS, b"", sha256()
    with open(journal, "rb", buffering=0) as file:
        while part := file.read(_PART_BYTES):
            *lines, left = (left + part).split(b"\n")
            prev = chain.verify(lines, prev)
            text = b"}\n".join([*[body_of(line) for line in lines if _PUBLISHED in line], b""])
            found = decoder.decode_lines(text)
            assert encoder.encode_lines(found) == text, "it is spelled as it should be"
            rows.update(model_rows.block_of(found, odd=False))


def root(directory):
    """Compute the RFC 6962 root of a journal whose lines are in memory."""

    def compute():
        with open(os.path.join(directory, "models", "journal.jsonl"), "rb") as file:
            entries = file.read().splitlines()
        return {"seconds": timed(lambda: tree.root([tree.leaf_hash(entry) for entry in entries]))[0]}

    return isolated(compute)


def as_of(directory, position):
    """Ask which model was active at a position, in a registry that is opened anew."""

    def ask():
        seconds, catalog = timed(lambda: our_data.opened(directory).catalog(as_of=position))
        assert catalog.active_id() is not None
        return {"seconds": seconds}

    return isolated(ask)


def hash_artifact(path):
    """Hash a file as publish does."""
    return {"seconds": timed(artifacts.hash_artifact, path)[0]}


def copy_artifact(path, directory):
    """Copy and hash a file as publish --copy does before anything is recorded; what is copied is thrown away."""
    begun = time.perf_counter()
    with Vault(directory).copying(path, None):
        seconds = time.perf_counter() - begun
    return {"seconds": seconds}


def storm_of_threads(directory, artifact, threads, count):
    """Let threads share one registry, each publishing *count* times."""
    registry = our_data.opened(directory)
    errors, barrier = [], threading.Barrier(threads + 1)

    def work():
        barrier.wait()
        for _ in range(count):
            try:
                registry.publish_model(artifact, backend="onnx", actor="bench")
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}"[:200])

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    seconds, _ = timed(lambda: [worker.join() for worker in workers])
    answer = {"seconds": seconds, "done": threads * count - len(errors), "errors": len(errors), "error": ""}
    return _counted(directory, {**answer, "error": (errors or [""])[0]})


def storm_of_processes(directory, artifact, processes, count, seconds_max):
    """Let processes publish into one registry, each with its own."""

    def open_writer(_):
        registry = our_data.opened(directory)
        return lambda: registry.publish_model(artifact, backend="onnx", actor="bench")

    return _counted(directory, storm(processes, count, seconds_max, open_writer))


def _counted(directory, answer):
    """What was acknowledged must be there, no more and no less; anything else is an error too."""
    there = len(our_data.opened(directory).list_models())
    lost = abs(answer["done"] - there)
    return {**answer, "errors": answer["errors"] + lost, "error": f"{there} are there" if lost else answer["error"]}


if __name__ == "__main__":
    serve(
        our_data.build,
        our_data.derive,
        our_data.versions,
        append,
        publish,
        publish_on_fresh_copy,
        append_event,
        list_warm,
        list_verified,
        checks,
        replay,
        root,
        as_of,
        hash_artifact,
        copy_artifact,
        storm_of_threads,
        storm_of_processes,
    )
