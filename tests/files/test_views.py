"""What is written of a frame: the picture, its matte, or the input beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.engine.engine import VirtualBackground
from greenroom.files.convert import convert, extract_matte
from greenroom.files.views import beside, process_for
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sources import create_source
from greenroom.testing import Fault, FaultySegmenter, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize("width", [64, 63])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_halves_are_the_frames(width: int, has_alpha: bool, rng: np.random.Generator) -> None:
    """Every plane has one frame on each side; an opaque one is opaque."""
    frames = []
    for alpha in (None, 7 if has_alpha else None):
        frame = Frame.filled(Layout(width, 36, "yuv420p"), (0, 0, 0), alpha=alpha)
        for plane in frame.planes:
            plane[:] = rng.integers(0, 255, plane.shape)
        frames.append(frame)
    both = beside(*frames)
    assert both.size == (128, 36)
    for result, left, right in zip(both.planes, *(one.planes for one in frames), strict=True):
        half = result.shape[1] // 2
        np.testing.assert_array_equal(result[:, : left.shape[1]], left)
        np.testing.assert_array_equal(result[:, half : half + right.shape[1]], right)
    if both.alpha is not None:
        assert set(np.unique(both.alpha[:, :64])) == {255}
        assert set(np.unique(both.alpha[:, 64:])) == {7}
    assert (both.alpha is not None) == has_alpha


def test_frame_without_a_matte_is_on_neither_side() -> None:
    """The room is beside the picture where there is a valid matte, and nowhere otherwise."""
    values = Settings(background="color:teal", view="side-by-side", on_failure="cover")
    segmenter = FaultySegmenter({1: Fault.RAISE})
    seen = []
    with VirtualBackground(values, segmenter=segmenter) as engine:
        for frame in PersonSource(frames=3):
            made = process_for(values)(engine, frame)
            half = made.size[0] // 2
            sides = (slice(None, half), slice(half, None))
            seen.append([count_room_pixels(_part(made, side)) for side in sides])
    assert [bool(left) for left, _ in seen] == [True, False, True]
    assert seen[1][1] == 0


def test_matte_is_that_of_the_other_command(
    tmp_path: Path, portrait: NDArray[np.uint8], make_video: Callable[..., Path]
) -> None:
    """``--view matte`` writes what ``greenroom matte`` does."""
    source = make_video([portrait[::4, ::4]] * 4)
    convert(source, tmp_path / "view.mkv", view="matte")
    extract_matte(source, tmp_path / "matte.mkv")
    view, matte = (
        [frame.planes[0] for frame in create_source(tmp_path / name, Settings())]
        for name in ("view.mkv", "matte.mkv")
    )
    assert np.max(view) > 200
    np.testing.assert_array_equal(view, matte)


def _part(frame: Frame, columns: slice) -> Frame:
    """Return a half of a frame, by the columns of its first plane."""
    rgb = np.ascontiguousarray(frame.to_rgb()[:, columns])
    return Frame.from_rgb(rgb)
