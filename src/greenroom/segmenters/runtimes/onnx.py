"""ONNX Runtime, on the devices of the installed build."""

from __future__ import annotations

import re
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.errors import ModelError
from greenroom.segmenters.runtimes.compute_devices import open_session
from greenroom.segmenters.runtimes.onnx_binding import BoundSession, DeviceStates
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
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.compute_devices import Provider
    from greenroom.segmenters.runtimes.runtime import Example, Fill
    from greenroom.segmenters.runtimes.states import States

__all__ = ["OnnxRuntime"]

_LIBRARY: Final = "ONNX Runtime"
_CUDA_PROVIDERS: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_FATAL_ONLY: Final = 4
# Runs to try a recurrent model: from zeros, whose sizes differ, and with both sets of tensors.
_TRIALS_OF_STATES: Final = 3
# ONNX Runtime's names of tensor types where NumPy's differ.
_TYPES: Final = {"float": "float32", "double": "float64"}


class OnnxRuntime(Runtime):
    """Runtime for ``.onnx`` models. Parameters and errors: see `load_runtime`.

    There is one thread pool, and its threads wait without spinning. With the default pools a small
    model at 25 frames a second takes ten times the CPU time, nearly all of it spinning between
    frames (``benchmarks/onnx_threads.py``).

    State: the tensors on the device (`BoundSession`).
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        device: Device = Device.AUTO,
        outputs: Sequence[str] = (),
        states: Mapping[str, str] = MappingProxyType({}),
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
        self.states = states
        self._wanted = outputs
        if example is None:
            session, self.device = self._open([("CPUExecutionProvider", {})]), str(Device.CPU)
            self._bound = self._bind(session)
        else:
            self._bound, self.device = self._open_on(device, example)
        self.inputs, self.outputs = self._bound.inputs, self._bound.outputs

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> dict[str, NDArray[Any]]:
        """See `Runtime.run`; outputs that feed states are not returned."""
        kept = DeviceStates.checked(states)
        with self._model_faults():
            memory = self._bound.picture(picture, shape)
        fill(memory)
        with self._model_faults():
            return self._bound.run(picture, others, kept)

    def new_states(self) -> DeviceStates:
        """See `Runtime.new_states`."""
        return DeviceStates(self._bound)

    def close(self) -> None:
        """See `Runtime.close`."""
        del self._bound

    @contextmanager
    def _model_faults(self) -> Iterator[None]:
        """Raise the library's errors as `ModelOutputError`."""
        try:
            yield
        except self._errors as error:
            raise run_error(self.path, error) from error

    def _open_on(self, device: Device, example: Example) -> tuple[BoundSession, str]:
        tried: list[BoundSession] = []

        def try_out(session: Any) -> None:
            bound = self._bind(session)
            tried[:] = [bound]
            trial = example(bound.inputs)
            states = DeviceStates(bound) if self.states else None
            for _ in range(1 if states is None else _TRIALS_OF_STATES):
                bound.picture(trial.picture, trial.shape)
                bound.run(trial.picture, trial.others, states)

        _, used = open_session(
            device,
            available=self._onnxruntime.get_available_providers(),
            create=self._open,
            try_out=try_out,
            errors=self._errors,
            path=self.path,
        )
        return tried[0], used

    def _bind(self, session: Any) -> BoundSession:
        outputs = _infos(self.path, session.get_outputs())
        return BoundSession(
            self._onnxruntime,
            session,
            memory="cuda" if session.get_providers()[0] in _CUDA_PROVIDERS else "cpu",
            inputs=_infos(self.path, session.get_inputs()),
            outputs=select_outputs(self.path, outputs, self._wanted),
            carried=self.states,
            errors=self._errors,
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
