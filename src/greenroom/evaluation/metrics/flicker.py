"""Differences of two sequences of mattes in how they change over time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from greenroom.errors import FormatError
from greenroom.evaluation.metrics.matte_arrays import error_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from greenroom.evaluation.metrics.matte_arrays import MatteArray

__all__ = ["DtssdMeter", "dtssd"]


def dtssd(predictions: Iterable[MatteArray], truths: Iterable[MatteArray]) -> float:
    """Temporal error of a sequence of mattes, such as flicker and lag (dtSSD).

    For every two consecutive frames, the root mean square over the pixels of
    the difference between the predicted and the true change, ``(p[t] - p[t-1])
    - (truth[t] - truth[t-1])``; then the mean over time: dtSSD of [1]_ with the
    sum of squares divided by the number of pixels. It rises with flicker and with
    lag; an error that stands still does not count. Symmetric.

    Parameters
    ----------
    predictions, truths : iterable of (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0, in order of time.
        Read only; consumed one pair at a time, so generators may reuse a buffer.

    Returns
    -------
    float
        0 (they change alike) to 2. NaN if there are fewer than two frames.
        Tables usually print it times 100.

    Raises
    ------
    FormatError
        If the sequences are of different lengths, if their mattes are of
        different shapes, or if something in them is not a matte.

    See Also
    --------
    DtssdMeter : the same, fed frame by frame.

    References
    ----------
    .. [1] M. Erofeev, Y. Gitman, D. Vatolin, A. Fedorov and J. Wang,
       "Perceptually Motivated Benchmark for Video Matting", BMVC 2015.

    Examples
    --------
    >>> still = [np.zeros((2, 2)), np.zeros((2, 2))]
    >>> flickering = [np.zeros((2, 2)), np.full((2, 2), 0.5)]
    >>> dtssd(flickering, still)
    0.5
    """
    meter = DtssdMeter()
    for prediction, truth in itertools.zip_longest(predictions, truths):
        if prediction is None or truth is None:
            message = (
                "the predicted and the true sequence differ in length: one ends "
                f"after {meter.frames} frames. Give a true matte for every "
                "predicted one."
            )
            raise FormatError(message)
        meter.add(prediction, truth)
    return meter.value


class DtssdMeter:
    """Measures `dtssd` frame by frame, without holding a clip in memory.

    Keeps one float32 picture: the last frame's error. It shares no memory with
    the mattes it was given, so the caller may reuse theirs.

    Examples
    --------
    >>> meter = DtssdMeter()
    >>> for coverage in (0.0, 0.5, 0.5):
    ...     meter.add(np.full((2, 2), coverage), np.zeros((2, 2)))
    >>> meter.frames, meter.value
    (3, 0.25)
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Clear all state; the next frame begins a new sequence."""
        self._last_error: NDArray[np.float32] | None = None
        self._sum = 0.0
        self._frames = 0

    def add(self, prediction: MatteArray, truth: MatteArray) -> None:
        """Add the next frame's mattes.

        Parameters
        ----------
        prediction, truth : (H, W) uint8 or floating
            Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only, not
            kept.

        Raises
        ------
        FormatError
            If the mattes are of different shapes, not of the shape of the
            earlier ones, or not mattes. The frame is then not counted.
        """
        error = error_of(prediction, truth)
        if self._last_error is not None:
            if error.shape != self._last_error.shape:
                message = (
                    f"expected a matte of shape {self._last_error.shape} like the "
                    f"frames before, got {error.shape}. Reset the meter between "
                    "sequences."
                )
                raise FormatError(message)
            change = error - self._last_error
            self._sum += float(np.sqrt(np.square(change).mean(dtype=np.float64)))
        self._last_error = error
        self._frames += 1

    @property
    def frames(self) -> int:
        """Number of frames added since the last reset."""
        return self._frames

    @property
    def value(self) -> float:
        """Mean over the frames so far; NaN before the second frame."""
        steps = self._frames - 1
        return self._sum / steps if steps > 0 else float("nan")
