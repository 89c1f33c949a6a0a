"""The machine around a registry: its mounts, its processes, where packages come from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventlog import surroundings
from eventlog.surroundings import Mount

TABLE = r"""22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 0:30 / /srv/a\040b rw,relatime - nfs4 server:/x rw
31 22 0:31 / /srv ro,relatime - xfs /dev/sdb1 rw
32 22 0:32 / /data rw,relatime - btrfs /dev/sdc1 ro,space_cache
33 30 0:33 / /srv/a\040b rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", Mount("/", "ext4", False)),
        ("/no/such/place", Mount("/", "ext4", False)),
        ("/srv", Mount("/srv", "xfs", True)),
        ("/srv/a b", Mount("/srv/a b", "tmpfs", False)),
        ("/data", Mount("/data", "btrfs", True)),
        ("/srvx", Mount("/", "ext4", False)),
    ],
)
def test_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, expected: Mount) -> None:
    """The longest mount point above a path counts, and the last of several on one place."""
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    monkeypatch.setattr(surroundings, "existing", lambda name: name)

    assert surroundings.mount_of(path, table=str(table)) == expected


def test_mounts_that_nobody_tells(tmp_path: Path) -> None:
    """Where there is no table, or none that makes sense, nothing is said."""
    (tmp_path / "odd").write_text("this is - no table\n")

    assert surroundings.mount_of("/", table=str(tmp_path / "none")) is None
    assert surroundings.mount_of("/", table=str(tmp_path / "odd")) is None


def test_the_machine_itself(tmp_path: Path) -> None:
    """On the machine that runs this there is a mount, and a command line of ours."""
    assert surroundings.mount_of(str(tmp_path)) is not None
    assert surroundings.existing(str(tmp_path / "a" / "b")) == str(tmp_path.resolve())
    assert "python" in surroundings.command_of(str(os.getpid()))
    assert surroundings.command_of("0") == ""
    assert surroundings.free_names(str(tmp_path)) is None or surroundings.free_names(str(tmp_path)) > 0
    assert surroundings.origin_of("no_such_package_anywhere") is None
