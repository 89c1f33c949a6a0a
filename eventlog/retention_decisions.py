"""What a request means that is about how long a model is kept. Pure, as `eventlog.decisions`."""

from __future__ import annotations

from datetime import datetime

from eventlog.catalog import Catalog
from eventlog.decisions import Decide, Decision, FindEvent, Terms, checked_answer, earlier_of
from eventlog.errors import RefusedError, refused_by
from eventlog.marks import HELD, RETIRED
from eventlog.retention_events import Marked, ModelRetired


def mark(terms: Terms, model_id: str, data: Marked, find_event: FindEvent) -> Decide:
    """Return the function that decides whether a model is retired or held from now on, or no longer."""
    kind = RETIRED if isinstance(data, RETIRED) else HELD

    def decide(catalog: Catalog, now: datetime) -> Decision:
        earlier = earlier_of(terms, catalog, find_event)
        if earlier is not None:
            same = earlier.data == data and earlier.subject == model_id
            return Decision(model_id, position=checked_answer(earlier, same).position)
        _check_target(catalog, model_id, data)
        is_set, position = catalog.marks.get(model_id, kind)
        if is_set == isinstance(data, kind[0]):
            if position is None:
                word = "retired" if kind is RETIRED else "held"
                raise RefusedError(f"{catalog.where}: expected a model that is {word}, got {model_id}, which is not")
            return Decision(model_id, position=position)
        return Decision(model_id, data)

    return decide


@refused_by("target")
def _check_target(catalog: Catalog, model_id: str, data: Marked) -> None:
    catalog.publication(model_id)
    if isinstance(data, ModelRetired) and model_id == catalog.active_id():
        raise RefusedError(
            f"{model_id}: expected a model that is not active, got the one that is: "
            "publish another one, or roll back, before it is retired"
        )
