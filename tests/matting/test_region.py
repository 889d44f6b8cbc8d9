"""The part of a frame that the model looks at."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from people_drawn import frame_of, person

from greenroom.matting.region import GridBox, RegionTracker, box_of, extent

SHAPE = (360, 640)


def boxes() -> st.SearchStrategy[GridBox]:
    """Return boxes within a grid."""
    return st.builds(
        lambda x, y, w, h: GridBox(x, y, min(x + w, 640), min(y + h, 360)),
        st.integers(0, 600),
        st.integers(0, 330),
        st.integers(1, 640),
        st.integers(1, 360),
    )


class TestBox:
    """Boxes."""

    @given(boxes(), st.floats(0, 1))
    def test_margins(self, box: GridBox, share: float) -> None:
        """A margin holds the box, stays within the grid, and begins and ends at even samples."""
        larger = box.with_margin(share, SHAPE)
        assert larger.holds(box)
        assert GridBox(0, 0, 640, 360).holds(larger)
        assert all(value % 2 == 0 for value in larger)

    @given(boxes(), boxes())
    def test_unions_hold_both(self, one: GridBox, other: GridBox) -> None:
        """So does where somebody will be who moves from one to the other."""
        assert one.union(other).holds(one)
        assert one.union(other).holds(other)
        assert one.moved_on(other).holds(one)

    def test_are_found(self) -> None:
        """On the grid of twice the size, without specks where that is asked for."""
        half = np.zeros((180, 320), np.float32)
        half[20:80, 100:160] = 1
        half[150, 300] = 1
        full = np.zeros(SHAPE, np.float32)
        assert box_of(half, full) == GridBox(200, 40, 320, 160)
        assert extent(half, full) == GridBox(200, 40, 602, 302)
        assert box_of(0 * half, full) is None
        assert extent(0 * half, full) is None


class TestTracker:
    """Following."""

    def test_does_not_pump(self) -> None:
        """A person who sways a little stays within one part."""
        tracker, seen = RegionTracker(), set()
        for number in range(60):
            matte = person(centre=(0.5 + 0.01 * np.sin(number / 3), 0.6))
            frame = frame_of(matte, number)
            if tracker.needs_whole(frame):
                tracker.found(frame, GridBox(240, 110, 400, 330))
            left = int(240 + 6 * np.sin(number / 3))
            tracker.follow(frame, GridBox(left, 110, left + 160, 330))
            seen.add(tracker.box)
        assert len(seen) <= 2

    def test_is_where_the_person_will_be(self) -> None:
        """The next part holds a person who goes on as before, and leaves a margin."""
        tracker = RegionTracker()
        for number in range(20):
            box = GridBox(40 + 20 * number, 100, 160 + 20 * number, 300)
            if number >= 2:  # how fast they are shows in the second frame
                assert tracker.box is not None
                assert tracker.box.holds(box)
            tracker.follow(frame_of(person(), number), box)

    def test_nobody_means_the_whole(self) -> None:
        """Whoever is lost is looked for everywhere."""
        tracker, frame = RegionTracker(), frame_of(person(), 0)
        tracker.follow(frame, GridBox(100, 100, 200, 200))
        tracker.found(frame, None)
        tracker.follow(frame, None)
        assert tracker.box is None
        assert tracker.needs_whole(frame_of(person(), 1))

    def test_somebody_large_is_the_whole(self) -> None:
        """A part that is nearly everything is everything, and then needs no second look."""
        tracker, frame = RegionTracker(), frame_of(person(), 0)
        tracker.follow(frame, GridBox(20, 10, 630, 360))
        assert tracker.box == GridBox(0, 0, 640, 360)
        assert not tracker.needs_whole(frame_of(person(), 99))
