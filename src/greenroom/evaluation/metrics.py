"""Measures of how well a matte agrees with a true one.

Every measure takes a predicted and a true matte of one shape, as uint8 (0 to
255) or floating point (0 to 1), in any mix of the two, and returns a plain
float. Means and shares are on the scale 0 to 1; papers and tables print `mad`
and `mse` times 1000 and `dtssd` times 100: that is left to the caller. `leak` is
in percent. `sad`, `gradient_error` and `connectivity_error` are sums over the
picture, so they grow with its size; they are in thousands, as papers print them.

A measure is NaN where the truth leaves nothing to measure (each function says
when), so that an average over frames can skip it with `numpy.nanmean` instead
of being flattered by it.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import cv2
import numpy as np

from greenroom.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    MatteArray: TypeAlias = NDArray[np.uint8] | NDArray[np.floating[Any]]
    Mask: TypeAlias = NDArray[np.bool_]

__all__ = [
    "DtssdMeter",
    "boundary_iou",
    "connectivity_error",
    "dtssd",
    "gradient_error",
    "iou",
    "leak",
    "mad",
    "mse",
    "sad",
]

BAND_PX: Final = 8
"""How far the band of `boundary_iou` reaches to either side of the edge."""

TOLERANCE_PX: Final = 4
"""How far outside the true matte coverage is forgiven by `leak`."""

TRANSPARENT: Final = 0.05
"""Coverage up to which `leak` counts a pixel as outside the true matte."""

OPAQUE: Final = 0.5
"""Coverage above which a pixel belongs to the foreground."""

GRADIENT_SIGMA_PX: Final = 1.4
"""Standard deviation of the derivative filters of `gradient_error`."""

CONNECTIVITY_STEPS: Final = 10
"""How many levels of coverage `connectivity_error` cuts both mattes at."""

CONNECTIVITY_THETA: Final = 0.15
"""Coverage above its connected level up to which `connectivity_error` forgives a pixel."""

# Where the Gaussian itself falls below this, the derivative filters end.
_GAUSSIAN_TAIL: Final = 1e-2

_ROUNDING: Final = 1e-3
"""How far resampling may push a floating-point matte out of 0 to 1."""


def iou(prediction: MatteArray, truth: MatteArray, threshold: float = OPAQUE) -> float:
    """Intersection over union of two mattes cut at a threshold.

    The Jaccard index [1]_ of the masks ``prediction > threshold`` and
    ``truth > threshold``. Symmetric in its two mattes.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.
    threshold : float
        Coverage, 0 to 1, above which a pixel is foreground.

    Returns
    -------
    float
        0 (disjoint) to 1 (the same mask). 1 if neither matte has foreground;
        0 if only one of them has.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] P. Jaccard, "The distribution of the flora in the alpine zone",
       New Phytologist 11(2), 1912.

    Examples
    --------
    >>> truth = np.array([[0, 255, 255, 255]], dtype=np.uint8)
    >>> prediction = np.array([[0.0, 0.2, 0.9, 1.0]])
    >>> round(iou(prediction, truth), 3)
    0.667
    """
    _check_pair(prediction, truth)
    found, true = _mask(prediction, threshold), _mask(truth, threshold)
    return _overlap(found, true, empty=1.0)


def boundary_iou(
    prediction: MatteArray,
    truth: MatteArray,
    threshold: float = OPAQUE,
    band_px: int = BAND_PX,
) -> float:
    """Intersection over union near the true edge ("band IoU").

    `iou` over only those pixels that have a pixel of the other side of the true
    edge within a disk of radius `band_px` around them. A whole-picture IoU hardly
    sees the edge of a large person; this one sees nothing else.

    It is a variant of the boundary IoU of [1]_: there each mask brings its own
    inner band; here one band, to both sides of the true edge, serves both masks,
    so that a prediction cannot choose where it is looked at. The picture's
    border is no edge. Not symmetric: the truth alone decides the band.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.
    threshold : float
        Coverage, 0 to 1, above which a pixel is foreground.
    band_px : int
        Reach of the band to either side of the true edge, in pixels.

    Returns
    -------
    float
        0 to 1. NaN if the truth has no edge (all foreground or none).

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] B. Cheng, R. Girshick, P. Dollár, A. C. Berg and A. Kirillov,
       "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
       CVPR 2021.

    Examples
    --------
    >>> truth = np.zeros((64, 64))
    >>> truth[:, 32:] = 1
    >>> prediction = np.roll(truth, 4, axis=1)
    >>> boundary_iou(truth, truth)
    1.0
    >>> boundary_iou(prediction, truth)
    0.5
    """
    _check_pair(prediction, truth)
    found, true = _mask(prediction, threshold), _mask(truth, threshold)
    disk = _disk(band_px)
    band = np.where(true, _dilated(~true, disk), _dilated(true, disk))
    return _overlap(found & band, true & band, empty=float("nan"))


def mad(prediction: MatteArray, truth: MatteArray) -> float:
    """Mean absolute difference of two mattes.

    The sum of absolute differences of the matting benchmark [1]_ divided by the
    number of pixels, taken over the whole picture (no trimap). Symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.

    Returns
    -------
    float
        0 (equal) to 1 (opposite). Tables usually print it times 1000.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
       Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

    Examples
    --------
    >>> mad(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]))
    0.25
    """
    return float(np.abs(_error(prediction, truth)).mean(dtype=np.float64))


def mse(prediction: MatteArray, truth: MatteArray) -> float:
    """Mean squared error between two mattes.

    The mean squared error of the matting benchmark [1]_, taken over the whole
    picture (no trimap). Symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.

    Returns
    -------
    float
        0 (equal) to 1 (opposite). Tables usually print it times 1000.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
       Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

    Examples
    --------
    >>> mse(np.array([[0.0, 0.5]]), np.array([[0.0, 1.0]]))
    0.125
    """
    return float(np.square(_error(prediction, truth)).mean(dtype=np.float64))


def sad(prediction: MatteArray, truth: MatteArray) -> float:
    """Sum of absolute differences of two mattes, in thousands.

    The first measure of the matting benchmark [1]_, taken over the whole picture
    (no trimap): `mad` times the thousands of pixels. Symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.

    Returns
    -------
    float
        0 (equal) to a thousandth of the number of pixels (opposite).

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
       Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

    Examples
    --------
    >>> sad(np.zeros((40, 50)), np.full((40, 50), 0.5))
    1.0
    """
    return float(np.abs(_error(prediction, truth)).sum(dtype=np.float64)) / 1000


def gradient_error(prediction: MatteArray, truth: MatteArray) -> float:
    """Difference in how steeply two mattes change, in thousands ("Grad").

    The sum over all pixels (no trimap) of the squared difference between the
    gradient magnitudes of the mattes: the gradient measure of [1]_ with q = 2. A
    gradient is taken with first-order derivatives of a Gaussian of standard
    deviation 1.4 pixels, cut off where the Gaussian is below 0.01 and scaled so
    that the squares of a filter's weights sum to 1; the picture's border is
    repeated. It sees an edge that is too soft, too hard or ragged, which `sad`
    hardly does. Symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.

    Returns
    -------
    float
        0 (they change alike) or more.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
       Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

    Examples
    --------
    >>> edge = np.zeros((20, 20))
    >>> edge[:, 10:] = 1
    >>> gradient_error(edge, edge)
    0.0
    >>> round(gradient_error(np.zeros((20, 20)), edge), 3)
    0.226
    """
    _check_pair(prediction, truth)
    difference = _steepness(_coverage(prediction)) - _steepness(_coverage(truth))
    return float(np.square(difference).sum(dtype=np.float64)) / 1000


def connectivity_error(prediction: MatteArray, truth: MatteArray) -> float:
    """Difference in how well two mattes hang together, in thousands ("Conn").

    The connectivity measure of [1]_ with p = 1, over all pixels (no trimap). Both
    mattes are cut at coverage 0.1, 0.2, ... 1.0. The largest 4-connected
    component of what lies at or above a level in both is that level's common
    foreground; a pixel is connected up to the level before the first whose common
    foreground leaves it out. Coverage of 0.15 or more above that level is loose,
    and the sum is of the differences in loose coverage. Islands and torn-off hair
    count, soft edges that hang together do not. Symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.

    Returns
    -------
    float
        0 to a thousandth of the number of pixels. 0 if both mattes are empty.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    References
    ----------
    .. [1] C. Rhemann, C. Rother, J. Wang, M. Gelautz, P. Kohli and P. Rott, "A
       Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.

    Examples
    --------
    >>> truth = np.zeros((40, 50))
    >>> truth[:, :20] = 1
    >>> prediction = truth.copy()
    >>> prediction[:, 30:40] = 1  # an island of 400 pixels
    >>> connectivity_error(prediction, truth)
    0.4
    """
    _check_pair(prediction, truth)
    found, true = _coverage(prediction), _coverage(truth)
    connected = _connected_level(np.minimum(found, true))
    difference = _loose(found, connected) - _loose(true, connected)
    return float(np.abs(difference).sum(dtype=np.float64)) / 1000


def dtssd(predictions: Iterable[MatteArray], truths: Iterable[MatteArray]) -> float:
    """How differently a predicted and a true sequence of mattes change in time.

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
    """Measures `dtssd` frame by frame, so that no clip need be held in memory.

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
        """Forget everything; the next frame begins a new sequence."""
        self._last_error: NDArray[np.float32] | None = None
        self._sum = 0.0
        self._frames = 0

    def add(self, prediction: MatteArray, truth: MatteArray) -> None:
        """Take the next frame's mattes.

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
        error = _error(prediction, truth)
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
        """Frames taken since the last reset."""
        return self._frames

    @property
    def value(self) -> float:
        """The mean over time so far; NaN before the second frame."""
        steps = self._frames - 1
        return self._sum / steps if steps > 0 else float("nan")


