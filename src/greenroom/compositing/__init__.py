"""Compositing: a person over a background, plane by plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing.edge_kernels import TILE, TILE_ROWS, over_clean, survey
from greenroom.compositing.kernels import over
from greenroom.errors import FormatError
from greenroom.frames import Frame, Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.decontamination import EdgeColours

__all__ = ["composite"]


def composite(
    frame: Frame, matte: Matte, background: Frame, edges: EdgeColours | None = None
) -> Frame:
    """Put the foreground of a frame over a background through a matte.

    Per sample, ``matte * frame + (1 - matte) * background``: the *over* operator of [1]_
    for straight colour, exact to rounding. Over a background that has alpha the result has
    alpha too: its coverage is the matte, and its colour is the frame's wherever the matte
    is not zero, and the background's where it is.

    With the colours at the edges, the frame's sample is first taken apart where the matte is
    neither 0 nor 255, and what is blended, or written beside alpha, is the person's own.

    Parameters
    ----------
    frame, background : Frame
        Of equal layout. Read only.
    matte : Matte
        Of the frame's size.
    edges : EdgeColours, optional
        Of this frame and matte. Read only.

    Returns
    -------
    Frame
        New memory, with the frame's time.

    Raises
    ------
    FormatError
        If the layouts differ or the matte does not fit.

    References
    ----------
    .. [1] T. Porter and T. Duff, "Compositing Digital Images", SIGGRAPH 1984.
    """
    if background.layout != frame.layout:
        message = f"a background of {background.layout} does not fit a frame of {frame.layout}"
        raise FormatError(message)
    values = matte.values
    if values.shape != frame.layout.plane_shapes[0] or values.dtype != np.uint8:
        message = f"a matte of {values.shape}, {values.dtype}, does not fit a frame of {frame.size}"
        raise FormatError(message)
    result = Frame.empty(frame.layout, alpha=background.alpha is not None)
    if edges is None:
        for parts in zip(frame.planes, background.planes, result.planes, strict=True):
            plane, behind, target = parts
            coverage = matte.for_plane(plane.shape)
            over(plane, behind, coverage if result.alpha is None else _support(coverage), target)
    else:
        _blend_clean(frame, matte, background, edges, result)
    if result.alpha is not None:
        result.alpha[:] = matte.for_plane(result.alpha.shape)
    return result.at(frame)


def _support(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """255 wherever there is any coverage."""
    return np.multiply(values > 0, np.uint8(255))


def _blend_clean(
    frame: Frame, matte: Matte, background: Frame, edges: EdgeColours, result: Frame
) -> None:
    """Blend all planes, with the person's own colours where the matte is soft."""
    height, width = matte.values.shape
    kinds = np.empty((-(-height // TILE_ROWS), -(-width // TILE)), np.uint8)
    survey(matte.values, kinds)
    straight = result.alpha is not None
    for plane, behind, maps, target in zip(
        frame.planes, background.planes, edges.maps, result.planes, strict=True
    ):
        scale = 1 if plane.shape == (height, width) else 2
        coverage = matte.for_plane(plane.shape)
        side = edges.cell_px // scale
        over_clean(plane, behind, coverage, kinds, scale, maps, side, straight, target)
