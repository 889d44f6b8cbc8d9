"""Compositing: a person over a background, plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing.pool import Canvas, FramePool
from greenroom.compositing.tiled_matte import TiledMatte
from greenroom.compositing.tiles import Composition, make
from greenroom.cuda import calls
from greenroom.errors import FormatError
from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.compositing.edge_colours import EdgeColours
    from greenroom.media.matte import Matte

__all__ = ["Canvas", "FramePool", "composite"]


def composite(
    frame: Frame,
    matte: Matte,
    background: Frame,
    edges: EdgeColours | None = None,
    canvas: Canvas | None = None,
) -> Frame:
    """Put the foreground of a frame over a background through a matte.

    Per sample, ``matte * frame + (1 - matte) * background``: the *over* operator of [1]_
    for straight colour, exact to rounding. Over a background that has alpha the result has
    alpha too: its coverage is the matte, and its colour is the frame's wherever the matte
    is not zero, and the background's where it is.

    With the colours at the edges, the frame's sample is first separated where the matte is
    neither 0 nor 255, and the person's own colour is blended, or written beside alpha.

    Parameters
    ----------
    frame, background : Frame
        Of equal layout. Read only.
    matte : Matte
        Of the frame's size.
    edges : EdgeColours, optional
        Of this frame and matte. Read only.
    canvas : Canvas, optional
        Memory for the result: of that layout, with alpha if the background has alpha. None
        allocates new memory. Frames on a device do not use it: their result is on the device.

    Returns
    -------
    Frame
        The canvas's, with the frame's time.

    Raises
    ------
    FormatError
        If the layouts differ or the matte does not fit.

    References
    ----------
    .. [1] T. Porter and T. Duff, "Compositing Digital Images", SIGGRAPH 1984.
    """
    if background.layout is not frame.layout and background.layout != frame.layout:
        message = f"a background of {background.layout} does not fit a frame of {frame.layout}"
        raise FormatError(message)
    if matte.shape != frame.layout.plane_shapes[0]:
        message = f"a matte of {matte.shape} does not fit a frame of {frame.size}"
        raise FormatError(message)
    straight = background.alpha is not None
    if frame.device is not None:
        return _composite_on_device(frame, matte, background, edges, straight=straight)
    result = canvas.frame if canvas else Frame.empty(frame.layout, alpha=straight)
    held = canvas.held if canvas else None
    maps, cell_px = (None, 1) if edges is None else (edges.maps, edges.cell_px)
    picture = Composition(
        frame.planes, background.planes, result.planes, maps, cell_px, straight, held
    )
    if isinstance(matte, TiledMatte):
        matte.draw(picture, result.alpha)
    else:
        make(matte.shape, _checked(matte), picture=picture, whole=result.alpha)
    return result.at(frame)


def _composite_on_device(
    frame: Frame,
    matte: Matte,
    background: Frame,
    edges: EdgeColours | None,
    *,
    straight: bool,
) -> Frame:
    """Do the same on the device that everything is on, in new memory there."""
    result = Frame.empty(frame.layout, alpha=straight, device=frame.device)
    planes = zip(frame.planes, background.planes, result.planes, strict=True)
    for index, (front, back, target) in enumerate(planes):
        maps, side = None, 1
        if edges is not None:
            maps = edges.maps[index]
            side = edges.cell_px if target.shape == matte.shape else edges.cell_px // 2
        cover = matte.for_plane(target.shape)
        calls.blend(front, back, cover, target, maps=maps, side=side, straight=straight)
    if result.alpha is not None:
        calls.copy_plane(matte.values, result.alpha)
    return result.at(frame)


def _checked(matte: Matte) -> NDArray[np.uint8]:
    values = matte.values
    if values.dtype != np.uint8:
        message = f"expected a matte of uint8, not of {values.dtype}"
        raise FormatError(message)
    return values
