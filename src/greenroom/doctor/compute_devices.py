"""Where models run: what ONNX Runtime can really use here, tried with a model of one node."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.doctor.finding import Case, Finding, Section
from greenroom.errors import GreenroomError
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["check_devices", "one_node_model"]

_SECTION: Final = Section("Model")
_BUILDS: Final = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
# It compiles for minutes, and every build for CUDA names it: tried only where it is asked for.
_SLOW: Final = Device.TENSORRT


def check_devices(case: Case) -> Iterator[Finding]:
    """Run a tiny model on every device that this build of ONNX Runtime has."""
    system, asked = case.system, case.settings.device
    has_gpu = bool(system.read("/proc/driver/nvidia/version"))
    cuda = system.pip("install", "greenroom[cuda]")
    if not any(map(system.version, _BUILDS)):
        if asked in (Device.AUTO, Device.CPU):
            yield _without_library(case, has_gpu=has_gpu, cuda=cuda)
        else:
            message = f"device '{asked}' needs ONNX Runtime, which is not installed"
            yield _SECTION.problem("devices", message, cuda)
        return
    try:
        available = _providers()
    except Exception as error:  # noqa: BLE001 - a native library raises whatever it likes
        fix = system.pip("install", "--force-reinstall", "onnxruntime")
        yield _SECTION.problem("devices", f"ONNX Runtime cannot be imported: {error}", fix)
        return
    yield from _tried(case, available)
    if has_gpu and "CUDAExecutionProvider" not in available and asked is not Device.CUDA:
        message = "an NVIDIA GPU is here, but this build of ONNX Runtime cannot use it"
        remove = system.pip("uninstall", "-y", "onnxruntime")
        yield _SECTION.warning("cuda", message, f"{remove}\n{cuda}")


def _without_library(case: Case, *, has_gpu: bool, cuda: str) -> Finding:
    if has_gpu:
        message = "an NVIDIA GPU is here; models for ONNX Runtime could use it"
        return _SECTION.warning("devices", message, cuda)
    message = "cpu; ONNX Runtime, which only some models need, is not installed"
    return _SECTION.ok("devices", message, case.system.pip("install", "greenroom[onnx]"))


def _tried(case: Case, available: Sequence[str]) -> Iterator[Finding]:
    """Try every device that comes into question."""
    from greenroom.segmenters.runtimes.compute_devices import DEVICES  # noqa: PLC0415 - it imports much

    asked = case.settings.device
    good = []
    with tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as folder:
        path = Path(folder) / "tiny.onnx"
        path.write_bytes(one_node_model())
        for device, spec in DEVICES.items():
            if device is not asked and (spec.provider not in available or device is _SLOW):
                continue
            try:
                good.append(_run(path, device))
            except GreenroomError as error:
                text = str(error).partition(f"device '{device}' cannot run it: ")[2] or str(error)
                reason = text.removesuffix(" Use --device cpu or auto.")
                yield _SECTION.missing(
                    str(device),
                    f"models do not run on {device}: {reason}",
                    f"What brings it: {spec.package}.",
                    wanted=device is asked,
                )
    if good:
        yield _SECTION.ok("devices", f"models for ONNX Runtime run on {', '.join(good)}")


def _providers() -> Sequence[str]:
    from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime  # noqa: PLC0415

    providers: Sequence[str] = load_onnxruntime().get_available_providers()
    return providers


def _run(path: Path, device: Device) -> str:
    """Run the model on a device; return which one that was."""
    import numpy as np  # noqa: PLC0415 - the doctor works without it

    from greenroom.segmenters.runtimes.onnx import OnnxRuntime  # noqa: PLC0415

    def example(inputs: Any) -> dict[str, Any]:  # noqa: ANN401 - see `OnnxRuntime`
        return {each.name: np.zeros((1, 4), np.float32) for each in inputs}

    runtime = OnnxRuntime(path, device=device, example=example)
    used = runtime.device
    runtime.close()
    return used


def one_node_model() -> bytes:
    """Write an ONNX model that is one node, ``y = Relu(x)``, of 1x4 float32.

    By hand, as protocol buffers (onnx.proto3 of ONNX 1.13), because the library that writes
    models is not needed for anything else.
    """
    size = b"".join(_field(1, _varint_field(1, length)) for length in (1, 4))
    tensor = _field(1, _varint_field(1, 1) + _field(2, size))  # element type 1: float
    x, y = (_field(1, name) + _field(2, tensor) for name in (b"x", b"y"))
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Relu")
    graph = _field(1, node) + _field(2, b"tiny") + _field(11, x) + _field(12, y)
    opset = _field(1, b"") + _varint_field(2, 13)
    return _varint_field(1, 8) + _field(7, graph) + _field(8, opset)


def _varint_field(number: int, value: int) -> bytes:
    return bytes((number << 3, value))  # all values here are below 128


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2, len(content))) + content  # all are shorter than 128 bytes
