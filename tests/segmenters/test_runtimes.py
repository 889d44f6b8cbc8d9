"""Runtimes: the same contract, whichever library executes a model."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.errors import MissingExtraError, ModelError, ModelOutputError, SettingsError
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.segmenters.runtimes.runtime import Runtime, TensorInfo, Trial
from greenroom.segmenters.store import Store
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from segmenters.conftest import MakeOnnx, SharedModel

SUFFIXES = {"litert": ".tflite", "onnx": ".onnx", "tensorflow": ".pb"}
HEADERS = {
    "litert": b"\x18\0\0\0TFL3" + bytes(64),
    "onnx": b"\x08\x08\x12\x07pytorch" + bytes(64),
    "tensorflow": b"\n\x10\n\x06x\x12" + bytes(64),
}


def need(kind: str) -> None:
    """Skip a test whose library is not installed."""
    if kind != "litert":
        library = {"onnx": "onnxruntime", "tensorflow": "tensorflow"}[kind]
        reason = (
            "the extra dev has no TensorFlow: it is too large" if kind == "tensorflow" else kind
        )
        with captured_stderr():
            pytest.importorskip(library, reason=reason)


@pytest.fixture(params=["litert", "onnx", "onnx file", "tensorflow"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """Return each runtime with a model whose input is 256x144, or of any size."""
    kind, _, file = request.param.partition(" ")
    need(kind)
    path: Path | None
    if kind == "tensorflow":
        path = request.getfixturevalue("frozen_graph")()
    elif file:
        path = request.getfixturevalue("shared_model")("selfie_landscape.onnx")
    elif kind == "onnx":
        path = request.getfixturevalue("make_onnx")(
            [("Slice", ["x", "from", "to", "axis"], ["y"], {})],
            {"x": [1, 144, 256, 3]},
            {"y": [1, 144, 256, 1]},
            {"from": np.array([1]), "to": np.array([2]), "axis": np.array([3])},
        )
    else:
        path = Store().find(card_named("selfie-landscape"))
    assert path is not None
    loaded = load_runtime(kind, path, threads=2)
    yield loaded
    loaded.close()


SHAPE = (1, 144, 256, 3)


class TestContract:
    """Behaviour of every runtime."""

    def test_says_what_it_is(self, runtime: Runtime) -> None:
        """Name with version, device, threads, file, inputs and outputs."""
        assert runtime.name.split()[-2 if "XNNPACK" in runtime.name else -1][0].isdigit()
        assert (runtime.device, runtime.threads) == ("cpu", 2)
        assert runtime.path.is_file()
        (given,), (answer,) = runtime.inputs, runtime.outputs
        assert given.dtype == answer.dtype == np.float32
        assert given.shape in (SHAPE, (1, None, None, 3))
        assert len(answer.shape) == 4

    def test_runs(self, runtime: Runtime, rng: np.random.Generator) -> None:
        """The picture is written in place, and the same one gives the same answer."""
        picture = rng.random(SHAPE).astype(np.float32)
        answers = [run(runtime, values) for values in (picture, picture * 0, picture)]
        assert answers[0].shape == (1, 144, 256, 1)
        np.testing.assert_array_equal(answers[0], answers[2])
        assert np.abs(answers[0] - answers[1]).max() > 0.001

    def test_goes_on_after_a_failure(self, runtime: Runtime) -> None:
        """Whoever fills the input may fail, and keep the error."""
        kept = []

        def fail(tensor: NDArray[Any]) -> None:
            assert tensor.shape == SHAPE
            message = "no picture"
            raise RuntimeError(message)

        for _ in range(2):
            with pytest.raises(RuntimeError, match="no picture") as error:
                runtime.run(runtime.inputs[0].name, SHAPE, fail, {})
            kept.append(error)
        assert run(runtime, np.zeros(SHAPE, np.float32)).shape == (1, 144, 256, 1)

    def test_another_shape(self, runtime: Runtime) -> None:
        """An unsupported shape is an error, and the next picture succeeds."""
        smaller = np.zeros((1, 72, 128, 3), np.float32)
        if runtime.inputs[0].shape == SHAPE:
            with pytest.raises(ModelOutputError, match="failed"):
                run(runtime, smaller)
        else:
            assert run(runtime, smaller).shape == (1, 72, 128, 1)
        assert run(runtime, np.zeros(SHAPE, np.float32)).shape == (1, 144, 256, 1)


def run(runtime: Runtime, values: NDArray[Any]) -> NDArray[Any]:
    """Run a picture through a runtime with one input and output."""

    def fill(tensor: NDArray[Any]) -> None:
        tensor[...] = values

    name = runtime.inputs[0].name
    outputs = runtime.run(name, values.shape, fill, {})
    return np.array(outputs[runtime.outputs[0].name])


class TestBrokenFiles:
    """Files that are no models."""

    @pytest.mark.parametrize("kind", list(SUFFIXES))
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "it is empty"),
            (b"\n <!DOCTYPE html><html>", "it is a web page"),
            (b"<HTML><head>", "it is a web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
            (b"This is no model at all, it only is a text that somebody wrote.", "loaded by"),
            (None, "loaded by"),
        ],
    )
    def test_are_told(self, kind: str, data: bytes | None, message: str, tmp_path: Path) -> None:
        """The file is named, and what it seems to be."""
        if message == "loaded by":
            need(kind)
        elif kind == "onnx":
            pytest.importorskip("onnxruntime")
        path = tmp_path / f"broken{SUFFIXES[kind]}"
        path.write_bytes(HEADERS[kind] if data is None else data)
        with pytest.raises(ModelError, match=f"broken.*{message}") as error:
            load_runtime(kind, path)
        assert error.value.path == str(path)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("kind", list(SUFFIXES))
    def test_that_are_missing(self, kind: str, tmp_path: Path) -> None:
        """A file that is not there is named."""
        if kind == "onnx":
            pytest.importorskip("onnxruntime")
        with pytest.raises(ModelError, match="cannot be read: no such file"):
            load_runtime(kind, tmp_path / "nowhere")

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
    @pytest.mark.parametrize("kind", ["litert", "onnx"])
    def test_that_are_cut_off(
        self, kind: str, share: float, tmp_path: Path, green_onnx: Path
    ) -> None:
        """The beginning of a model is no model, in a process of its own: libraries may crash."""
        need(kind)
        whole = green_onnx if kind == "onnx" else Store().find(card_named("selfie-general"))
        assert whole is not None
        path = tmp_path / f"cut{SUFFIXES[kind]}"
        data = whole.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        code = (
            "import sys; from pathlib import Path\n"
            "from greenroom.errors import ModelError\n"
            "from greenroom.segmenters.runtimes import load_runtime\n"
            "try: load_runtime(sys.argv[1], Path(sys.argv[2]))\n"
            "except ModelError as error: print(error)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, kind, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "cut off" in result.stdout
        assert result.stderr == ""


class TestMissing:
    """Libraries that are not installed."""

    @pytest.mark.parametrize(
        ("kind", "library"), [("onnx", "onnxruntime"), ("tensorflow", "tensorflow")]
    )
    def test_names_the_extra(
        self, kind: str, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The error says what to install."""
        monkeypatch.setitem(sys.modules, library, None)
        path = tmp_path / "model"
        path.write_bytes(b"something")
        with pytest.raises(MissingExtraError, match=rf"pip install 'greenroom\[{kind}\]'"):
            load_runtime(kind, path)

    @pytest.mark.parametrize("kind", ["litert", "tensorflow"])
    def test_devices(self, kind: str, tmp_path: Path) -> None:
        """A runtime for the CPU refuses other devices."""
        with pytest.raises(SettingsError, match="'cuda' cannot run model 'x'"):
            load_runtime(kind, tmp_path / "x", device=Device.CUDA)


