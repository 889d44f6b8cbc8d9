"""Matting by upsampling: geometry of the edge, and steadiness over time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.frames import Colour, Frame, Layout
from greenroom.matting import UpsampledMatting
from greenroom.settings import Settings

SIZE = (320, 180)
LAYOUT = Layout(*SIZE, "yuv420p", Colour(1, 1))
FRAME = Frame.filled(LAYOUT, (90, 90, 90))


def square(left: int = 24, right: int = 40, shape: tuple[int, int] = (36, 64)) -> Any:  # noqa: ANN401
    """Return a coarse matte of a standing bar."""
    coarse = np.zeros(shape, np.float32)
    coarse[:, left:right] = 1
    return coarse


def edges(values: Any) -> tuple[float, float]:  # noqa: ANN401
    """Return where a row of a matte rises and falls through one half."""
    row = values[90].astype(float) / 255
    inside = np.flatnonzero(row >= 0.5)
    return float(inside[0]), float(inside[-1] + 1)


class TestEdge:
    """Shift, softness, threshold."""

    def test_is_upsampling(self) -> None:
        """Without further settings it is bilinear interpolation of the coarse matte."""
        coarse = np.random.default_rng(1).random((36, 64), np.float32)
        values = UpsampledMatting(Settings()).matte(FRAME, coarse).values
        expected = cv2.resize(255 * coarse, SIZE, interpolation=cv2.INTER_LINEAR)
        assert np.abs(values - expected).max() <= 1

    @pytest.mark.parametrize("percent", [-4.0, -1.5, 1.5, 4.0])
    def test_shift_is_in_percent_of_the_shorter_side(self, percent: float) -> None:
        """Both edges move outwards by as much as the setting says, or inwards."""
        before = edges(UpsampledMatting(Settings()).matte(FRAME, square()).values)
        moved = UpsampledMatting(Settings(edge_shift=percent)).matte(FRAME, square()).values
        distance = percent / 100 * min(SIZE)
        assert abs(before[0] - edges(moved)[0] - distance) <= 2.5
        assert abs(edges(moved)[1] - before[1] - distance) <= 2.5

    def test_softness_widens_the_edge_where_it_is(self) -> None:
        """A softer edge is wider and stays in its place."""
        widths = []
        for softness in (0, 2, 4):
            settings = Settings(edge_softness=softness)
            values = UpsampledMatting(settings).matte(FRAME, square()).values
            assert abs(edges(values)[0] - 120) <= 1
            widths.append(int(((values[90] > 12) & (values[90] < 243)).sum()))
        assert widths == sorted(set(widths))

    @given(st.floats(0.01, 1), st.floats(0, 1, width=32))
    def test_threshold_makes_it_hard(self, threshold: float, value: float) -> None:
        """Coverage from the threshold on is all, below it nothing."""
        settings = Settings(threshold=threshold)
        coarse = np.full((4, 4), value, np.float32)
        values = UpsampledMatting(settings).matte(FRAME, coarse).values
        assert set(np.unique(values)) <= {0, 255}
        if abs(value - threshold) > 0.01:
            assert values[0, 0] == (255 if value > threshold else 0)


class TestTime:
    """Smoothing."""

    def test_noise_is_averaged_where_nothing_moves(self) -> None:
        """Of a picture that stands still, the matte flickers less than the model's answers."""
        rng = np.random.default_rng(1)
        answers = [
            np.clip(square() + rng.normal(0, 0.2, (36, 64)), 0, 1).astype(np.float32)
            for _ in range(30)
        ]
        flicker = []
        for smoothing in (0, 0.3, 0.7):
            matting = UpsampledMatting(Settings(smoothing=smoothing))
            mattes = [matting.matte(FRAME, answer).values.astype(float) for answer in answers]
            flicker.append(np.abs(np.diff(mattes[5:], axis=0)).mean())
        assert flicker == sorted(flicker, reverse=True)
        assert flicker[2] < flicker[0] / 2

    def test_first_frame_is_taken_as_it_is(self) -> None:
        """There is nothing to average yet, nor after a reset or a change of size."""
        plain, smooth = UpsampledMatting(Settings(smoothing=0)), UpsampledMatting(Settings())
        expected = plain.matte(FRAME, square(8, 20)).values
        assert_array_equal(smooth.matte(FRAME, square(8, 20)).values, expected)
        smooth.matte(FRAME, square(30, 60))
        smooth.reset()
        assert_array_equal(smooth.matte(FRAME, square(8, 20)).values, expected)
        smooth.matte(Frame.filled(Layout(32, 18, "gbrp"), (9, 9, 9)), square(30, 60))
        assert_array_equal(smooth.matte(FRAME, square(8, 20)).values, expected)

    def test_movement_is_followed_at_once(self) -> None:
        """Where the picture changes, the matte does not trail."""
        matting = UpsampledMatting(Settings(smoothing=0.9))
        for left in (10, 20, 30):
            frame = Frame.filled(LAYOUT, (20, 20, 20))
            frame.planes[0][:, 5 * left : 5 * left + 80] = 200
            values = matting.matte(frame, square(left, left + 16)).values
            expected = UpsampledMatting(Settings(smoothing=0)).matte(frame, square(left, left + 16))
            moved = values[:, 5 * left + 15 : 5 * left + 65]
            assert np.abs(moved.astype(int) - 255).max() <= 3
            assert np.abs(values.astype(int) - expected.values).mean() < 3

    def test_mattes_share_no_memory(self) -> None:
        """A matte can be kept: the next one does not change it."""
        matting = UpsampledMatting(Settings())
        first = matting.matte(FRAME, square()).values
        kept = first.copy()
        matting.matte(FRAME, square(0, 10))
        assert_array_equal(first, kept)
