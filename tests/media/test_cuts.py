"""Where another scene begins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_drawn import frame_of, person, room

from greenroom.media.cuts import CutDetector, changes


@given(
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(0, 2**31),
    st.tuples(*[st.integers(0, 70)] * 4),
)
def test_changes(height: int, width: int, seed: int, box: tuple[int, int, int, int]) -> None:
    """The sum of all differences, and the largest outside of a box, are NumPy's."""
    random = np.random.default_rng(seed)
    now, before = random.integers(0, 256, (2, height, width)).astype(np.uint8)
    left, right = sorted(min(place, width) for place in box[:2])
    top, bottom = sorted(min(place, height) for place in box[2:])
    differences = abs(now.astype(int) - before)
    total = differences.sum()
    differences[top:bottom, left:right] = 0
    assert changes(now, before, (left, top, right, bottom)) == (total, differences.max())


def test_a_box_beyond_the_planes_is_an_error() -> None:
    """Nothing outside of the planes' memory is read."""
    plane = np.zeros((4, 6), np.uint8)
    with pytest.raises(ValueError, match="not within"):
        changes(plane, plane, (0, 0, 7, 4))


def test_movement_is_no_cut() -> None:
    """Somebody who walks through the picture makes no other scene of it."""
    cuts = CutDetector()
    for number in range(20):
        assert not cuts.is_cut(frame_of(person(centre=(0.2 + 0.03 * number, 0.6)), number))


def test_another_room_is_a_cut_once() -> None:
    """The first frame of another scene is one, those after it are not."""
    cuts, matte = CutDetector(), person()
    assert not cuts.is_cut(frame_of(matte, 0))
    assert cuts.is_cut(frame_of(matte, 1, behind=255 - room()))
    assert not cuts.is_cut(frame_of(matte, 2, behind=255 - room()))


def test_nothing_is_before_the_first_frame() -> None:
    """Nor before the first one after a reset."""
    cuts, matte = CutDetector(), person()
    cuts.is_cut(frame_of(matte, 0))
    cuts.reset()
    assert not cuts.is_cut(frame_of(matte, 1, behind=255 - room()))
