"""The proof that a device computes what the processor does, before it is given any frame.

A few small frames go through all stages, once on the processor and once on the device.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import cv2
import numpy as np

from greenroom.backgrounds import create_background
from greenroom.cuda import calls
from greenroom.engine.compute import HOST, Compute
from greenroom.engine.picture import PictureMaker, Stages
from greenroom.errors import DeviceError
from greenroom.matting import create_matting
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.resizing import fill
from greenroom.media.timings import Timings
from greenroom.segmenters import Segmenter
from greenroom.segmenters.foreground import recolour
from greenroom.segmenters.tensor_kernels import mix
from greenroom.settings import Framing, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.media.layout import Format

__all__ = ["prove"]

# Differences of this many levels come of rounding.
_MAX_LEVELS: Final = 2
# Two levels of chroma are so many of blue in a model's input.
_MAX_LEVELS_OF_INPUT: Final = 4.3
# Large enough to be reduced to two thirds for analysis; of odd height.
_SIZE: Final = (642, 391)
_FRAMES: Final = 2
_DARK: Final = 16, 120
_TIME_BASE: Final = Fraction(1, 30)
_INPUT: Final = (144, 256)
# Cells of random grey, which are enlarged: noise of single pixels has no edges to follow.
_CELLS: Final = (9, 12)


class _Case(NamedTuple):
    """Frames, mattes and settings that decide which kernels run.

    Attributes
    ----------
    format : str
        Of the frames.
    makes_mattes : bool
        Whether mattes are taken as the segmenter gives them.
    values : dict
        Settings by name.
    """

    format: Format
    makes_mattes: bool
    values: dict[str, Any]


# The room and a scene behind, subsampled and full chroma, effects that resize and that do not.
_CASES: Final = (
    _Case(
        "yuv420p",
        makes_mattes=False,
        values={"background": "blur", "mirror": True, "low_light": 1.0, "match_light": 0.5},
    ),
    _Case(
        "yuv420p",
        makes_mattes=False,
        values={"background": "color:#e0c080", "light_wrap": 0.5, "clean_edges": True},
    ),
    _Case(
        "gbrp",
        makes_mattes=True,
        values={"background": "blur", "framing": Framing.FOLLOW, "low_light": 1.0},
    ),
)


def prove(device: Device) -> None:
    """Compare a device with the processor.

    It takes about 0.2 s of the processor, and what compiling the kernels takes, which is kept for
    later processes.

    Raises
    ------
    DeviceError
        If the device fails, or a result differs by more than rounding.
    """
    device.compile()
    for case in _CASES:
        expected, results = _results(case, HOST), _results(case, Compute(device))
        for (name, wanted), (_, found) in zip(expected, results, strict=True):
            _compare(device, name, found, wanted)


def _compare(device: Device, name: str, found: NDArray[Any], wanted: NDArray[Any]) -> None:
    apart = np.abs(found.astype(np.float32) - wanted)
    levels = _MAX_LEVELS_OF_INPUT if name == "input" else _MAX_LEVELS
    # Written so that NaN fails, too.
    if not (apart <= levels).all():
        message = (
            f"{device.name} computes something else than the processor: its {name} differs by "
            f"{apart.max():g} levels, where {levels:g} come of rounding"
        )
        raise DeviceError(message)


class _Drawn(Segmenter):
    """Sees a soft person in the middle, and reads pictures as networks do.

    Attributes
    ----------
    inputs : list of arrays
        What it read.
    """

    takes_device_frames = True
    remembers = False

    def __init__(self, *, makes_mattes: bool) -> None:
        self.makes_mattes = makes_mattes
        self.inputs: list[NDArray[Any]] = []

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        matrix = 255.0 * frame.layout.to_rgb_matrix()
        limits = np.tile(np.array([0, 255], np.float32), (3, 1))
        matrix = np.ascontiguousarray(matrix, np.float32)
        packed, planar = (
            calls.empty(shape, frame.planes[0], np.float32)
            for shape in ((*_INPUT, 3), (3, *_INPUT))
        )
        fill(frame.planes, matrix, limits, packed)
        mix(frame.reduced(_INPUT), matrix, limits, planar, planar=True)
        self.inputs += calls.on_host(packed, planar)
        rows, columns = _INPUT
        y, x = np.mgrid[:rows, :columns]
        apart = np.hypot((x - columns / 2) / (columns / 4), (y - rows / 2) / (rows / 3))
        return np.asarray(np.clip(4 * (1.2 - apart), 0, 1), np.float32)

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`."""
        if not self.makes_mattes:
            return None
        colours = np.linspace(0, 1, 3 * _INPUT[0] * _INPUT[1], dtype=np.float32)
        return recolour(frame, colours.reshape(*_INPUT, 3))


def _results(case: _Case, compute: Compute) -> list[tuple[str, NDArray[Any]]]:
    """Return pictures, mattes and inputs of a few frames, with their names."""
    settings = Settings(**case.values)
    segmenter = _Drawn(makes_mattes=case.makes_mattes)
    matting, background = create_matting(settings, segmenter), create_background(settings)
    stages = Stages(settings, segmenter, matting, background, compute=compute)
    maker = PictureMaker(Timings())
    results: list[tuple[str, NDArray[Any]]] = []
    try:
        for frame in _frames(case.format):
            rendered = maker.picture(frame, stages)
            assert rendered.matte is not None
            results += [("picture", plane) for plane in rendered.frame.planes]
            results.append(("matte", rendered.matte.downloaded().values))
    finally:
        background.close()
    return [*results, *(("input", values) for values in segmenter.inputs)]


def _clouds(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return smooth dark samples with a little noise."""
    cells = random.integers(20, 110, _CELLS).astype(np.float32)
    clouds = cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_CUBIC)
    noise = random.integers(-4, 5, shape)
    return np.asarray(np.clip(clouds + noise, *_DARK), np.uint8)


def _frames(format_: Format) -> Iterator[Frame]:
    """Yield frames of dark random clouds, the same each time."""
    random = np.random.default_rng(1)
    layout = Layout(*_SIZE, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
    first = Frame.filled(layout, (0, 0, 0))
    for plane in first.planes:
        plane[...] = _clouds(random, plane.shape)
    for number in range(_FRAMES):
        frame = first.copy()
        for plane in frame.planes:
            plane[...] = np.roll(plane, 4 * number, axis=1)
        yield frame.shown_at(number, _TIME_BASE)
