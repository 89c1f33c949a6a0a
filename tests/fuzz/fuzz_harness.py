"""
Fuzzes one parser with atheris: `python fuzz_harness.py TARGET CORPUS_DIRECTORY -runs=N -seed=S [libFuzzer's options]`.

atheris ends the process, so each run is one of its own. The seeds are written into the corpus directory first. At the
end `tried N accepted M` is printed; an input that breaks the law is written as libFuzzer's `-artifact_prefix` says.
"""

from __future__ import annotations

import atexit
import logging
import sys
from pathlib import Path
from random import Random

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["eventlog", "projections", "scripts.output"]):
    from fuzz_seeds import BROKEN, Target, dictionary, targets

FIXED = ("-timeout=30", "-rss_limit_mb=1024", "-mutate_depth=1", "-keep_seed=1", "-reload=0")
"""A hang is a failure; inputs stay near to valid ones; nothing depends on the clock."""


class Counts:
    """How many inputs were tried, and how many of them the parser accepted."""

    def __init__(self, target: Target) -> None:
        self._law = target.law
        self.tried = 0
        self.accepted = 0

    def __call__(self, data: bytes) -> None:
        self.tried += 1
        self.accepted += self._law(data)

    def say(self) -> None:
        print(f"tried {self.tried} accepted {self.accepted}", flush=True)


def main(name: str, corpus: Path, options: list[str]) -> None:
    """Fuzz the target *name*; does not return."""
    target = {**targets(), "broken": BROKEN}[name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = corpus.with_name(f"{corpus.name}.dictionary")
    words.write_text(dictionary(), encoding="ascii")
    logging.disable(logging.CRITICAL)  # what is said of each input would fill the terminal

    def change(data: bytes, bytes_max: int, seed: int) -> bytes:
        random = Random(seed)
        if random.randrange(4) == 0:
            return atheris.Mutate(data, bytes_max)
        return target.change(data, random)[:bytes_max]

    counts = Counts(target)
    atexit.register(counts.say)
    # libFuzzer ends the process at once; atheris' own count lets it end as Python does
    options = [option.replace("-runs=", "-atheris_runs=") for option in options]
    given = [f"-max_len={target.bytes_max}", f"-dict={words}", *FIXED, *options]
    atheris.Setup([sys.argv[0], str(corpus), *given], counts, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
