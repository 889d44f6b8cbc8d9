"""Checks of the engine, the selected model, and the devices that can run models."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.doctor.finding import CheckContext, Finding, Section
from greenroom.errors import GreenroomError, ModelError, SettingsError
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from greenroom.segmenters.card import Card
    from greenroom.segmenters.store import Store

__all__ = ["check_devices", "check_engine", "check_gpu_work", "check_model", "one_node_model"]

_SECTION: Final = Section("Model")
_EMBEDDED: Final = "selfie"
_SIZE: Final = (640, 360)
_FRAMES: Final = 5
_RUNTIMES: Final = {"onnx": "onnxruntime", "tensorflow": "tensorflow"}
_ONNX_BUILDS: Final = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
)
# TensorRT compiles for minutes, and every CUDA build lists it: tried only on request.
_SLOW: Final = Device.TENSORRT


def check_engine(context: CheckContext) -> Iterator[Finding]:
    """Replace the background of a drawn person with the embedded model."""
    from greenroom.engine.engine import VirtualBackground
    from greenroom.sources.synthetic_person import PersonSource

    frame = PersonSource(_SIZE).frame(0)
    times = []
    try:
        with VirtualBackground(model=_EMBEDDED, background="color:teal") as engine:
            for _ in range(_FRAMES):
                begin_s = time.perf_counter()
                engine.process(frame)
                times.append(1000 * (time.perf_counter() - begin_s))
            ran_on = engine.ran_on
    except GreenroomError as error:
        fix = context.system.pip("install", "--force-reinstall", "greenroom")
        yield _SECTION.problem("engine", f"a frame cannot be processed: {error}", fix, blocks=True)
        return
    text = f"{ran_on}: {statistics.median(times):.1f} ms for a frame of {_SIZE[0]}x{_SIZE[1]}"
    yield _SECTION.ok("engine", text)


def check_model(context: CheckContext) -> Iterator[Finding]:
    """Check that the selected model is present and matches its card."""
    from greenroom.segmenters.inspection import MODEL_SUFFIXES

    model = context.settings.model
    if model.lower().endswith(MODEL_SUFFIXES):
        yield _model_file(Path(model))
        return
    from greenroom.segmenters.catalogue import card_named, required_cards
    from greenroom.segmenters.store import Store

    try:
        card = card_named(model)
        store = Store(context.settings.models_dir)
        needed = [part for part in required_cards(card) if part.file is not None]
    except (SettingsError, ModelError) as error:
        yield _SECTION.problem("model", str(error), "greenroom models list", blocks=True)
        return
    yield from filter(None, (_missing_runtime(context, part) for part in needed[:1]))
    faults = list(filter(None, (_weights_fault(part, store) for part in needed)))
    if faults:
        yield from faults
        return
    yield _SECTION.ok(
        "model", f"{model}: {', '.join(_weights_places(needed, store)) or 'needs no file'}"
    )


def _model_file(path: Path) -> Finding:
    if path.is_file():
        return _SECTION.ok("model", f"{path}: a file of your own")
    return _SECTION.problem(
        "model",
        f"model file '{path}' is not there",
        "Give --model another path, or a name that greenroom models list prints.",
        blocks=True,
    )


def _missing_runtime(context: CheckContext, card: Card) -> Finding | None:
    """Report a model's runtime if it is not installed."""
    package = _RUNTIMES.get(card.runtime)
    if package is None:
        return None
    builds = _ONNX_BUILDS if card.runtime == "onnx" else (package,)
    if any(map(context.system.version, builds)):
        return None
    message = f"model '{card.name}' needs {package}, which is not installed"
    return _SECTION.problem(
        "model", message, context.system.pip("install", f"greenroom[{card.runtime}]"), blocks=True
    )


def _weights_fault(card: Card, store: Store) -> Finding | None:
    """Report missing or damaged weights of a model."""
    from greenroom.segmenters.store import size_text
    from greenroom.segmenters.store.licences import concern

    found = store.locate(card)
    if found is None:
        size = card.file.size if card.file is not None else None
        accept = " --accept-license" if concern(card.license) else ""
        return _SECTION.warning(
            "model",
            f"{card.name} is not here yet: {size_text(size)} are downloaded when it is first used",
            f"greenroom models get {card.name}{accept}",
        )
    try:
        store.check(card, found[1])
    except ModelError as error:
        fix = f"greenroom models remove {card.name}\ngreenroom models get {card.name}"
        return _SECTION.problem("model", str(error), fix, blocks=True)
    return None


def _weights_places(cards: list[Card], store: Store) -> list[str]:
    """List the places of the weights without repetition."""
    found = [place for card in cards if (place := store.locate(card))]
    return list(
        dict.fromkeys(
            "in the package" if place.value == "embedded" else str(path) for place, path in found
        )
    )


