"""`path`: where the bytes of a model are, for a shell: `python run.py "$(modelog path --verified)"`."""

from __future__ import annotations

from eventlog.artifact_match import data_of
from eventlog.model import path_here
from eventlog.model_id import check_model_id
from scripts import options, output, progress
from scripts.declared import Option, verb


@verb(
    Option("--model-id", metavar="ID", help="The model; the active one by default."),
    Option("--verified", flag=True, help="Only if its bytes have just been checked; fetch them where they are shared."),
    Option("--full", flag=True, help="With --verified: hash them also if they look as they did when last hashed."),
    Option("--signature", flag=True, help="The path of its signature, just checked, for model_signing verify key."),
    options.SHARING,
    options.TRUSTING,
    *options.COMMON,
)
def command(
    model_id: str | None,
    verified: bool,
    full: bool,
    signature: bool,
    artifact_store: str | None,
    public_key: str | None,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> None:
    """Print the path of the active model's file or directory, or of another one's."""
    if model_id is not None:
        check_model_id(model_id)
    if not verified and not signature:
        catalog = options.open_for_reading(registry_dir, state_dir, journal, public_key).catalog()
        path = path_here(data_of(catalog.publication(model_id or catalog.active_id() or "none")), catalog.home)
    else:
        registry = options.open_for_questions(
            registry_dir, state_dir, journal, public_key, artifact_store=artifact_store
        )
        with progress.hashing() as hashing:
            if signature:
                path = registry.signature_path(model_id)
            elif model_id is None:
                path = registry.open_active(full=full, progress=hashing).path
            else:
                path = registry.load(model_id, full=full, progress=hashing).path
    output.print_path(path)
