"""A neural network as a segmenter: planes to its input, its output to a coarse matte."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from greenroom.segmenters.base import SegmenterInfo
from greenroom.segmenters.kernels import mix
from greenroom.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.frames import Frame, Layout

__all__ = ["NetworkSegmenter", "Runtime"]


class Runtime(Protocol):
    """Executes one model."""

    @property
    def name(self) -> str:
        """Library and version."""

    @property
    def device(self) -> str:
        """Device that executes."""

    @property
    def threads(self) -> int:
        """Threads that it may use."""

    @property
    def path(self) -> Path:
        """Where the weights were read."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input: (1, h, w, 3)."""

    def run(self, fill: Callable[[NDArray[np.float32]], None]) -> NDArray[np.float32]:
        """Let ``fill`` write the input in place, run, and return a view of the output.

        The view is valid until the next call.
        """

    def close(self) -> None:
        """Release the model."""


class NetworkSegmenter:
    """Runs a model whose output is one channel of coverage.

    Parameters
    ----------
    model : str
        Its name.
    runtime : Runtime
        What executes it.
    timings : Timings, optional
        Where "prepare", the making of the input, and "invoke" are counted.

    State: the matrix of the last layout.
    """

    def __init__(self, model: str, runtime: Runtime, timings: Timings | None = None) -> None:
        self._timings = timings or Timings()
        self._model = model
        self._runtime = runtime
        self._matrix: tuple[Layout, NDArray[np.float32]] | None = None

    @property
    def info(self) -> SegmenterInfo:
        """See `Segmenter.info`."""
        runtime = self._runtime
        return SegmenterInfo(
            self._model, str(runtime.path), runtime.name, runtime.device, runtime.threads
        )

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        start = time.perf_counter()
        filled = start

        def fill(tensor: NDArray[np.float32]) -> None:
            nonlocal filled
            matrix = self._rgb_matrix(frame.layout)
            first, second, third = frame.reduced((tensor.shape[1], tensor.shape[2]))
            mix(first, second, third, matrix, tensor[0])
            filled = time.perf_counter()

        output = self._runtime.run(fill)
        self._timings.add("prepare", filled - start)
        self._timings.add("invoke", time.perf_counter() - filled)
        return output[0, :, :, 0].copy()

    def reset(self) -> None:
        """See `Segmenter.reset`; every frame stands alone here."""

    def close(self) -> None:
        """See `Segmenter.close`."""
        self._runtime.close()

    def _rgb_matrix(self, layout: Layout) -> NDArray[np.float32]:
        if self._matrix is None or self._matrix[0] != layout:
            self._matrix = layout, layout.to_rgb_matrix()
        return self._matrix[1]
