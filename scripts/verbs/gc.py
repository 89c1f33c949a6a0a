"""`gc`: remove the artifacts that the registry keeps and nobody needs any longer."""

from __future__ import annotations

import msgspec

from eventlog.retention import Reclaimed
from eventlog.vault_sweep import Removal
from scripts import options, output, progress
from scripts.declared import Option, verb


@verb(
    Option("--unnamed", flag=True, help="Also remove what no model names, such as a publish that was killed leaves."),
    options.DRY,
    *options.EXPLAINED,
    options.SHARING,
    options.SIGNING,
    options.TRUSTING,
    options.WAITING,
    options.SHOWN,
    *options.COMMON,
)
def command(
    unnamed: bool,
    dry_run: bool,
    actor: str | None,
    reason: str | None,
    artifact_store: str | None,
    sign_key: str | None,
    public_key: str | None,
    lock_timeout: float,
    output_format: str,
    registry_dir: str,
    state_dir: str | None,
    journal: str | None,
) -> int:
    """
    Remove the copies below the registry's directory that nobody needs any longer; each removal is recorded.

    Needed are those of the active model and of the one before it, of models that are held or not retired, and what
    settings --keep-last and --keep-days say. Nothing is removed where the history is not whole, a needed copy is
    missing, or one to be removed is damaged.
    """
    keys = {"sign_key": sign_key, "public_key": public_key, "artifact_store": artifact_store}
    registry = options.open_for_change(registry_dir, state_dir, journal, lock_timeout, **keys)
    with progress.hashing() as hashing:
        found = registry.gc(unnamed=unnamed, dry_run=dry_run, actor=actor, reason=reason, progress=hashing)
    told = {
        "dry_run": dry_run,
        "size_bytes": sum(removal.size_bytes for removal in found.removed),
        **msgspec.to_builtins(found),
    }
    return output.print_report(told, _in_words(found, dry_run), output_format, done=not dry_run)


def _in_words(found: Reclaimed, dry_run: bool) -> list[tuple[str, str]]:
    verb = "would remove" if dry_run else "removed"
    size_bytes = sum(removal.size_bytes for removal in found.removed)
    fields = [("artifacts", str(len(found.removed))), ("bytes", str(size_bytes))]
    fields += [(verb, _told(removal)) for removal in found.removed]
    if found.left:
        left_bytes = sum(removal.size_bytes for removal in found.left)
        fields.append(("left", f"{len(found.left)} of {left_bytes} bytes that no model names: see --unnamed"))
    return fields + [("kept", f"{model_id}: retired, but {why}") for model_id, why in found.kept.items()]


def _told(removal: Removal) -> str:
    files = "" if removal.files is None else f" in {removal.files} files"
    return f"{removal.sha256} of {', '.join(removal.models) or 'no model'}: {removal.size_bytes} bytes{files}"
