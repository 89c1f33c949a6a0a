"""Registries of any size, made through the journal's own interface; the same bytes each time."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice

from eventlog import __version__, codec, snapshot
from eventlog.catalog import Catalog
from eventlog.engines import open_journal
from eventlog.events import FORMAT_VERSION, Event, JournalCreated, ModelPublished
from projections import open_registry

JOURNAL_ID = "6b86b273-ff34-4ce1-9d6b-804eff5a3f57"
START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENTRIES_AT_ONCE = 1_024


def facts(models):
    """Yield subject, time and data of each event: the journal's creation, and one publication for each model."""
    yield None, START, JournalCreated(JOURNAL_ID, FORMAT_VERSION)
    displaced = None
    for number in range(1, models + 1):
        time = START + timedelta(seconds=17 * number)
        digest = sha256(b"%d" % number).hexdigest()
        model_id = f"{time:%Y%m%d%H%M%S}_{digest[:8]}"
        data = ModelPublished(
            backend="onnx",
            artifact_path=f"/srv/models/detector/version-{number}.onnx",
            artifact_size_bytes=2_300_000 + number,
            sha256=digest,
            dataset_metadata={"rows": 1_000 + number, "source": "lab 2"},
            displaced=displaced,
        )
        yield model_id, time, data
        displaced = model_id


def _unique(number):
    digits = sha256(b"id %d" % number).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def encoded(models):
    """Yield the lines, about 650 bytes each, sealed one after the other, with a snapshot wherever one is due."""
    catalog = Catalog()

    def line(subject, time, data):
        event = Event(catalog.size, _unique(catalog.size), time, "ana@trainer-3", subject, data)
        entry = codec.encode(event, JOURNAL_ID, catalog.hash)
        catalog.apply(entry, event)
        return entry

    for subject, time, data in facts(models):
        if snapshot.is_due(catalog.size, catalog.snapshot):
            yield line(None, time, catalog.taken())
        yield line(subject, time, data)


def build(directory, models):
    """Make the registry of *models* models in `DIRECTORY/models`, without what is derived from its journal."""
    journal = open_journal(os.path.join(directory, "models"))
    entries = encoded(models)
    size = 0
    with journal.exclusive():
        while batch := list(islice(entries, ENTRIES_AT_ONCE)):
            size = journal.append(batch, expected_size=size).size
    return {"size": size}


def derive(directory):
    """Make what is derived anew, and publish one more model, so that all is as the last writer left it."""
    artifact = os.path.join(directory, "artifact")
    with open(artifact, "wb") as file:
        file.write(b"the last one")
    opened(directory).publish_model(artifact, backend="onnx", request_id="the last one")
    return {"size": opened(directory).rebuild()}


def opened(directory, *, runtime=True):
    """Return the registry below *directory* as a new process would open it."""
    return open_registry(os.path.join(directory, "models"), os.path.join(directory, "runtime") if runtime else None)


def versions():
    """Return what is measured."""
    return {"modelog": __version__, "format": FORMAT_VERSION}