class TestLiteRT:
    """LiteRT's own."""

    def test_is_quiet(self) -> None:
        """Nothing is printed, neither by us nor by the library."""
        code = (
            "import greenroom, numpy\n"
            "with greenroom.VirtualBackground() as vb:\n"
            "    vb.process_rgb(numpy.zeros((90, 160, 3), numpy.uint8))\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=os.environ
        )
        assert (result.stdout, result.stderr) == (b"", b"")

    def test_is_in_place(self) -> None:
        """The input is the interpreter's own memory, and the output a view of it."""
        path = Store().find(card_named("selfie-landscape"))
        assert path is not None
        runtime = load_runtime("litert", path)
        addresses = []

        def fill(tensor: NDArray[Any]) -> None:
            tensor[...] = 0
            addresses.append(tensor.ctypes.data)
            assert not tensor.flags.owndata

        name = runtime.inputs[0].name
        for _ in range(2):
            (output,) = runtime.run(name, SHAPE, fill, {}).values()
            assert not output.flags.owndata
            del output
        assert len(set(addresses)) == 1
        runtime.close()

    def test_whole_numbers(self, shared_model: SharedModel) -> None:
        """A quantised model takes uint8 and answers with int64 labels."""
        runtime = load_runtime("litert", shared_model("deeplabv3_mnv2_pascal_quant.tflite"))
        assert (runtime.inputs[0].shape, runtime.inputs[0].dtype.name) == (
            (1, 513, 513, 3),
            "uint8",
        )
        answer = run(runtime, np.zeros((1, 513, 513, 3), np.uint8))
        assert (answer.dtype.name, answer.shape) == ("int64", (1, 513, 513))
        runtime.close()

    def test_unknown_output(self) -> None:
        """An output that is not there is answered with those that are."""
        path = Store().find(card_named("selfie-landscape"))
        assert path is not None
        with pytest.raises(ModelError, match="no output 'alpha': its outputs are segment_back"):
            load_runtime("litert", path, outputs=["alpha"])


