"""RTP payload formats, beside aiortc's."""

from __future__ import annotations

import pytest
from aiortc.codecs import h264, vpx
from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc import payloads

UNITS = st.lists(
    # No start code inside, no zero at the end: an encoder escapes them.
    st.builds(
        lambda kind, body: bytes([0x60 | kind]) + body.replace(b"\x00", b"\x01") + b"\x80",
        st.sampled_from([1, 5, 7, 8]),
        st.binary(min_size=1, max_size=4000),
    ),
    min_size=1,
    max_size=6,
)


@given(st.binary(min_size=1, max_size=9000), st.integers(0, 0x7FFF))
def test_a_cut_vp8_frame_is_whole_again_for_aiortc(data: bytes, picture_id: int) -> None:
    """Payloads fit into packets, and joined by aiortc they are the frame."""
    cut = payloads.cut_vp8(data, picture_id)
    assert all(len(payload) <= payloads.PAYLOAD_SIZE for payload in cut)
    assert b"".join(vpx.vp8_depayload(payload) for payload in cut) == data
    descriptors = [vpx.VpxPayloadDescriptor.parse(payload)[0] for payload in cut]
    assert [one.partition_start for one in descriptors] == [1] + [0] * (len(cut) - 1)
    assert {one.picture_id for one in descriptors} == {picture_id}


@given(st.binary(min_size=1, max_size=9000), st.integers(0, 0x7FFF))
def test_vp8_of_aiortc_is_whole_again(data: bytes, picture_id: int) -> None:
    """What aiortc cuts is joined, and a key frame is told by its first byte."""
    cut = vpx.Vp8Encoder._packetize(data, picture_id)  # noqa: SLF001 - the reference
    parsed = [payloads.parse_vp8(payload) for payload in cut]
    assert b"".join(one.data for one in parsed) == data
    assert [one.starts_key for one in parsed] == [not data[0] & 1] + [False] * (len(cut) - 1)


@pytest.mark.parametrize(
    ("descriptor", "size"),
    [
        (b"\x10", 1),
        (b"\x90\x80\x12", 3),  # a picture ID of seven bits
        (b"\x90\x80\x92\x34", 4),  # of fifteen
        (b"\x90\xe0\x92\x34\x05\x40", 6),  # with layer index and temporal layer
        (b"\x90\x70\x05\x41", 4),
    ],
)
def test_every_field_of_a_vp8_descriptor_is_taken_off(descriptor: bytes, size: int) -> None:
    """Fields that other senders add do not get into the frame (RFC 7741, 4.2)."""
    assert len(descriptor) == size
    assert payloads.parse_vp8(descriptor + b"\x10\x02\x00") == (b"\x10\x02\x00", True)


def test_nothing_is_cut_into_nothing() -> None:
    """An encoder may leave a frame out."""
    assert payloads.cut_vp8(b"", 1) == payloads.cut_h264(b"") == []


@given(UNITS)
def test_a_cut_h264_frame_is_whole_again_for_aiortc(units: list[bytes]) -> None:
    """Payloads fit into packets, and joined by aiortc they are the byte stream."""
    stream = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    cut = payloads.cut_h264(stream)
    assert all(len(payload) <= payloads.PAYLOAD_SIZE for payload in cut)
    assert b"".join(h264.h264_depayload(payload) for payload in cut) == stream


@given(UNITS)
def test_h264_of_aiortc_is_whole_again(units: list[bytes]) -> None:
    """What aiortc cuts is joined, and a parameter set tells that a key frame begins."""
    stream = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    cut = h264.H264Encoder._packetize(units)  # noqa: SLF001 - the reference
    parsed = [payloads.parse_h264(payload) for payload in cut]
    assert b"".join(one.data for one in parsed) == stream
    assert any(one.starts_key for one in parsed) == any(unit[0] & 0x1F == 7 for unit in units)


@given(st.binary(max_size=60))
def test_noise_is_a_payload_or_an_error(noise: bytes) -> None:
    """Whatever comes is parsed, or refused as a `ValueError`."""
    for parse in (payloads.parse_vp8, payloads.parse_h264):
        try:
            assert isinstance(parse(noise).data, bytes)
        except ValueError:
            continue
