"""`blame`: who published a model and why, and when it was active."""

from __future__ import annotations

from scripts import filters, models, options, output, rows
from scripts.declared import Argument, verb


@verb(Argument("model_id"), filters.AS_OF, options.TRUSTING, options.SHOWN, *options.COMMON)
def command(
    model_id: str,
    as_of: str | None,
    public_key: str | None,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """
    Show by whom and why a model was published, when it was active, what displaced it and who brought it back.

    For jsonl and csv the rows are the stretches in which it was active.
    """
    blame = options.open_for_questions(registry_dir, state_dir, journal, public_key).blame(model_id, as_of=as_of)
    if output_format == "json":
        output.print_json(blame.to_dict())
    elif output_format != "table":
        rows.print_rows([stretch.to_dict() for stretch in blame.stretches], rows.STRETCHES, output_format)
    else:
        published = blame.published
        fields = [
            ("model", model_id),
            ("backend", blame.model.backend),
            ("artifact", blame.model.to_dict()["artifact_path"]),
            ("sha256", blame.model.sha256),
            ("metadata", models.metadata_text(blame.model.dataset_metadata)),
            ("published", f"{published.event.time:%Y-%m-%d %H:%M:%S.%f} UTC at position {published.position}"),
            ("by", published.event.actor),
            ("reason", published.reason or "none"),
            ("active", "yes" if blame.active else "no"),
        ]
        output.print_fields(fields)
        rows.print_stretches(blame.stretches)
