"""Differences of two mattes over all pixels: the measures of the matting benchmark [1]_.

References
----------
.. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
   Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.evaluation.metrics.matte_arrays import check_pair, coverage_of, error_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.evaluation.metrics.matte_arrays import MatteArray

__all__ = ["connectivity_error", "gradient_error", "mad", "mse", "sad"]

GRADIENT_SIGMA_PX: Final = 1.4
"""Standard deviation of the derivative filters of `gradient_error`."""

CONNECTIVITY_STEPS: Final = 10
"""Number of coverage levels at which `connectivity_error` cuts both mattes."""

CONNECTIVITY_THETA: Final = 0.15
"""Coverage above its connected level up to which `connectivity_error` forgives a pixel."""

# The derivative filters are cut off where the Gaussian falls below this.
_GAUSSIAN_TAIL: Final = 1e-2


def mad(prediction: MatteArray, truth: MatteArray) -> float:
    """Mean absolute difference of two mattes.

    Returns
    -------
    float
        0 (equal) to 1 (opposite). Tables usually print it times 1000.

    Examples
    --------
    >>> mad(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]))
    0.25
    """
    return float(np.abs(error_of(prediction, truth)).mean(dtype=np.float64))


def mse(prediction: MatteArray, truth: MatteArray) -> float:
    """Mean squared error between two mattes.

    Returns
    -------
    float
        0 (equal) to 1 (opposite). Tables usually print it times 1000.

    Examples
    --------
    >>> mse(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]))
    0.125
    """
    return float(np.square(error_of(prediction, truth)).mean(dtype=np.float64))


def sad(prediction: MatteArray, truth: MatteArray) -> float:
    """Sum of absolute differences of two mattes, in thousands: `mad` times thousands of pixels.

    Returns
    -------
    float
        0 (equal) to a thousandth of the number of pixels (opposite).

    Examples
    --------
    >>> sad(np.zeros((40, 50)), np.full((40, 50), 0.5))
    1.0
    """
    return float(np.abs(error_of(prediction, truth)).sum(dtype=np.float64)) / 1000


def gradient_error(prediction: MatteArray, truth: MatteArray) -> float:
    """Difference between the gradients of two mattes, in thousands ("Grad").

    The sum over all pixels of the squared difference between the gradient
    magnitudes of the mattes: the gradient measure of [1]_ with q = 2. A gradient
    is taken with first-order derivatives of a Gaussian of standard
    deviation 1.4 pixels, cut off where the Gaussian is below 0.01 and scaled so
    that the squares of a filter's weights sum to 1; the picture's border is
    repeated. It sees an edge that is too soft, too hard or ragged, which `sad`
    hardly does.

    Returns
    -------
    float
        0 (they change alike) or more.

    Examples
    --------
    >>> edge = np.zeros((20, 20))
    >>> edge[:, 10:] = 1
    >>> gradient_error(edge, edge)
    0.0
    >>> round(gradient_error(np.zeros((20, 20)), edge), 3)
    0.392
    """
    check_pair(prediction, truth)
    difference = _gradient_magnitude(coverage_of(prediction)) - _gradient_magnitude(
        coverage_of(truth)
    )
    return float(np.square(difference).sum(dtype=np.float64)) / 1000


def connectivity_error(prediction: MatteArray, truth: MatteArray) -> float:
    """Difference between the connectivity of two mattes, in thousands ("Conn").

    The connectivity measure of [1]_ with p = 1, over all pixels. Both
    mattes are cut at coverage 0.1, 0.2, ... 1.0. The largest 4-connected
    component of what lies at or above a level in both is that level's common
    foreground; a pixel is connected up to the level before the first whose common
    foreground leaves it out. Coverage of 0.15 or more above that level is loose,
    and the sum is of the differences in loose coverage. Islands and torn-off hair
    count, soft edges that hang together do not.

    Returns
    -------
    float
        0 to a thousandth of the number of pixels. 0 if both mattes are empty.

    Examples
    --------
    >>> truth = np.zeros((40, 50))
    >>> truth[:, :20] = 1
    >>> prediction = truth.copy()
    >>> prediction[:, 30:40] = 1  # an island of 400 pixels
    >>> connectivity_error(prediction, truth)
    0.4
    """
    check_pair(prediction, truth)
    found, true = coverage_of(prediction), coverage_of(truth)
    connected = _connected_level(np.minimum(found, true))
    difference = _loose_coverage(found, connected) - _loose_coverage(true, connected)
    return float(np.abs(difference).sum(dtype=np.float64)) / 1000


def _gradient_magnitude(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the magnitude of the gradient, by derivatives of a Gaussian."""
    sigma = GRADIENT_SIGMA_PX
    peak = 1 / (math.sqrt(2 * math.pi) * sigma)
    reach = math.ceil(sigma * math.sqrt(2 * math.log(peak / _GAUSSIAN_TAIL)))
    offset = np.arange(-reach, reach + 1)
    smooth = np.exp(-(offset**2) / (2 * sigma**2))
    slope = offset * smooth
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    x, y = (
        cv2.sepFilter2D(coverage, cv2.CV_32F, along, across, borderType=cv2.BORDER_REPLICATE)
        for along, across in ((slope, smooth), (smooth, slope))
    )
    return np.hypot(x, y).astype(np.float32, copy=False)


def _connected_level(common: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the coverage up to which each pixel is part of the largest component."""
    level = np.zeros(common.shape, np.float32)
    connected = np.ones(common.shape, np.bool_)
    for step in range(1, CONNECTIVITY_STEPS + 1):
        threshold = np.float32(step / CONNECTIVITY_STEPS)
        above = (common >= threshold).astype(np.uint8)
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
        areas = statistics[1:, cv2.CC_STAT_AREA]
        if not len(areas):
            break
        connected &= labels == 1 + int(areas.argmax())
        level[connected] = threshold
    return level


def _loose_coverage(
    coverage: NDArray[np.float32], connected: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the coverage above the connected level, 0 where it is within the tolerance."""
    beyond = coverage - connected
    return np.where(beyond >= CONNECTIVITY_THETA, beyond, np.float32(0))