def leak(prediction: MatteArray, truth: MatteArray, tolerance_px: int = TOLERANCE_PX) -> float:
    """Percent of the room that is shown although it should be covered.

    Room is every pixel that lies more than `tolerance_px` rows or columns from
    the true matte, soft edge included (true coverage over 0.05); it leaks where
    the predicted coverage is over 0.5. The tolerance keeps out the error of the
    edge, which `boundary_iou` measures. Not symmetric.

    Parameters
    ----------
    prediction, truth : (H, W) uint8 or floating
        Coverage of the foreground, 0 to 255 or 0.0 to 1.0. Read only.
    tolerance_px : int
        Distance from the true matte, in pixels, up to which nothing counts.

    Returns
    -------
    float
        0 (nothing leaks) to 100, in percent of the room's pixels. NaN if the
        truth leaves no room; where it is empty the whole picture is room.

    Raises
    ------
    FormatError
        If the mattes are of different shapes or not mattes.

    Examples
    --------
    >>> truth = np.zeros((1, 20))
    >>> truth[:, :6] = 1
    >>> prediction = np.zeros((1, 20))
    >>> prediction[:, :12] = 1
    >>> leak(prediction, truth)
    20.0
    """
    _check_pair(prediction, truth)
    side = 2 * tolerance_px + 1
    square = np.ones((side, side), dtype=np.uint8)
    room = ~_dilated(_mask(truth, TRANSPARENT), square)
    shown = np.count_nonzero(_mask(prediction, OPAQUE) & room)
    total = np.count_nonzero(room)
    return float(100 * shown / total) if total else float("nan")


