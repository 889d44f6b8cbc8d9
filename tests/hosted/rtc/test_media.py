"""Packets of a connection find their streams, whatever is in them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpReceiveParameters,
)
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import given
from hypothesis import strategies as st

from greenroom.hosted.rtc.media import Media
from greenroom.hosted.rtc.packets import ABS_SEND_TIME, build_packet
from greenroom.hosted.rtc.receiving import AudioReceiver, VideoReceiver
from greenroom.hosted.rtc.sending import VideoStream
from hosted.rtc.test_sending import PARAMETERS, frame

if TYPE_CHECKING:
    from greenroom.hosted.rtc.assembly import EncodedFrame
    from greenroom.hosted.rtc.audio import AudioPacket

THEIRS, OURS = 77, 1234
VIDEO_IN = RTCRtpReceiveParameters(
    codecs=[
        RTCRtpCodecParameters(mimeType="video/VP8", clockRate=90_000, payloadType=96),
        RTCRtpCodecParameters(
            mimeType="video/rtx", clockRate=90_000, payloadType=97, parameters={"apt": 96}
        ),
        RTCRtpCodecParameters(mimeType="video/H264", clockRate=90_000, payloadType=98),
    ],
    headerExtensions=[RTCRtpHeaderExtensionParameters(id=3, uri=ABS_SEND_TIME)],
)
AUDIO_IN = RTCRtpReceiveParameters(
    codecs=[RTCRtpCodecParameters(mimeType="audio/opus", clockRate=48_000, payloadType=111)]
)
KEY = b"\x90\x80\x80\x01\x10\x02\x00\x9d\x01\x2a\x40\x01\xf0\x00"
DELTA = b"\x90\x80\x80\x02\x11\x02\x00"


class Plain:
    """Encrypts nothing, and keeps what is sent."""

    ready = True

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.again: list[bytes] = []

    def unprotect(self, data: bytes) -> tuple[bytes, bool] | None:
        """Tell RTCP from RTP."""
        return (data, 192 <= data[1] <= 223) if len(data) > 1 else None

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> int:
        """Keep a packet."""
        if is_rtcp:
            self.reports += RtcpPacket.parse(packet)
        else:
            self.again.append(packet)
        return len(packet)


class Rig:
    """The media of a connection that receives and sends."""

    def __init__(self) -> None:
        self.wire = Plain()
        self.frames: list[EncodedFrame] = []
        self.sound: list[AudioPacket] = []
        self.media = Media(cast("Any", self.wire))
        self.video_in = self.media.video_in = VideoReceiver(
            VIDEO_IN,
            self.frames.append,
            lambda packet: self.wire.send(packet, is_rtcp=True),
            own_ssrc=OURS,
            bitrates=(150_000, 1_000_000, 4_000_000),
        )
        self.media.audio_in = AudioReceiver(AUDIO_IN, self.sound.append)
        self.video_out = self.media.video_out = VideoStream(
            PARAMETERS, OURS, self.wire.send, retransmission=5678
        )
        self.media.route(self.video_in)
        self.media.route(self.media.audio_in)

    def take(self, payload: bytes, sequence: int, *, kind: int = 96, ssrc: int = THEIRS) -> None:
        """Take an RTP packet that is a frame."""
        moment = round(time.monotonic() * 2**18) & 0xFFFFFF
        extensions = b"\x32" + moment.to_bytes(3)
        numbers = (sequence & 0xFFFF, sequence * 3000, ssrc)
        self.media.received(build_packet(payload, kind, numbers, extensions, marker=True))

    def sent(self, kind: type) -> list[Any]:
        """Return the reports of a kind that were sent."""
        return [one for one in self.wire.reports if isinstance(one, kind)]


def test_frames_and_sound_find_their_way() -> None:
    """By the payload types that were negotiated; unknown ones go nowhere."""
    rig = Rig()
    rig.take(KEY, 1)
    rig.take(DELTA, 2)
    rig.take(b"opus", 9, kind=111, ssrc=5)
    rig.take(b"other", 9, kind=50, ssrc=6)
    assert [one.key for one in rig.frames] == [True, False]
    assert [one.payload for one in rig.sound] == [b"opus"]


def test_a_sender_is_told_what_it_may_send_with_its_first_frame() -> None:
    """REMB names the first bit rate and the sender's stream."""
    rig = Rig()
    rig.take(KEY, 1)
    (remb,) = rig.sent(RtcpPsfbPacket)
    assert remb.fmt == RTCP_PSFB_APP
    assert remb.fci == pack_remb_fci(1_000_000, [THEIRS])


def test_without_a_key_frame_one_is_asked_for() -> None:
    """Not with each packet, but until it comes."""
    rig = Rig()
    for sequence in range(5):
        rig.take(DELTA, sequence)
    asked = [one for one in rig.sent(RtcpPsfbPacket) if one.fmt == RTCP_PSFB_PLI]
    assert [(one.ssrc, one.media_ssrc) for one in asked] == [(OURS, THEIRS)]
    assert rig.frames == []


def test_lost_packets_are_asked_for_and_come_in_another_stream() -> None:
    """A retransmission is put where it belongs (RFC 4588)."""
    rig = Rig()
    rig.take(KEY, 1)
    rig.take(DELTA, 3)
    (nack,) = rig.sent(RtcpRtpfbPacket)
    assert (nack.fmt, nack.lost, nack.media_ssrc) == (RTCP_RTPFB_NACK, [2], THEIRS)
    again = b"\x00\x02" + DELTA
    rig.media.received(build_packet(again, 97, (900, 6000, 4321), marker=True))
    assert [one.timestamp for one in rig.frames] == [0, 3000, 6000]


