"""TFLite models on an NVIDIA GPU: converted for ONNX Runtime, and compared with LiteRT there."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import has_driver
from greenroom.errors import MissingExtraError, ModelError
from greenroom.segmenters.conversion import converted_file
from greenroom.segmenters.runtimes.acceleration import outputs_agree
from greenroom.segmenters.runtimes.compute_devices import missing_provider
from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime
from greenroom.segmenters.runtimes.runtime import missing_extra_error
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.runtime import Example, Runtime, Trial

    Outputs = Mapping[str, NDArray[Any]]

__all__ = ["GPUS", "run_converted", "tries_gpu"]

logger = logging.getLogger(__name__)

GPUS: Final = (Device.CUDA, Device.TENSORRT)
# ONNX Runtime's library for CUDA, in its package, on Linux and Windows.
_CUDA_LIBRARIES: Final = "capi/*onnxruntime_providers_cuda.*"


def tries_gpu(device: Device) -> bool:
    """Whether a TFLite model is to run on an NVIDIA GPU.

    With ``auto`` it is if NVIDIA's driver and a build of ONNX Runtime for CUDA are installed. No
    package is imported.
    """
    if device is not Device.AUTO:
        return device in GPUS
    if not has_driver():
        return False
    package = importlib.util.find_spec("onnxruntime")
    if package is None or package.origin is None:
        return False
    return any(Path(package.origin).parent.glob(_CUDA_LIBRARIES))


def run_converted(
    litert: Runtime,
    load: Callable[[Path], Runtime],
    *,
    device: Device,
    example: Example,
    folder: Path | None,
) -> Runtime:
    """Return the runtime of a TFLite model on a GPU, or LiteRT's if that is not to be used.

    Parameters
    ----------
    litert : Runtime
        LiteRT, with the model loaded. Closed unless it is returned.
    load : callable
        Loads an ONNX file, on the device or on the CPU.
    device : Device
        The requested device. A failure is an error if it was named, else LiteRT is used.
    example : callable
        Creates inputs to compare with. If the answers differ LiteRT is used, with a warning.
    folder : Path, optional
        Folder of the converted file.

    Raises
    ------
    MissingExtraError, ModelError
        If the device was named, and the model cannot be converted, or not run there.
    """
    try:
        runtime = _loaded(litert.path, load, device, folder)
        if runtime.device == Device.CPU:  # with auto, if the GPU cannot run it
            runtime.close()
            return litert
        agrees = _agree(runtime, litert, example(litert.inputs))
    except (MissingExtraError, ModelError) as error:
        if device is not Device.AUTO:
            litert.close()
            raise
        logger.info("model '%s' runs on the CPU: %s", litert.path.name, error)
        return litert
    if agrees:
        litert.close()
        runtime.name += ", converted from TFLite"
        return runtime
    runtime.close()
    logger.warning(
        "model '%s' runs on the CPU: converted for ONNX Runtime it gives other answers on device "
        "'%s' than LiteRT.", litert.path.name, runtime.device,
    )  # fmt: skip
    return litert


def _loaded(
    path: Path, load: Callable[[Path], Runtime], device: Device, folder: Path | None
) -> Runtime:
    _check_build(path, Device.CUDA if device is Device.AUTO else device)
    if folder is None:
        message = f"model file '{path}' is not run on a GPU: there is no folder to convert it to."
        raise ModelError(message, path)
    try:
        return load(converted_file(path, folder))
    except OSError as error:
        message = (
            f"model file '{path}' cannot be converted to run on a GPU: '{folder}' cannot be "
            f"written to ({str(error.strerror).lower()}). Make it writable, or have another cache "
            f"by XDG_CACHE_HOME."
        )
        raise ModelError(message, path) from error


def _check_build(path: Path, device: Device) -> None:
    """Raise if ONNX Runtime is not there, or cannot use the device: nothing is converted then."""
    try:
        available = load_onnxruntime().get_available_providers()
    except ImportError as error:
        library = f"ONNX Runtime for device '{device}'"
        raise missing_extra_error(library, "cuda", error) from error
    if reason := missing_provider(device, available):
        message = (
            f"model '{path.name}' cannot be run: device '{device}' cannot run it: {reason}. Use "
            f"--device cpu or auto."
        )
        raise ModelError(message, path)


def _agree(runtime: Runtime, litert: Runtime, trial: Trial) -> bool:
    """Whether both give the same for a trial's picture, and for the same mirrored."""
    return outputs_agree(_outputs(runtime, trial), _outputs(litert, trial))


def _outputs(runtime: Runtime, trial: Trial) -> list[Outputs]:
    def mirrored(tensor: NDArray[Any]) -> None:
        trial.fill(tensor)
        tensor[...] = tensor[:, :, ::-1].copy()

    found: list[Outputs] = []
    for fill in (trial.fill, mirrored):
        outputs = runtime.run(trial.picture, trial.shape, fill, trial.others)
        found.append({name: np.array(values) for name, values in outputs.items()})
        del outputs  # views, which must not outlive a run
    return found