def _error(prediction: MatteArray, truth: MatteArray) -> NDArray[np.float32]:
    """Prediction minus truth in coverage 0 to 1, always in memory of its own."""
    _check_pair(prediction, truth)
    return np.subtract(_coverage(prediction), _coverage(truth))


def _coverage(matte: MatteArray) -> NDArray[np.float32]:
    """Return the matte as 0.0 to 1.0; may be the matte itself."""
    coverage = np.asarray(matte, dtype=np.float32)
    return coverage / np.float32(255) if matte.dtype == np.uint8 else coverage


def _mask(matte: MatteArray, threshold: float) -> Mask:
    """Return where coverage is over the threshold."""
    full = 255.0 if matte.dtype == np.uint8 else 1.0
    return np.greater(matte, threshold * full)


def _steepness(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
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
    """Return up to which coverage each pixel belongs to the largest part of the foreground."""
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


def _loose(coverage: NDArray[np.float32], connected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the coverage beyond the connected level, where that is not to be forgiven."""
    beyond = coverage - connected
    return np.where(beyond >= CONNECTIVITY_THETA, beyond, np.float32(0))


def _overlap(found: Mask, true: Mask, *, empty: float) -> float:
    """Intersection over union of two masks, `empty` if both are empty."""
    union = np.count_nonzero(found | true)
    return float(np.count_nonzero(found & true) / union) if union else empty


def _disk(radius_px: int) -> NDArray[np.uint8]:
    """Return a disk to dilate with, rasterised as OpenCV's ellipse is."""
    offset = np.arange(-radius_px, radius_px + 1)
    half_width = np.rint(np.sqrt(radius_px**2 - offset**2))
    return (np.abs(offset) <= half_width[:, np.newaxis]).astype(np.uint8)


def _dilated(mask: Mask, element: NDArray[np.uint8]) -> Mask:
    """Return where the element, centred there, meets the mask."""
    return cv2.dilate(mask.astype(np.uint8), element).astype(np.bool_)


def _check_pair(prediction: MatteArray, truth: MatteArray) -> None:
    """Raise FormatError unless both are mattes and of one shape."""
    _check_matte(prediction, "predicted")
    _check_matte(truth, "true")
    if prediction.shape != truth.shape:
        message = (
            f"expected mattes of one shape, got {prediction.shape} predicted and "
            f"{truth.shape} true. Resize the prediction to the truth."
        )
        raise FormatError(message)


def _check_matte(matte: MatteArray, which: str) -> None:
    """Raise FormatError unless this is a matte: one plane, one of two scales."""
    if matte.ndim != 2 or matte.size == 0:
        message = (
            f"expected a {which} matte of shape (height, width), got {matte.shape}. "
            "Give one channel."
        )
        raise FormatError(message)
    if matte.dtype == np.uint8:
        return
    if not np.issubdtype(matte.dtype, np.floating):
        message = (
            f"expected a {which} matte of uint8 (0 to 255) or floating point (0 to "
            f"1), got {matte.dtype}. Convert it to one of the two."
        )
        raise FormatError(message)
    lowest, highest = float(matte.min()), float(matte.max())
    if not (lowest >= -_ROUNDING and highest <= 1 + _ROUNDING):  # NaN fails both
        message = (
            f"expected a {which} matte of 0.0 to 1.0, got values from {lowest:g} to "
            f"{highest:g}. Divide by 255 or clip it first."
        )
        raise FormatError(message)
