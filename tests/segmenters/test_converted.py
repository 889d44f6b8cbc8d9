"""TFLite models on a GPU: converted, compared with LiteRT, and left to it where that is right."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom.errors import MissingExtraError, ModelError, ModelOutputError, SettingsError
from greenroom.media.frame import Frame
from greenroom.segmenters.catalogue import card_named
from greenroom.segmenters.conversion import existing_conversion
from greenroom.segmenters.creation import check_model, create_segmenter
from greenroom.segmenters.runtimes import load_runtime
from greenroom.segmenters.runtimes.acceleration import Acceleration, GpuOptions
from greenroom.segmenters.runtimes.converted import tries_gpu
from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime
from greenroom.segmenters.store import Store, cache_folder
from greenroom.settings import Device, Settings
from segmenters.fake_onnxruntime import CPU, CUDA, TENSORRT, Fail, FakeOnnxRuntime

if TYPE_CHECKING:
    from pathlib import Path

    from segmenters.conftest import SharedModel
    from segmenters.fake_onnxruntime import Session, Values

pytest.importorskip("onnx", reason="onnx, of the extra dev, converts")

MODEL = "selfie-landscape"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> FakeOnnxRuntime:
    """Put a build of ONNX Runtime with a GPU in the library's place, which computes on the CPU."""
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    real: dict[str | bytes, Any] = {}  # by their files

    def compute(given: Values, session: Session) -> Values:
        if session.model not in real:
            real[session.model] = onnxruntime.InferenceSession(session.model, options)
        model = real[session.model]
        names = [each.name for each in model.get_outputs()]
        return dict(zip(names, model.run(None, given), strict=True))

    fake = FakeOnnxRuntime(
        {"input_1": ["batch", 144, 256, 3]},
        {"segment_back": ["batch", 144, 256, 1]},
        compute,
        available=[TENSORRT, CUDA, CPU],
    )
    for module in ("onnx", "converted"):
        name = f"greenroom.segmenters.runtimes.{module}.load_onnxruntime"
        monkeypatch.setattr(name, lambda: fake)
    monkeypatch.setattr("greenroom.segmenters.runtimes.tensorrt.load_libraries", lambda: None)
    return fake


