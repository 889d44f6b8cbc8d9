"""Clean plates as pictures: RGB, and alpha 255 where they are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.errors import SettingsError
from greenroom.media.image_files import decode_with_alpha
from greenroom.media.limits import MAX_SIDE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ["check_shape", "decode_plate", "fitted_plate", "share_known"]

# Relative difference of the picture's aspect ratio from the frame's, for rounded odd sizes.
_MAX_STRETCH: Final = 0.01


def share_known(rgba: Plane) -> float:
    """Return the known share of an (H, W, 4) picture, 0 to 1."""
    return float((rgba[..., 3] > 0).mean())


def fitted_plate(picture: Plane, path: object, size: tuple[int, int]) -> Plane:
    """Scale a picture of the room, read from ``path``, to frames of a size.

    Parameters
    ----------
    picture : (h, w, 4) uint8
        See `decode_plate`.
    path : object
        Its name, for messages.
    size : (int, int)
        Width and height of the frames.

    Returns
    -------
    (H, W, 4) uint8
        Straight RGBA, alpha 0 (unknown) or 255.

    Raises
    ------
    SettingsError
        If it has another shape than the frames.
    """
    check_shape(picture, path, size)
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    way = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
    colours = np.asarray(cv2.resize(picture[..., :3], size, interpolation=way), np.uint8)
    # A sample with any unknown part is unknown: its colour means nothing.
    known = cv2.resize(picture[..., 3], size, interpolation=way) == 255
    return np.dstack([colours, np.where(known, 255, 0).astype(np.uint8)])


def check_shape(picture: Plane, path: object, size: tuple[int, int]) -> None:
    """Check that a picture of the room has the aspect ratio of the frames.

    Raises
    ------
    SettingsError
        If it differs.
    """
    height, width = picture.shape[:2]
    if abs(width * size[1] / (height * size[0]) - 1) > _MAX_STRETCH:
        message = (
            f"setting 'plate': '{path}' has {width}x{height} pixels, which is another shape than "
            f"the input's {size[0]}x{size[1]}. Record the room with the same camera settings."
        )
        raise SettingsError(message, "plate")


def decode_plate(path: str | Path) -> Plane:
    """Read a picture of the room, one of ``greenroom plate record`` or any other.

    Returns
    -------
    (h, w, 4) uint8
        Straight RGBA, alpha 0 (unknown) or 255; one without alpha is known everywhere.

    Raises
    ------
    SettingsError
        If it cannot be read.
    """
    try:
        rgba = decode_with_alpha(Path(path), MAX_SIDE_PX)
    except ValueError as error:
        message = (
            f"setting 'plate': '{path}' cannot be read: {error}. Give a picture of the empty "
            f"room, made by greenroom plate record."
        )
        raise SettingsError(message, "plate") from error
    rgba[..., 3] = np.where(rgba[..., 3] >= 128, 255, 0)
    return rgba
