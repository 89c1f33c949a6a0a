"""The rules of the house, read from the source itself; each message says what to do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("eventlog", "projections", "scripts")

LAYERS = (Path(__file__).parent / "layers.txt").read_text(encoding="utf-8").splitlines()
"""From the lowest to the highest; a module imports only from rows above its own, and takes the first row that fits."""

THIRD_PARTY = {
    "scripts.demo": {"numpy", "onnxruntime"},
    "eventlog.artifact_store": {"msgspec", "obstore"},
    "eventlog.ed25519": {"cryptography"},
    "eventlog.model_signature": {"cryptography"},
    "eventlog.engines.jetstream_client": {"nats", "nkeys"},
    "eventlog.engines.jetstream_link": {"nats"},
    "eventlog.lightning_callback": {"lightning"},
    "eventlog.transformers_callback": {"accelerate", "transformers"},
    "scripts": {"click", "msgspec"},
    "eventlog": {"msgspec"},
    "projections": {"msgspec"},
}
DURABLE_CALLS = {
    "fsync",
    "fdatasync",
    "rename",
    "renames",
    "replace",
    "truncate",
    "ftruncate",
    "link",
    "unlink",
    "remove",
}
TOP_LEVEL = {"pyproject.toml", *PACKAGES, "tests", "var", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
LINES_OF_MODULE_MAX = 300
LINES_OF_FUNCTION_MAX = 60
BANNED = "check" + "point"


def source_files(*folders: str) -> list[Path]:
    """Return the Python files below *folders*, in order."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name under which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


MODULES = {module_name(path): path for path in source_files(*PACKAGES)}


def imports(name: str) -> Iterator[tuple[str, int]]:
    """Yield the modules that a module imports anywhere in it, each with the line."""
    for node in ast.walk(parsed(MODULES[name])):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: write the absolute name instead of a relative import"
            for alias in node.names:
                longer = f"{node.module}.{alias.name}"
                yield (longer if longer in MODULES else str(node.module)), node.lineno


def row_of(name: str) -> int | None:
    """Return the number of the first row of `LAYERS` that names *name*, exact names before patterns."""
    for exact in (True, False):
        for number, row in enumerate(LAYERS):
            if any(name == entry if exact else fnmatchcase(name, entry) for entry in row.split()):
                return number
    return None


def tracked(*options: str) -> list[str]:
    """Return the files that git knows; skips the test where this is not a checkout."""
    done = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name):
    """A module imports only from lower rows; so there are no cycles, and each row can be understood by itself."""
    row = row_of(name)
    assert row is not None, f"give {name} a row in tests/layers.txt, above all that import it"

    for imported, line in imports(name):
        lower = row_of(imported) if imported.partition(".")[0] in PACKAGES else -1

        assert lower is not None, f"give {imported} a row in tests/layers.txt"
        assert lower < row, (
            f"{name}:{line} imports {imported}, which stands in the same row or a higher one: pass the value or a "
            "function in from above, or move what both need to a lower module"
        )


def test_every_row_is_used():
    """A row that names a module which is gone would hide a mistake."""
    names = [entry for row in LAYERS for entry in row.split()]

    unused = [entry for entry in names if not any(fnmatchcase(name, entry) for name in MODULES)]

    assert unused == [], f"remove {unused} from tests/layers.txt"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("eventlog.engines")])
def test_engines_know_no_models(name):
    """To an engine entries are bytes, so a journal can move to another engine without changing a hash."""
    allowed = ("eventlog.engines", "eventlog.errors", "eventlog.durable", "eventlog.chain", "eventlog.locking")
    allowed += ("eventlog.journal", "eventlog.log", "eventlog.file_state")

    above = [found for found, _ in imports(name) if found.startswith(PACKAGES) and not found.startswith(allowed)]

    assert above == [], f"{name} imports {above}: hand the engine bytes, and interpret them above it"


@pytest.mark.parametrize("name", MODULES)
def test_third_party_imports(name):
    """The core needs msgspec alone; click is for the command line."""
    allowed = set().union(*(found for prefix, found in THIRD_PARTY.items() if f"{name}.".startswith(f"{prefix}.")))
    known = {*sys.stdlib_module_names, *PACKAGES, *allowed}

    foreign = {f"{found} (line {line})" for found, line in imports(name) if found.partition(".")[0] not in known}

    assert foreign == set(), f"{name} imports {sorted(foreign)}: do without, or argue for it in pyproject.toml and here"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("eventlog.durable")])
