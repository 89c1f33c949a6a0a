"""Two hosts, and what is carried from one to the other; bundles that were changed, and sealed again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from support import Clock, Place, Randomness, outcome_of

from eventlog import bundle_format
from eventlog.bundle import BundleReport
from eventlog.bundle_format import Member, Table
from eventlog.errors import RefusedError
from eventlog.signed_note import KIND_LOG, PrivateKey
from eventlog.unbundle import UnbundleReport
from projections.bundles import bundle_models, unbundle

KEY = PrivateKey("example.com/models", KIND_LOG, bytes(range(32)))
OTHER = PrivateKey("example.com/models", KIND_LOG, bytes(range(1, 33)))


@dataclass(frozen=True)
class Hosts:
    """Where bundles are made, `here`, and where they are taken to, `there`; `models` are those published here."""

    here: Place
    there: Place
    models: list[str]

    @property
    def path(self) -> Path:
        """Where the bundle is that `bundle` makes."""
        return self.here.root.parent / "b.tar"

    def bundle(self, *model_ids: str, **settings: Any) -> BundleReport:
        """Make a bundle anew."""
        self.path.unlink(missing_ok=True)
        return bundle_models(model_ids, self.path, self.here.registry_dir, self.here.state_dir, **settings)

    def take(self, path: Path | None = None, **settings: Any) -> UnbundleReport:
        """Unbundle over there."""
        return unbundle(
            path or self.path, self.there.registry_dir, self.there.state_dir, lock_timeout_seconds=5.0, **settings
        )

    def refused(self, path: Path | None = None, kind: type[Exception] = RefusedError, **settings: Any) -> str:
        """Return the message of an `unbundle` that must be refused, in one line, with not a byte changed there."""
        before = everything(self.there.root)
        error = outcome_of(lambda: self.take(path, **settings))
        assert type(error) is kind, repr(error)
        assert everything(self.there.root) == before
        assert "\n" not in str(error)
        return str(error)

    def forget_artifacts(self) -> None:
        """Take away all that was published here, as if the bundle had gone to another machine."""
        for path in self.here.root.iterdir():
            if path not in (self.here.registry_dir, self.here.state_dir):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def hosts_below(root: Path, *, signed: bool = False) -> Hosts:
    """Return two hosts; here two files, a directory and a file that is kept were published, and one was rolled back."""
    here, there = Place(root / "here"), Place(root / "there")
    here.root.mkdir()
    there.root.mkdir()
    registry = here.open(now=Clock(), random_bytes=Randomness(), **({"sign_key": KEY.spelled()} if signed else {}))
    directory = here.directory()
    models = [here.publish("a", registry=registry), registry.publish_model(directory, backend="b", actor="t")]
    models.append(registry.publish_model(here.artifact("c", b"c" * 2000), backend="b", actor="t", copy=True))
    models.append(here.publish("e", registry=registry))
    registry.rollback(models[0].model_id, actor="t")
    return Hosts(here, there, [model.model_id for model in models])


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and bytes of all that lies below *root*."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in root.rglob("*")
    }


def without_empty(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below *root* that has any."""
    return {name: data for name, (_, data) in everything(root).items() if data}


def unpacked(path: Path) -> tuple[Table, dict[str, bytes]]:
    """Return what a bundle says, and the bytes of its members."""
    data = path.read_bytes()
    size = bundle_format.table_size(data[:512], "b")
    table = bundle_format.parse(data[512 : 512 + size], "b")
    offset, found = 512 + size + bundle_format.padding(size), {}
    for member in table.members:
        found[member.name] = data[offset + 512 : offset + 512 + member.size_bytes]
        offset += 512 + member.size_bytes + bundle_format.padding(member.size_bytes)
    return table, found


def packed(path: Path, table: Table, members: Sequence[tuple[str, bytes]], *, told: bool = True) -> Path:
    """
    Write a bundle of these members; its sizes and hashes are right.

    Args:
        told: `bundle.json` tells of these members, and not of those that *table* has.
    """
    if told:
        found = [Member(name, len(data), sha256(data).hexdigest()) for name, data in members]
        table = replace(table, members=found)
    whole = [(bundle_format.TABLE, table.encoded()), *members]
    parts = [part for name, data in whole for part in bundle_format.framed(name, len(data), iter([data]))]
    path.write_bytes(b"".join([*parts, bundle_format.END]))
    return path
