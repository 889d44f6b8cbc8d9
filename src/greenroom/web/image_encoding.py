"""Frames encoded for browsers: JPEG for previews, PNG for snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.errors import FormatError
from greenroom.media.colour import FULL_RANGE_RGB
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

__all__ = ["thumbnail", "to_jpeg", "to_kept_jpeg", "to_png", "within"]

THUMBNAIL: Final = (320, 180)
"""Width and height of a thumbnail, in pixels."""
# Enough for previews, which are shown at half size for a fifteenth of a second.
_PREVIEW_QUALITY: Final = 80
_THUMBNAIL_QUALITY: Final = 85
_KEPT_QUALITY: Final = 95
# A low level, as the user waits for a snapshot.
_PNG_LEVEL: Final = 3
# Transparent pixels are shown over a checkerboard: side of its squares, and their two grays.
_SQUARE_PX: Final = 16
_GRAYS: Final = (200, 235)


def to_jpeg(frame: Frame) -> bytes:
    """Encode a frame as JPEG, over a checkerboard where it is transparent."""
    rgb = frame.to_rgb()
    if frame.alpha is not None:
        coverage = frame.alpha[:, :, None].astype(np.uint16)
        behind = _checkerboard(frame.size)[:, :, None]
        rgb = ((rgb * coverage + behind * (255 - coverage) + 127) // 255).astype(np.uint8)
    return _encoded(".jpg", rgb, cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY)


def to_kept_jpeg(picture: Frame) -> bytes:
    """Encode as JPEG with full chroma resolution (4:4:4), which keeps drawn edges sharp."""
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    return _encoded(".jpg", picture.to_rgb(), cv2.IMWRITE_JPEG_QUALITY, _KEPT_QUALITY, *sampling)


def to_png(frame: Frame) -> bytes:
    """Encode a frame as PNG, with its alpha."""
    samples = frame.to_rgb()
    if frame.alpha is not None:
        samples = np.dstack([samples, frame.alpha])
    return _encoded(".png", samples, cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL)


def thumbnail(picture: Frame) -> bytes:
    """Return the middle of a picture as a small JPEG."""
    width, height = picture.size
    scale = max(THUMBNAIL[0] / width, THUMBNAIL[1] / height)
    size = max(THUMBNAIL[0], round(width * scale)), max(THUMBNAIL[1], round(height * scale))
    rgb = picture.converted(Layout(*size, "gbrp", FULL_RANGE_RGB)).to_rgb()
    left, top = (size[0] - THUMBNAIL[0]) // 2, (size[1] - THUMBNAIL[1]) // 2
    middle = rgb[top : top + THUMBNAIL[1], left : left + THUMBNAIL[0]]
    return _encoded(".jpg", middle, cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY)


def within(picture: Frame, size: tuple[int, int]) -> Frame:
    """Return a picture scaled down so that it just covers `size`; never scaled up."""
    scale = max(size[0] / picture.size[0], size[1] / picture.size[1])
    if scale >= 1:
        return picture
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return picture.converted(replace(picture.layout, width=width, height=height))


def _checkerboard(size: tuple[int, int]) -> NDArray[np.uint16]:
    x, y = np.arange(size[0]) // _SQUARE_PX, np.arange(size[1]) // _SQUARE_PX
    return np.asarray(np.array(_GRAYS)[(x[None, :] + y[:, None]) % 2], np.uint16)


def _encoded(suffix: str, samples: NDArray[np.uint8], *options: int) -> bytes:
    """Encode (H, W, 3 or 4) RGB or RGBA samples."""
    code = cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    done, data = cv2.imencode(suffix, cv2.cvtColor(samples, code), options)
    if not done:
        message = f"a picture of {samples.shape[1]}x{samples.shape[0]} pixels cannot be encoded"
        raise FormatError(message)
    return bytes(data)
