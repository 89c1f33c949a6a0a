"""`publish`: record a model and make it active."""

from __future__ import annotations

from typing import Any

from eventlog.dataset_metadata import parse_pairs
from eventlog.errors import refused_by
from scripts import options, progress, recording
from scripts.declared import Option, UsageError, verb


@verb(
    Option("--artifact", required=True, metavar="PATH", help="The model's file, or a directory of files; hashed."),
    Option("--backend", required=True, read=options.as_text, help="What runs it, for example 'onnx'."),
    Option(
        "--metadata",
        read=options.as_text,
        multiple=True,
        metavar="KEY=VALUE",
        help="About the data it was trained on; KEY:=JSON for numbers, lists and so on. May be repeated.",
    ),
    Option("--copy", flag=True, help="Keep a copy below the registry's directory; that is then the model's artifact."),
    Option("--no-copy", flag=True, help="Keep none, whatever the registry's settings say."),
    *(options.SIGNING_ALSO_ARTIFACTS if option is options.SIGNING else option for option in options.CHANGING),
    *options.COMMON,
)
def command(
    artifact: str,
    backend: str,
    metadata: tuple[str, ...],
    copy: bool,
    no_copy: bool,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
    lock_timeout: float,
    record_refusals: bool,
    artifact_store: str | None,
    sign_key: tuple[str, ...],
    public_key: str | None,
    metrics_file: str | None,
    **terms: Any,
) -> None:
    """Record a model and make it active; prints it as JSON."""
    if copy and no_copy:
        raise UsageError("expected --copy or --no-copy, got both")
    settings = {
        "record_refusals": record_refusals,
        "artifact_store": artifact_store,
        "sign_key": sign_key,
        "public_key": public_key,
        "metrics_file": metrics_file,
    }
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **settings)
    wanted = {"artifact": artifact, "backend": backend, "metadata": " ".join(metadata)}
    who = {name: terms[name] for name in ("actor", "reason", "request_id", "dry_run")}
    with registry.on_record("publish", wanted, **who), refused_by("metadata"):
        dataset_metadata = parse_pairs(metadata)
    with progress.hashing() as hashing:
        recording.print_recorded(
            lambda: registry.publish_model(
                artifact,
                backend=backend,
                dataset_metadata=dataset_metadata,
                copy=copy if copy or no_copy else None,
                progress=hashing,
                **terms,
            ),
            dry_run=terms["dry_run"],
        )
