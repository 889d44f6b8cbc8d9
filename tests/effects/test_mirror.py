"""Mirroring: exact where it can be, and twice is where one began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from greenroom.effects import mirrored, mirrored_matte
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")


def noise(layout: Layout, rng: np.random.Generator, *, alpha: bool = False) -> Frame:
    """Return a frame of random samples."""
    frame = Frame.empty(layout, alpha=alpha)
    for plane in frame.all_planes:
        plane[:] = rng.integers(0, 256, plane.shape)
    return frame


class TestMirrored:
    """A frame in a looking glass."""

    @pytest.mark.parametrize("alpha", [False, True])
    @pytest.mark.parametrize("format_", FORMATS)
    def test_exchanges_left_and_right(
        self, *, format_: Format, alpha: bool, rng: np.random.Generator
    ) -> None:
        """Every plane is turned around, alpha too, and layout and time stay."""
        frame = noise(Layout(32, 18, format_, Colour(1, 1)), rng, alpha=alpha)
        result = mirrored(frame)
        assert result.layout == frame.layout
        assert (result.alpha is None) == (frame.alpha is None)
        for plane, source in zip(result.all_planes, frame.all_planes, strict=True):
            assert_array_equal(plane, source[:, ::-1])
            assert not np.shares_memory(plane, source)

    @pytest.mark.parametrize("width", [1, 3, 33])
    def test_chroma_of_odd_widths_stays_with_its_luma(
        self, width: int, rng: np.random.Generator
    ) -> None:
        """Chroma of an odd width is what the mean of the flipped picture's pixels would be."""
        frame = noise(Layout(width, 4, "yuv420p"), rng)
        result = mirrored(frame)
        for plane, source in zip(result.planes[1:], frame.planes[1:], strict=True):
            full: NDArray[np.float64] = np.repeat(source.astype(float), 2, axis=1)[:, :width]
            flipped = np.pad(full[:, ::-1], ((0, 0), (0, width % 2)), mode="edge")
            expected = flipped.reshape(len(source), -1, 2).mean(axis=2)
            assert abs(plane - expected).max() <= 0.5

    def test_matte(self, rng: np.random.Generator) -> None:
        """A matte is turned around in new memory."""
        values = rng.integers(0, 256, (9, 16)).astype(np.uint8)
        result = mirrored_matte(Matte(values)).values
        assert_array_equal(result, values[:, ::-1])
        assert result.flags.c_contiguous
        assert not np.shares_memory(result, values)
