"""Difference of two sequences of mattes in how they change over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.errors import FormatError
from greenroom.evaluation.metrics.matte_arrays import error_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.evaluation.metrics.matte_arrays import MatteArray

__all__ = ["DtssdMeter"]


class DtssdMeter:
    """Temporal error of a sequence of mattes, such as flicker and lag (dtSSD), frame by frame.

    For every two consecutive frames, the root mean square over the pixels of the difference
    between the predicted and the true change, ``(p[t] - p[t-1]) - (truth[t] - truth[t-1])``; then
    the mean over time: dtSSD of [1]_ with the sum of squares divided by the number of pixels. An
    error that stands still does not count. Symmetric.

    State: the last frame's error, which shares no memory with the mattes, and the sum.

    References
    ----------
    .. [1] M. Erofeev, Y. Gitman, D. Vatolin, A. Fedorov and J. Wang,
       "Perceptually Motivated Benchmark for Video Matting", BMVC 2015.

    Examples
    --------
    >>> meter = DtssdMeter()
    >>> for coverage in (0.0, 0.5, 0.5):
    ...     meter.add(np.full((2, 2), coverage), np.zeros((2, 2)))
    >>> meter.value
    0.25
    """

    def __init__(self) -> None:
        self._last_error: NDArray[np.float32] | None = None
        self._sum = 0.0
        self._steps = 0

    def add(self, prediction: MatteArray, truth: MatteArray) -> None:
        """Add the next frame's mattes.

        Raises
        ------
        FormatError
            Also if they are not of the shape of the earlier ones. The frame is then not counted.
        """
        error = error_of(prediction, truth)
        if self._last_error is not None:
            if error.shape != self._last_error.shape:
                message = (
                    f"expected a matte of shape {self._last_error.shape} like the "
                    f"frames before, got {error.shape}. Use a meter for each sequence."
                )
                raise FormatError(message)
            change = error - self._last_error
            self._sum += float(np.sqrt(np.square(change).mean(dtype=np.float64)))
            self._steps += 1
        self._last_error = error

    @property
    def value(self) -> float:
        """Mean over the frames so far, 0 (they change alike) to 2; NaN before the second frame."""
        return self._sum / self._steps if self._steps else float("nan")
