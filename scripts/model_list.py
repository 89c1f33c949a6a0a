"""What `list` shows of the models where it is not JSON, which needs none of this."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from eventlog import listing
from eventlog.catalog import Catalog
from eventlog.listing import Listing
from eventlog.model_rows import array_of
from scripts import models, output, rows
from scripts.table import Table

_HEADINGS = ("", "MODEL ID", "CREATED (UTC)", "BACKEND", "SHA256", "ARTIFACT", "METADATA")
_SECONDS = len("2026-11-23 10:30:00")


class _Cells(Struct, gc=False):
    """A row, with its time as it is spelled."""

    model_id: str
    backend: str
    artifact_path: str
    sha256: str
    created_at: str
    dataset_metadata: dict[str, Any]


_cells = msgspec.json.Decoder(list[_Cells])


def show(output_format: str, catalog: Catalog, wanted: Listing) -> bool:
    """Print the models that are wanted, but as JSON; say whether that is an answer, also where there are none."""
    if output_format != "table":  # some rows at a time, however many there are
        active = catalog.active_id()
        found = (listing.marked(block, active) for block in listing.blocks_in_order(catalog, wanted))
        if output_format == "jsonl":
            for some in found:
                output.print_json_lines(some)
        else:
            values = map(msgspec.json.decode, chain.from_iterable(found))
            rows.print_rows(values, models.ATTRIBUTES, output_format)
        return True
    blocks, backwards = listing.blocks(catalog, wanted)
    table = _table(blocks, catalog.active_id())
    if table is not None:
        table.print(backwards=backwards)
    return table is not None


def _table(blocks: Iterable[bytes], active: str | None) -> Table | None:
    """Return the table of the models whose rows are in *blocks*, or None where there is none."""
    table = None
    for block in blocks:
        table = table or Table(_HEADINGS)
        text = array_of(block)
        ids, backends, paths, hashes, times, metadata = zip(*map(astuple, _cells.decode(text)), strict=True)
        place = ids.index(active) if active in ids else None
        stars = [""] * len(ids)
        if place is not None:
            stars[place] = "*"
        columns = (
            stars,
            ids,
            [time[:_SECONDS].replace("T", " ") for time in times],
            backends,
            [digest[:12] for digest in hashes],
            paths,
            list(map(models.metadata_text, metadata)),
        )
        table.add(columns, plain=output.is_plain_json(text), marked=place)
    return table