def test_only_durable_makes_durable(name):
    """Syncs, renames, cuts and removals stand in three modules, with their order and reasons."""
    for node in ast.walk(parsed(MODULES[name])):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in DURABLE_CALLS, (
                f"{name}:{node.lineno} uses os.{node.attr}: call a helper of eventlog/durable.py, or add one there"
            )


@pytest.mark.parametrize("name", MODULES)
def test_os_is_called_through_its_module(name):
    """Tests watch and fail single system calls by replacing them in `os`; a name of its own would escape them."""
    for node in ast.walk(parsed(MODULES[name])):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            taken = DURABLE_CALLS & {alias.name for alias in node.names}
            assert taken == set(), f"{name}:{node.lineno}: write `import os` and `os.{min(taken)}(…)`"
        if isinstance(node, ast.Import):
            renamed = [alias.asname for alias in node.names if alias.name == "os" and alias.asname]
            assert renamed == [], f"{name}:{node.lineno}: import os under its own name"


def bare_words(text: str) -> Iterator[int]:
    """Yield the lines where the banned word stands without saying which of its five meanings is meant."""
    for match in re.finditer(rf"(?<![A-Za-z_]){BANNED}s?(?![A-Za-z_])", text, re.IGNORECASE):
        before = re.sub(r"[\s#*`_>|\"]+", " ", text[max(0, match.start() - 40) : match.start()].lower())
        if not before.endswith("runtime "):
            yield text.count("\n", 0, match.start()) + 1


def test_the_bare_word():
    """The word has five meanings in this field; ours is the runtime's file, and is called by its full name."""
    names = tracked("--cached", "--others", "--exclude-standard", "*.py", "*.md", "*.toml")
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in names if (ROOT / name).exists()}

    found = [f"{name}:{line}" for name, text in texts.items() for line in bare_words(text)]

    assert found == [], f"say 'runtime {BANNED}', 'tree head' or 'applied_size', whichever is meant, in {found}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"the {BANNED}", [1]),
        (f"\na {BANNED.title()}: {BANNED}s", [2, 2]),
        (f"runtime {BANNED}, Runtime{BANNED.title()}, record_{BANNED}(), runtime_{BANNED}.py", []),
        (f"the runtime\n    # {BANNED}", []),
        (f"`{BANNED}`", [1]),
    ],
)
def test_the_bare_word_is_found(text, lines):
    """What the rule above counts."""
    assert list(bare_words(text)) == lines


@pytest.mark.parametrize("path", source_files(*PACKAGES, "tests"), ids=lambda path: str(path.relative_to(ROOT)))
def test_sizes(path):
    """A module is read in one sitting, a function in one look; tests too."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    functions = [
        f"{node.name} (line {node.lineno}) has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LINES_OF_FUNCTION_MAX
    ]

    assert lines <= LINES_OF_MODULE_MAX, f"{path}: {lines} lines, at most {LINES_OF_MODULE_MAX}: split it by concept"
    assert functions == [], f"{path}: at most {LINES_OF_FUNCTION_MAX} lines: take a step out of {functions}"


@pytest.mark.parametrize("folder", ["scripts", "scripts/verbs"])
def test_scripts_is_no_regular_package(folder):
    """Installed as one, it would hide the `scripts` of every project that has modules of that name."""
    found = ROOT / folder / "__init__.py"

    assert not found.exists(), f"remove {found}: a namespace package needs none"


def test_tests_are_no_packages():
    """A `tests/eventlog/__init__.py` would be imported in place of the package that it tests."""
    found = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("__init__.py")]

    assert found == [], f"remove {found}: pytest imports by path (--import-mode=importlib)"


def test_top_level():
    """What a visitor sees first is only what every visitor needs."""
    found = {name.partition("/")[0] for name in tracked()}

    surplus = {name for name in found if not name.startswith(".")} - TOP_LEVEL

    assert surplus == set(), f"move {sorted(surplus)} into the package that it is about"


def test_import_of_projections_is_light():
    """A runtime that imports it gets no command line, no event loop and no network with it."""
    script = "import sys, projections; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    heavy = {"click", "asyncio", "ssl"} & set(done.stdout.split())
    assert heavy == set(), f"import {sorted(heavy)} inside the function that needs it"
