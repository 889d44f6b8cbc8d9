"""TensorRT: its engines are kept, and half precision used if the answers agree."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.errors import ModelError
from greenroom.segmenters.runtimes.acceleration import Acceleration
from greenroom.segmenters.runtimes.tensorrt import engine_cache, load_libraries, provider_options
from greenroom.settings import Device
from segmenters.fake_onnxruntime import CPU, CUDA, TENSORRT, opened

if TYPE_CHECKING:
    from pathlib import Path

    from segmenters.fake_onnxruntime import FakeOnnxRuntime, Session, Values

HALF = Acceleration(half=True, graph=True)


@pytest.fixture
def library(library: FakeOnnxRuntime) -> FakeOnnxRuntime:
    """Return the fake with TensorRT."""
    library.available = [TENSORRT, CUDA, CPU]
    return library


class TestEngines:
    """Compiled models."""

    def test_are_kept_by_the_models_content(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """They have a folder of the file's content, and CUDA and the CPU stand by."""
        runtime = opened(tmp_path, Device.TENSORRT, engines=tmp_path / "engines")
        assert (runtime.device, runtime.name) == ("tensorrt", "ONNX Runtime 1.99.0")
        (name, options), *others = library.opened[0].providers
        assert name == TENSORRT
        assert others == [(CUDA, {}), (CPU, {})]
        (folder,) = (tmp_path / "engines").iterdir()
        assert options == {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
        }
        (tmp_path / "other.onnx").write_bytes(b"another model")
        provider_options(tmp_path / "other.onnx", tmp_path / "engines", half=False)
        assert len(list((tmp_path / "engines").iterdir())) == 2

    def test_are_said_to_take_minutes_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The first start says that it compiles; those that find an engine do not."""
        model = tmp_path / "model.onnx"
        model.write_bytes(b"a model")
        provider_options(model, tmp_path, half=False)
        (record,) = caplog.records
        assert "which takes minutes" in record.message
        (folder,) = (each for each in tmp_path.iterdir() if each.is_dir())
        (folder / "x_sm90.engine").touch()
        provider_options(model, tmp_path, half=False)
        assert len(caplog.records) == 1

    @pytest.mark.usefixtures("library")
    def test_that_cannot_be_kept(self, tmp_path: Path) -> None:
        """A cache that cannot be written is an error that names it."""
        (tmp_path / "engines").write_text("in the way")
        with pytest.raises(ModelError, match=r"'tensorrt' cannot run it: its engines.*engines"):
            opened(tmp_path, Device.TENSORRT, engines=tmp_path / "engines")

    def test_without_a_cache(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """Where none is given, as for the doctor, nothing is written."""
        opened(tmp_path, Device.TENSORRT)
        assert library.opened[0].providers[0] == (TENSORRT, {})
        assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]

    def test_are_in_greenrooms_cache(self) -> None:
        """The folder lies beside the models."""
        assert engine_cache().parts[-2:] == ("greenroom", "tensorrt")


class TestHalfPrecision:
    """Half precision by the card's word."""

    def test_agrees(self, library: FakeOnnxRuntime, tmp_path: Path) -> None:
        """The engine is compared with the CPU before the first frame."""
        runtime = opened(tmp_path, Device.TENSORRT, HALF)
        assert runtime.name == "ONNX Runtime 1.99.0, half precision"
        assert library.opened[0].providers[0] == (TENSORRT, {"trt_fp16_enable": "True"})
        assert library.opened[1].get_providers() == [CPU]

    def test_disagrees(
        self, library: FakeOnnxRuntime, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """If the answers differ it is compiled again, in full."""
        compute = library.compute

        def overflow(given: Values, session: Session) -> Values:
            is_half = "trt_fp16_enable" in session.providers[0][1]
            outputs = compute(given, session)
            return {**outputs, "y": outputs["y"] * (np.nan if is_half else 1)}

        library.compute = overflow
        with caplog.at_level(logging.INFO):
            runtime = opened(tmp_path, Device.TENSORRT, HALF)
        assert runtime.name == "ONNX Runtime 1.99.0"
        assert library.opened[-1].providers[0] == (TENSORRT, {})
        assert "compiled without half precision" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="libraries as on Linux")
class TestLibraries:
    """Libraries that pip installed."""

    def test_are_loaded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of the package are loaded, the base first, and what fails is left to be told."""
        package = tmp_path / "tensorrt_libs"
        package.mkdir()
        for name in ("__init__.py", "libnvonnxparser.so.10", "libnvinfer.so.10", "libother.so"):
            (package / name).touch()
        loaded = []

        def load(path: str, mode: int) -> None:
            loaded.append(path.rpartition("/")[2])
            message = f"{path}: file too short {mode}"
            raise OSError(message)

        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr("ctypes.CDLL", load)
        load_libraries()
        assert loaded == ["libnvinfer.so.10", "libnvonnxparser.so.10"]

    def test_that_are_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the package nothing is loaded."""
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        load_libraries()