def test_another_stream_takes_over_when_the_first_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two at a time would be mixed up; one that follows begins with a key frame."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rig = Rig()
    rig.take(KEY, 1)
    rig.take(KEY, 500, ssrc=8)
    assert len(rig.frames) == 1
    now[0] += 2
    rig.take(DELTA, 501, ssrc=8)
    rig.take(KEY, 502, ssrc=8)
    assert len(rig.frames) == 2
    assert rig.frames[1].key


def test_reports_of_loss_are_right() -> None:
    """Two of ten packets lost are a fifth, of which the sum is kept (RFC 3550, 6.4.1)."""
    rig = Rig()
    for sequence in (65_534, 65_535, 65_536, 65_537, 65_540, 65_541, 65_542, 65_543):
        rig.take(KEY, sequence)
    rig.media.send_reports()
    (report,) = rig.sent(RtcpRrPacket)
    (block,) = report.reports
    assert block.ssrc == THEIRS
    assert block.fraction_lost == 2 * 256 // 10
    assert block.packets_lost == 2
    assert block.highest_sequence & 0xFFFF == 65_543 & 0xFFFF
    rig.take(KEY, 65_544)
    rig.media.send_reports()
    assert rig.sent(RtcpRrPacket)[1].reports[0].fraction_lost == 0


def test_sender_reports_come_back_for_the_round_trip() -> None:
    """The middle of their time is quoted, and how long ago it came."""
    rig = Rig()
    rig.take(KEY, 1)
    info = RtcpSenderInfo(0x0123_4567_89AB_CDEF, 0, 1, 1)
    rig.media.received(bytes(RtcpSrPacket(THEIRS, info)))
    rig.video_out.put(frame(0, key=True))
    rig.video_out.flush()
    rig.media.send_reports()
    (report,) = rig.sent(RtcpSrPacket)
    assert report.sender_info.packet_count == 2
    assert report.reports[0].lsr == 0x4567_89AB
    assert 0 <= report.reports[0].dlsr < 65_536


def test_feedback_reaches_the_video_that_is_sent() -> None:
    """Key frames, retransmissions, bit rate, loss: each by its packet."""
    rig = Rig()
    assert rig.video_out.take_key_request()  # the first
    rig.video_out.put(frame(0, key=True))
    rig.video_out.flush()
    number = int.from_bytes(rig.wire.again[0][2:4])
    rig.media.received(
        bytes(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, OURS, [number, (number + 9) & 0xFFFF]))
    )
    assert len(rig.wire.again) == 3
    rig.media.received(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, pack_remb_fci(654_321, [OURS]))))
    assert rig.media.remb == pytest.approx(654_321, rel=0.01)
    rig.media.received(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, pack_remb_fci(1, [55]))))
    assert rig.media.remb == pytest.approx(654_321, rel=0.01)
    block = RtcpReceiverInfo(OURS, 51, 1, 1, 1, 0, 0)
    rig.media.received(bytes(RtcpRrPacket(1, [block])))
    assert rig.video_out.loss == pytest.approx(0.2, abs=0.01)
    assert not rig.media.left
    rig.media.received(bytes(RtcpByePacket([THEIRS])))


@pytest.mark.parametrize("fmt", [RTCP_PSFB_PLI, RTCP_PSFB_FIR])
def test_both_requests_for_key_frames_are_known(fmt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Picture loss and full intra request."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rig = Rig()
    assert rig.video_out.take_key_request()
    now[0] += 1
    assert not rig.video_out.take_key_request()
    rig.media.received(bytes(RtcpPsfbPacket(fmt, 1, OURS, b"")))
    assert rig.video_out.take_key_request()


def test_a_goodbye_of_the_video_is_the_end() -> None:
    """One of another stream is not."""
    rig = Rig()
    rig.take(KEY, 1)
    rig.media.received(bytes(RtcpByePacket([99])))
    assert not rig.media.left
    rig.media.received(bytes(RtcpByePacket([THEIRS])))
    assert rig.media.left


def test_a_flood_is_dropped_before_it_is_decrypted() -> None:
    """No more than some thousand packets a second are looked at."""
    rig = Rig()
    for sequence in range(5000):
        rig.take(DELTA, sequence, kind=50)
    assert 1500 < rig.media.stats()["refused_flood"] < 2100


def test_a_report_that_is_cut_off_is_dropped() -> None:
    """It names more streams than it has, which aiortc's parser does not expect."""
    rig = Rig()
    short = pack_remb_fci(1000, [OURS])[:4] + b"\x09" + pack_remb_fci(1000, [OURS])[5:]
    rig.media.received(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, OURS, short)))
    assert rig.media.stats()["refused_damaged"] == 1
    assert rig.media.remb is None


@given(st.lists(st.binary(min_size=1, max_size=120), max_size=8), st.data())
def test_noise_of_a_peer_with_keys_is_dropped(noise: list[bytes], data: st.DataObject) -> None:
    """Whatever a client encrypts, nothing is raised."""
    rig = Rig()
    rig.take(KEY, 1)
    rig.video_out.put(frame(0, key=True))
    rig.video_out.flush()
    heads = st.sampled_from(
        [
            b"",
            b"\x80\x60\x00\x02",
            b"\x90\xe1\x00\x02" + bytes(8) + b"\xbe\xde\x00\x01",
            b"\x80\xe2\x00\x02",
            *(bytes([0x81, kind, 0, words]) for kind in range(200, 207) for words in (1, 3, 7)),
            *(bytes([0x80 | fmt, 206, 0, 4]) + bytes(8) + b"REMB" for fmt in (1, 4, 15)),
        ]
    )
    for tail in noise:
        rig.media.received(data.draw(heads) + tail)
