"""Transfer of foreground colours from a matting network to a full-size frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelOutputError
from greenroom.media.frame import Frame
from greenroom.segmenters.tensor_kernels import difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device

__all__ = ["recolour"]

_NO_NUMBERS: Final = "the model's foreground is not a picture: it has values that are no numbers"


def recolour(frame: Frame, colours: Array) -> Frame:
    """Return a frame with a matting network's foreground colours.

    The difference between the network's colours and its input is enlarged and added to the frame:
    the room's colour leaves hair and edges, and the frame keeps its detail.

    Parameters
    ----------
    frame : Frame
        The segmented frame. Read only.
    colours : (h, w, 3) float
        RGB in 0..1, at the size of the network's input. Read only. On the frame's device or, of
        any strides, NumPy's.

    Returns
    -------
    Frame
        The same layout and time, in new memory. Undefined where there is no person.

    Raises
    ------
    ModelOutputError
        If a colour is not a finite number.
    """
    height, width = colours.shape[:2]
    seen = frame.reduced((height, width))
    matrix = _from_rgb(frame.layout.to_rgb_matrix())
    if frame.device is not None:
        return _recoloured_on_device(frame, frame.device, colours, seen, matrix)
    given: NDArray[Any]
    (given,) = calls.on_host(colours)
    changes = np.empty((3, height, width), np.float32)
    difference(given.astype(np.float32, copy=False), seen, matrix, changes)
    low, high = float(changes.min()), float(changes.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ModelOutputError(_NO_NUMBERS)
    result = Frame.empty(frame.layout)
    for plane, change, target in zip(frame.planes, changes, result.planes, strict=True):
        rows, columns = plane.shape
        enlarged = cv2.resize(change, (columns, rows), interpolation=cv2.INTER_LINEAR)
        cv2.add(plane, enlarged, target, dtype=cv2.CV_8U)
    return result.at(frame)


def _recoloured_on_device(
    frame: Frame, device: Device, colours: Array, seen: Any, matrix: NDArray[np.float32]
) -> Frame:
    """Do the same on a device; only whether all is finite comes back."""
    wrong: Array
    if isinstance(colours, DeviceArray):
        (wrong,) = device.upload(np.zeros(1, np.int32))
    else:
        floats = np.ascontiguousarray(colours, np.float32)
        colours, wrong = device.upload(floats, np.zeros(1, np.int32))
    changes = device.empty((3, *colours.shape[:2]), np.float32)
    calls.difference(colours, seen, matrix, changes, wrong)
    result = Frame.empty(frame.layout, device=device)
    for plane, change, target in zip(frame.planes, changes, result.planes, strict=True):
        calls.add_enlarged(plane, change, target)
    if calls.on_host(wrong)[0].any():
        raise ModelOutputError(_NO_NUMBERS)
    return result.at(frame)


def _from_rgb(to_rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (3, 4) matrix from RGB to samples, the inverse of ``to_rgb``."""
    inverse = np.linalg.inv(to_rgb[:, :3].astype(np.float64))
    return np.ascontiguousarray(np.column_stack([inverse, -inverse @ to_rgb[:, 3]]), np.float32)
