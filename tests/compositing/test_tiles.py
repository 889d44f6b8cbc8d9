"""The matte at full size against NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.compositing.tiles import Guide, make
from greenroom.matting.grid_kernels import half_of as half
from greenroom.matting.guided_kernels import EDGE, EMPTY, FULL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_values(guide: Guide, out: NDArray[np.uint8]) -> None:
    """Compute the whole matte."""
    make(out.shape, guide.sorted_tiles(), guide=guide, whole=out)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.floats(1, 5),
    st.floats(0, 10, width=32),
    st.integers(0, 99),
)
def test_a_guided_matte(shape: tuple[int, int], factor: float, core: float, seed: int) -> None:
    """Everything is enlarged, and detail beyond the noise counts by the slope."""
    rng = np.random.default_rng(seed)
    large = round(shape[0] * factor), round(shape[1] * factor)
    base = (2 * rng.random(shape, np.float32) - 0.5).astype(np.float32)
    slope = (0.01 * rng.normal(size=shape)).astype(np.float32)
    reference = (255 * rng.random(shape, np.float32)).astype(np.float32)
    luma = np.pad(rng.integers(0, 256, large, dtype=np.uint8), ((0, 0), (0, 3)))[:, : large[1]]
    out = np.empty(large, np.uint8)
    kinds = np.full(half(shape), EDGE, np.uint8)
    write_values(Guide(base, slope, reference, kinds, luma, core), out)

    def stretched(values: NDArray[np.float32]) -> NDArray[np.float64]:
        rows, columns = (
            np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
            for n, m in zip(large, shape, strict=True)
        )
        across = np.stack([np.interp(columns, np.arange(shape[1]), row) for row in values])
        return np.stack(
            [np.interp(rows, np.arange(shape[0]), column) for column in across.T], axis=1
        )

    step = luma - stretched(reference)
    detail = np.sign(step) * np.maximum(np.abs(step) - core, 0)
    expected = 255 * np.clip(stretched(base) + stretched(slope) * detail, 0, 1)
    assert np.abs(out - expected).max() <= 1


def test_sharpen_fills_in() -> None:
    """Where the matte is certain nothing is computed."""
    base = np.full((8, 8), 0.5, np.float32)
    kinds = np.array([[EMPTY] * 4, [EMPTY, FULL, FULL, EMPTY], [FULL] * 4, [EDGE] * 4], np.uint8)
    out = np.empty((32, 32), np.uint8)
    guide = Guide(base, 0 * base, base, kinds, np.zeros((32, 32), np.uint8), 0.0)
    write_values(guide, out)
    expected = np.repeat(np.repeat(np.array([0, 255, 128])[kinds], 8, 0), 8, 1)
    assert_array_equal(out, expected)
