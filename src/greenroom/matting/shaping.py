"""Edge settings applied to a matte: shift, softness and threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.cuda import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hardened", "shifted", "softened"]

# A sample changes sides once it passes the threshold by this much, in 8-bit levels.
_HYSTERESIS: Final = 0.06 * 255


def hardened(
    values: NDArray[np.uint8], threshold: float | None, before: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Threshold a matte in place: 255 from a coverage of 0 to 1 on, and 0 below.

    Parameters
    ----------
    values : (H, W) uint8
        A matte; changed.
    threshold : float or None
        None leaves it as it is.
    before : (H, W) uint8, optional
        The hard matte of the frame before, for hysteresis: a sample near the threshold stays on
        its side, so that it does not flicker. Read only.
    """
    if threshold is None:
        return values
    least = 255 * threshold - 0.5
    if calls.on_device(values):
        hard_table = np.where(np.arange(256) >= least, 255, 0).astype(np.uint8)
        calls.look_up(values, hard_table, values)
        return values
    if before is not None and before.shape == values.shape:
        # Full and zero coverage are never held back, however near to 0 or 1 the threshold is.
        on, off = min(255.0, least + _HYSTERESIS), max(0.5, least - _HYSTERESIS)
        hard = np.where(before > 0, values >= off, values >= on)
    else:
        hard = values >= least
    np.multiply(hard, np.uint8(255), out=values)
    return values


def shifted(
    coarse: NDArray[np.float32], shift: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Move the edge of a coarse matte outwards, or inwards where the shift is negative.

    Grey-scale dilation or erosion by a box; between whole samples, linear interpolation.

    Parameters
    ----------
    coarse : (h, w) float32
        Read only.
    shift : float
        Distance, as a share of the frame's shorter side.
    size : (int, int)
        Width and height of the frame in pixels.
    """
    if shift == 0:
        return coarse
    reach_x, reach_y = _reach(coarse, abs(shift), size)
    for reach, (x, y) in ((reach_x, (1, 0)), (reach_y, (0, 1))):
        low, part = divmod(reach, 1)
        near = _extremum(coarse, shift, int(low) * x, int(low) * y)
        far = _extremum(coarse, shift, int(low + 1) * x, int(low + 1) * y)
        coarse = near + np.float32(part) * (far - near)
    return coarse


def _extremum(
    coarse: NDArray[np.float32],
    shift: float,
    x: int,
    y: int,
) -> NDArray[np.float32]:
    """Return the largest value within x and y samples, or the smallest for a shift inwards."""
    operation = cv2.dilate if shift > 0 else cv2.erode
    return operation(coarse, np.ones((2 * y + 1, 2 * x + 1), np.uint8))  # type: ignore[return-value]


def softened(
    coarse: NDArray[np.float32], softness: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Blur a coarse matte; the softness is a standard deviation, in the unit of `shifted`."""
    if softness == 0:
        return coarse
    sigma_x, sigma_y = _reach(coarse, softness, size)
    return cv2.GaussianBlur(  # type: ignore[return-value]
        coarse, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REPLICATE
    )


def _reach(coarse: NDArray[np.float32], share: float, size: tuple[int, int]) -> tuple[float, float]:
    """Express a share of the frame's shorter side in samples of the coarse matte, (x, y)."""
    width, height = size
    distance_px = share * min(size)
    return distance_px * coarse.shape[1] / width, distance_px * coarse.shape[0] / height
