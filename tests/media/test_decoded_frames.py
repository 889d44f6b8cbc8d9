"""Whatever pixels decoders give, they become ours or are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.video import format as formats

from greenroom.media.decoded_frames import flattened, orientation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEFT, RIGHT = (200, 60, 30), (30, 120, 220)
WEIGHTS = (0.299, 0.587, 0.114)
# Others are in the memory of a graphics processor, and decoders do not give them.
NAMES = sorted(name for name in vars(formats)["names"] if formats.VideoFormat(name).bits_per_pixel)


def two_colours() -> av.VideoFrame:
    """Return a frame of one colour on the left and another on the right."""
    samples = np.empty((48, 64, 3), np.uint8)
    samples[:, :32], samples[:, 32:] = LEFT, RIGHT
    return av.VideoFrame.from_ndarray(samples)


def expected(format_: formats.VideoFormat, rgb: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return what is left of a colour in a format."""
    colour = np.array(rgb, float)
    colours = [part for part in format_.components if not part.is_alpha]
    is_gray = len(colours) == 1 and not format_.has_palette
    return np.full(3, colour @ WEIGHTS) if is_gray else colour


@pytest.mark.parametrize("name", NAMES)
def test_a_pixel_format_keeps_its_colours_or_is_named(name: str) -> None:
    """Every format either has the colours that were put into it, or is refused by its name."""
    try:
        frame = two_colours().reformat(format=name, threads=1)
    except (av.error.FFmpegError, ValueError):  # libswscale may read it, but does not write it
        frame, is_known = av.VideoFrame(64, 48, name), False
    else:
        is_known = True
    try:
        orientation_of(frame)
        frames = [flattened(frame, "yuv420p"), flattened(frame)]
    except ValueError as error:
        assert f"cannot be converted, {name}" in str(error)  # noqa: PT017 - either way is right
        return
    bits = min(part.bits for part in frame.format.components)
    coarse = 4 + 255 / (2 ** min(bits, 8) - 1)
    for rgb in [shown.to_rgb()[8:40] for shown in frames if is_known]:
        for half, colour in ((rgb[:, 4:28], LEFT), (rgb[:, 36:60], RIGHT)):
            difference = half.mean(axis=(0, 1)) - expected(frame.format, colour)
            assert np.abs(difference).max() <= coarse
