"""
Makes the modules beside this file importable, and gives a cluster of three nodes.

This directory has no subdirectory, so on `sys.path` it cannot stand before a package of ours.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from machines import Machine
from nats_cluster import NatsCluster, running


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """A cluster of three healthy nodes, for tests that leave it as it is."""
    with running(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """A cluster of a test's own, which may break it."""
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster") as found:
        yield found


@pytest.fixture
def url(cluster: NatsCluster) -> str:
    """The URL of a journal that nobody has written to."""
    return cluster.url(f"t{os.urandom(6).hex()}")


@pytest.fixture
def here(tmp_path: Path, url: str) -> Machine:
    """A machine."""
    return Machine(tmp_path / "here", url)


@pytest.fixture
def there(tmp_path: Path, url: str) -> Machine:
    """Another one, with the same journal."""
    return Machine(tmp_path / "there", url)
