"""
The benchmark: ours beside its peers and the floor, as ratios that are measured in turn in one run.

    python -m scripts.bench [--only GROUP]... [--rounds N] [--no-peers] [--size N]

It makes what it needs below `var/bench`, on whose disk it measures: an environment for what is in the checkout, one for
each peer, registries of each size. It prints a table, and writes it with JSON and a picture (extra `bench`) into
`var/bench/results`. What is measured, and how, stands in `tests/benchmarks`; so it runs in a checkout alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "tests" / "benchmarks"
STATUS_REFUSED = 2
_FOLDER = click.Path(file_okay=False, path_type=Path)
_CHECKOUT = click.Path(exists=True, file_okay=False, path_type=Path)


def suite() -> Any:
    """Import `tests/benchmarks/suite.py`; refuse where this file is not in a checkout."""
    if not (BENCHMARKS / "suite.py").is_file():
        click.echo("bench: expected tests/benchmarks beside scripts, got none: run it in a checkout", err=True)
        sys.exit(STATUS_REFUSED)
    if str(BENCHMARKS) not in sys.path:
        sys.path.insert(0, str(BENCHMARKS))
    return import_module("suite")


def limited(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that make a run shorter or longer."""
    for option in (
        click.option("--peers/--no-peers", default=True, help="Whether to install and measure the peers too."),
        click.option("--artifact-mib", type=click.IntRange(1), default=4_096, help="The size of the hashed file."),
        click.option("--publishes", type=click.IntRange(1), default=200, help="Of each of eight writers at once."),
        click.option(
            "--growth", "growth_max", type=click.IntRange(100), default=100_000, help="The largest of growth."
        ),
        click.option("--replay-events", type=click.IntRange(1), default=1_000_000, help="How many replay reads."),
        click.option("--size", "size_max", type=click.IntRange(1), default=1_000_000, help="The most events anywhere."),
        click.option("--seconds", "seconds_max", default=300.0, help="After so long a row starts no further round."),
        click.option("--rounds", type=click.IntRange(1), default=9, help="Of each contender of a row."),
    ):
        function = option(function)
    return function


@click.command(context_settings={"show_default": True})
@click.option("--only", multiple=True, metavar="GROUP", help="Only this group. May be repeated.")
@click.option("--dir", "directory", type=_FOLDER, help="Where; on the disk to measure.  [default: var/bench]")
@click.option("--source", type=_CHECKOUT, help="Measure the packages of another checkout.  [default: this one]")
@click.option("--interpreter", type=click.Path(path_type=Path), help="Measure what is installed there, without pip.")
@click.option("--again", type=click.Path(exists=True, path_type=Path), help="Show and draw an earlier bench.json.")
@limited
def command(directory: Path | None, source: Path | None, again: Path | None, artifact_mib: int, **options: Any) -> None:
    """Measure ours beside its peers and the floor."""
    module = suite()
    if again is not None:
        click.echo(module.report.table(module.again(again, again.parent)), nl=False)
        return

    def say(what: str) -> None:
        click.echo(f"bench: {what}", err=True)

    where, checkout = directory or ROOT / "var" / "bench", (source or ROOT).resolve()
    try:
        found = module.run(where, checkout, artifact_bytes=artifact_mib << 20, say=say, **options)
    except module.CannotRunError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    click.echo(module.report.table(found), nl=False)


if __name__ == "__main__":
    command()
