"""Feed and broadcast: the newest frame wins, and each codec is encoded once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted import broadcast
from greenroom.hosted.broadcast import Broadcast
from greenroom.hosted.feed import Feed
from greenroom.hosted.rtc import CodedFrame, Peer, VideoEncoder
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    import av

FRAME = PersonSource((160, 120)).frame(0)


class Receiver(Peer):
    """A peer without a connection, which keeps what it is sent."""

    codec = ""
    target_bitrate = 0

    def __init__(self, codec: str = "VP8", bitrate: int = 1_000_000) -> None:
        self.codec = codec
        self.target_bitrate = bitrate
        self.coded: list[CodedFrame] = []
        self.asks = False
        self.fails = False

    def wants_key_frame(self) -> bool:
        """See `Peer.wants_key_frame`."""
        asks, self.asks = self.asks, False
        return asks

    def send_video(self, coded: CodedFrame) -> None:
        """See `Peer.send_video`."""
        if self.fails:
            message = "it is closed"
            raise RuntimeError(message)
        self.coded.append(coded)


class Encoder(VideoEncoder):
    """Counts what it encodes."""

    made: list[Encoder]

    def __init__(self, codec: str) -> None:
        super().__init__(codec)
        self.bitrates: list[int] = []
        self.made.append(self)

    def encode(self, planes: av.VideoFrame, *, key: bool, bitrate: int) -> CodedFrame:
        """See `VideoEncoder.encode`."""
        self.bitrates.append(bitrate)
        return super().encode(planes, key=key, bitrate=bitrate)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Broadcast:
    """Return a broadcast that takes requests for key frames at any time."""
    Encoder.made = []
    monkeypatch.setattr(broadcast, "_KEY_INTERVAL_S", 0.0)
    return Broadcast(Encoder)


def write(sink: Broadcast, count: int = 1) -> None:
    """Give a broadcast frames, in their order."""
    for number in range(count):
        sink.write(PersonSource((160, 120)).frame(number))


def test_one_encoder_for_each_codec(sink: Broadcast) -> None:
    """Three receivers of two codecs have two encoders, and get the same frames."""
    receivers = [Receiver("VP8"), Receiver("VP8"), Receiver("H264"), Receiver("")]
    for receiver in receivers:
        sink.add(receiver)
    write(sink, 3)
    assert [encoder.codec for encoder in Encoder.made] == ["VP8", "H264"]
    assert receivers[0].coded == receivers[1].coded
    assert [len(receiver.coded) for receiver in receivers] == [3, 3, 3, 0]
    assert [coded.key for coded in receivers[2].coded] == [True, False, False]
    sink.remove(receivers[2])
    write(sink)
    assert len(receivers[2].coded) == 3
    assert sink.readers() == 3
    sink.close()


def test_nothing_is_encoded_for_nobody(sink: Broadcast) -> None:
    """Without a receiver there is no encoder."""
    write(sink, 2)
    assert not Encoder.made
    assert sink.frames == 0


def test_key_frames_on_request(sink: Broadcast, monkeypatch: pytest.MonkeyPatch) -> None:
    """One comes for a new receiver and for each that asks, but not more often than is bearable."""
    first, second = Receiver(), Receiver()
    sink.add(first)
    write(sink, 2)
    sink.add(second)
    write(sink)
    first.asks = True
    write(sink)
    assert [coded.key for coded in first.coded] == [True, False, True, True]
    monkeypatch.setattr(broadcast, "_KEY_INTERVAL_S", 60.0)
    for _ in range(10):
        first.asks = True
        write(sink)
    assert not any(coded.key for coded in first.coded[4:])


@pytest.mark.parametrize(
    ("bitrates", "expected"),
    [((1_000_000, 800_000), 800_000), ((4_000_000, 150_000), 1_000_000), ((300_000,), 300_000)],
)
def test_bitrate_suits_all(sink: Broadcast, bitrates: tuple[int, ...], expected: int) -> None:
    """The slowest decides, down to a quarter of the fastest."""
    for bitrate in bitrates:
        sink.add(Receiver(bitrate=bitrate))
    write(sink)
    assert Encoder.made[0].bitrates == [expected]


def test_receiver_that_fails_is_dropped(sink: Broadcast) -> None:
    """The others go on."""
    broken, well = Receiver(), Receiver()
    broken.fails = True
    sink.add(broken)
    sink.add(well)
    write(sink, 2)
    assert len(well.coded) == 2
    assert sink.readers() == 1


def test_readers_are_noticed_at_once(sink: Broadcast) -> None:
    """The session is told when somebody comes or leaves."""
    told = []
    sink.on_readers = lambda: told.append(sink.readers())
    receiver = Receiver()
    sink.add(receiver)
    sink.remove(receiver)
    assert told == [1, 0]


def test_newest_frame_wins() -> None:
    """Of the frames that came before one was asked for, the source gives the last."""
    feed = Feed("test", 0.0)
    feed.put(FRAME.to_av(), 0.5)
    source = feed.open()
    for number in range(3):
        feed.put(PersonSource((160, 120)).frame(number).to_av(), 1.0 + number)
    frames = iter(source)
    assert next(frames).time_s == 3.0
    assert (feed.frames, feed.dropped, feed.last_s) == (4, 3, 3.0)


@pytest.mark.parametrize("end", ["source", "feed", "reopened"])
def test_waiting_source_ends(end: str) -> None:
    """A source that waits for a frame ends when it or its feed is closed, or another is opened."""
    feed = Feed("test", 0.0)
    source = feed.open()
    left: list[object] = []
    thread = threading.Thread(target=lambda: left.extend(source), daemon=True)
    thread.start()
    time.sleep(0.01)
    if end == "source":
        source.close()
    elif end == "feed":
        feed.end()
    else:
        feed.open()
    thread.join(5)
    assert not thread.is_alive()
    assert left == []


def test_formats_are_converted() -> None:
    """What is not 4:2:0 is made so, and full range stays what it is."""
    feed = Feed("test", 0.0)
    source = feed.open()
    feed.put(FRAME.to_av("rgb24"), 1.0)
    assert next(iter(source)).format == "yuv420p"
