"""RTP streams that are sent, read by aiortc."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpSendParameters,
)
from aiortc.rtp import HeaderExtensionsMap, RtcpReceiverInfo, RtpPacket, unwrap_rtx

from greenroom.hosted.rtc import AudioPacket, CodedFrame
from greenroom.hosted.rtc.packets import ABS_SEND_TIME, MID
from greenroom.hosted.rtc.sending import AudioStream, VideoStream

if TYPE_CHECKING:
    import pytest

PARAMETERS = RTCRtpSendParameters(
    codecs=[
        RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96),
        RTCRtpCodecParameters(
            mimeType="video/rtx", clockRate=90_000, payloadType=97, parameters={"apt": 96}
        ),
    ],
    headerExtensions=[
        RTCRtpHeaderExtensionParameters(id=1, uri=MID),
        RTCRtpHeaderExtensionParameters(id=3, uri=ABS_SEND_TIME),
    ],
    muxId="0",
)
AUDIO = RTCRtpSendParameters(
    codecs=[RTCRtpCodecParameters(mimeType="audio/opus", clockRate=48_000, payloadType=111)],
    muxId="1",
)
EXTENSIONS = HeaderExtensionsMap()
EXTENSIONS.configure(PARAMETERS)


class Wire:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.packets: list[RtpPacket] = []
        self.works = True

    def send(self, data: bytes) -> int:
        """Take a packet."""
        if not self.works:
            return 0
        self.packets.append(RtpPacket.parse(data, EXTENSIONS))
        return len(data)


def frame(number: int, *, key: bool = False, parts: int = 2) -> CodedFrame:
    """Return a coded frame of nothing."""
    payloads = tuple(f"{number}.{part}".encode() for part in range(parts))
    return CodedFrame("VP8", payloads, 3000 * number, key)


def video() -> tuple[VideoStream, Wire]:
    """Return a stream, and what it sends on."""
    wire = Wire()
    return VideoStream(PARAMETERS, 1234, wire.send, retransmission=5678), wire


def test_frames_are_numbered_packets_with_a_marker_at_the_end() -> None:
    """Sequence numbers go on, times keep their distances, and the last packet has the marker."""
    stream, wire = video()
    for number in range(3):
        stream.put(frame(number, key=number == 0))
        stream.flush()
    packets = wire.packets
    first = packets[0]
    assert [one.payload for one in packets] == [b"0.0", b"0.1", b"1.0", b"1.1", b"2.0", b"2.1"]
    assert [one.marker for one in packets] == [0, 1] * 3
    assert [one.sequence_number - first.sequence_number for one in packets] == list(range(6))
    times = [(one.timestamp - first.timestamp) % 2**32 for one in packets]
    assert times == [0, 0, 3000, 3000, 6000, 6000]
    assert {(one.ssrc, one.payload_type, one.extensions.mid) for one in packets} == {
        (1234, 96, "0")
    }
    assert all(one.extensions.abs_send_time is not None for one in packets)
    assert stream.packets == 6
    assert stream.frames == 3


def test_it_begins_with_a_key_frame_and_asks_for_one() -> None:
    """Somebody who begins to watch gets nothing that refers to earlier frames."""
    stream, wire = video()
    assert stream.take_key_request()
    stream.put(frame(0))
    stream.put(frame(1, key=True))
    stream.put(frame(2))
    stream.flush()
    assert [one.payload for one in wire.packets] == [b"1.0", b"1.1", b"2.0", b"2.1"]
    assert stream.dropped["no key frame"] == 1
    assert not stream.take_key_request()


def test_frames_that_nobody_sends_are_dropped_up_to_the_next_key_frame() -> None:
    """The queue has an end: a loop that is behind does not make it grow."""
    stream, wire = video()
    stream.put(frame(0, key=True))
    stream.flush()
    for number in range(1, 10):
        stream.put(frame(number))
    stream.flush()
    assert len(wire.packets) == 2
    assert sum(stream.dropped.values()) == 9
    stream.put(frame(10, key=True))
    stream.flush()
    assert wire.packets[-1].payload == b"10.1"


def test_only_the_first_frame_of_a_burst_wakes_the_loop() -> None:
    """The others are sent with it."""
    stream, _ = video()
    assert [stream.put(frame(number, key=True)) for number in range(3)] == [True, False, False]
    stream.flush()
    assert stream.put(frame(3))


def test_frames_of_another_codec_are_not_sent() -> None:
    """They could not be decoded."""
    stream, wire = video()
    assert not stream.put(CodedFrame("H264", (b"x",), 0, key=True))
    stream.flush()
    assert wire.packets == []
    assert stream.dropped["codec"] == 1


def test_key_frames_are_asked_for_twice_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that asks all the time does not spoil the picture of others."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stream, _ = video()
    given = 0
    for _ in range(100):
        now[0] += 0.05
        stream.ask_for_key()
        given += stream.take_key_request()
    assert given == 10


def test_a_lost_packet_is_sent_again_in_its_own_stream() -> None:
    """The very packet is what aiortc unwraps (RFC 4588)."""
    stream, wire = video()
    stream.put(frame(0, key=True, parts=5))
    stream.flush()
    lost = wire.packets[3]
    stream.send_again(lost.sequence_number)
    stream.send_again(lost.sequence_number - 100)  # never sent
    assert len(wire.packets) == 6
    again = wire.packets[5]
    assert (again.payload_type, again.ssrc) == (97, 5678)
    found = unwrap_rtx(again, payload_type=96, ssrc=1234)
    assert bytes(found.serialize(EXTENSIONS)) == bytes(lost.serialize(EXTENSIONS))


def test_reports_tell_what_was_sent_and_give_the_round_trip() -> None:
    """Times of a report that came back are the round trip without the receiver's delay."""
    stream, wire = video()
    assert stream.report() is None
    stream.put(frame(0, key=True))
    stream.flush()
    report = stream.report()
    assert report is not None
    assert (report.packet_count, report.octet_count) == (2, 6)
    assert report.rtp_timestamp == wire.packets[0].timestamp
    time.sleep(0.05)
    middle = report.ntp_timestamp >> 16 & 0xFFFFFFFF
    answer = RtcpReceiverInfo(1234, 64, 3, 10, 0, lsr=middle, dlsr=round(0.03 * 65536))
    stream.reported(answer)
    assert 0.019 <= stream.rtt_s < 0.2
    assert stream.loss == 0.25


def test_nothing_is_counted_before_there_is_a_connection() -> None:
    """Only packets that left are sent packets."""
    stream, wire = video()
    wire.works = False
    stream.put(frame(0, key=True))
    stream.flush()
    assert stream.packets == 0
    assert stream.report() is None


def test_audio_keeps_its_gaps() -> None:
    """Losses and silence of the source are those of the stream, and a new source continues."""
    wire = Wire()
    stream = AudioStream(AUDIO, 99, wire.send)
    numbers = [(65_535, 0, 7), (0, 960, 7), (3, 9600, 7), (500, 5, 8), (501, 965, 8)]
    for sequence, timestamp, ssrc in numbers:
        payload = f"{sequence}".encode()
        stream.send(AudioPacket(payload, sequence, timestamp, False, ssrc, 0.0))  # noqa: FBT003
    steps = [
        (
            (after.sequence_number - before.sequence_number) % 2**16,
            (after.timestamp - before.timestamp) % 2**32,
        )
        for before, after in zip(wire.packets, wire.packets[1:], strict=False)
    ]
    assert steps == [(1, 960), (3, 8640), (1, 960), (1, 960)]
    assert [one.payload for one in wire.packets] == [b"65535", b"0", b"3", b"500", b"501"]
