"""What is done while a fault happens: each command, on a registry in each condition that it may meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from support import Place, artifact_key, fast_place, fill

from projections import RuntimeStateManager
from projections.bundles import bundle_models

JOURNAL, HEAD = "m/journal.jsonl", "m/journal.head"
REGISTRY_JSON, STATE_JSON = "m/registry.json", "s/state.json"
WANTED, NEXT = "wanted", "next"
OWN = {"own": [1, 2.5]}
"""What the runtime keeps in its file beside the active model."""

NAMES = (
    "first publish",
    "publish",
    "rollback",
    "torn tail",
    "unacknowledged entry",
    "torn head",
    "rebuild",
    "list",
    "list of a torn tail",
    "verify",
    "publish with a copy",
    "publish of a directory with a copy",
    "gc",
    "publish with a signature",
    "unbundle",
)
Files = dict[str, bytes]
Kind = Literal["changes", "derives", "reads", "removes", "brings"]


@dataclass(frozen=True)
class Scenario:
    """
    A command and what it finds.

    Attributes:
        kind: `changes` appends an event, `derives` writes derived files, `removes` removes what is not needed, `brings`
            appends what a bundle has.

        words: the verb and what follows it.

        start: the files before.

        acknowledged: how many events were promised before.

        mending: what the next writer adds of its own accord: the id of an entry that an interrupted append left,
            `created` for the journal's first event, `recovered` for bytes that were taken out.

        torn: the bytes to be taken out.

        answer: what it prints when nothing fails; of interest where it only reads.

        brought: the journal that a bundle leads to.
    """

    kind: Kind
    words: tuple[str, ...]
    start: Files
    acknowledged: int
    mending: tuple[str, ...] = ()
    torn: bytes = b""
    answer: str = ""
    brought: bytes = b""

    @property
    def adopts(self) -> bool:
        """Whether a writer keeps an entry that nobody acknowledged."""
        return bool(self.mending) and self.mending[0] not in ("created", "recovered")

    def put(self, place: Place) -> None:
        """Let the command find what it is to find, and nothing of what was there before."""
        place.put({})
        place.put(self.start)

    def journal_lines(self) -> list[bytes]:
        """Return the lines of the journal before; the last may be torn."""
        return self.start.get(JOURNAL, b"").splitlines(keepends=True)


def build(place: Place) -> dict[str, Scenario]:
    """Return every scenario by its name; their artifacts are then at *place*, in which nothing else is."""
    _begin(place)
    history = fill(place, 3)
    bundle = place.root / "b.tar"
    bundle.unlink(missing_ok=True)
    bundle_models((), bundle, place.registry_dir, place.state_dir)
    place.put({})
    one, two = history[2], history[3]
    later = two[JOURNAL].removeprefix(one[JOURNAL])
    torn = later[: len(later) // 2]
    differs = next(index for index, byte in enumerate(one[HEAD]) if byte != two[HEAD][index])
    torn_head = two[HEAD][: differs + 1] + one[HEAD][differs + 1 :]
    lagging = {**two, STATE_JSON: one[STATE_JSON]}
    del lagging[REGISTRY_JSON]
    with_torn_tail = {**one, JOURNAL: one[JOURNAL] + torn}
    artifact, directory = str(place.artifact(WANTED)), str(place.directory({"x": b"x", "y/z": b"z"}))
    key = place.artifact("key", artifact_key().encode())
    key.chmod(0o600)
    hasty = ("--lock-timeout", "0.2")
    publish = ("publish", "--artifact", artifact, "--backend", "b", "--actor", "t", "--id", WANTED, *hasty)
    rollback = ("rollback", "--actor", "t", "--id", WANTED, *hasty)
    found = (
        Scenario("changes", publish, {}, 0, ("created",)),
        Scenario("changes", publish, one, 2),
        Scenario("changes", rollback, two, 3),
        Scenario("changes", publish, with_torn_tail, 2, ("recovered",), torn),
        Scenario("changes", publish, {**one, JOURNAL: two[JOURNAL]}, 2, ("r2",)),
        Scenario("changes", publish, {**one, JOURNAL: two[JOURNAL], HEAD: torn_head}, 2, ("r2",)),
        Scenario("derives", ("rebuild", *hasty), lagging, 3),
        Scenario("reads", ("list", "--output", "json"), two, 3),
        Scenario("reads", ("list",), with_torn_tail, 2),
        Scenario("reads", ("verify", "--output", "json"), two, 3),
        Scenario("changes", (*publish, "--copy"), one, 2),
        Scenario("changes", (*(word if word != artifact else directory for word in publish), "--copy"), one, 2),
        Scenario("removes", ("gc", "--reason", "room", *hasty), *_with_something_to_remove()),
        Scenario("changes", (*publish, "--sign-key", str(key)), one, 2),
    )
    found = (*found, Scenario("brings", ("unbundle", str(bundle), *hasty), one, 2, brought=two[JOURNAL]))
    return dict(zip(NAMES, found, strict=True))


def _with_something_to_remove() -> tuple[Files, int]:
    """Return a registry that keeps three files and two directories, one of each needed no longer; and its size."""
    with fast_place() as place:  # whatever disk is to be tested
        _begin(place)
        needed = place.open().publish_model(place.directory({"x": b"x", "y/z": b"z"}), backend="b", copy=True)
        (place.root / "other").mkdir()
        for name in ("x", "own"):
            (place.root / "other" / name).write_text(name)
        models = [place.copy("file"), place.open().publish_model(place.root / "other", backend="b", copy=True)]
        place.copy("needed")
        place.copy("active")
        place.retire(*models)
        place.open().hold(needed.model_id, reason="audit")
        return place.files(), place.open().catalog().size


def _begin(place: Place) -> None:
    """Let the runtime keep something of its own."""
    RuntimeStateManager(place.state_dir).record_checkpoint(entrypoint="e", mode="m", config_path="c", metadata=OWN)
