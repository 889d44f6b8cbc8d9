"""Where another scene begins."""

from __future__ import annotations

from people_drawn import frame_of, person, room

from greenroom.media.cuts import CutDetector


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