@pytest.fixture
def built_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ONNX Runtime look like a build for CUDA."""
    monkeypatch.setattr("greenroom.segmenters.runtimes.tries_gpu", lambda _: True)


def answer(device: Device, portrait: Any) -> tuple[Any, Any]:
    """Return what runs on a device, and its matte."""
    segmenter = create_segmenter(Settings(model=MODEL, device=device))
    matte = segmenter.segment(Frame.from_rgb(portrait))
    segmenter.close()
    return segmenter.info, matte


class TestOnGpu:
    """The converted model runs where that is asked for, and possible."""

    @pytest.mark.usefixtures("cache")
    @pytest.mark.parametrize("device", [Device.CUDA, Device.TENSORRT])
    def test_named(self, device: Device, gpu: FakeOnnxRuntime, portrait: Any) -> None:
        """The matte is LiteRT's, and what runs is told."""
        info, matte = answer(device, portrait)
        before, expected = answer(Device.CPU, portrait)
        assert np.abs(matte - expected).max() < 0.03  # of half precision
        assert before.runtime.startswith("LiteRT")
        ways = {Device.CUDA: "half precision, CUDA graphs", Device.TENSORRT: "half precision"}
        assert info.runtime == f"ONNX Runtime 1.99.0, {ways[device]}, converted from TFLite"
        assert info.device == device
        assert info.file.endswith(".onnx")
        assert gpu.runs[-1][0] == (CUDA if device is Device.CUDA else TENSORRT)

    @pytest.mark.usefixtures("built_for_cuda", "gpu")
    def test_automatic(self, cache: Path, portrait: Any) -> None:
        """So it is with `auto` where there is a GPU; the file is in the model's folder."""
        info, _ = answer(Device.AUTO, portrait)
        assert info.device == "cuda"
        assert str(cache) in info.file
        card, store = card_named(MODEL), Store()
        source = store.find(card)
        assert source is not None
        assert str(existing_conversion(source, cache_folder(card))) == info.file
        assert [str(path) for path in store.remove(card)] == [info.file]

    @pytest.mark.parametrize("library", [True, False])
    @pytest.mark.parametrize("driver", [True, False])
    def test_what_it_needs(
        self, library: bool, driver: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With `auto` it needs the driver, and a build of ONNX Runtime for CUDA."""
        package = tmp_path / "onnxruntime"
        (package / "capi").mkdir(parents=True)
        (package / "__init__.py").touch()
        if library:
            (package / "capi" / "libonnxruntime_providers_cuda.so").touch()
        spec = importlib.util.spec_from_file_location("onnxruntime", package / "__init__.py")
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
        monkeypatch.setattr("greenroom.segmenters.runtimes.converted.has_driver", lambda: driver)
        assert tries_gpu(Device.AUTO) is (driver and library)
        assert tries_gpu(Device.CUDA)
        assert not tries_gpu(Device.CPU)

    @pytest.mark.usefixtures("cache", "built_for_cuda")
    def test_that_is_lost(
        self, gpu: FakeOnnxRuntime, portrait: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With `auto` the CPU takes over, with the converted model."""
        segmenter = create_segmenter(Settings(model=MODEL))
        frame = Frame.from_rgb(portrait)
        expected = segmenter.segment(frame)
        gpu.fault = lambda provider, _: Fail("lost") if provider == CUDA else None
        assert np.abs(segmenter.segment(frame) - expected).max() < 0.03
        assert segmenter.info.device == "cpu"
        assert "it runs on the CPU from now on" in caplog.text
        segmenter.close()

    @pytest.mark.usefixtures("cache")
    def test_that_is_lost_and_was_named(self, gpu: FakeOnnxRuntime, portrait: Any) -> None:
        """Then each frame fails."""
        segmenter = create_segmenter(Settings(model=MODEL, device=Device.CUDA))
        gpu.fault = lambda _, __: Fail("lost")
        with pytest.raises(ModelOutputError, match="lost"):
            segmenter.segment(Frame.from_rgb(portrait))
        segmenter.close()


class TestLeftToLiteRT:
    """What is not certain, or not possible, LiteRT does, or an error says why not."""

    @pytest.mark.usefixtures("cache")
    @pytest.mark.parametrize("device", [Device.AUTO, Device.CUDA])
    def test_other_answers(
        self,
        device: Device,
        gpu: FakeOnnxRuntime,
        portrait: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A GPU that gives other answers than LiteRT is not used, with a warning."""
        monkeypatch.setattr("greenroom.segmenters.runtimes.tries_gpu", lambda _: True)
        right = gpu.compute
        gpu.compute = lambda given, session: {
            name: np.flip(values, 2) for name, values in right(given, session).items()
        }
        info, _ = answer(device, portrait)
        assert info.runtime.startswith("LiteRT")
        assert info.device == "cpu"
        assert "gives other answers on device 'cuda' than LiteRT" in caplog.text

    @pytest.mark.usefixtures("built_for_cuda")
    @pytest.mark.parametrize("fault", ["no GPU", "no onnx", "no cache"])
    def test_impossible(
        self,
        fault: str,
        cache: Path,
        gpu: FakeOnnxRuntime,
        portrait: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """With `auto` LiteRT is used, and the log says why; a device that was named is an error."""
        caplog.set_level(logging.INFO, "greenroom")
        if fault == "no GPU":
            gpu.refusal = lambda _, providers: Fail("driver") if providers[0][0] != CPU else None
        elif fault == "no onnx":
            monkeypatch.setitem(sys.modules, "onnx", None)
        else:
            cache.write_bytes(b"a file")
        info, _ = answer(Device.AUTO, portrait)
        assert info.runtime.startswith("LiteRT")
        reasons = {
            "no GPU": "driver", "no onnx": "package onnx, which is not installed",
            "no cache": "cannot be written to",
        }  # fmt: skip
        assert reasons[fault] in caplog.text
        with pytest.raises((ModelError, MissingExtraError), match=reasons[fault]):
            answer(Device.CUDA, portrait)

    @pytest.mark.usefixtures("gpu")
    def test_operators(self, tmp_path: Path, shared_model: SharedModel) -> None:
        """A model that cannot be converted: the error names the file."""
        path = shared_model("deeplabv3_mnv2_pascal_quant.tflite")
        options = GpuOptions(Acceleration(), conversions=tmp_path)
        with pytest.raises(ModelError, match=r"_quant\.tflite' cannot be converted.*UINT8"):
            load_runtime("litert", path, device=Device.CUDA, example=unused, gpu=options)

    @pytest.mark.parametrize("device", [Device.CUDA, Device.TENSORRT])
    def test_other_builds(self, device: Device, cache: Path) -> None:
        """Where ONNX Runtime is not built for the device nothing is converted."""
        with pytest.raises(ModelError, match=f"'selfie_landscape.tflite' .*'{device}' cannot run"):
            create_segmenter(Settings(model=MODEL, device=device))
        assert not cache.exists()

    def test_recurrent(self, tmp_path: Path) -> None:
        """A recurrent model's states are LiteRT's."""
        with pytest.raises(SettingsError, match="LiteRT runs on the CPU"):
            load_runtime(
                "litert", tmp_path / "x", device=Device.CUDA, example=unused, states={"a": "b"}
            )

    def test_without_onnx_runtime(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The command is told before anything is loaded."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
        with pytest.raises(MissingExtraError, match=r"'cuda', which is.*'greenroom\[cuda\]'"):
            check_model(Settings(model="selfie", device=Device.CUDA))


class TestOnRealGpu:
    """On an NVIDIA GPU, which `make gpu-check` has."""

    @pytest.mark.skipif(
        os.environ.get("GREENROOM_TEST_DEVICE") != "cuda",
        reason="the device is not a GPU",
    )
    @pytest.mark.usefixtures("cache")
    @pytest.mark.parametrize("model", ["selfie-general", MODEL, "selfie-multiclass"])
    def test_answers(self, model: str, portrait: Any, shared_model: SharedModel) -> None:
        """The mattes are LiteRT's, as near as half precision is."""
        file = card_named(model).file
        assert file is not None
        folder = None if file.embedded else shared_model(file.name).parent
        mattes = []
        for device in (Device.CPU, Device.CUDA):
            segmenter = create_segmenter(Settings(model=model, device=device, models_dir=folder))
            mattes.append(segmenter.segment(Frame.from_rgb(portrait)))
            segmenter.close()
        assert segmenter.info.device == "cuda"
        assert segmenter.info.runtime.endswith("converted from TFLite")
        assert np.abs(mattes[1] - mattes[0]).mean() < 0.001
        assert np.abs(mattes[1] - mattes[0]).max() < 0.15


def unused(_: object) -> Any:
    """Fail: the model is not to get so far."""
    raise AssertionError
