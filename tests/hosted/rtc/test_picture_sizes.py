"""Sizes of coded pictures, beside those that FFmpeg's encoders were asked for."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc.picture_sizes import picture_size

SIZES = [(320, 240), (240, 320), (854, 480), (1920, 1080), (4096, 2304), (64, 32)]


def key_frame(encoder: str, size: tuple[int, int], pixels: str, **options: str) -> bytes:
    """Return a coded frame of nothing."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt = pixels
    context.time_base = Fraction(1, 30)
    context.options = options
    frame = av.VideoFrame(*size, pixels)
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    return bytes(packets[0])


@pytest.mark.parametrize("size", SIZES)
def test_vp8_tells_its_size(size: tuple[int, int]) -> None:
    """The key frame's header has it exactly."""
    data = key_frame("libvpx", size, "yuv420p", deadline="realtime")
    assert picture_size("VP8", data) == size
    assert picture_size("VP8", b"\x01" + data[1:]) is None  # not a key frame


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("flags", ["interlaced=0", "interlaced=1:cqm=jvt"])
def test_h264_tells_its_size(size: tuple[int, int], pixels: str, flags: str) -> None:
    """The parameter set has it in macroblocks, of fields where it is interlaced."""
    options = {"preset": "ultrafast", "x264-params": flags}
    data = key_frame("libx264", size, pixels, **options)
    found = picture_size("H264", data)
    assert found is not None
    step = 32 if "interlaced=1" in flags else 16
    assert found == (-(-size[0] // 16) * 16, -(-size[1] // step) * step)


@given(st.binary(max_size=80), st.sampled_from(["VP8", "H264"]))
def test_noise_has_some_size_or_none(noise: bytes, codec: str) -> None:
    """Nothing is raised, whatever comes."""
    for data in (noise, b"\x00\x00\x01\x67" + noise, b"\x00\x01\x02\x9d\x01\x2a" + noise):
        size = picture_size(codec, data)
        assert size is None or min(size) >= 0
