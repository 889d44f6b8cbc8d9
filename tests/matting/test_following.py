"""Following: coverage is moved as the picture has, and not at all where that cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.matting.following import follow_motion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

SHAPE = 270, 480
HALF = 135, 240


def texture(y: Any, x: Any, seed: int, contrast: float = 30) -> Any:
    """Draw a smooth texture without an end: a few waves, at any places."""
    rng = np.random.default_rng(seed)
    waves = np.zeros(np.broadcast(y, x).shape)
    for _ in range(12):
        across, down = rng.uniform(-0.2, 0.2, 2)
        waves += np.cos(across * x + down * y + rng.uniform(0, 6.3))
    return contrast / 3 * waves


class Scene:
    """Somebody in front of a room, who has moved: everything is known at any place.

    Parameters
    ----------
    move : (float, float)
        Down and across, in samples of the working grid.
    scale : float
        How much larger they are.
    """

    def __init__(self, move: tuple[float, float] = (0, 0), scale: float = 1) -> None:
        self._move, self._scale = move, scale

    def _theirs(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Return places as they are on the person."""
        return (y - self._move[0] - 135) / self._scale, (x - self._move[1] - 240) / self._scale

    def _covered(self, y: Any, x: Any) -> Any:
        y, x = self._theirs(y, x)
        inside = (1 - np.hypot(y / 90, x / 60)) * 70  # about samples from the edge
        return np.clip(0.5 + inside / 6, 0, 1)

    @property
    def coverage(self) -> Floats:
        """The person, on the working grid."""
        y, x = np.indices(SHAPE) + 0.5
        return np.asarray(self._covered(y, x), np.float32)

    def luma(self, sigma: float = 0, seed: int = 0) -> Bytes:
        """Film it, on the half grid."""
        y, x = 2 * (np.indices(HALF) + 0.5)
        covered = self._covered(y, x)
        person, room = 150 + texture(*self._theirs(y, x), 1), 90 + texture(y, x, 2)
        noise = np.random.default_rng(seed).normal(0, sigma, HALF)
        values = covered * person + (1 - covered) * room + noise
        return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def error(found: Floats, expected: Floats) -> float:
    """Return the mean difference where the edge is or was."""
    around = (found != np.rint(found)) | (expected != np.rint(expected))
    return float(np.abs(found - expected)[around].mean())


class TestMotion:
    """What can be followed."""

    @pytest.mark.parametrize(
        "move", [(0.5, 0.0), (0.0, -0.7), (1.5, 1.0), (-2.5, 0.0), (2.0, -2.0), (0.0, 3.0)]
    )
    def test_moved(self, move: tuple[float, float]) -> None:
        """Coverage of somebody who moves ends up where they are, to a fraction of a sample."""
        before, now = Scene(), Scene(move)
        coverage = before.coverage
        unmoved = error(coverage, now.coverage)
        motion = follow_motion(before.luma(), now.luma(), coverage)
        assert motion.is_sure
        assert error(coverage, now.coverage) < max(0.02, 0.3 * unmoved)
        assert motion.farthest == pytest.approx(np.hypot(*move) / 2, abs=0.7)

    @pytest.mark.parametrize("scale", [0.98, 1.02])
    def test_nearer_and_farther(self, scale: float) -> None:
        """Somebody who comes or goes is followed as well, whose sides move apart."""
        before, now = Scene(), Scene(scale=scale)
        coverage = before.coverage
        unmoved = error(coverage, now.coverage)
        assert follow_motion(before.luma(), now.luma(), coverage).is_sure
        assert error(coverage, now.coverage) < 0.4 * unmoved

    def test_nothing_moves(self) -> None:
        """Coverage of the same picture stays what it is, bit by bit."""
        scene = Scene()
        coverage, luma = scene.coverage, scene.luma()
        motion = follow_motion(luma, luma.copy(), coverage)
        assert_array_equal(coverage, scene.coverage)
        assert motion == (True, 0, 0)

    @pytest.mark.parametrize("sigma", [1, 3])
    def test_noise_moves_little(self, sigma: float) -> None:
        """Fresh noise in every frame leaves the edge where it is, nearly."""
        scene = Scene()
        coverage = scene.coverage
        motion = follow_motion(scene.luma(sigma, 1), scene.luma(sigma, 2), coverage)
        assert motion.is_sure
        assert error(coverage, scene.coverage) < 0.02

    def test_what_is_behind_does_not_count(self) -> None:
        """In front of a room that moves the other way, the person's own motion is followed."""
        y, x = 2 * (np.indices(HALF) + 0.5)
        frames = []
        for scene, shift in ((Scene(), 0), (Scene((0, 2)), -2)):
            covered = scene._covered(y, x)  # noqa: SLF001 - of this test's own
            person = 150 + texture(*scene._theirs(y, x), 1)  # noqa: SLF001
            room = 90 + texture(y, x - shift, 2, 12)
            frames.append(np.rint(covered * person + (1 - covered) * room).astype(np.uint8))
        coverage = Scene().coverage
        unmoved = error(coverage, Scene((0, 2)).coverage)
        assert follow_motion(frames[0], frames[1], coverage).is_sure
        assert error(coverage, Scene((0, 2)).coverage) < 0.4 * unmoved


