"""Rendering of a frame: the picture composed of its layers, and views for previews."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.compositing import composite
from greenroom.compositing.edge_colours import EdgeColours
from greenroom.compositing.light import wrap_light
from greenroom.effects import mirrored, mirrored_matte
from greenroom.media import pyramid
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.matte import Matte
from greenroom.media.timings import Timings

if TYPE_CHECKING:
    from greenroom.compositing import Canvas
    from greenroom.media.frame import Plane

__all__ = [
    "VIEWS",
    "Layers",
    "Rendered",
    "compose",
    "gray",
    "halved",
    "matte_view",
    "mirrored_view",
    "view_halvings",
]

VIEWS: Final = frozenset({"after", "before", "matte"})
"""The names of the views that can be asked for."""

# Smallest width of a preview, in pixels.
_VIEW_PX: Final = 640
# Minimum side of the cells of edge colours, since 4:2:0 chroma has half as many samples.
_MIN_CELL_PX: Final = 2
_GRAY: Final = Colour(matrix=2, range=2)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Output for one frame: the picture or the cover, its validity, and views of it.

    Attributes
    ----------
    frame : Frame
        The output picture. Read only: with background ``none`` it may be the camera's frame itself.
    views : dict of str to Frame
        What was asked for, of about half the size and the same time, mirrored: ``after``, what
        is sent, in which only the person is mirrored and not what is behind or in front;
        ``before``, the camera's own picture, only of a frame that is valid; ``matte``, the
        matte of the camera's picture as a gray frame.
    valid : bool
        Whether it was made through a valid matte of that very frame, or is the camera's picture
        by the user's word; if not, it is the cover.
    is_camera : bool
        Whether it is the camera's picture: the background is ``none``.
    error : str
        Why it is the cover, as a sentence; empty otherwise.
    shows_room : bool
        Whether the room can be recognised in it, as it is or in grey, by the user's word.
    matte : Matte or None
        Of the frame as it came, before framing and mirror; None if it was not looked for.
    """

    frame: Frame
    views: dict[str, Frame] = field(default_factory=dict)
    valid: bool = True
    is_camera: bool = False
    error: str = ""
    shows_room: bool = False
    matte: Matte | None = None


class Layers(NamedTuple):
    """Layers of one picture, all of one layout.

    Attributes
    ----------
    person : Frame
        The person's own colours, wherever the matte is not zero.
    matte : Matte
        Of the person.
    background : Frame
        The picture behind the person.
    edges : EdgeColours or None
        What is mixed at the soft edges, to be taken apart.
    light_wrap : float
        How much of the background's light falls over the edge, 0 to 1.
    """

    person: Frame
    matte: Matte
    background: Frame
    edges: EdgeColours | None = None
    light_wrap: float = 0.0


def compose(layers: Layers, timings: Timings, canvas: Canvas | None = None) -> Frame:
    """Compose a picture.

    Parameters
    ----------
    layers : Layers
        Read only.
    timings : Timings
        Receives the stages "composite" and "light".
    canvas : Canvas, optional
        Where it goes; see `greenroom.compositing.composite`.

    Returns
    -------
    Frame
        The canvas's, or new memory, with the person's time.
    """
    person, matte, background, edges, light_wrap = layers
    with timings.stage("composite"):
        result = composite(person, matte, background, edges, canvas)
    if light_wrap and background.alpha is None:
        with timings.stage("light"):
            wrap_light(result, matte, background, light_wrap)
    return result


def mirrored_view(layers: Layers) -> Frame:
    """Compose a picture at preview size, with the person mirrored.

    What is behind stays as it is, so that what is written in it can be read.

    Parameters
    ----------
    layers : Layers
        Of the whole size. Read only.

    Returns
    -------
    Frame
        New memory, with the person's time.
    """
    times = view_halvings(layers.person.layout)
    small = Layers(
        halved(layers.person, times),
        _halved_matte(layers.matte, times),
        mirrored(halved(layers.background, times)),
        _finer(layers.edges, times),
        layers.light_wrap,
    )
    return mirrored(compose(small, Timings()))  # which turns the background back


def view_halvings(layout: Layout) -> int:
    """Return the number of halvings to preview size, 640 pixels wide or slightly more."""
    times = 0
    while layout.width >> (times + 1) >= _VIEW_PX:
        times += 1
    return times


def halved(frame: Frame, times: int) -> Frame:
    """Return a frame halved several times; the frame itself for zero.

    Every sample is the mean of four; sizes that are odd round up.
    """
    planes, layout = pyramid.halved(frame.all_planes, times), frame.layout
    for _ in range(times):
        layout = replace(
            layout,
            width=(layout.width + 1) // 2,
            height=(layout.height + 1) // 2,
            # Players assume an unspecified matrix from the size, which is changed here.
            colour=layout.colour.named(layout.size),
        )
    if layout is frame.layout:
        return frame
    alpha = planes[-1] if frame.alpha is not None else None
    return Frame(planes[: len(frame.planes)], layout, alpha=alpha).at(frame)


def matte_view(matte: Matte, frame: Frame) -> Frame:
    """Return the matte of a frame at the size of a view, mirrored, as a gray frame."""
    small = _halved_matte(matte, view_halvings(frame.layout))
    return gray(mirrored_matte(small).values, frame)


def gray(values: Plane, frame: Frame) -> Frame:
    """Return values as a gray frame of full range, at a frame's time. It shares their memory."""
    height, width = values.shape
    return Frame((values,), Layout(width, height, "gray", _GRAY)).at(frame)


def _halved_matte(matte: Matte, times: int) -> Matte:
    height, width = matte.shape
    for _ in range(times):
        height, width = (height + 1) // 2, (width + 1) // 2
    return Matte(matte.reduced_to((height, width)))


def _finer(edges: EdgeColours | None, times: int) -> EdgeColours | None:
    """Scale the cells of edge colours to a halved picture."""
    if edges is None or edges.cell_px >> times < _MIN_CELL_PX:
        return None
    return EdgeColours(edges.maps, edges.cell_px >> times)
