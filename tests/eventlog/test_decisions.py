"""Decisions: pure functions from a state and a request to an event or an answer. The registry's tests have the rest."""

from __future__ import annotations

from typing import Any

import pytest
from support import START

from eventlog import decisions
from eventlog.artifacts import Artifact
from eventlog.catalog import Catalog
from eventlog.catalog_state import ACTIVE
from eventlog.decisions import Decide, Decision, Terms
from eventlog.errors import RefusedError
from eventlog.events import Event, ModelPublished, ModelRolledBack
from eventlog.journal import Anchor
from eventlog.snapshot import Activation

A, B, C = (f"2026010203040{number}_{letter * 8}" for number, letter in ((5, "a"), (6, "b"), (7, "c")))
ARTIFACT = Artifact("/a", "ab" * 32, 3, (0, 0, 0, 0, 0))


def _catalog(active: str | None, displaced: str | None = None, *models: str) -> Catalog:
    catalog = Catalog("j")
    catalog.positions.begin(1, None)
    for position, model_id in enumerate(models, 1):
        data = ModelPublished("b", "/a", 3, "ab" * 32, {}, None)
        catalog.published.add(Event(position, f"id{position}", START, "t", model_id, data))
        catalog.positions.add(f"id{position}")
    if active is not None:
        catalog.active[ACTIVE] = Activation(active, len(models), START, "t", None, displaced)
    return catalog


def _publish(catalog: Catalog, **terms: Any) -> Decision:
    asked = Terms(actor="t", request_id=terms.pop("request_id", "new"), **terms)
    return decisions.publish(asked, ARTIFACT, "b", {}, _find(catalog))(catalog, START)


def _rollback(catalog: Catalog, model_id: str | None = None, **terms: Any) -> Decision:
    asked = Terms(actor="t", request_id=terms.pop("request_id", "new"), **terms)
    decide: Decide = decisions.rollback(asked, model_id, _find(catalog), lambda catalog, target: "cd" * 32)
    return decide(catalog, START)


def _find(catalog: Catalog) -> decisions.FindEvent:
    return lambda position: next(event for event in catalog.published.values() if event.position == position)


def test_publish_on_nothing() -> None:
    """The first model displaces none."""
    assert _publish(_catalog(None)) == Decision(
        "20260102030405_abababab", ModelPublished("b", "/a", 3, "ab" * 32, {}, None)
    )


def test_publish_records_who_was_displaced_and_taken_over() -> None:
    """Both depend on the moment, not on the request."""
    anchor = Anchor("other", 3, "0" * 64)

    data = _publish(_catalog(A, None, A), took_over=anchor, reason="why").data

    assert data == ModelPublished("b", "/a", 3, "ab" * 32, {}, A, "why", anchor)


def test_rollback_records_the_hash_as_found() -> None:
    """The hash is what the artifact has now, and the displaced model the active one."""
    catalog = _catalog(B, A, A, B)

    assert _rollback(catalog, reason="why") == Decision(A, ModelRolledBack(B, "cd" * 32, "why"))
    assert _rollback(catalog, B) == Decision(B)


@pytest.mark.parametrize(
    ("catalog", "model_id"),
    [(_catalog(None), None), (_catalog(None), A), (_catalog(A, None, A), None), (_catalog(A, None, A), C)],
)
def test_rollback_that_has_no_target(catalog: Catalog, model_id: str | None) -> None:
    """Nothing published, nothing before, or not published: refused."""
    with pytest.raises(RefusedError):
        _rollback(catalog, model_id)


def test_refused_artifact_refuses_the_rollback() -> None:
    """What the look at the artifact raises goes through, and it is asked about the target."""
    asked: list[str] = []

    def refuse(catalog: Catalog, target: str) -> str:
        asked.append(target)
        raise RefusedError("gone")

    catalog = _catalog(B, A, A, B)
    decide = decisions.rollback(Terms("t", "new"), None, _find(catalog), refuse)

    with pytest.raises(RefusedError, match="gone"):
        decide(catalog, START)
    assert asked == [A]


@pytest.mark.parametrize("active", [None, A])
@pytest.mark.parametrize("expected", [None, "none", A, B])
def test_expected_active(active: str | None, expected: str | None) -> None:
    """None expects nothing, `none` expects no model, an id that model."""
    catalog = _catalog(active, None, A, B)
    good = expected is None or expected == (active or "none")

    if good:
        assert _publish(catalog, expect_active=expected).data is not None
    else:
        with pytest.raises(RefusedError, match="--expect-active"):
            _publish(catalog, expect_active=expected)


def test_answer_that_is_there_is_not_checked_against_the_present() -> None:
    """A retry gets its answer whatever is active by now; nothing is to be appended."""
    catalog = _catalog(B, A, A, B)

    assert _publish(catalog, request_id="id1", expect_active="none") == Decision(A, None, 1)


def test_id_of_another_kind_of_event() -> None:
    """The id of a publish cannot be used for a rollback."""
    with pytest.raises(RefusedError, match="use a new id"):
        _rollback(_catalog(B, A, A, B), request_id="id1")
