"""Makes `carrying` importable, and gives two hosts. This directory has no subdirectory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import fast_place

sys.path.insert(0, str(Path(__file__).parent))

from carrying import Hosts, hosts_below


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    """A host with a history and one with nothing."""
    return hosts_below(tmp_path.resolve())


@pytest.fixture
def fast_hosts() -> Iterator[Hosts]:
    """The same in memory, for sweeps."""
    with fast_place() as place:
        yield hosts_below(place.root)


@pytest.fixture
def signed(fast_hosts: Hosts) -> Hosts:
    """Hosts in memory, and a bundle of a signed history with every kind of member."""
    root = fast_hosts.here.root.parent / "signed"
    root.mkdir()
    hosts = hosts_below(root, signed=True)
    hosts.bundle(*hosts.models)
    return hosts
