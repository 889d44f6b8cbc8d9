"""ONNX Runtime, on the devices of the installed build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.errors import ModelError
from greenroom.segmenters.runtimes.compute_devices import open_session
from greenroom.segmenters.runtimes.onnx_library import load_onnxruntime
from greenroom.segmenters.runtimes.runtime import (
    Runtime,
    TensorInfo,
    check_file,
    load_error,
    missing_extra_error,
    run_error,
    select_outputs,
)
from greenroom.settings import Device

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.compute_devices import Provider
    from greenroom.segmenters.runtimes.runtime import Example, Fill

__all__ = ["OnnxRuntime"]

_LIBRARY: Final = "ONNX Runtime"
_CUDA_PROVIDERS: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_FATAL_ONLY: Final = 4
# ONNX Runtime's names of tensor types where NumPy's differ.
_TYPES: Final = {"float": "float32", "double": "float64"}


class OnnxRuntime(Runtime):
    """Runtime for ``.onnx`` models. Parameters and errors: see `load_runtime`.

    There is one thread pool, and its threads wait without spinning. With the default pools a small
    model at 25 frames a second takes ten times the CPU time, nearly all of it spinning between
    frames (``benchmarks/onnx_threads.py``).

    State: the buffer of the input.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        device: Device = Device.AUTO,
        outputs: Sequence[str] = (),
        example: Example | None = None,
    ) -> None:
        try:
            onnxruntime = load_onnxruntime()
        except ImportError as error:
            raise missing_extra_error(_LIBRARY, "onnx", error) from error
        check_file(path)
        self.path = path
        self.threads = threads
        self.name = f"{_LIBRARY} {onnxruntime.__version__}"
        self._onnxruntime = onnxruntime
        self._errors = _runtime_errors(onnxruntime)
        self._buffer: NDArray[Any] = np.empty(0)
        if example is None:
            self._session, self.device = self._open([("CPUExecutionProvider", {})]), "cpu"
        else:
            self._session, self.device = self._open_on(device, example)
        inputs = _infos(path, self._session.get_inputs())
        self.inputs = inputs
        self.outputs = select_outputs(path, _infos(path, self._session.get_outputs()), outputs)
        self._names = [info.name for info in self.outputs]
        self._types = {info.name: info.dtype for info in inputs}

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
    ) -> dict[str, NDArray[Any]]:
        """See `Runtime.run`; the outputs are new arrays here."""
        if self._buffer.shape != shape:
            self._buffer = np.zeros(shape, self._types[picture])
        fill(self._buffer)
        try:
            results = self._session.run(self._names, {picture: self._buffer, **others})
        except self._errors as error:
            raise run_error(self.path, error) from error
        return dict(zip(self._names, results, strict=True))

    def close(self) -> None:
        """See `Runtime.close`."""
        del self._session, self._buffer

    def _open_on(self, device: Device, example: Example) -> tuple[Any, str]:
        def try_out(session: Any) -> None:
            inputs = _infos(self.path, session.get_inputs())
            session.run(None, dict(example(inputs)))

        return open_session(
            device,
            available=self._onnxruntime.get_available_providers(),
            create=self._open,
            try_out=try_out,
            errors=self._errors,
            path=self.path,
        )

    def _open(self, providers: list[Provider]) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        first = providers[0][0]
        if first == "CPUExecutionProvider":
            options.log_severity_level = _FATAL_ONLY  # errors are also raised
        elif first == "DmlExecutionProvider":
            options.enable_mem_pattern = False  # required by DirectML
        elif first in _CUDA_PROVIDERS and hasattr(self._onnxruntime, "preload_dlls"):
            self._onnxruntime.preload_dlls()  # finds CUDA libraries installed by pip
        try:
            return self._onnxruntime.InferenceSession(
                str(self.path), options, providers=providers, enable_fallback=0
            )
        except self._errors as error:
            if first != "CPUExecutionProvider":
                raise
            raise load_error(self.path, _LIBRARY, error) from error


def _infos(path: Path, tensors: Sequence[Any]) -> tuple[TensorInfo, ...]:
    infos = []
    for tensor in tensors:
        found = re.fullmatch(r"tensor\((\w+)\)", tensor.type)
        if found is None:
            message = f"model file '{path}': '{tensor.name}' is a {tensor.type}, not a tensor."
            raise ModelError(message, path)
        shape = tuple(n if isinstance(n, int) and n > 0 else None for n in tensor.shape)
        name = _TYPES.get(found[1], found[1])
        try:
            infos.append(TensorInfo(tensor.name, shape, np.dtype(name)))
        except TypeError as error:
            message = f"model file '{path}': type {name} of '{tensor.name}' is not supported."
            raise ModelError(message, path) from error
    return tuple(infos)


def _runtime_errors(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """Return ONNX Runtime's exception classes, which have no common base of their own."""
    state = onnxruntime.capi.onnxruntime_pybind11_state
    own = [each for each in vars(state).values() if isinstance(each, type)]
    return (RuntimeError, ValueError, *(each for each in own if issubclass(each, Exception)))
