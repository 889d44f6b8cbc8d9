"""The libraries that execute models, each loaded when it is first needed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from greenroom.segmenters.runtimes.compute_devices import cpu_only
from greenroom.segmenters.runtimes.runtime import missing_extra_error
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from greenroom.segmenters.runtimes.runtime import Example, Runtime

__all__ = ["check_runtime", "load_runtime"]

# What runs on the CPU only, and how it is called.
_CPU_ONLY: Final = {"litert": "LiteRT", "tensorflow": "TensorFlow", "chroma": "the chroma key"}
# The libraries that are extras: how they are called and imported.
_EXTRAS: Final = {
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "tensorflow": ("TensorFlow", "tensorflow"),
}


def check_runtime(kind: str, device: Device, model: str) -> None:
    """Refuse a device on which a kind of model never runs, and a library that is not installed.

    Nothing is imported.

    Parameters
    ----------
    kind : str
        ``litert``, ``onnx``, ``tensorflow`` or ``chroma``.
    device : Device
        Where it should run.
    model : str
        For messages.

    Raises
    ------
    SettingsError, MissingExtraError
        As in `load_runtime`.
    """
    _check_device(kind, device, model)
    library, module = _EXTRAS.get(kind, ("", ""))
    if module and importlib.util.find_spec(module) is None:
        raise missing_extra_error(library, kind, ModuleNotFoundError(module))


def load_runtime(  # noqa: PLR0913 - what a card and the settings say of it
    kind: str,
    path: Path,
    *,
    threads: int = 1,
    device: Device = Device.AUTO,
    outputs: Sequence[str] = (),
    member: str | None = None,
    example: Example | None = None,
) -> Runtime:
    """Load a model file.

    Parameters
    ----------
    kind : str
        ``litert``, ``onnx`` or ``tensorflow``.
    path : Path
        The model file.
    threads : int
        Threads that it may use on the CPU.
    device : Device
        Where it should run.
    outputs : sequence of str
        The outputs that are wanted; without any, all.
    member : str, optional
        Of an archive: how the name of the file inside ends.
    example : callable, optional
        See `OnnxRuntime`.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    SettingsError
        If it never runs on that device.
    ModelError
        If the file cannot be loaded, or the device cannot run it.
    """
    _check_device(kind, device, path.name)
    if kind == "onnx":
        from greenroom.segmenters.runtimes.onnx import OnnxRuntime  # noqa: PLC0415 - loads on use

        return OnnxRuntime(path, threads=threads, device=device, outputs=outputs, example=example)
    if kind == "tensorflow":
        from greenroom.segmenters.runtimes.tensorflow import (  # noqa: PLC0415
            TensorFlowRuntime,
        )

        return TensorFlowRuntime(path, threads=threads, outputs=outputs, member=member)
    from greenroom.segmenters.runtimes.litert import LiteRTRuntime  # noqa: PLC0415

    return LiteRTRuntime(path, threads=threads, outputs=outputs)


def _check_device(kind: str, device: Device, model: str) -> None:
    if kind in _CPU_ONLY:
        cpu_only(device, _CPU_ONLY[kind], model)
