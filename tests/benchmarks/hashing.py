"""`hashing`: a large artifact in page cache, beside OpenSSL's SHA-256 over bytes that are in memory already."""

from __future__ import annotations

from measure import interleave
from place import Place
from report import Group

BYTES = 4 << 30
FLOOR = "OpenSSL, in memory"


def run(place: Place) -> Group:
    """Measure `hash_artifact`, and model-signing's hash of the same file."""
    size_bytes = place.settings.artifact_bytes
    group = Group("hashing", f"bytes a second ÷ OpenSSL's own, {size_bytes / 2**20:,.0f} MiB")
    path = str(place.artifact(size_bytes))
    ours, floors = place.ours(), place.floors()
    contenders = {
        FLOOR: lambda: floors.call("hashing", size_bytes=size_bytes),
        "hash_artifact": lambda: ours.call("hash_artifact", path=path),
    }
    if place.settings.peers:
        started = {}

        def model_signing() -> dict[str, float]:
            worker = started.get("it") or started.setdefault("it", place.peer("model_signing"))
            return worker.call("hash_file", path=path)

        contenders["model_signing"] = model_signing
    target = place.settings.target("≥ 0.95", size=size_bytes, of=BYTES)
    group.series = interleave(contenders, place.limits(), lambda what: place.say(f"hashing: {what}"))
    group.compare("hash_artifact", FLOOR, target=target, inverse=True)
    if "model_signing" in contenders:
        group.compare("model_signing", FLOOR, inverse=True)
    group.notes.append("the first round, which is not counted, brings the file into page cache")
    return group
