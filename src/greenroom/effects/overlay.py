"""A picture in front of everything, such as a logo."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.compositing.blend_kernels import over
from greenroom.cuda import calls
from greenroom.errors import SettingsError
from greenroom.media.frame import Frame
from greenroom.media.image_files import decode_with_alpha
from greenroom.media.limits import MAX_OVERLAY_SIDE_PX
from greenroom.media.matte import Matte
from greenroom.media.paths import unreadable_reason, user_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.media.frame import Plane
    from greenroom.media.layout import Layout

    Floats = NDArray[np.float32]

__all__ = ["POSITIONS", "Overlay", "create_overlay"]

# Positions, as shares of the free width and height.
POSITIONS: Final = {
    "top-left": (0.0, 0.0),
    "top": (0.5, 0.0),
    "top-right": (1.0, 0.0),
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "right": (1.0, 0.5),
    "bottom-left": (0.0, 1.0),
    "bottom": (0.5, 1.0),
    "bottom-right": (1.0, 1.0),
}
DEFAULT_POSITION: Final = "bottom-right"

# Largest height, and distance from the border, as shares of the frame's height.
_MAX_HEIGHT: Final = 0.2
_MARGIN: Final = 0.03
# Standard deviation of the blur that extends colours into clear parts, in samples.
_REACH_PX: Final = 2.0


def create_overlay(spec: str | None) -> Overlay | None:
    """Make the overlay that the setting ``overlay`` specifies; None for none.

    Raises
    ------
    SettingsError
        If the position is unknown or the picture cannot be read.
    """
    if spec is None:
        return None
    name, position = _parsed(spec)
    path = user_path(name)
    try:
        return Overlay(decode_with_alpha(path, MAX_OVERLAY_SIDE_PX), position)
    except ValueError as error:
        message = (
            f"overlay '{name}' cannot be read: {error}. Give a picture, best a PNG "
            f"with transparency, such as logo.png@{DEFAULT_POSITION}."
        )
        raise SettingsError(message, "overlay") from error


def _parsed(spec: str) -> tuple[str, str]:
    """Split a specification into file and position; file names may contain an @ too."""
    name, at, position = spec.rpartition("@")
    if not at:
        return spec, DEFAULT_POSITION
    if position.strip().lower() in POSITIONS and name:
        return name, position.strip().lower()
    if unreadable_reason(user_path(spec)) is None or not name:
        return spec, DEFAULT_POSITION
    near = difflib.get_close_matches(position, POSITIONS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(POSITIONS)}."
    message = f"overlay '{spec}': unknown position '{position}': {hint}"
    raise SettingsError(message, "overlay")


@dataclass(frozen=True, slots=True)
class _Placed:
    """An overlay fitted to a layout.

    Attributes
    ----------
    left, top : int
        Even, so that chroma stays where it is.
    picture : Frame
        Straight colours.
    matte : Matte
        Its coverage.
    """

    left: int
    top: int
    picture: Frame
    matte: Matte


class Overlay:
    """A picture with alpha in a corner, at a side or in the middle, never mirrored.

    It has its own size, or less if that exceeds a fifth of the frame's height or the frame's
    width. It is fitted once for each layout.

    Parameters
    ----------
    picture : (H, W, 4) uint8
        RGBA, straight colours.
    position : str
        One of `POSITIONS`.
    """

    def __init__(self, picture: NDArray[np.uint8], position: str = DEFAULT_POSITION) -> None:
        self._picture = picture
        self._place = POSITIONS[position]
        self._placed = lru_cache(maxsize=2)(self._fit)  # the output, and the preview
        self._uploaded = lru_cache(maxsize=2)(self._upload)

    def draw(self, frame: Frame, halvings: int = 0) -> None:
        """Draw it over a frame, in place; a frame's alpha grows by it.

        Parameters
        ----------
        frame : Frame
            Changed.
        halvings : int
            Number of times that the frame was halved; the overlay is halved as often.
        """
        if frame.device is not None and frame.alpha is not None:
            self._draw_on_host(frame, halvings)
            return
        placed = self._placed(frame.layout, halvings)
        if frame.device is not None:
            placed = self._uploaded(frame.layout, halvings, frame.device)
        rows, columns = placed.matte.values.shape
        alpha = None
        if frame.alpha is not None:
            view = frame.alpha[placed.top :, placed.left :][:rows, :columns]
            alpha = Matte(np.ascontiguousarray(view))
        for plane, picture in zip(frame.planes, placed.picture.planes, strict=True):
            step = 1 if plane.shape == frame.layout.plane_shapes[0] else 2
            view = plane[placed.top // step :, placed.left // step :]
            view = view[: picture.shape[0], : picture.shape[1]]
            share = coverage = placed.matte.for_plane(picture.shape)
            if alpha is not None:
                share = _share(coverage, alpha.for_plane(picture.shape))
            over(picture, view, share, view)
        if frame.alpha is not None:
            view = frame.alpha[placed.top :, placed.left :][:rows, :columns]
            over(np.full_like(placed.matte.values, 255), view, placed.matte.values, view)

    def _draw_on_host(self, frame: Frame, halvings: int) -> None:
        """Draw it over a frame with alpha on a device: where alpha is divided by."""
        drawn = frame.downloaded()
        self.draw(drawn, halvings)
        assert frame.device is not None
        there = drawn.uploaded(frame.device)
        for plane, target in zip(there.all_planes, frame.all_planes, strict=True):
            calls.copy_plane(plane, target)

    def _upload(self, layout: Layout, halvings: int, device: Device) -> _Placed:
        placed = self._placed(layout, halvings)
        picture, matte = placed.picture.uploaded(device), placed.matte.uploaded(device)
        return replace(placed, picture=picture, matte=matte)

    def _fit(self, layout: Layout, halvings: int) -> _Placed:
        height, width = self._picture.shape[:2]
        margin = _MARGIN * layout.height
        scale = min(
            0.5**halvings,
            _MAX_HEIGHT * layout.height / height,
            max(layout.width - 2 * margin, 1) / width,
        )
        size = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (
            2 * round((margin + share * (whole - 2 * margin - length)) / 2)
            for share, whole, length in zip(self._place, layout.size, size, strict=True)
        )
        return _encoded(_resized(self._picture, size), layout, left, top)


def _share(coverage: Plane, behind: Plane) -> Plane:
    """Return the overlay's share of the colour over a frame with alpha: a / (a + (1 - a) b)."""
    front = coverage.astype(np.float32)
    total = front + (255 - front) * behind / 255
    share = np.divide(255 * front, total, out=np.zeros_like(front), where=total > 0)
    return np.rint(share).astype(np.uint8)


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    """Resize RGBA, premultiplied so that clear samples do not affect colours."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    values = np.concatenate([picture[..., :3] * alpha, 255 * alpha], axis=2)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _encoded(values: Floats, layout: Layout, left: int, top: int) -> _Placed:
    """Encode premultiplied RGBA for a layout, cut at the frame's border, of even size."""
    width, height = layout.size
    left, top = max(0, min(left, width - 1)), max(0, min(top, height - 1))
    left, top = left - left % 2, top - top % 2
    rows = min(values.shape[0] + values.shape[0] % 2, height - top)
    columns = min(values.shape[1] + values.shape[1] % 2, width - left)
    padded = np.zeros((rows, columns, 4), np.float32)
    part = values[:rows, :columns]
    padded[: part.shape[0], : part.shape[1]] = part
    # Colours are extended into clear parts: a sample of chroma stands for four pixels.
    near = cv2.GaussianBlur(padded, (0, 0), _REACH_PX) + np.float32(1e-6) * padded.mean((0, 1))
    alpha = padded[..., 3:]
    colour = np.where(alpha > 0, padded[..., :3], near[..., :3])
    weight = np.maximum(np.where(alpha > 0, alpha, near[..., 3:]), np.float32(1e-6))
    rgb = np.clip(np.rint(255 * colour / weight), 0, 255).astype(np.uint8)
    own = replace(layout, width=columns, height=rows, colour=layout.colour.named(layout.size))
    picture = Frame.from_rgb(rgb).converted(own)
    return _Placed(left, top, picture, Matte(np.rint(alpha[..., 0]).astype(np.uint8)))
