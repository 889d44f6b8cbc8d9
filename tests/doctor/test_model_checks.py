"""Models and the devices that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doctor.conftest import only
from greenroom.doctor.model_checks import (
    check_devices,
    check_engine,
    check_gpu_work,
    check_model,
    one_node_model,
)
from greenroom.engine.device_selection import MISSING_CUPY
from greenroom.errors import ModelError
from greenroom.settings import Device, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from doctor.conftest import Machine

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own models out."""
    for name in ("cache", "data", "config"):
        monkeypatch.setattr(f"platformdirs.user_{name}_path", lambda *_, **__: tmp_path / "own")
    monkeypatch.delenv("GREENROOM_MODELS_DIR", raising=False)


class TestEngine:
    """The main job."""

    def test_works(self, machine: Machine) -> None:
        """A frame goes through the engine, and how long it takes is told."""
        finding = only(check_engine(machine.context()))
        assert (finding.status, finding.blocks) == ("ok", False)
        milliseconds = float(finding.message.partition("cpu: ")[2].partition(" ms")[0])
        assert 0 < milliseconds < 5000

    def test_model_is_not_there(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A package without its model cannot work, and is to be installed again."""
        missing = tmp_path / "nothing"
        monkeypatch.setattr("greenroom.segmenters.store.weights_store._EMBEDDED", missing)
        finding = only(check_engine(machine.context()))
        assert (finding.status, finding.blocks) == ("problem", True)
        assert "selfie-" in finding.message
        assert finding.fix == "/venv/bin/python -m pip install --force-reinstall greenroom"

    def test_frame_fails(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """A model that loads and does not run blocks too."""

        def fail(*_: object) -> None:
            message = "illegal instruction"
            raise ModelError(message)

        monkeypatch.setattr("greenroom.engine.engine.VirtualBackground.process", fail)
        finding = only(check_engine(machine.context()))
        assert finding.blocks
        assert "illegal instruction" in finding.message


class TestModel:
    """The model of the settings."""

    @pytest.mark.parametrize(
        ("model", "words"),
        [("selfie", "selfie: in the package"), ("chroma", "chroma: needs no file")],
    )
    def test_here(self, machine: Machine, model: str, words: str) -> None:
        """Each place of weights is reported once."""
        finding = only(check_model(machine.context(Settings(model=model))))
        assert (finding.status, finding.message) == ("ok", words)

    def test_to_be_downloaded(self, machine: Machine) -> None:
        """Weights not downloaded yet are a warning with the command that gets them."""
        finding = only(check_model(machine.context(Settings(model="deeplabv3"))))
        assert (finding.status, finding.blocks) == ("warning", False)
        assert "2.8 MB are downloaded when it is first used" in finding.message
        assert finding.fix == "greenroom models get deeplabv3"

    def test_licence(self, machine: Machine) -> None:
        """The command accepts a licence that requires it."""
        context = machine.context(Settings(model="rvm-mobilenetv3"), version=lambda _: "1.20")
        finding = only(check_model(context))
        assert finding.fix == "greenroom models get rvm-mobilenetv3 --accept-license"

    def test_without_its_library(self, machine: Machine) -> None:
        """A model whose library is not installed cannot run."""
        context = machine.context(Settings(model="sinet"), version=lambda _: None)
        library, weights = check_model(context)
        assert (library.status, library.blocks) == ("problem", True)
        assert library.fix == "/venv/bin/python -m pip install 'greenroom[onnx]'"
        assert weights.status == "warning"

    def test_unknown(self, machine: Machine) -> None:
        """An unknown name is a problem that says which was meant."""
        finding = only(check_model(machine.context(Settings(model="selfy"))))
        assert finding.blocks
        assert "did you mean 'selfie" in finding.message

    def test_damaged(self, machine: Machine, tmp_path: Path) -> None:
        """Weights that are not what the card says are a problem."""
        (tmp_path / "deeplabv3_257_mv_gpu.tflite").write_bytes(b"no model")
        from greenroom.segmenters.catalogue import card_named  # noqa: PLC0415 - of this test

        file = card_named("deeplabv3").file
        assert file is not None
        (tmp_path / file.name).write_bytes(b"no model")
        settings = Settings(model="deeplabv3", models_dir=tmp_path)
        finding = only(check_model(machine.context(settings)))
        assert (finding.status, finding.blocks) == ("problem", True)
        assert file.name in finding.message

    def test_no_models_folder(self, machine: Machine, tmp_path: Path) -> None:
        """A models folder that is not there is a problem."""
        settings = Settings(model="deeplabv3", models_dir=tmp_path / "no")
        assert only(check_model(machine.context(settings))).blocks

    def test_own_file(self, machine: Machine, tmp_path: Path) -> None:
        """A file of one's own has to be there."""
        path = tmp_path / "mine.onnx"
        assert only(check_model(machine.context(Settings(model=str(path))))).blocks
        path.touch()
        assert only(check_model(machine.context(Settings(model=str(path))))).status == "ok"


class TestDevices:
    """Devices for ONNX Runtime."""

    @pytest.fixture
    def available(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Choose which providers the build has; only the CPU's is really there."""
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
        found = [CPU]
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda: found)
        return found

    def test_cpu(self, machine: Machine, available: list[str]) -> None:
        """The CPU runs the model of one node."""
        assert available == [CPU]
        finding = only(check_devices(machine.context()))
        assert (finding.status, finding.message) == (
            "ok",
            "models for ONNX Runtime run on cpu",
        )

    @pytest.mark.filterwarnings("ignore:Specified provider")
    def test_provider_that_does_not_work(self, machine: Machine, available: list[str]) -> None:
        """A provider that is there and refuses is told in the library's own words."""
        available.insert(0, CUDA)
        broken, working = check_devices(machine.context())
        assert (broken.name, broken.status) == ("cuda", "warning")
        assert "CUDAExecutionProvider" in broken.message
        assert broken.fix.splitlines()[1:] == [
            "/venv/bin/python -m pip install 'greenroom[cuda]' 'onnxruntime-gpu[cuda,cudnn]'"
        ]
        assert working.message.endswith("run on cpu")
        broken, _ = check_devices(machine.context(Settings(device=Device.CUDA)))
        assert broken.status == "problem"

    def test_device_that_is_asked_for(self, machine: Machine, available: list[str]) -> None:
        """A device that the settings name and the build has not is a problem."""
        assert available == [CPU]
        asked, _ = check_devices(machine.context(Settings(device=Device.TENSORRT)))
        assert (asked.name, asked.status) == ("tensorrt", "problem")
        assert f"only {CPU}" in asked.message
        assert asked.fix.splitlines()[1:] == [
            "/venv/bin/python -m pip uninstall -y onnxruntime",
            "/venv/bin/python -m pip install 'greenroom[cuda]' 'onnxruntime-gpu[cuda,cudnn]'",
            "/venv/bin/python -m pip install 'tensorrt-cu13<11'",
        ]

    def test_gpu_that_is_not_used(self, machine: Machine, available: list[str]) -> None:
        """A GPU that lies idle is told, with what would use it."""
        assert available == [CPU]
        machine.write({"/proc/driver/nvidia/version": "NVRM version: 550"})
        _, idle = check_devices(machine.context())
        assert (idle.name, idle.status) == ("cuda", "warning")
        assert idle.fix.splitlines() == [
            "/venv/bin/python -m pip uninstall -y onnxruntime",
            "/venv/bin/python -m pip install 'greenroom[cuda]'",
        ]

    @pytest.mark.parametrize(
        ("device", "gpu", "status"),
        [
            (Device.AUTO, "", "ok"),
            (Device.AUTO, "NVRM version: 550", "warning"),
            (Device.OPENVINO, "", "problem"),
        ],
    )
    def test_without_the_library(
        self, machine: Machine, device: Device, gpu: str, status: str
    ) -> None:
        """Without the extra nothing is wrong, unless something asks for it."""
        machine.write({"/proc/driver/nvidia/version": gpu})
        context = machine.context(Settings(device=device), version=lambda _: None)
        assert only(check_devices(context)).status == status

    def test_library_that_is_broken(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An ONNX Runtime that cannot be imported is a problem that does not block."""

        def fail() -> Any:
            message = "DLL load failed"
            raise ImportError(message)

        monkeypatch.setattr("greenroom.doctor.model_checks._providers", fail)
        finding = only(check_devices(machine.context(version=lambda _: "1.20")))
        assert (finding.status, finding.blocks) == ("problem", False)
        assert "DLL load failed" in finding.message

    def test_tiny_model_is_valid(self) -> None:
        """The bytes written by hand are the model that the reference library reads."""
        onnx = pytest.importorskip("onnx", reason="onnx is not installed")
        model = onnx.load_model_from_string(one_node_model())
        onnx.checker.check_model(model, full_check=True)
        assert [node.op_type for node in model.graph.node] == ["Relu"]
        shape = model.graph.input[0].type.tensor_type.shape
        assert [each.dim_value for each in shape.dim] == [1, 4]


class TestGpuWork:
    """The engine's own work on a GPU."""

    @pytest.fixture
    def reason(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Choose why the GPU cannot be used."""
        reasons = [""]
        monkeypatch.setattr(
            "greenroom.engine.device_selection.reason_against_gpu", lambda: reasons[0]
        )
        return reasons

    def test_nobody_asks(self, machine: Machine) -> None:
        """Without a GPU, or with another device, nothing is said."""
        assert not list(check_gpu_work(machine.context()))
        machine.write({"/proc/driver/nvidia/version": "NVRM version: 550"})
        assert not list(check_gpu_work(machine.context(Settings(device=Device.CPU))))

    def test_works(self, machine: Machine, reason: list[str]) -> None:
        """A GPU that is there and has proved itself is in order."""
        assert reason == [""]
        machine.write({"/proc/driver/nvidia/version": "NVRM version: 550"})
        assert only(check_gpu_work(machine.context())).status == "ok"

    def test_cupy_is_missing(self, machine: Machine, reason: list[str]) -> None:
        """What is missing is told with the command that installs it."""
        reason[0] = MISSING_CUPY
        finding = only(check_gpu_work(machine.context(Settings(device=Device.CUDA))))
        assert (finding.name, finding.status, finding.blocks) == ("gpu", "warning", False)
        assert "CuPy is not installed" in finding.message
        assert finding.fix == "/venv/bin/python -m pip install 'greenroom[cuda]'"

    def test_something_else(self, machine: Machine, reason: list[str]) -> None:
        """Otherwise the driver's own program says more, and CuPy may be too old."""
        reason[0] = "CUDA device 0 failed: cudaErrorInsufficientDriver"
        finding = only(check_gpu_work(machine.context(Settings(device=Device.TENSORRT))))
        assert "cudaErrorInsufficientDriver" in finding.message
        assert "nvidia-smi" in finding.fix.splitlines()
        assert "--upgrade" in finding.fix
