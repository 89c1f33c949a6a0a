"""Manifests: one spelling for what a directory holds, and no name in one that leads out of it."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import manifest
from eventlog.errors import RefusedError
from eventlog.manifest import File

EMPTY = sha256(b"").hexdigest()
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _files(*paths: str) -> list[File]:
    return [File(path, 3, EMPTY) for path in paths]


@given(st.dictionaries(PATHS, st.integers(0, 1 << 50), min_size=1, max_size=8))
def test_it_comes_back(sizes: dict[str, int]) -> None:
    """Files that fit into one directory are what was put in, sorted; the order in which they came does not matter."""
    files = [File(path, size, sha256(path.encode()).hexdigest()) for path, size in sizes.items()]
    if any(f"{parent}/" in f"{path}/" and path.startswith(f"{parent}/") for path in sizes for parent in sizes):
        with pytest.raises(RefusedError, match="a file or a directory"):
            manifest.decode(manifest.encode(files), "m")
        return

    found = manifest.decode(manifest.encode(files), "m")

    assert found == sorted(files, key=lambda file: file.path.encode())
    assert manifest.encode(reversed(files)) == manifest.encode(files)
    assert manifest.difference(files, found) is None


def test_an_example() -> None:
    """What the documentation shows is what is written."""
    assert manifest.encode(_files("b", "a/c")) == (
        b"modelog-manifest-v1\n"
        b'{"path":"a/c","size_bytes":3,"sha256":"%b"}\n'
        b'{"path":"b","size_bytes":3,"sha256":"%b"}\n' % (EMPTY.encode(), EMPTY.encode())
    )


@pytest.mark.parametrize(
    "path",
    ["", "/", "/abs", "a//b", "a/", ".", "..", "../a", "a/../b", "a/.", "a\0b", "x" * 256, "/".join(["y" * 200] * 20)],
)
def test_names_that_lead_elsewhere(path: str) -> None:
    """They are refused wherever a manifest comes from."""
    with pytest.raises(RefusedError, match="expected paths below the directory"):
        manifest.decode(manifest.encode(_files("a", path)), "m")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "modelog-manifest-v1"),
        (b"modelog-manifest-v2\n", "modelog-manifest-v1"),
        (manifest.encode([]), "the one spelling"),
        (manifest.encode(_files("a"))[:-1], "the one spelling"),
        (manifest.encode(_files("a")) + b"\n", "the one spelling"),
        (manifest.encode(_files("a")) + manifest.encode(_files("a"))[len(manifest.HEADER) :], "each path once"),
        (manifest.encode(_files("b", "c")).replace(b'"b"', b'"d"'), "the one spelling"),
        (manifest.encode(_files("a")).replace(b":3", b": 3"), "the one spelling"),
        (manifest.encode(_files("a")).replace(b":3", b":-3"), "a size and a SHA-256"),
        (manifest.encode(_files("a")).replace(b":3", b':"3"'), "a manifest"),
        (manifest.encode(_files("a")).replace(EMPTY.encode(), EMPTY.upper().encode()), "a size and a SHA-256"),
        (manifest.encode(_files("a")).replace(b'"a"', b'"a","x":1'), "a manifest"),
        (manifest.encode(_files("a")).replace(b'"a"', b'"\xff"'), "a manifest"),
        (manifest.encode(_files("a", "a/b")), "a file or a directory"),
        (manifest.HEADER + b"[" * 100_000, "a manifest"),
    ],
)
def test_manifests_that_lie(data: bytes, expected: str) -> None:
    """Whatever is not the one spelling of files that fit together is refused, in one line."""
    with pytest.raises(RefusedError, match=expected) as raised:
        manifest.decode(data, "m")
    assert "\n" not in str(raised.value)


def test_too_many_files() -> None:
    """There is an end to how many a directory may hold."""
    with pytest.raises(RefusedError, match="at most 100000 files"):
        manifest.check([str(number) for number in range(manifest.FILES_MAX + 1)], "m")


def test_difference() -> None:
    """The first path that differs is told, with what was expected there and what is."""
    wanted = _files("a", "b")
    assert manifest.difference(wanted, wanted[:1]) == "'b': expected a file, got none"
    assert manifest.difference(wanted[:1], wanted) == "'b': expected no such file, got one"
    other = [wanted[0], File("b", 3, "a" * 64)]
    assert manifest.difference(wanted, other) == f"'b': expected sha256 {EMPTY}, got {'a' * 64}"
