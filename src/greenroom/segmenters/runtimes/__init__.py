"""Runtimes, the libraries that execute models; each is imported on first use."""

from __future__ import annotations

import importlib.util
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from greenroom.segmenters.runtimes.acceleration import NO_GPU_OPTIONS, GpuOptions
from greenroom.segmenters.runtimes.compute_devices import cpu_only
from greenroom.segmenters.runtimes.converted import GPUS, run_converted, tries_gpu
from greenroom.segmenters.runtimes.onnx import OnnxRuntime
from greenroom.segmenters.runtimes.runtime import missing_extra_error
from greenroom.segmenters.runtimes.tensorflow import TensorFlowRuntime
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from greenroom.cuda import Device as ComputeDevice
    from greenroom.segmenters.runtimes.runtime import Example, Runtime

__all__ = ["check_runtime", "load_runtime"]

# Names of the runtimes that use the CPU only.
_CPU_ONLY: Final = {"litert": "LiteRT", "tensorflow": "TensorFlow", "chroma": "the chroma key"}
# Names and modules of the runtimes that are optional extras.
_EXTRAS: Final = {
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "tensorflow": ("TensorFlow", "tensorflow"),
}


def check_runtime(kind: str, device: Device, model: str) -> None:
    """Raise for a device that a runtime cannot use, or a library that is not installed.

    Nothing is imported.

    Parameters
    ----------
    kind : str
        ``litert``, ``onnx``, ``tensorflow`` or ``chroma``.
    device : Device
        The requested device.
    model : str
        Name of the model, for messages.

    Raises
    ------
    SettingsError, MissingExtraError
        As in `load_runtime`.
    """
    if kind == "litert" and device in GPUS:
        if importlib.util.find_spec("onnxruntime") is None:
            library = f"ONNX Runtime for device '{device}'"
            raise missing_extra_error(library, "cuda", ModuleNotFoundError("onnxruntime"))
        return
    if kind in _CPU_ONLY:
        cpu_only(device, _CPU_ONLY[kind], model)
    library, module = _EXTRAS.get(kind, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise missing_extra_error(library, kind, ModuleNotFoundError(module))


def load_runtime(  # noqa: PLR0913 - most are for one of the runtimes
    kind: str,
    path: Path,
    *,
    threads: int = 1,
    device: Device = Device.AUTO,
    outputs: Sequence[str] = (),
    states: Mapping[str, str] = MappingProxyType({}),
    member: str | None = None,
    example: Example | None = None,
    gpu: GpuOptions = NO_GPU_OPTIONS,
    compute: ComputeDevice | None = None,
    rows: Sequence[str] = (),
) -> Runtime:
    """Load a model file.

    Parameters
    ----------
    kind : str
        ``litert``, ``onnx`` or ``tensorflow``.
    path : Path
        The model file.
    threads : int
        Number of threads on the CPU.
    device : Device
        The requested device.
    outputs : sequence of str
        Names of the outputs to compute; by default all.
    states : mapping of str to str
        For recurrent models: each state's input, and the output that feeds it in the next run.
    member : str, optional
        Suffix of the file's name inside an archive.
    example : callable, optional
        Creates inputs to try a model with on each candidate device. Without it the CPU is used,
        untried.
    gpu : GpuOptions
        What a model may use on NVIDIA's GPUs. There a TFLite model is converted, with ``auto`` if
        ONNX Runtime is installed for them; if its answers are not LiteRT's it runs on the CPU,
        with a warning.
    compute : greenroom.cuda.Device, optional
        Device of the pictures. A model that runs on CUDA runs on that GPU.
    rows : sequence of str
        The picture and states of a model that is to take batches in ONNX Runtime
        (`Runtime.run_rows`), if that works.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    SettingsError
        If the runtime cannot use the device.
    ModelError
        If the file cannot be loaded, or the device cannot run it.
    """
    converts = kind == "litert" and example is not None and not states and tries_gpu(device)
    if kind in _CPU_ONLY and not converts:
        cpu_only(device, _CPU_ONLY[kind], path.name)
    load_onnx = partial(
        OnnxRuntime,
        threads=threads,
        device=device,
        outputs=outputs,
        states=states,
        example=example,
        allowed=gpu.allowed,
        engines=gpu.engines,
        compute=compute,
        rows=rows,
    )
    if kind == "onnx":
        return load_onnx(path)
    if kind == "tensorflow":
        return TensorFlowRuntime(
            path, threads=threads, outputs=outputs, states=states, member=member
        )
    # It is not there on every platform, and a wrong command line is rejected without it.
    from greenroom.segmenters.runtimes.litert import LiteRTRuntime  # noqa: PLC0415

    litert = LiteRTRuntime(path, threads=threads, outputs=outputs, states=states)
    if not converts:
        return litert
    assert example is not None
    return run_converted(litert, load_onnx, device=device, example=example, folder=gpu.conversions)
