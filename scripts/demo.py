"""
The main job on real models: publish two versions of a voice detector, run what is active, roll back, verify.

    python -m scripts.demo [DIRECTORY]

The models are Silero VAD 5.1.2 and 6.2.0 (MIT licence), 2.3 MB each. They come out of the wheels of the package
`silero-vad`, fetched once by pip with pinned hashes; nothing of the package is installed or run. The runtime part needs
the extra `demo` (onnxruntime and numpy). Everything is kept below DIRECTORY, `var/demo` by default.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from projections import RuntimeStateManager
from scripts.manage_models import main

MODEL = "silero_vad/data/silero_vad.onnx"
WHEELS = {
    "5.1.2": "93b41953d7774b165407fda6b533c119c5803864e367d5034dc626c82cfdf661",
    "6.2.0": "8a31f1e58e73cdc20820d842f757e678e0ae1b0ee1cb7b8aa50f20f8fd7f7638",
}
SAMPLES = 512
CONTEXT_SAMPLES = 64
RATE_HZ = 16_000


def fetch(version: str, directory: Path) -> Path:
    """Return the path of one version's ONNX file below *directory*; pip fetches its wheel if it is not there yet."""
    target = directory / f"silero_vad-{version}.onnx"
    if not target.exists():
        with tempfile.TemporaryDirectory() as scratch:
            pins = Path(scratch, "pins.txt")
            pins.write_text(f"silero-vad=={version} --hash=sha256:{WHEELS[version]}\n")
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--no-deps", "--require-hashes", "-d", scratch, "-r", str(pins)], check=True)  # noqa: S603
            wheel = next(Path(scratch).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive, archive.open(MODEL) as model:
                partial = target.with_suffix(".partial")
                with partial.open("wb") as copy:
                    shutil.copyfileobj(model, copy)
            partial.rename(target)
    return target


def speech_probability(model: str) -> float:
    """Run a model on 512 samples (32 ms) of a buzzing tone and return how sure it is that this is speech, 0 to 1."""
    import numpy as np  # noqa: PLC0415 - only the runtime part needs the extra
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415

    time = np.arange(SAMPLES) / RATE_HZ
    buzz = sum(0.3 / k * np.sin(2 * np.pi * 120 * k * time) for k in range(1, 20))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {
        "input": np.concatenate([np.zeros(CONTEXT_SAMPLES), buzz]).astype(np.float32)[None],
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(RATE_HZ, np.int64),
    }
    return float(session.run(None, inputs)[0][0, 0])


def run_active(state_dir: Path) -> None:
    """Do what a runtime does: read its runtime checkpoint, load the active model, use it."""
    stored = RuntimeStateManager(state_dir).load_checkpoint()
    assert stored is not None, "the first publish wrote it"
    active = stored.metadata["active_model"]
    probability = speech_probability(active["artifact_path"])
    print(
        f"\n  the runtime loads {active['model_id']} and hears speech with probability {probability:.4f}\n", flush=True
    )


def command(*words: str) -> None:
    """Show a command and run it; stop the demo where it fails."""
    print(f"$ modelog {shlex.join(words)}", flush=True)
    status = main(words)
    if status:
        sys.exit(status)


def demo(directory: Path) -> None:
    """Publish, run, publish, run, list, roll back, run, verify."""
    for name in ("numpy", "onnxruntime"):
        if find_spec(name) is None:
            sys.exit(f"demo: expected the package {name}, got none: pip install '.[demo]'")
    directory.mkdir(parents=True, exist_ok=True)
    registry = ("--registry-dir", str(directory / "models"))
    both = (*registry, "--state-dir", str(directory / "runtime"))
    for version in WHEELS:
        artifact = str(fetch(version, directory))
        words = ("--artifact", artifact, "--backend", "onnx", "--metadata", f"version={version}")
        command("publish", *words, "--reason", f"silero-vad {version} is out", *both)
        run_active(directory / "runtime")
    command("list", *registry)
    print()
    command("rollback", "--reason", "the new version is deaf", *both)
    run_active(directory / "runtime")
    command("verify", *both)


if __name__ == "__main__":
    demo(Path(*sys.argv[1:2] or ["var/demo"]))
