"""What is in a file: the same as the formats' own libraries say; of any other bytes nothing worse than "unknown"."""

from __future__ import annotations

import math
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from support import LONG, Place

from eventlog import contents, file_contents, onnx_header
from eventlog.contents import Contents, MalformedError
from eventlog.events import ModelPublished
from scripts import demo

MUTATIONS = 200_000 if LONG else 3_000
MAGIKA = "1.0.3"
MAGIKA_SHA256 = "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529"


def _described(path: Path, name: str | None = None) -> Contents | None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return file_contents.describe(descriptor, path.stat().st_size, name or path.name)
    finally:
        os.close(descriptor)


def _by_onnx(path: Path) -> Contents:
    """Return what the real library says."""
    model = onnx.load(str(path), load_external_data=False)
    tensors = model.graph.initializer
    return Contents(
        "onnx",
        tensors=len(tensors),
        parameters=sum(math.prod(tensor.dims) for tensor in tensors),
        dtypes=dict(sorted(Counter(TensorProto.DataType.Name(tensor.data_type) for tensor in tensors).items())),
        opsets=dict(sorted((item.domain or "ai.onnx", item.version) for item in model.opset_import)),
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))) or None,
    )


def _by_safetensors(path: Path) -> Contents:
    with safetensors.safe_open(str(path), framework="numpy") as file:
        slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118 - it is no mapping
        return Contents(
            "safetensors",
            tensors=len(slices),
            parameters=sum(math.prod(part.get_shape()) for part in slices),
            dtypes=dict(sorted(Counter(part.get_dtype() for part in slices).items())),
            producer=(file.metadata() or {}).get("format"),
        )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of real models: a voice detector in ONNX, safetensors and TorchScript, and a detector of file types."""
    top = tmp_path_factory.mktemp("real")
    for name, version, digest in (("silero-vad", "6.2.0", demo.WHEELS["6.2.0"]), ("magika", MAGIKA, MAGIKA_SHA256)):
        pins = top / "pins.txt"
        pins.write_text(f"{name}=={version} --hash=sha256:{digest}\n")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]
        subprocess.run([*pip, "-d", str(top), "-r", str(pins)], check=True, timeout=300)
    found = []
    for wheel in top.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith((".onnx", ".safetensors", ".jit")):
                    path = top / name.replace("/", "-")
                    path.write_bytes(archive.read(name))
                    found.append(path)
    return found


def test_real_models(real: list[Path]) -> None:
    """Of real files it says what ONNX and safetensors themselves say; TorchScript is a pickle in an archive."""
    kinds = Counter(path.suffix for path in real)
    assert kinds[".onnx"] >= 3
    assert kinds[".safetensors"] + kinds[".jit"] >= 1
    for path in real:
        found = _described(path)
        if path.suffix == ".onnx":
            assert found == _by_onnx(path)
        elif path.suffix == ".safetensors":
            assert found == _by_safetensors(path)
        else:
            assert found == Contents("zip", unsafe=True)


def _random_onnx(randomness: random.Random) -> onnx.ModelProto:
    tensors = []
    for number in range(randomness.randrange(6)):
        kind = randomness.choice([np.float32, np.float16, np.int64, np.uint8, np.float64, np.bool_])
        shape = [randomness.randrange(4) for _ in range(randomness.randrange(4))]
        tensors.append(numpy_helper.from_array(np.zeros(shape, kind), f"t{number}"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])] * 3, "g", [], [], initializer=tensors)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", randomness.randrange(1, 9))]
    model = helper.make_model(graph, opset_imports=opsets, producer_name=randomness.choice(["", "p", "ü€"]))
    model.producer_version = randomness.choice(["", "1.2"])
    return model


def test_random_onnx(tmp_path: Path) -> None:
    """Whatever tensors a model has, the library and we count the same; also where dimensions are packed."""
    randomness = random.Random(1)
    path = tmp_path / "m.onnx"
    for _ in range(60):
        model = _random_onnx(randomness)
        path.write_bytes(model.SerializeToString())
        assert _described(path) == _by_onnx(path)
    packed = b"\x0a\x02\x03\x04\x10\x01"  # dims 3 and 4 in one field, of floats
    graph = b"\x2a" + bytes([len(packed)]) + packed
    path.write_bytes(b"\x08\x09\x3a" + bytes([len(graph)]) + graph)
    assert _described(path) == Contents("onnx", tensors=1, parameters=12, dtypes={"FLOAT": 1})


def test_random_safetensors(tmp_path: Path) -> None:
    """The same of safetensors, with and without metadata, scalars, and tensors without elements."""
    randomness = random.Random(2)
    path = tmp_path / "m.safetensors"
    for _ in range(60):
        kinds = [np.float32, np.float16, np.int64, np.uint8, np.bool_]
        tensors = {
            f"t{number}": np.zeros(
                [randomness.randrange(4) for _ in range(randomness.randrange(4))], randomness.choice(kinds)
            )
            for number in range(randomness.randrange(6))
        }
        save_file(tensors, str(path), randomness.choice([None, {"format": "pt", "x": "y"}]))
        assert _described(path) == _by_safetensors(path)
        assert _described(path, "named-otherwise.bin") == _by_safetensors(path)


def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told by their first bytes, or by the names in an archive, and labelled."""
    monkeypatch.setattr(pickle, "loads", lambda *_: pytest.fail("opened"))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "a.bin").write_bytes(pickle.dumps({"w": [1.0]}, protocol))
        assert _described(tmp_path / "a.bin") == Contents("pickle", unsafe=True)
    (tmp_path / "a.joblib").write_bytes(b"\x78\x9c compressed")
    assert _described(tmp_path / "a.joblib") == Contents("pickle", unsafe=True)
    for names, unsafe in (
        (["archive/data.pkl", "archive/data/0"], True),
        (["config.json"], False),
        (["x/DATA.PKL"], True),
    ):
        with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        assert _described(tmp_path / "m.pt") == Contents("zip", unsafe=unsafe)
    data = (tmp_path / "m.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[:-10])
    assert _described(tmp_path / "cut.pt") == Contents("zip", unsafe=True), "who cannot tell says so"


def test_other_formats(tmp_path: Path) -> None:
    """Known by their first bytes; anything else is not described."""
    for data, wanted in (
        (b"GGUF\x03", Contents("gguf")),
        (b"\x89HDF\r\n\x1a\n", Contents("hdf5")),
        (b"\x93NUMPY", Contents("npy")),
        (b"", None),
        (b"weights", None),
        (b"{}", None),
    ):
        (tmp_path / "m").write_bytes(data)
        assert _described(tmp_path / "m") == wanted


SAFE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.safetensors", b""),
        ("m.safetensors", struct.pack("<Q", 1 << 62) + SAFE),
        ("m.safetensors", struct.pack("<Q", contents.HEADER_BYTES_MAX + 1) + bytes(contents.HEADER_BYTES_MAX + 99)),
        ("m.safetensors", struct.pack("<Q", len(SAFE)) + SAFE + b"1234567"),
        ("m.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("m.safetensors", struct.pack("<Q", 30) + b"[" * 30),
        ("m.safetensors", struct.pack("<Q", 27) + b'{"a":{"dtype":"\\ud800" }   '),
        ("m.onnx", b""),
        ("m.onnx", b"\x08"),
        ("m.onnx", b"\x08\x09"),
        ("m.onnx", b"\x08\x09\x3a\x05ab"),
        ("m.onnx", b"\x08\x09\x3a\x00\x3a\x00"),
        ("m.onnx", b"\x80" * 20),
        ("m.onnx", b"\x0b\x0c"),
        ("m.onnx", b"\x08\x09\x3a\x02\x28\x01"),
    ],
)
def test_headers_that_lie(
    tmp_path: Path, place: Place, name: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told as such, in one line; the file is published all the same, without a description."""
    path = place.artifact(name, data)
    with pytest.raises(MalformedError) as raised:
        _described(path)
    assert "\n" not in str(raised.value)

    caplog.set_level("INFO")
    place.open().publish_model(path, backend="b")

    data_of = place.event(1).data
    assert isinstance(data_of, ModelPublished)
    assert data_of.contents is None
    assert "its header cannot be read" in caplog.text


def test_mutations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real headers with bytes changed, cut and doubled: a description or MalformedError, and bounded work."""
    monkeypatch.setattr(onnx_header, "FIELDS_MAX", 2_000)
    randomness = random.Random(3)
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.int8)}, str(tmp_path / "s"), {"format": "pt"})
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a/data.pkl", b"x")
    seeds = [
        ("m.safetensors", (tmp_path / "s").read_bytes()),
        ("m.onnx", _random_onnx(randomness).SerializeToString()),
        ("m.zip", (tmp_path / "z").read_bytes()),
    ]
    path = tmp_path / "mutated"
    for _ in range(MUTATIONS):
        name, data = randomness.choice(seeds)
        mutated = bytearray(data)
        for _ in range(randomness.randrange(1, 4)):
            at = randomness.randrange(len(mutated))
            mutated[at : at + randomness.randrange(3)] = randomness.randbytes(randomness.randrange(3))
        path.write_bytes(mutated)
        with suppress(MalformedError):
            _described(path, name)


def test_it_is_recorded_and_shown(place: Place, tmp_path: Path) -> None:
    """A publish records what is in the file, or in all files of a directory; a retry is the same request."""
    top = place.root / "model"
    top.mkdir()
    save_file({"a": np.zeros((2, 3), np.float32)}, str(top / "one.safetensors"))
    save_file({"b": np.zeros(4, np.float16)}, str(top / "two.safetensors"))
    (top / "extra.pkl").write_bytes(b"")
    (top / "config.json").write_bytes(b"{}")
    for copy in (False, True):
        first = place.open().publish_model(top, backend="b", copy=copy, request_id=f"{copy}")
        assert place.open().publish_model(top, backend="b", copy=copy, request_id=f"{copy}") == first
        event = place.open().catalog().published[first.model_id]
        assert isinstance(event.data, ModelPublished)
        assert event.data.contents == Contents(
            "pickle+safetensors", unsafe=True, tensors=2, parameters=10, dtypes={"F16": 1, "F32": 1}
        )
