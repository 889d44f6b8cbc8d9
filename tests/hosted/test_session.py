"""A hosted session without a network: sizes, messages, the delay of sound."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from greenroom.errors import SettingsError
from greenroom.hosted import segmenter_loans
from greenroom.hosted.backgrounds import OperatorBackgrounds
from greenroom.hosted.segmenter_loans import SegmenterLoans
from greenroom.hosted.session import HostedSession, SessionContext, hosted_settings
from greenroom.live.status import Showing
from greenroom.settings import OnFailure, Settings
from greenroom.testing import PersonSegmenter, PersonSource
from hosted.test_broadcast import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from host_device import HostDevice

    from greenroom.media.frame import Frame

DEADLINE_S = 10.0
PERIOD_S = 0.02


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drawn person found by colour, in no time."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())


@contextmanager
def running(**values: object) -> Iterator[HostedSession]:
    """Run a session."""
    context = SessionContext(hosted_settings(Settings()), SegmenterLoans(), OperatorBackgrounds())
    session = HostedSession("test", context, {"background": "color:teal"} | values, 50.0)
    session.start()
    try:
        yield session
    finally:
        session.stop()


def feed_until(
    session: HostedSession, condition: Callable[[], bool], size: tuple[int, int] = (160, 120)
) -> None:
    """Give a session frames until something is so."""
    source, number = PersonSource(size), 0
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        session.feed.put(source.frame(number).to_av(), time.monotonic())
        number += 1
        time.sleep(PERIOD_S)


@pytest.mark.usefixtures("no_thread_left")
def test_any_size_is_sent() -> None:
    """Small, odd, upright and long sizes come out with even sides; one too small ends nothing."""
    receivers = [Receiver("VP8"), Receiver("H264")]
    with running() as session:
        for receiver in receivers:
            session.broadcast.add(receiver)
        for size in ((160, 120), (2, 2), (161, 121), (120, 160), (3, 5), (800, 2), (160, 120)):
            even = size[0] // 2 * 2, size[1] // 2 * 2
            feed_until(
                session,
                lambda even=even: all(  # type: ignore[misc]
                    receiver.coded and receiver.coded[-1].size == even for receiver in receivers
                ),
                size,
            )
        feed_until(session, lambda: session.status().outlets[0].state == "failed", (1, 1))
        feed_until(session, lambda: session.status().outlets[0].state == "running")


def test_sound_waits_as_long_as_the_picture() -> None:
    """The delay is that of the last frames, and none before the first."""
    with running() as session:
        assert session.delay_s == 0
        session.broadcast.add(Receiver())
        feed_until(session, lambda: session.delay_s > 0)
        assert session.delay_s < 0.5


def test_messages_are_for_the_client() -> None:
    """Advice on cameras and models of the server's machine is not given to its clients."""
    with running() as session:
        session.broadcast.add(Receiver())
        feed_until(session, lambda: session.status().showing == "person")
        session.gate.shut("camera", "Unplug it and plug it in again")
        assert session.status().message == "Covered: no video comes from you."


def test_settings_that_hosting_needs() -> None:
    """Whatever the operator's file says, frames without a matte are covered, and soon given up."""
    made = hosted_settings(Settings(on_failure=OnFailure.STOP, timeout_s=60, on_demand=False))
    assert (made.on_failure, made.on_demand) == (OnFailure.COVER, True)
    assert made.timeout_s <= 2
    assert made.budget_cpu == Settings().budget_cpu


@pytest.mark.parametrize("values", [{"background": "/etc/passwd"}, {"smoothing": 9}])
def test_refused_values_leave_nothing(values: Mapping[str, object]) -> None:
    """A session that cannot be made as it is asked for is not made."""
    with pytest.raises(SettingsError), running(**values):
        pytest.fail("it was made")


def test_cover_is_sent_before_the_first_frame() -> None:
    """A viewer who comes first gets the cover at once, though no size is known yet."""
    receiver = Receiver()
    with running() as session:
        session.broadcast.add(receiver)
        end_s = time.monotonic() + DEADLINE_S
        while not receiver.coded:
            assert time.monotonic() < end_s
            time.sleep(PERIOD_S)
        assert session.status().showing == "cover"
        frame: Frame = session.snapshot()
        assert frame.size == (640, 480)


@pytest.mark.usefixtures("no_thread_left")
def test_work_on_a_gpu(fake_gpu: list[HostDevice]) -> None:
    """A session's engine works on the GPU as any other, and its status says so."""
    with running() as session:
        feed_until(session, lambda: session.status().showing is Showing.PERSON)
        assert session.status().device.endswith("; the rest on host device")
    assert "blend" in fake_gpu[-1].launched
