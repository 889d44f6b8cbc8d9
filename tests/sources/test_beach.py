"""The beach that is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.sources.demo import draw_beach

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def test_is_what_its_formula_says() -> None:
    """Sky, sun, sea and foam are those of the whole formula at every pixel; sand has grain."""
    width, height = 320, 180
    y = np.linspace(0, 1, height)[:, None, None]
    x = np.linspace(0, 1, width)[None, :, None]

    def mixed(first: tuple[int, ...], second: tuple[int, ...], share: Floats) -> Floats:
        kept = np.clip(share, 0, 1)
        return np.asarray((1 - kept) * np.array(first) + kept * np.array(second))

    shore = 0.72 + 0.015 * np.sin(7 * x) + 0.006 * np.sin(23 * x)
    sky = mixed((120, 178, 232), (226, 238, 244), y / 0.5)
    waves = 9 * np.sin(260 * y + 6 * np.sin(9 * x)) * (y - 0.45)
    sea = mixed((44, 120, 158), (98, 186, 190), (y - 0.5) / 0.22) + waves
    sand = mixed((214, 190, 148), (238, 220, 182), (y - 0.72) / 0.28)
    whole = np.where(y < 0.5, sky, np.where(y < shore, sea, sand))
    whole += np.exp(-(((y - shore) / 0.006) ** 2)) * (250 - whole)
    distance = (x - 0.78) ** 2 * (width / height) ** 2 + (y - 0.18) ** 2
    whole += np.exp(-distance / 0.006) * (255 - whole)
    differences = np.abs(draw_beach((width, height)) - np.clip(whole, 0, 255))
    is_sand = np.broadcast_to(y > shore, whole.shape)
    assert differences[~is_sand].max() < 1.1
    assert 2 < differences[is_sand].mean() < 3
    assert differences[is_sand].max() < 18


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (3, 400), (32, 32)])
def test_any_size(size: tuple[int, int]) -> None:
    """It has the size that is asked for, however small or narrow."""
    assert draw_beach(size).shape == (*size[::-1], 3)
