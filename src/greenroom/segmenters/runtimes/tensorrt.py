"""TensorRT's libraries, and its engines: models compiled for one GPU, kept in greenroom's cache."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import logging
from pathlib import Path
from typing import Final

import platformdirs

__all__ = ["PACKAGE", "engine_cache", "load_libraries", "provider_options"]

logger = logging.getLogger(__name__)

# ONNX Runtime up to 1.32 loads version 10; its builds for CUDA 12 need tensorrt-cu12.
PACKAGE: Final = "tensorrt-cu13<11"
_LIBRARIES: Final = ("libnvinfer.so.*", "libnvinfer_plugin.so.*", "libnvonnxparser.so.*")


def engine_cache() -> Path:
    """Return the folder for engines in greenroom's cache; it may not exist."""
    return platformdirs.user_cache_path("greenroom", appauthor=False) / "tensorrt"


def load_libraries() -> None:
    """Load TensorRT if pip installed it, where no loader looks; elsewhere the system's is found."""
    package = importlib.util.find_spec("tensorrt_libs")
    if package is None or package.origin is None:
        return
    folder = Path(package.origin).parent
    for pattern in _LIBRARIES:
        for library in sorted(folder.glob(pattern)):
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:  # ONNX Runtime tells what it misses
                logger.debug("'%s' cannot be loaded: %s", library, error)


def provider_options(model: Path, cache: Path | None, *, half: bool) -> dict[str, str]:
    """Return the provider's options for a model.

    Parameters
    ----------
    model : Path
        The model file. Its engines have a folder of their own, by its content: TensorRT would take
        the engine of another file with the same graph.
    cache : Path or None
        Folder for engines; None compiles anew at each start.
    half : bool
        Whether half precision may be used.

    Raises
    ------
    RuntimeError
        If the folder cannot be made.
    """
    options = {"trt_fp16_enable": "True"} if half else {}
    if cache is None:
        return options
    with model.open("rb") as file:
        folder = cache / hashlib.file_digest(file, "sha256").hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"its engines cannot be kept in '{folder}': {str(error.strerror).lower()}"
        raise RuntimeError(message) from error
    if not any(folder.glob("*.engine")):
        logger.warning(
            "TensorRT compiles model '%s' for this GPU, which takes minutes; later starts load it "
            "from '%s'.", model.name, folder,
        )  # fmt: skip
    return {
        **options,
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder),
    }
