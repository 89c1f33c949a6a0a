"""`cold`: what a person waits for. Each command in a process of its own, beside an interpreter that only imports."""

from __future__ import annotations

from measure import interleave
from place import Place
from report import Group

FLOOR = "import click, msgspec"
TARGETS = {
    ("list", 1_000): "≤ 1.2",
    ("list", 10_000): "≤ 1.4",
    ("list --output json", 1_000): "≤ 1",
    ("list --output json", 10_000): "≤ 1",
    ("publish", 1_000): "≤ 1.4",
    ("publish", 10_000): "≤ 1.6",
    ("publish", 100_000): "≤ 1.6",
}
PEAK_MIB_MAX = 20


def run(place: Place) -> Group:
    """Measure `list`, `publish` and `active` at each size."""
    group = Group("cold", "a command in a new process ÷ python -c 'import click, msgspec'")
    artifact = str(place.artifact())
    for models in place.settings.sizes(1_000, 10_000, 100_000):
        original = place.registry(models)
        grown = place.copy(original, f"cold-{models}")
        contenders = {
            FLOOR: place.import_floor,
            "list": lambda at=original: place.modelog(at, "list"),
            "list --output json": lambda at=original: place.modelog(at, "list", "--output", "json"),
            "active": lambda at=original: place.modelog(at, "active"),
            "publish": lambda at=grown: place.modelog(at, "publish", "--artifact", artifact, "--backend", "onnx"),
        }
        found = interleave(contenders, place.limits(), lambda what, n=models: place.say(f"cold, {n:,} models: {what}"))
        named = {name: f"{name}, {models:,}" for name in contenders}
        group.series.update({named[name]: series for name, series in found.items()})
        for name in list(contenders)[1:]:
            group.compare(named[name], named[FLOOR], target=TARGETS.get((name, models), ""))
            group.rows[-1].against = FLOOR
        peak = f"≤ {PEAK_MIB_MAX}" if models <= 10_000 else ""
        group.state(f"publish, {models:,}: peak memory", named["publish"], "peak_mib", "MiB", target=peak)
        group.state(f"list, {models:,}: peak memory", named["list"], "peak_mib", "MiB")
    floor = next(iter(group.series.values())).median("peak_mib")
    seen = f"nobody's can be seen below {place.launcher_peak_mib():.1f} MiB"
    group.notes.append(
        f"the floor's own peak memory is {floor or 0:.1f} MiB, and {seen}; publish hashes a file of 1 KB"
    )
    group.notes.append(
        "publish works on a copy, which grows by one model a round; the others on one that nobody changes"
    )
    return group
