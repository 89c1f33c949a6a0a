"""`copies`: an artifact is copied and hashed in one reading, beside `cp` and `sha256sum` on the same file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from measure import Sample, Series, interleave
from place import Place
from report import Group

BYTES = 1 << 30
OURS, CP, SHA256SUM = "publish --copy, copying", "cp, then sync", "sha256sum"
SLOWER = "the slower of cp and sha256sum"


def run(place: Place) -> Group:
    """Measure `Vault.copying`, which also makes the copy durable, and the two that together do as much."""
    size_bytes = min(BYTES, place.settings.artifact_bytes)
    group = Group("copies", f"copying and hashing {size_bytes / 2**20:,.0f} MiB, page cache warm")
    path, scratch = str(place.artifact(size_bytes)), place.scratch("copies")
    ours = place.ours()

    def timed(*commands: Sequence[str]) -> Sample:
        return {
            "seconds": sum(place.command([shutil.which(argv[0]) or argv[0], *argv[1:]])["seconds"] for argv in commands)
        }

    contenders = {
        CP: lambda: timed(["cp", path, f"{scratch}/cp"], ["sync", "-d", f"{scratch}/cp"]),
        SHA256SUM: lambda: timed(["sha256sum", path]),
        OURS: lambda: ours.call("copy_artifact", path=path, directory=f"{scratch}/m"),
    }
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"copies: {what}"))
    group.series[SLOWER] = _slower(group.series[CP], group.series[SHA256SUM])
    group.compare(OURS, SLOWER, target=place.settings.target("≤ 1.15", size=size_bytes, of=BYTES))
    group.compare(OURS, CP)
    group.compare(OURS, SHA256SUM)
    shutil.rmtree(scratch)
    return group


def _slower(one: Series, other: Series) -> Series:
    """Return what the slower of two took, round by round."""
    pairs = zip(one.samples, other.samples, strict=True)
    samples = [None if a is None or b is None else max(a, b, key=lambda sample: sample["seconds"]) for a, b in pairs]
    return Series(SLOWER, samples, one.failure or other.failure)
