"""The delay of audio."""

from __future__ import annotations

import asyncio
import time

from greenroom.hosted.rtc.audio import AudioPacket, DelayLine


def packet(number: int, arrived_s: float) -> AudioPacket:
    """Return a packet of nothing."""
    return AudioPacket(b"", number, number * 960, marker=False, ssrc=1, arrived_s=arrived_s)


def run(delay_s: float, count: int = 5, *, waited_s: float = 0.2) -> tuple[list[int], list[float]]:
    """Return the packets that left, and how long after their arrival."""

    async def test() -> tuple[list[int], list[float]]:
        sent: list[int] = []
        delays: list[float] = []

        def send(one: AudioPacket) -> None:
            sent.append(one.sequence)
            delays.append(time.monotonic() - one.arrived_s)

        line = DelayLine(asyncio.get_running_loop(), send)
        line.delay_s = delay_s
        for number in range(count):
            line.put(packet(number, time.monotonic()))
        await asyncio.sleep(waited_s)
        line.close()
        return sent, delays

    return asyncio.run(test())


def test_without_delay_audio_leaves_at_once() -> None:
    """It is in order, and nothing waits."""
    sent, delays = run(0.0, waited_s=0.0)
    assert sent == [0, 1, 2, 3, 4]
    assert max(delays) < 0.1


def test_audio_leaves_when_the_video_of_its_moment_does() -> None:
    """Each packet waits for the delay, in order."""
    sent, delays = run(0.05)
    assert sent == [0, 1, 2, 3, 4]
    assert all(delay >= 0.049 for delay in delays)


def test_the_line_is_bounded() -> None:
    """The oldest are dropped first when more wait than five seconds have, and all at the end."""
    sent, _ = run(10.0, 400, waited_s=0.0)
    assert sent == []
    sent, _ = run(0.1, 400)
    assert sent == list(range(150, 400))
