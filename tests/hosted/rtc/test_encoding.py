"""Encoding for RTP, decoded by FFmpeg's decoders."""

from __future__ import annotations

import time
from fractions import Fraction

import av
import numpy as np
import pytest

from greenroom.errors import FormatError
from greenroom.hosted.rtc import CodedFrame, VideoEncoder, encoding
from greenroom.hosted.rtc.payloads import parse_h264, parse_vp8
from greenroom.hosted.rtc.picture_sizes import picture_size
from hosted.rtc.clients import picture

CODECS = ("VP8", "H264")
RATE = 1_000_000


def data_of(coded: CodedFrame) -> bytes:
    """Return the coded frame as a decoder takes it."""
    parse = parse_vp8 if coded.codec == "VP8" else parse_h264
    return b"".join(parse(payload).data for payload in coded.payloads)


def decoded(coded: list[CodedFrame]) -> list[np.ndarray]:
    """Return the luma of coded frames."""
    decoder = av.CodecContext.create({"VP8": "vp8", "H264": "h264"}[coded[0].codec], "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    frames = [frame for one in coded for frame in decoder.decode(av.Packet(data_of(one)))]
    return [frame.to_ndarray(format="gray")[: frame.height] for frame in frames]


@pytest.mark.parametrize("codec", CODECS)
def test_frames_come_back_at_once_and_alike(codec: str) -> None:
    """Every frame gives one coded frame, and none waits for the next."""
    encoder = VideoEncoder(codec)
    coded = [encoder.encode(picture(n), key=False, bitrate=RATE) for n in range(12)]
    assert all(one.payloads for one in coded)
    assert [one.timestamp for one in coded] == [3000 * n for n in range(12)]
    for number, luma in enumerate(decoded(coded)):
        original = picture(number).to_ndarray(format="gray")
        error = np.square(luma.astype(float) - original[: luma.shape[0]]).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 32  # dB


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_come_first_and_on_request_only(codec: str) -> None:
    """The first frame and those that are asked for stand alone; no others do."""
    encoder = VideoEncoder(codec)
    coded = [encoder.encode(picture(n), key=n == 7, bitrate=RATE) for n in range(40)]
    assert [number for number, one in enumerate(coded) if one.key] == [0, 7]
    assert len(decoded(coded[7:])) == 33  # one that joins there sees everything


@pytest.mark.parametrize("codec", CODECS)
def test_a_new_size_begins_with_a_key_frame(codec: str) -> None:
    """A camera that is turned in mid-call is followed."""
    encoder = VideoEncoder(codec)
    sizes = [(320, 240), (240, 320), (640, 480)]
    coded = [encoder.encode(picture(n, sizes[n // 3]), key=False, bitrate=RATE) for n in range(9)]
    assert [one.key for one in coded] == [True, False, False] * 3
    assert [one.size for one in coded] == [size for size in sizes for _ in range(3)]
    assert [luma.shape[::-1] for luma in decoded(coded)] == [one.size for one in coded]


@pytest.mark.parametrize("codec", CODECS)
def test_the_bit_rate_is_kept(codec: str) -> None:
    """A noisy picture, which has more in it than fits, is coded with no more than that."""
    random = np.random.default_rng(3)
    encoder = VideoEncoder(codec, bitrate=500_000)
    sizes = []
    for number in range(60):
        planes = random.integers(100, 130, (360, 320), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 30)
        coded = encoder.encode(frame, key=False, bitrate=500_000)
        sizes.append(sum(len(payload) for payload in coded.payloads))
    assert sum(sizes[30:]) * 8 < 1.3 * 500_000


def test_small_changes_of_the_rate_rebuild_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rebuilding costs a key frame: a large step alone is worth it, and a rise can wait."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    encoder = VideoEncoder("VP8")
    numbers = iter(range(1000))

    def is_key(bitrate: int, after_s: float) -> bool:
        now[0] += after_s
        return encoder.encode(picture(next(numbers)), key=False, bitrate=bitrate).key

    assert is_key(1_000_000, 0)
    assert not any(is_key(1_000_000 + 10_000 * step, 0.5) for step in range(-15, 25))
    assert is_key(500_000, 0.5)
    assert not is_key(250_000, 0.5)
    assert is_key(250_000, 0.6)
    assert not is_key(1_000_000, 2.0)
    assert is_key(1_000_000, 4.0)


def test_h264_follows_the_rate_without_a_key_frame() -> None:
    """Its encoder takes another rate while it runs."""
    encoder = VideoEncoder("H264")
    keys = [
        encoder.encode(picture(n), key=False, bitrate=RATE // (n % 4 + 1)).key for n in range(20)
    ]
    assert keys == [True] + [False] * 19


@pytest.mark.parametrize(
    ("size", "level"), [((320, 240), 20), ((640, 480), 30), ((1280, 720), 31), ((1920, 1080), 40)]
)
def test_the_level_of_h264_follows_from_the_size(size: tuple[int, int], level: int) -> None:
    """The parameter set tells baseline and the lowest level for the size at 30/s and 1 Mbit/s."""
    coded = VideoEncoder("H264").encode(picture(0, size), key=False, bitrate=RATE)
    data = data_of(coded)
    at = data.index(b"\x00\x00\x00\x01\x67") + 5
    assert data[at] == 66
    assert data[at + 2] == level
    announced = picture_size("H264", data)
    assert announced is not None
    assert [-(-side // 16) * 16 for side in size] == list(announced)


@pytest.mark.parametrize("codec", CODECS)
def test_the_frame_is_left_as_it_was(codec: str) -> None:
    """Other encoders get the same frame."""
    frame = picture(3)
    frame.pts, frame.time_base = 5, Fraction(1, 25)
    before = frame.to_ndarray()
    coded = VideoEncoder(codec).encode(frame, key=True, bitrate=RATE)
    assert coded.timestamp == 18_000
    assert (frame.pts, frame.time_base) == (5, Fraction(1, 25))
    assert frame.pict_type == 0
    np.testing.assert_array_equal(frame.to_ndarray(), before)


@pytest.mark.parametrize("codec", CODECS)
def test_times_that_do_not_grow_are_moved_on(codec: str) -> None:
    """A frame that is older than the cover before it, and a clock that begins anew, are coded."""
    encoder = VideoEncoder(codec)
    times: list[int] = []
    for milliseconds in (5000, 5033, 5020, 5020, 5066, 100, 133):
        frame = picture(len(times))
        frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
        coded = encoder.encode(frame, key=False, bitrate=RATE)
        assert coded.payloads
        times.append(coded.timestamp // 90)
    assert times == [5000, 5033, 5034, 5035, 5066, 5067, 5100]


@pytest.mark.parametrize("codec", CODECS)
def test_odd_sides_are_cut_to_even_ones(codec: str) -> None:
    """4:2:0 has no half samples of colour."""
    frame = av.VideoFrame(321, 241, "yuv444p")
    frame.pts, frame.time_base = 0, Fraction(1, 30)
    assert VideoEncoder(codec).encode(frame, key=False, bitrate=RATE).size == (320, 240)


class Refusing:
    """An encoder that refuses every frame."""

    width, height = 320, 240

    def encode(self, _frame: av.VideoFrame) -> list[bytes]:
        """Fail as libvpx does."""
        raise av.error.InvalidDataError(1, "Invalid data found when processing input")


@pytest.mark.parametrize("codec", CODECS)
def test_an_encoder_that_refuses_a_frame_is_built_anew(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame comes out of the next one, as a key frame; if that refuses it, it is an error."""
    encoder = VideoEncoder(codec)
    frames = [picture(number, (320, 240)) for number in range(3)]
    assert encoder.encode(frames[0], key=False, bitrate=RATE).key
    monkeypatch.setattr(encoder, "_context", Refusing())
    coded = encoder.encode(frames[1], key=False, bitrate=RATE)
    assert coded.key
    assert decoded([coded])[0].shape == (240, 320)
    monkeypatch.setattr(encoder, "_context", Refusing())
    monkeypatch.setitem(encoding._CODECS, codec, lambda *_: Refusing())  # noqa: SLF001
    before = frames[2].pts
    with pytest.raises(av.FFmpegError):
        encoder.encode(frames[2], key=True, bitrate=RATE)
    assert (frames[2].pts, frames[2].pict_type) == (before, 0)


def test_other_codecs_are_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(FormatError, match=r"VP9.*VP8, H264"):
        VideoEncoder("VP9")
