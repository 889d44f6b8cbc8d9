"""The guided filter's loops against NumPy and OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
from grids import SHAPES, enlarged, mean3, somebody
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.matting.grid_kernels import half_of
from greenroom.matting.guided_kernels import EDGE, EMPTY, FULL, guide

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

_FLAT: Final = 200.0
_MIDDLE: Final = 0.52
_GAIN: Final = 1.25
_BESIDE: Final = 3


def fitted(reference: Floats, matte: Floats) -> tuple[Doubles, Doubles]:
    """Return the guided filter's coefficients as its paper has them."""
    guided, coverage = reference.astype(np.float64), matte.astype(np.float64)
    covariance = mean3(guided * coverage) - mean3(guided) * mean3(coverage)
    slope = covariance / (mean3(guided * guided) - mean3(guided) ** 2 + _FLAT)
    return mean3(slope), mean3(mean3(coverage) - slope * mean3(guided))


def guided(
    reference: Floats, matte: Floats, picture: NDArray[np.int16]
) -> tuple[NDArray[np.uint8], Floats, NDArray[np.uint8]]:
    """Return kinds and maps; what is not written is NaN."""
    kinds = np.full(reference.shape, 9, np.uint8)
    maps = np.full((3, *picture.shape), np.nan, np.float32)
    coverage = np.full(picture.shape, 99, np.uint8)
    guide(
        reference,
        matte,
        picture,
        kinds,
        maps,
        coverage,
        flat=_FLAT,
        middle=_MIDDLE,
        gain=_GAIN,
        beside=_BESIDE,
    )
    return kinds, maps, coverage


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(SHAPES) | st.tuples(st.integers(1, 60), st.integers(1, 90)),
    st.sampled_from(["some", "nobody", "everybody", "noise"]),
    st.integers(0, 2**31),
)
def test_guide(shape: tuple[int, int], kind: str, seed: int) -> None:
    """What is certain is told, and around edges the linear models are applied to the picture."""
    rng = np.random.default_rng(seed)
    half = half_of(shape)
    reference = (255 * rng.random(half, np.float32)).astype(np.float32)
    picture = rng.integers(0, 255 * 128 + 1, shape).astype(np.int16)
    matte = somebody(half, seed, kind)
    kinds, maps, coverage = guided(reference, matte, picture)
    slopes, offsets = fitted(reference, matte)
    least, most = offsets + np.minimum(255 * slopes, 0), offsets + np.maximum(255 * slopes, 0)
    low, high = _MIDDLE - 0.5 / _GAIN, _MIDDLE + 0.5 / _GAIN
    own = np.select([most <= low, least >= high], [EMPTY, FULL], EDGE).astype(np.uint8)
    margin = np.minimum(np.abs(most - low), np.abs(least - high))
    near = np.ones((3, 3), np.uint8)
    smallest, largest = (edit(own, near).reshape(half) for edit in (cv2.erode, cv2.dilate))
    expected = np.where(smallest == largest, own, EDGE)
    sure = cv2.erode(margin, near).reshape(half) > 1e-4  # rounding decides elsewhere
    assert_array_equal(kinds[sure], expected[sure])
    edges = (kinds == EDGE).astype(np.uint8)
    around = cv2.dilate(edges, np.ones((3, 2 * _BESIDE + 1), np.uint8)).reshape(half) > 0
    written = np.repeat(np.repeat(around, 2, 0), 2, 1)[: shape[0], : shape[1]]
    steep = enlarged(slopes, shape)
    value = steep * picture / 128 + enlarged(offsets, shape)
    assert_allclose(maps[0][written], ((value - _MIDDLE) * _GAIN + 0.5)[written], atol=1e-3)
    assert_allclose(maps[1][written], (_GAIN * steep)[written], atol=1e-5)
    assert_array_equal(maps[2][written], picture[written] / 128)
    expected = 255 * np.clip((value - _MIDDLE) * _GAIN + 0.5, 0, 1)
    assert np.abs(coverage - expected).max() <= 0.51


@pytest.mark.parametrize("value", [0, 1])
def test_what_is_certain_needs_no_guide(value: int) -> None:
    """Of nobody, and of a picture that is all somebody, nothing is computed on the working grid."""
    rng = np.random.default_rng(1)
    reference = (255 * rng.random((12, 20), np.float32)).astype(np.float32)
    picture = np.zeros((24, 40), np.int16)
    kinds, maps, coverage = guided(reference, np.full((12, 20), value, np.float32), picture)
    assert_array_equal(kinds, [EMPTY, FULL][value])
    assert np.isnan(maps).all()
    assert_array_equal(coverage, 255 * value)


def test_nothing_has_to_become_nothing() -> None:
    """A middle and a gain that would make something of nobody are refused."""
    half, picture = np.zeros((2, 2), np.float32), np.zeros((4, 4), np.int16)
    kinds, maps = np.zeros((2, 2), np.uint8), np.zeros((3, 4, 4), np.float32)
    coverage = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="nothing becomes something"):
        guide(
            half, half, picture, kinds, maps, coverage, flat=_FLAT, middle=0.3, gain=1.0, beside=1
        )
