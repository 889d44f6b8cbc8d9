"""Decoding on a thread, with frames of our own encoder."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted.rtc import VideoEncoder
from greenroom.hosted.rtc.assembly import EncodedFrame
from greenroom.hosted.rtc.decoding import Decoding
from hosted.rtc.clients import picture
from hosted.rtc.test_encoding import data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

DEADLINE_S = 10.0


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return a frame with a wrong bit, cut off, with noise at its end, or with noise within."""
    at = chance.randrange(len(data))
    noise = chance.randbytes(chance.randint(1, 300))
    flipped = bytes([data[at] ^ 1 << chance.randrange(8)])
    return chance.choice(
        [
            data[:at] + flipped + data[at + 1 :],
            data[: at + 1],
            data[:at] + noise,
            data[:at] + noise + data[at:],
        ]
    )


def coded_frames(
    count: int, codec: str = "VP8", size: tuple[int, int] = (160, 120), key_every: int = 0
) -> list[EncodedFrame]:
    """Return frames as they come from the network; the number is their time of arrival."""
    encoder = VideoEncoder(codec)
    frames = []
    for number in range(count):
        key = bool(key_every) and number % key_every == 0
        coded = encoder.encode(picture(number, size), key=key, bitrate=1_000_000)
        frames.append(EncodedFrame(codec, data_of(coded), coded.timestamp, number, coded.key))
    return frames


