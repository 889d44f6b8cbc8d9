"""The gate: what leaves is a fresh frame with a valid matte, or the cover."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.engine.render import Rendered
from greenroom.live.gate import Gate, Ticket
from greenroom.live.status import Showing
from greenroom.media.clock import MonotonicClock
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.testing import ROOM_RGB, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("no_thread_left")

LAYOUT = Layout(32, 18, "yuv420p", Colour(1, 1))
TEAL = (0, 128, 128)
PERSON = (230, 180, 140)


class Hands:
    """A clock whose hands are moved by the test; it waits for nothing."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        self.now_s += seconds
        return event.is_set()


def cover(layout: Layout, time_s: float) -> Frame:
    """Make a teal cover."""
    assert time_s >= 0
    return Frame.filled(layout, TEAL)


def person(*, valid: bool = True, is_camera: bool = False) -> Rendered:
    """Make what the engine answers; what is not valid carries the room, to be sure."""
    frame = Frame.filled(LAYOUT, PERSON if valid and not is_camera else ROOM_RGB)
    frame = frame.shown_at(1, Fraction(1, 25))
    error = "" if valid else "it failed"
    return Rendered(frame, {"after": frame}, valid, is_camera, error, shows_room=is_camera)


def shows(gate: Gate) -> tuple[int, ...]:
    """Return the colour of what leaves."""
    return tuple(int(value) for value in np.median(gate.current().frame.to_rgb(), axis=(0, 1)))


@pytest.fixture
def clock() -> Hands:
    """Return a clock that stands still."""
    return Hands()


@pytest.fixture
def gate(clock: Hands) -> Gate:
    """Return a gate before the first frame."""
    made = Gate(cover, clock)
    made.expect(LAYOUT)
    return made


def offered(gate: Gate, rendered: Rendered | None = None) -> bool:
    """Offer a frame that is begun now."""
    ticket = gate.ticket()
    assert ticket is not None
    return gate.offer(rendered or person(), ticket)


class TestWhatLeaves:
    """Which of the two it is."""

    def test_before_the_first_frame_there_is_the_cover(self, gate: Gate) -> None:
        """Nothing is known of the person yet."""
        assert gate.current().showing is Showing.COVER
        assert gate.state()[1] == "start"
        assert shows(gate) == pytest.approx(TEAL, abs=3)

    def test_the_cover_has_the_layout_that_is_expected(self, gate: Gate) -> None:
        """At once: who is sent it first may keep its size for ever."""
        assert gate.current().frame.layout == LAYOUT
        other = Layout(64, 48, "yuv420p", Colour(1, 1))
        gate.expect(other)
        assert gate.current().frame.layout == other

    def test_a_valid_frame_is_shown(self, gate: Gate) -> None:
        """What was made through a valid matte leaves as it is, with its views."""
        rendered = person()
        assert offered(gate, rendered)
        shown = gate.current()
        assert shown.frame is rendered.frame
        assert shown.views == rendered.views
        assert gate.state() == (Showing.PERSON, "", "")

    def test_what_can_be_seen_through_is_closed(self, gate: Gate) -> None:
        """The room's colours that are left beside a low coverage do not leave without it."""
        frame = Frame.filled(LAYOUT, ROOM_RGB, alpha=8).shown_at(1, Fraction(1, 25))
        offered(gate, Rendered(frame, {"after": frame}))
        shown = gate.current()
        for one in (shown.frame, shown.views["after"]):
            assert one.alpha is None
            assert count_room_pixels(one, 60) == 0

    def test_a_frame_without_a_valid_matte_is_not(self, gate: Gate) -> None:
        """The engine's word is enough to cover, and the reason is told."""
        offered(gate)
        assert not offered(gate, person(valid=False))
        assert count_room_pixels(gate.current().frame) == 0
        assert gate.state() == (Showing.COVER, "failure", "Covered: it failed")
        assert offered(gate)
        assert gate.current().showing is Showing.PERSON

    def test_a_frame_is_shown_for_a_while_only(self, gate: Gate, clock: Hands) -> None:
        """A model that hangs leads to the cover, not to a picture that stands still for ever."""
        offered(gate)
        clock.now_s += 0.9
        assert gate.current().showing is Showing.PERSON
        clock.now_s += 0.2
        assert gate.current().showing is Showing.COVER
        assert gate.state()[1] == "late"

    def test_slow_frames_may_be_shown_for_longer(self, gate: Gate, clock: Hands) -> None:
        """A model of one frame a second does not flicker between person and cover."""
        for _ in range(60):
            assert offered(gate)
            clock.now_s += 0.9
        clock.now_s += 1.1
        assert gate.current().showing is Showing.PERSON
        clock.now_s += 2.0
        assert gate.current().showing is Showing.COVER

    def test_frames_slower_than_the_least_time_are_awaited(self, gate: Gate, clock: Hands) -> None:
        """At a little more than a second each, the cover is seen between the first few alone."""
        covered = []
        for number in range(60):
            assert offered(gate)
            clock.now_s += 1.1
            if gate.current().showing is Showing.COVER:
                covered.append(number)
        assert covered == [0, 1, 2]

    def test_a_pause_is_no_interval(self, gate: Gate, clock: Hands) -> None:
        """After an hour without a frame the next ones are shown for about as long as before."""
        for pause_s in (0.03, 3600.0):
            offered(gate)
            clock.now_s += pause_s
            gate.current()
        offered(gate)
        clock.now_s += 1.25
        assert gate.current().showing is Showing.COVER

    def test_what_took_long_is_not_shown(self, gate: Gate, clock: Hands) -> None:
        """A frame from before the lid was closed does not appear after it was opened."""
        ticket = gate.ticket()
        assert ticket is not None
        clock.now_s += 3.1
        assert not gate.offer(person(), ticket)
        assert gate.current().showing is Showing.COVER
        assert gate.refused["late"] == 1

    def test_the_camera_itself_is_called_so(self, gate: Gate) -> None:
        """With the background none people are told that their room is seen."""
        offered(gate, person(is_camera=True))
        assert gate.state()[0] is Showing.CAMERA


