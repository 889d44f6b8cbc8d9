"""The geometry of an edge: enlarged, moved, softened, hard."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.matting import UpsampledMatting
from greenroom.matting.shaping import hardened
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings

SIZE = (320, 180)
LAYOUT = Layout(*SIZE, "yuv420p", Colour(1, 1))
FRAME = Frame.filled(LAYOUT, (90, 90, 90))


def square(left: int = 24, right: int = 40, shape: tuple[int, int] = (36, 64)) -> Any:
    """Return a coarse matte of a standing bar."""
    coarse = np.zeros(shape, np.float32)
    coarse[:, left:right] = 1
    return coarse


def made(settings: Settings, coarse: Any) -> Any:
    """Return the values of a matte that is made of a coarse one."""
    return UpsampledMatting(settings).matte(FRAME, lambda _: coarse).values


def edges(values: Any) -> tuple[float, float]:
    """Return where a row of a matte rises and falls through one half."""
    row = values[90].astype(float) / 255
    inside = np.flatnonzero(row >= 0.5)
    return float(inside[0]), float(inside[-1] + 1)


class TestEdge:
    """Shift, softness, threshold."""

    def test_is_upsampling(self) -> None:
        """Without further settings it is bilinear interpolation of the coarse matte."""
        coarse = np.random.default_rng(1).random((36, 64), np.float32)
        values = made(Settings(), coarse)
        expected = cv2.resize(255 * coarse, SIZE, interpolation=cv2.INTER_LINEAR)
        assert np.abs(values - expected).max() <= 1

    @pytest.mark.parametrize("percent", [-4.0, -1.5, 1.5, 4.0])
    def test_shift_is_in_percent_of_the_shorter_side(self, percent: float) -> None:
        """Both edges move outwards by as much as the setting says, or inwards."""
        before = edges(made(Settings(), square()))
        moved = made(Settings(edge_shift=percent), square())
        distance = percent / 100 * min(SIZE)
        assert abs(before[0] - edges(moved)[0] - distance) <= 2.5
        assert abs(edges(moved)[1] - before[1] - distance) <= 2.5

    def test_softness_widens_the_edge_where_it_is(self) -> None:
        """A softer edge is wider and stays in its place."""
        widths = []
        for softness in (0, 2, 4):
            settings = Settings(edge_softness=softness)
            values = made(settings, square())
            assert abs(edges(values)[0] - 120) <= 1
            widths.append(int(((values[90] > 12) & (values[90] < 243)).sum()))
        assert widths == sorted(set(widths))

    @given(st.floats(0.01, 1), st.floats(0, 1, width=32))
    def test_threshold_makes_it_hard(self, threshold: float, value: float) -> None:
        """Coverage from the threshold on is all, below it nothing."""
        settings = Settings(threshold=threshold)
        coarse = np.full((4, 4), value, np.float32)
        values = made(settings, coarse)
        assert set(np.unique(values)) <= {0, 255}
        if abs(value - threshold) > 0.01:
            assert values[0, 0] == (255 if value > threshold else 0)


class TestHysteresis:
    """A hard matte of a stream."""

    def test_near_the_threshold_nothing_flickers(self, rng: np.random.Generator) -> None:
        """Noise of 10 levels around the threshold changes no sample once it is on a side."""
        level, before, changes, plain = 127.5, None, 0, 0
        for _ in range(50):
            noisy = np.clip(level + rng.uniform(-10, 10, (20, 30)), 0, 255).astype(np.uint8)
            hard = hardened(noisy.copy(), 0.5, before)
            if before is not None:
                changes += int((hard != before).sum())
            plain += int((hardened(noisy.copy(), 0.5) > 0).sum())
            before = hard
        assert changes == 0
        assert 0 < plain < 50 * 600

    @given(threshold=st.floats(0.01, 1), was=st.sampled_from([0, 255]))
    def test_what_is_certain_changes_at_once(self, threshold: float, was: int) -> None:
        """Full coverage is on and none is off, whatever was before and the threshold is."""
        values = np.array([[0, 255]], np.uint8)
        hard = hardened(values, threshold, np.full((1, 2), was, np.uint8))
        assert hard.tolist() == [[0, 255]]