class Taker:
    """Takes decoded frames; blocks while it is told to."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.sizes: list[tuple[int, int]] = []
        self.times: list[int | None] = []
        self.keys = 0
        self.refusals: list[str] = []
        self.passing = threading.Event()
        self.passing.set()
        self.fails = False
        self._decoding = Decoding(
            self._take, self._need_key, self.refusals.append, max_size=(640, 360), name="test"
        )

    def _take(self, frame: av.VideoFrame, arrived_s: float) -> None:
        self.arrivals.append(arrived_s)
        self.sizes.append((frame.width, frame.height))
        self.times.append(frame.pts)
        self.passing.wait(DEADLINE_S)
        if self.fails:
            raise ValueError

    def _need_key(self) -> None:
        self.keys += 1

    @property
    def decoding(self) -> Decoding:
        """What is tested."""
        return self._decoding

    def put(self, frames: list[EncodedFrame], *, each: bool = False) -> None:
        """Put frames in; with `each`, wait until one is taken before the next."""
        for number, frame in enumerate(frames, len(self.arrivals) + 1):
            self._decoding.put(frame)
            if each:
                self.until_taken(number)

    def until_taken(self, count: int) -> None:
        """Wait until so many frames were taken."""
        end_s = time.monotonic() + DEADLINE_S
        while len(self.arrivals) < count:
            assert time.monotonic() < end_s
            time.sleep(0.001)

    def end(self) -> None:
        """End the thread, and see that it is gone."""
        self.passing.set()
        self._decoding.close()
        end_s = time.monotonic() + DEADLINE_S
        while self._decoding.alive:
            assert time.monotonic() < end_s
            time.sleep(0.001)


@pytest.fixture
def taker() -> Iterator[Taker]:
    """Give a decoder with somebody who takes its frames."""
    one = Taker()
    yield one
    one.end()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_every_frame_is_handed_on_at_once(taker: Taker, codec: str) -> None:
    """None is held back for the next, and times are kept."""
    taker.put(coded_frames(8, codec), each=True)
    assert taker.arrivals == list(range(8))
    assert taker.times == [3000 * number for number in range(8)]
    assert taker.decoding.decoded == 8


def test_the_newest_frame_wins(taker: Taker) -> None:
    """While the taker is busy frames are decoded, but only the last one is handed on."""
    frames = coded_frames(5)
    taker.passing.clear()
    taker.put(frames[:1])
    taker.until_taken(1)
    taker.put(frames[1:])
    taker.passing.set()
    taker.until_taken(2)
    assert taker.arrivals == [0, 4]
    assert taker.decoding.dropped["newer came"] == 3
    assert taker.decoding.decoded == 5


def test_too_many_waiting_frames_are_dropped_up_to_the_next_key_frame(taker: Taker) -> None:
    """The queue has an end, a key frame is asked for, and the picture goes on with it."""
    frames = coded_frames(60, key_every=50)
    taker.passing.clear()
    taker.put(frames[:1])
    taker.until_taken(1)
    taker.put(frames[1:50])
    assert taker.keys > 0
    taker.passing.set()
    taker.put(frames[50:51])
    taker.until_taken(2)
    taker.put(frames[51:], each=True)
    assert taker.arrivals == [0, *range(50, 60)]
    dropped = taker.decoding.dropped
    assert dropped["overload"] + dropped["no key frame"] == 49


def test_nothing_is_decoded_before_a_key_frame(taker: Taker) -> None:
    """One that joins in the middle asks for a key frame, and waits for it."""
    frames = coded_frames(8, key_every=4)
    taker.put(frames[1:4])
    assert taker.keys == 3
    taker.put(frames[4:], each=True)
    assert taker.arrivals == [4, 5, 6, 7]


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_garbage_ends_nothing(taker: Taker, codec: str) -> None:
    """However frames are mutated, the next key frame is shown; nothing is larger than it may be."""
    chance = random.Random(7)  # noqa: S311 - no secret
    frames = coded_frames(40, codec, key_every=4)
    for frame in 10 * frames:
        taker.put([frame._replace(data=mutated(frame.data, chance))])
        time.sleep(0.001)
    key = coded_frames(1, codec, (64, 48))
    end_s = time.monotonic() + DEADLINE_S
    while (64, 48) not in taker.sizes:
        assert time.monotonic() < end_s
        taker.put(key)
        time.sleep(0.01)
    assert taker.decoding.dropped["damaged"] > 0
    assert all(max(size) <= 640 and min(size) <= 360 for size in taker.sizes)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
def test_a_damaged_frame_asks_for_a_key_frame(taker: Taker, codec: str) -> None:
    """What refers to it is dropped, and the next key frame mends the picture."""
    frames = coded_frames(8, codec, key_every=4)
    taker.put(frames[:2], each=True)
    damaged = frames[2]._replace(data=b"\x00\x00\x00\x01\x67\x01" if codec == "H264" else b"\x00")
    taker.put([damaged._replace(key=True)])
    end_s = time.monotonic() + DEADLINE_S
    while not taker.keys:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    taker.put(frames[3:4])
    taker.put(frames[4:], each=True)
    assert taker.arrivals == [0, 1, 4, 5, 6, 7]
    assert taker.decoding.dropped["damaged"] == 1


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@pytest.mark.parametrize("size", [(642, 360), (362, 640), (2048, 2)])
def test_a_larger_picture_is_refused_once(taker: Taker, codec: str, size: tuple[int, int]) -> None:
    """Nothing of it is handed on, and the sentence has both sizes."""
    if codec == "H264":
        size = (size[0] + 32, size[1] + 32)  # it is told in macroblocks
    taker.put(coded_frames(5, codec, size, key_every=2))
    end_s = time.monotonic() + DEADLINE_S
    while not taker.refusals:
        assert time.monotonic() < end_s
        time.sleep(0.001)
    taker.end()
    assert taker.arrivals == []
    assert len(taker.refusals) == 1
    assert "expected at most 640x360" in taker.refusals[0]


def test_no_memory_is_taken_for_a_size_that_comes_unannounced(taker: Taker) -> None:
    """A parameter set behind another one, or outside a key frame, is refused by the decoder."""
    small, large = (coded_frames(1, "H264", size)[0] for size in ((320, 240), (2048, 2048)))
    hidden = [large._replace(key=False), small._replace(data=small.data + large.data)]
    for number, frame in enumerate(hidden, 1):
        taker.put([small], each=True)
        taker.put([frame])
        end_s = time.monotonic() + DEADLINE_S
        while taker.decoding.dropped["damaged"] < number:
            assert time.monotonic() < end_s
            time.sleep(0.001)
    assert taker.sizes == [(320, 240)] * 2
    assert taker.refusals == []


@pytest.mark.parametrize("size", [(640, 360), (360, 640)])
def test_the_largest_picture_may_stand_upright(taker: Taker, size: tuple[int, int]) -> None:
    """A camera that is turned has the same pixels."""
    taker.put(coded_frames(2, "H264", size), each=True)
    assert taker.sizes == [size, size]


def test_a_taker_that_raises_does_not_end_it(
    taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection goes on, and the error is in the log."""
    taker.fails = True
    taker.put(coded_frames(3), each=True)
    assert taker.arrivals == [0, 1, 2]
    taker.end()
    assert taker.decoding.dropped["failure"] == 3
    assert "could not be handled" in caplog.text