class TestCover:
    """The cover key, and what else shuts the gate."""

    def test_the_key_covers_at_once(self, gate: Gate) -> None:
        """Without waiting for the engine, and no ticket is given out any more."""
        offered(gate)
        gate.cover(on=True)
        assert gate.current().showing is Showing.COVER
        assert gate.ticket() is None
        assert gate.state()[1] == "key"

    def test_what_was_begun_before_the_key_never_leaves(self, gate: Gate) -> None:
        """Not while covered, and not after the cover was ended, either."""
        ticket = gate.ticket()
        assert ticket is not None
        gate.cover(on=True)
        assert not gate.offer(person(), ticket)
        gate.cover(on=False)
        assert not gate.offer(person(), ticket)
        assert gate.current().showing is Showing.COVER
        assert gate.state()[1] == "start"
        assert offered(gate)
        assert gate.current().showing is Showing.PERSON

    @pytest.mark.parametrize("reason", ["start", "camera", "settings", "asleep"])
    def test_shut_until_a_frame_that_is_begun_later(self, gate: Gate, reason: str) -> None:
        """A frame of a camera that went away is not shown after it."""
        ticket = gate.ticket()
        assert ticket is not None
        offered(gate)
        gate.shut(reason)
        assert gate.state()[:2] == (Showing.COVER, reason)
        assert not gate.offer(person(), ticket)
        assert offered(gate)

    def test_the_key_outlasts_other_reasons(self, gate: Gate) -> None:
        """A camera that comes back does not uncover."""
        gate.cover(on=True)
        gate.shut("camera", "it is gone")
        gate.shut("start")
        assert gate.state()[1] == "key"
        assert gate.ticket() is None

    @pytest.mark.parametrize(("reason", "message"), [("camera", "It is gone."), ("asleep", "")])
    def test_the_end_of_the_key_tells_what_else_is_wrong(
        self, gate: Gate, reason: str, message: str
    ) -> None:
        """Uncovered while the camera is away, nobody is told that the picture will be there."""
        gate.cover(on=True)
        gate.shut(reason, message)
        assert gate.state()[1] == "key"
        gate.cover(on=False)
        assert gate.state()[1] == reason
        assert message in gate.state()[2]
        gate.cover(on=True)
        gate.recover()
        assert gate.state()[1] == "key"
        gate.cover(on=False)
        assert gate.state()[1] == "start"

    def test_a_camera_that_came_back_is_no_longer_called_lost(self, gate: Gate) -> None:
        """Until a frame of it was made it is the start that is waited for."""
        gate.shut("camera", "It is gone.")
        gate.recover()
        assert gate.state()[1] == "start"
        assert offered(gate)
        gate.recover()
        assert gate.state()[0] is Showing.PERSON

    def test_the_bare_camera_goes_with_the_settings(self, gate: Gate) -> None:
        """After another background than none was chosen, no bare frame is left."""
        ticket = gate.ticket()
        assert ticket is not None
        offered(gate, person(is_camera=True))
        gate.renew()
        assert count_room_pixels(gate.current().frame) == 0
        assert not gate.offer(person(is_camera=True), ticket)

    def test_a_grey_room_goes_with_the_settings(self, gate: Gate) -> None:
        """A room in grey is hidden like the bare camera once another background was chosen."""
        grey = replace(person(), shows_room=True)
        offered(gate, grey)
        assert gate.state()[0] is Showing.PERSON
        ticket = gate.ticket()
        assert ticket is not None
        gate.allow_room(allowed=False)
        assert gate.state()[:2] == (Showing.COVER, "settings")
        later = gate.ticket()
        assert later is not None
        assert not gate.offer(grey, later)
        gate.allow_room(allowed=True)
        assert not gate.offer(grey, ticket)

    def test_a_person_stays_through_new_settings(self, gate: Gate) -> None:
        """A slider does not make the picture flash."""
        offered(gate)
        gate.renew()
        assert gate.current().showing is Showing.PERSON

    def test_a_cover_that_cannot_be_made_is_grey(self, clock: Hands) -> None:
        """Whatever is wrong with the background."""

        def broken(layout: Layout, time_s: float) -> Frame:
            message = f"{layout} {time_s}"
            raise MemoryError(message)

        gate = Gate(broken, clock)
        assert shows(gate) == pytest.approx((38, 42, 48), abs=3)

    def test_closed_for_good(self, gate: Gate) -> None:
        """After the end there is the cover only, and nobody waits."""
        ticket = gate.ticket()
        assert ticket is not None
        gate.close()
        assert not gate.offer(person(), ticket)
        assert gate.wait(-1, 10) is None
        assert gate.current().showing is Showing.COVER


