"""LiteRT with XNNPACK, on the CPU."""

from __future__ import annotations

import os
import threading
import traceback
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

from greenroom.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LiteRTRuntime"]


class LiteRTRuntime:
    """Executes a ``.tflite`` model on the CPU.

    Parameters
    ----------
    path : Path
        The model file.
    threads : int
        Threads that it may use.

    Raises
    ------
    ModelError
        If the file is not a model that LiteRT can load.

    Notes
    -----
    The input is written into the interpreter's own tensor, and the output is a view of
    it. LiteRT's newer ``CompiledModel`` measures the same on the CPU (docs/performance.md)
    and prints about accelerators that are not there.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - loads on use

        self.path = path
        self.threads = threads
        self.name = f"LiteRT {metadata.version('ai-edge-litert')} XNNPACK"
        self.device = "cpu"
        try:
            with _without_native_stderr():
                self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            message = f"model '{path}' cannot be loaded by LiteRT: {error}"
            raise ModelError(message, path) from error
        (given,) = self._interpreter.get_input_details()
        self.input_shape = tuple(int(length) for length in given["shape"])
        # These make a view at each call: LiteRT refuses to run while one is alive.
        self._input = self._interpreter.tensor(given["index"])
        self._output = self._interpreter.tensor(self._interpreter.get_output_details()[0]["index"])

    def run(self, fill: Callable[[NDArray[np.float32]], None]) -> NDArray[np.float32]:
        """See `Runtime.run`."""
        try:
            fill(self._input())
        except Exception as error:
            # Whoever keeps the error would keep the view of the tensor alive with it.
            traceback.clear_frames(error.__traceback__)
            raise
        self._interpreter.invoke()
        output: NDArray[np.float32] = self._output()
        return output

    def close(self) -> None:
        """See `Runtime.close`."""
        del self._input, self._output, self._interpreter


_REDIRECTING = threading.Lock()


@contextmanager
def _without_native_stderr() -> Iterator[None]:
    """Keep LiteRT's notes about itself, which cannot be turned off, from standard error.

    Its errors are raised as well as printed, so nothing is lost.
    """
    with _REDIRECTING:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