class TestDoubt:
    """What is not followed: then nothing is written."""

    def _assert_refused(self, before: Bytes, now: Bytes) -> None:
        coverage = Scene().coverage
        assert not follow_motion(before, now, coverage).is_sure
        assert_array_equal(coverage, Scene().coverage)

    def test_fast(self) -> None:
        """Somebody who has moved far is looked at."""
        self._assert_refused(Scene().luma(), Scene((0, 12)).luma())

    def test_beyond_the_limit(self) -> None:
        """So is who could be followed, but moves so fast that a camera blurs them."""
        self._assert_refused(Scene().luma(), Scene((0, 6)).luma())

    def test_occluded(self) -> None:
        """So is who is partly behind something that was not there."""
        now = Scene().luma()
        now[60:110, 80:125] = 40
        self._assert_refused(Scene().luma(), now)

    def test_another_picture(self) -> None:
        """And whatever is seen after a cut."""
        y, x = np.indices(HALF)
        other = np.rint(128 + texture(y, x, 5)).astype(np.uint8)
        self._assert_refused(Scene().luma(), other)

    @pytest.mark.parametrize("value", [0, 0.3, 1])
    def test_no_edge(self, value: float) -> None:
        """Where there is nobody, or nothing else, there is nothing to go by."""
        luma, coverage = Scene().luma(), np.full(SHAPE, value, np.float32)
        assert not follow_motion(luma, luma, coverage).is_sure
        assert np.all(coverage == np.float32(value))

    def test_no_number(self) -> None:
        """What is no number stays none, so that it is found where mattes are checked."""
        scene, coverage = Scene(), Scene().coverage
        coverage[135, 180] = np.nan
        follow_motion(scene.luma(), Scene((1, 1)).luma(), coverage)
        assert np.isnan(coverage).any()


class TestMemory:
    """Any size, and nothing outside of it."""

    @settings(max_examples=80, deadline=None)
    @given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 1000))
    def test_any_shape(self, height: int, width: int, seed: int) -> None:
        """What is moved is a mean of what was there, however small and odd the grids are."""
        rng = np.random.default_rng(seed)
        half = (height + 1) // 2, (width + 1) // 2
        before = rng.integers(0, 256, half, np.uint8)
        now = np.roll(before, rng.integers(-1, 2), axis=1)
        bounded = np.full((height + 2, width), 7, np.float32)
        coverage = bounded[1:-1]
        coverage[:] = rng.uniform(0.1, 0.9, (height, width)).round()
        follow_motion(before, now, coverage)
        assert np.all(bounded[[0, -1]] == 7)
        assert np.all((coverage >= 0) & (coverage <= 1))

    def test_shapes_that_do_not_fit(self) -> None:
        """A picture of another grid is an error."""
        luma = Scene().luma()
        with pytest.raises(TypeError, match="the core expected"):
            follow_motion(luma, luma[:-1].copy(), Scene().coverage)
        with pytest.raises(TypeError, match="the core expected"):
            follow_motion(luma, luma, Scene().coverage[:, ::2])

    def test_what_is_read_is_not_written(self) -> None:
        """Both pictures stay as they are."""
        before, now = Scene().luma(), Scene((1, 1)).luma()
        kept = before.copy(), now.copy()
        follow_motion(before, now, Scene().coverage)
        assert_array_equal(before, kept[0])
        assert_array_equal(now, kept[1])