class TestWaiting:
    """How outlets learn of something new."""

    def test_the_cover_ends_the_wait_for_a_beat(self) -> None:
        """A new frame does not; the cover in place of a frame is to leave at once."""
        gate = Gate(cover, MonotonicClock())
        gate.expect(LAYOUT)
        assert offered(gate)
        begun_s = time.monotonic()
        timers = [
            threading.Timer(0.01, lambda: offered(gate)),
            threading.Timer(0.1, lambda: gate.cover(on=True)),
        ]
        for timer in timers:
            timer.start()
        gate.hold(20.0)
        assert 0.05 < time.monotonic() - begun_s < 10
        assert gate.current().showing is Showing.COVER
        for timer in timers:
            timer.join()

    def test_something_new_ends_the_wait(self) -> None:
        """A frame that comes is handed on at once, and the one before is not again."""
        gate = Gate(cover, MonotonicClock())
        offered(gate)
        first = gate.wait(-1, 0)
        assert first is not None
        assert gate.wait(first.number, 0.01) is None
        timer = threading.Timer(0.02, lambda: offered(gate))
        timer.start()
        second = gate.wait(first.number, 10)
        timer.join()
        assert second is not None
        assert second.number > first.number
        assert second.showing is Showing.PERSON

    def test_the_cover_wakes_those_who_wait(self) -> None:
        """They do not go on showing the person until the next frame."""
        gate = Gate(cover, MonotonicClock())
        offered(gate)
        first = gate.current()
        timer = threading.Timer(0.02, lambda: gate.cover(on=True))
        timer.start()
        second = gate.wait(first.number, 10)
        timer.join()
        assert second is not None
        assert second.showing is Showing.COVER

    def test_a_moving_cover_moves(self) -> None:
        """Those who wait see the cover made anew, ten times a second."""
        gate = Gate(cover, MonotonicClock())
        first = gate.current()
        second = gate.wait(first.number, 10)
        assert second is not None
        assert second.number > first.number
        assert second.showing is Showing.COVER


STEPS: dict[str, Callable[[Gate], object]] = {
    "on": lambda gate: gate.cover(on=True),
    "off": lambda gate: gate.cover(on=False),
    "lost": lambda gate: gate.shut("camera"),
    "renew": lambda gate: gate.renew(),
}


@given(
    st.lists(st.sampled_from([*STEPS, "begin", "valid", "broken", "bare", "time"]), max_size=40),
)
def test_the_room_never_leaves(steps: list[str]) -> None:
    """Whatever happens in whatever order, a bare frame leaves only as the user's word."""
    clock = Hands()
    gate = Gate(cover, clock)
    gate.expect(LAYOUT)
    tickets: list[Ticket] = []
    for step in steps:
        if step == "begin":
            ticket = gate.ticket()
            tickets += [] if ticket is None else [ticket]
        elif step == "time":
            clock.now_s += 0.7
        elif step in STEPS:
            STEPS[step](gate)
        elif tickets:
            made = person(valid=step != "broken", is_camera=step == "bare")
            gate.offer(made, tickets.pop())
        shown = gate.current()
        room = count_room_pixels(shown.frame)
        assert room == 0 or shown.showing is Showing.CAMERA
        assert not (gate.covered and shown.showing is not Showing.COVER)