def check_devices(context: CheckContext) -> Iterator[Finding]:
    """Run a one-node model on every device of this build of ONNX Runtime."""
    system, asked = context.system, context.settings.device
    has_gpu = bool(system.read("/proc/driver/nvidia/version"))
    cuda = system.pip("install", "greenroom[cuda]")
    if not any(map(system.version, _ONNX_BUILDS)):
        if asked in (Device.AUTO, Device.CPU):
            yield _without_onnx(context, has_gpu=has_gpu, cuda=cuda)
        else:
            message = f"device '{asked}' needs ONNX Runtime, which is not installed"
            yield _SECTION.problem("devices", message, cuda)
        return
    try:
        available = _providers()
    except Exception as error:  # noqa: BLE001 - native libraries raise any exception
        fix = system.pip("install", "--force-reinstall", "onnxruntime")
        yield _SECTION.problem("devices", f"ONNX Runtime cannot be imported: {error}", fix)
        return
    yield from _try_devices(context, available)
    if has_gpu and "CUDAExecutionProvider" not in available and asked is not Device.CUDA:
        message = "an NVIDIA GPU is here, but this build of ONNX Runtime cannot use it"
        remove = system.pip("uninstall", "-y", "onnxruntime")
        yield _SECTION.warning("cuda", message, f"{remove}\n{cuda}")


def check_gpu_work(context: CheckContext) -> Iterator[Finding]:
    """Compare the GPU with the processor, where there is one or the settings name it.

    Besides the model, the engine's own work can be done there.
    """
    from greenroom.engine.device_selection import MISSING_CUPY, reason_against_gpu

    asked = context.settings.device
    has_gpu = bool(context.system.read("/proc/driver/nvidia/version"))
    if not asked.is_nvidia and not (has_gpu and asked is Device.AUTO):
        return
    reason = reason_against_gpu()
    if not reason:
        yield _SECTION.ok("gpu", "all work but the cover's can be done on the GPU")
        return
    pip = context.system.pip
    lines = [pip("install", "greenroom[cuda]")]
    if reason is not MISSING_CUPY:
        lines = [
            "# This lists the GPU and its driver, which must be as new as CuPy's CUDA.",
            "nvidia-smi",
            # The second brings NVIDIA's compiler and libraries, unless the system has them.
            pip("install", "--upgrade", "greenroom[cuda]", "onnxruntime-gpu[cuda,cudnn]"),
        ]
    yield _SECTION.warning("gpu", f"only models can use the GPU: {reason}", "\n".join(lines))


def _without_onnx(context: CheckContext, *, has_gpu: bool, cuda: str) -> Finding:
    if has_gpu:
        message = "an NVIDIA GPU is here; models for ONNX Runtime could use it"
        return _SECTION.warning("devices", message, cuda)
    message = "cpu; ONNX Runtime, which only some models need, is not installed"
    return _SECTION.ok("devices", message, context.system.pip("install", "greenroom[onnx]"))


def _try_devices(context: CheckContext, available: Sequence[str]) -> Iterator[Finding]:
    """Try the requested device and every available one."""
    from greenroom.segmenters.runtimes.compute_devices import DEVICES, DOCTOR_HINT

    asked = context.settings.device
    good = []
    with tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as folder:
        path = Path(folder) / "tiny.onnx"
        path.write_bytes(one_node_model())
        for device, spec in DEVICES.items():
            if device is not asked and (spec.provider not in available or device is _SLOW):
                continue
            try:
                good.append(_run_on(path, device))
            except GreenroomError as error:
                text = str(error).partition(f"device '{device}' cannot run it: ")[2] or str(error)
                reason = text.removesuffix(" Use --device cpu or auto.")
                reason = reason.replace(DOCTOR_HINT, "")
                yield _SECTION.missing(
                    str(device),
                    f"models do not run on {device}: {reason}",
                    _fix(context, device, is_built=spec.provider in available),
                    wanted=device is asked,
                )
    if good:
        yield _SECTION.ok("devices", f"models for ONNX Runtime run on {', '.join(good)}")


def _fix(context: CheckContext, device: Device, *, is_built: bool) -> str:
    """Return the commands that install what a device needs."""
    from greenroom.segmenters.runtimes.compute_devices import DEVICES
    from greenroom.segmenters.runtimes.tensorrt import PACKAGE

    if device not in (Device.CUDA, Device.TENSORRT):
        return f"What brings it: {DEVICES[device].package}."
    pip = context.system.pip
    lines = ["# The GPU needs NVIDIA's driver, which no package of Python brings."]
    if not is_built:
        lines.append(pip("uninstall", "-y", "onnxruntime"))
    # The second brings NVIDIA's libraries, unless the system has them.
    lines.append(pip("install", "greenroom[cuda]", "onnxruntime-gpu[cuda,cudnn]"))
    if device is Device.TENSORRT:
        lines.append(pip("install", PACKAGE))
    return "\n".join(lines)


def _providers() -> Sequence[str]:
    from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime

    providers: Sequence[str] = load_onnxruntime().get_available_providers()
    return providers


def _run_on(path: Path, device: Device) -> str:
    """Run the model on a device; return the name of the device used."""
    from greenroom.segmenters.runtimes.onnx import OnnxRuntime
    from greenroom.segmenters.runtimes.runtime import Trial

    def example(inputs: Any) -> Trial:
        return Trial(inputs[0].name, (1, 4), lambda tensor: tensor.fill(0), {})

    runtime = OnnxRuntime(path, device=device, example=example)
    used = runtime.device
    runtime.close()
    return used


def one_node_model() -> bytes:
    """Return a serialised ONNX model of one node, ``y = Relu(x)``, of 1x4 float32.

    Encoded by hand as protocol buffers (onnx.proto3 of ONNX 1.13): nothing else needs the onnx
    package.
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
