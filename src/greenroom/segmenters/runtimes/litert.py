"""LiteRT runtime, with XNNPACK on the CPU."""

from __future__ import annotations

import traceback
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from greenroom.segmenters.runtimes.native_stderr import captured_stderr
from greenroom.segmenters.runtimes.runtime import (
    Runtime,
    TensorInfo,
    check_file,
    load_error,
    run_error,
    select_outputs,
)
from greenroom.segmenters.runtimes.states import HostStates

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.segmenters.runtimes.runtime import Fill
    from greenroom.segmenters.runtimes.states import States

__all__ = ["LiteRTRuntime"]


class LiteRTRuntime(Runtime):
    """Runtime for ``.tflite`` models on the CPU. Parameters and errors: see `load_runtime`.

    The input is written into the interpreter's tensor, and the outputs are views of its tensors.
    LiteRT's newer ``CompiledModel`` is as fast on the CPU (docs/performance.md), and prints about
    missing accelerators.

    State: the shape of the input.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        outputs: Sequence[str] = (),
        states: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        check_file(path)
        self.path = path
        self.threads = threads
        self.states = states
        self.name = f"LiteRT {ai_edge_litert.__version__} XNNPACK"
        self.device = "cpu"
        try:
            # Errors are raised as well as printed.
            with captured_stderr():
                self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise load_error(path, "LiteRT", error) from error
        self.inputs = tuple(map(_info, self._interpreter.get_input_details()))
        details = self._interpreter.get_output_details()
        self.outputs = select_outputs(path, tuple(map(_info, details)), outputs)
        self._index = {
            each["name"]: each["index"]
            for each in (*self._interpreter.get_input_details(), *details)
        }
        self._shapes = {
            each["name"]: tuple(each["shape"]) for each in self._interpreter.get_input_details()
        }
        # Functions that return a view: LiteRT refuses to run while a view is alive.
        self._views: dict[str, Callable[[], NDArray[Any]]] = {}
        self._find_views()

    def run(
        self,
        picture: str,
        shape: tuple[int, ...],
        fill: Fill,
        others: Mapping[str, NDArray[Any]],
        states: States | None = None,
    ) -> dict[str, NDArray[Any]]:
        """See `Runtime.run`."""
        self._resize(picture, shape)
        kept = HostStates.checked(states)
        for name, values in (others if kept is None else {**others, **kept.values}).items():
            self._resize(name, values.shape)
            self._views[name]()[...] = values
        try:
            fill(self._views[picture]())
        except Exception as error:
            # The error's frames would keep the view of the tensor alive.
            traceback.clear_frames(error.__traceback__)
            raise
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise run_error(self.path, error) from error
        results = {info.name: self._views[info.name]() for info in self.outputs}
        if kept is not None:
            kept.take(results)
        return results

    def close(self) -> None:
        """See `Runtime.close`."""
        del self._views, self._interpreter

    def _resize(self, name: str, shape: tuple[int, ...]) -> None:
        """Resize an input if the model allows it."""
        if self._shapes[name] == shape:
            return
        self._views.clear()
        try:
            with captured_stderr():
                self._interpreter.resize_tensor_input(self._index[name], shape, strict=True)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise run_error(self.path, error) from error
        else:
            self._shapes[name] = shape
        finally:
            self._find_views()

    def _find_views(self) -> None:
        for info in (*self.inputs, *self.outputs):
            self._views[info.name] = self._interpreter.tensor(self._index[info.name])


def _info(details: dict[str, Any]) -> TensorInfo:
    lengths = (int(length) for length in details["shape_signature"])
    # Files without variable shapes may lack a signature.
    shape = tuple(None if length < 0 else length for length in lengths)
    if not shape:
        shape = tuple(int(length) for length in details["shape"])
    return TensorInfo(str(details["name"]), shape, np.dtype(details["dtype"]))
