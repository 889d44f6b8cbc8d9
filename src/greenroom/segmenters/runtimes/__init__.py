"""The libraries that execute models, each loaded when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.segmenters.devices import cpu_only
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from greenroom.segmenters.runtimes.base import Example, Runtime

__all__ = ["load_runtime"]


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
    if kind == "onnx":
        from greenroom.segmenters.runtimes.onnx import OnnxRuntime  # noqa: PLC0415 - loads on use

        return OnnxRuntime(path, threads=threads, device=device, outputs=outputs, example=example)
    if kind == "tensorflow":
        from greenroom.segmenters.runtimes.tensorflow import (  # noqa: PLC0415
            TensorFlowRuntime,
        )

        cpu_only(device, "TensorFlow", path.name)
        return TensorFlowRuntime(path, threads=threads, outputs=outputs, member=member)
    from greenroom.segmenters.runtimes.litert import LiteRTRuntime  # noqa: PLC0415

    cpu_only(device, "LiteRT", path.name)
    return LiteRTRuntime(path, threads=threads, outputs=outputs)
