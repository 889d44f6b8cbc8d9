"""RTP packets, beside aiortc's."""

from __future__ import annotations

import time

import pytest
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensions, HeaderExtensionsMap, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc import packets

EXTENSIONS = HeaderExtensionsMap()
EXTENSIONS.configure(
    RTCRtpParameters(
        headerExtensions=[
            RTCRtpHeaderExtensionParameters(id=4, uri=packets.MID),
            RTCRtpHeaderExtensionParameters(id=3, uri=packets.ABS_SEND_TIME),
        ]
    )
)


@given(
    st.booleans(),
    st.integers(0, 127),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40),
    st.one_of(st.none(), st.integers(0, 0xFFFFFF)),
    st.integers(0, 5),
)
def test_a_packet_of_aiortc_is_read(
    marker: bool,
    payload_type: int,
    sequence: int,
    timestamp: int,
    payload: bytes,
    moment: int | None,
    padding: int,
) -> None:
    """Every field is what aiortc wrote."""
    packet = RtpPacket(payload_type, int(marker), sequence, timestamp, 0xABCDEF01, payload)
    packet.csrc = [1, 2]
    packet.padding_size = padding
    packet.extensions = HeaderExtensions(mid="video", abs_send_time=moment)
    parsed = packets.parse_packet(packet.serialize(EXTENSIONS))
    assert parsed[:6] == (marker, payload_type, sequence, timestamp, 0xABCDEF01, payload)
    assert packets.abs_send_time(parsed.extensions, 3) == moment


@given(st.binary(max_size=40), st.booleans())
def test_a_built_packet_is_read_by_aiortc(payload: bytes, marker: bool) -> None:
    """Every field is what was built."""
    extensions = bytes([0x32, 1, 2, 3, 0x40, 65, 0, 0])
    data = packets.build_packet(payload, 96, (7, 8, 9), extensions, marker=marker)
    parsed = RtpPacket.parse(data, EXTENSIONS)
    assert (parsed.payload_type, parsed.marker, parsed.payload) == (96, marker, payload)
    assert (parsed.sequence_number, parsed.timestamp, parsed.ssrc) == (7, 8, 9)
    assert (parsed.extensions.abs_send_time, parsed.extensions.mid) == (0x010203, "A")
    bare = RtpPacket.parse(packets.build_packet(payload, 96, (7, 8, 9)), EXTENSIONS)
    assert bare.payload == payload


@given(st.binary(max_size=64))
def test_noise_is_no_packet_or_some_packet(noise: bytes) -> None:
    """Whatever comes is parsed, or refused as a `ValueError`."""
    try:
        parsed = packets.parse_packet(noise)
    except ValueError:
        return
    assert len(parsed.payload) <= len(noise) - 12
    packets.abs_send_time(parsed.extensions, 3)


@pytest.mark.parametrize(
    ("value", "near", "expected"),
    [(5, 65_530, 65_541), (65_530, 65_541, 65_530), (0, -1, 0), (65_535, 0, -1)],
)
def test_numbers_go_on_where_they_wrap(value: int, near: int, expected: int) -> None:
    """The nearest of all numbers with these lowest bits is meant."""
    assert packets.unwrapped(value, near, 16) == expected


def test_ntp_time_begins_in_1900() -> None:
    """Seconds of NTP are seconds since 1970 and the 70 years before, 17 of them leap years."""
    years_s = (70 * 365 + 17) * 86_400
    assert packets.ntp_time() / 2**32 - years_s == pytest.approx(time.time(), abs=1)


def test_ntp_time_goes_on_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receivers measure delays by it, and an hour's step would look like an hour's delay."""
    before = packets.ntp_time()
    there_s = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: there_s)
    assert 0 <= packets.ntp_time() - before < 60 << 32