class TestOnnx:
    """ONNX Runtime's own."""

    def test_is_quiet(self, shared_model: SharedModel) -> None:
        """The library's output about a model is not printed."""
        path = shared_model("sinet_320.onnx")
        code = (
            "import sys; from pathlib import Path\n"
            "from greenroom.segmenters.runtimes import load_runtime\n"
            "load_runtime('onnx', Path(sys.argv[1]))\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, check=True
        )
        assert (result.stdout, result.stderr) == (b"", b"")

    def test_only_what_is_wanted(self, make_onnx: MakeOnnx) -> None:
        """Further inputs are given by name, and only the wanted outputs answered."""
        path = make_onnx(
            [("Add", ["x", "s"], ["y"], {}), ("Mul", ["x", "s"], ["z"], {})],
            {"x": [1, "h", "w", 3], "s": []},
            {"y": [1, "h", "w", 3], "z": [1, "h", "w", 3]},
        )
        runtime = load_runtime("onnx", path, outputs=["z"])
        assert runtime.inputs == (
            TensorInfo("x", (1, None, None, 3), np.dtype(np.float32)),
            TensorInfo("s", (), np.dtype(np.float32)),
        )
        outputs = runtime.run(
            "x", (1, 2, 3, 3), lambda x: x.fill(2), {"s": np.array(4, np.float32)}
        )
        assert set(outputs) == {"z"}
        assert (outputs["z"] == 8).all()
        runtime.close()

    @pytest.mark.parametrize("device", [Device.AUTO, Device.CPU])
    def test_is_tried(self, device: Device, green_onnx: Path) -> None:
        """The model is run once on the device, with what the example gives."""
        tried = []

        def example(inputs: Any) -> Trial:
            tried.extend(inputs)
            return Trial("x", (1, 6, 8, 3), lambda x: x.fill(0), {})

        runtime = load_runtime("onnx", green_onnx, device=device, example=example)
        assert [info.name for info in tried] == ["x"]
        assert runtime.device == "cpu"
        runtime.close()

    def test_that_cannot_run(self, make_onnx: MakeOnnx) -> None:
        """A model that loads and fails is refused when it is loaded."""
        path = make_onnx(
            [("Reshape", ["x", "shape"], ["y"], {})],
            {"x": [1, "h", "w", 3]},
            {"y": ["a", "b"]},
            {"shape": np.array([5, 5])},
        )

        def example(_: Any) -> Trial:
            return Trial("x", (1, 6, 8, 3), lambda x: x.fill(0), {})

        with pytest.raises(ModelError, match=r"'cpu' cannot run it: .*Reshape"):
            load_runtime("onnx", path, example=example)

    def test_missing_provider(self, green_onnx: Path) -> None:
        """A device that this build does not have is an error, and nothing else is tried."""
        onnxruntime = pytest.importorskip("onnxruntime")
        if "TensorrtExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("this build of ONNX Runtime has TensorRT")
        with pytest.raises(ModelError, match="no TensorrtExecutionProvider"):
            load_runtime(
                "onnx",
                green_onnx,
                device=Device.TENSORRT,
                example=lambda _: Trial("x", (), lambda x: x.fill(0), {}),
            )


class TestTelemetry:
    """Telemetry of ONNX Runtime."""

    @pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
    def test_is_off(self, green_onnx: Path, tmp_path: Path) -> None:
        """It keeps no identifier of the machine, starts no thread, and is told to be silent."""
        code = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from greenroom.segmenters.runtimes import load_runtime\n"
            "load_runtime('onnx', Path(sys.argv[1])).close()\n"
            "print(os.environ['ORT_DISABLE_TELEMETRY'], len(os.listdir('/proc/self/task')))\n"
        )
        home = tmp_path / "home"
        home.mkdir()
        # Nor does it do so where it is tested, by these variables.
        tested = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY")
        variables = {name: value for name, value in os.environ.items() if name not in tested}
        variables |= dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(home))
        variables["OPENBLAS_NUM_THREADS"] = "1"
        command = [sys.executable, "-c", code, str(green_onnx)]
        result = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=True, timeout=60
        )
        assert result.stdout.split() == ["1", "1"]
        assert list(home.rglob("*")) == []


class TestCaught:
    """Standard error of native libraries."""

    def test_is_read(self, capfd: pytest.CaptureFixture[str]) -> None:
        """It is kept away and can be read; afterwards it is as before."""
        with captured_stderr() as notes:
            os.write(2, b"a note of a library")
        os.write(2, b"an error")
        assert notes.text == "a note of a library"
        assert capfd.readouterr().err == "an error"
        gc.collect()  # what is left open would be told of
