"""RTP streams that are received: loss and jitter, feedback, frames, audio."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRtpfbPacket,
    clamp_packets_lost,
    pack_remb_fci,
)

from greenroom.hosted.rtc import payloads
from greenroom.hosted.rtc.assembly import Assembler
from greenroom.hosted.rtc.audio import AudioPacket
from greenroom.hosted.rtc.bandwidth import BandwidthEstimator
from greenroom.hosted.rtc.packets import ABS_SEND_TIME, Packet, abs_send_time, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
    from aiortc.rtp import RtcpSrPacket

    from greenroom.hosted.rtc.assembly import EncodedFrame

__all__ = ["AudioReceiver", "Receiver", "VideoReceiver"]

_KEY_INTERVAL_S: Final = 0.4  # at which a key frame is asked for again
_SWITCH_S: Final = 1.0  # a new SSRC takes over when the old one was silent this long

_NOTHING: Final = payloads.Payload(b"", starts_key=False)  # of a packet of padding
_PARSERS: Final = {"VP8": payloads.parse_vp8, "H264": payloads.parse_h264}


class Receiver:
    """One RTP stream that is received, with what its reports say.

    Parameters
    ----------
    parameters : RTCRtpReceiveParameters
        As negotiated.

    Attributes
    ----------
    packets, bytes : int
        What came.
    heard_s : float
        When the last packet came, by `time.monotonic`.
    """

    def __init__(self, parameters: RTCRtpReceiveParameters) -> None:
        self.packets = 0
        self.bytes = 0
        self.heard_s = 0.0
        self.ssrc: int | None = None
        self.codecs = {
            codec.payloadType: codec for codec in parameters.codecs if codec.payloadType is not None
        }
        self._first = 0
        self._highest = 0
        self._reported = (0, 0)  # packets expected and received until the last report
        self._jitter = 0.0
        self._transit = 0.0
        self._sender_report = (0, 0.0)

    def take(self, packet: Packet, now_s: float) -> None:
        """Take a packet of one of `codecs`."""
        raise NotImplementedError

    def _count(self, packet: Packet, now_s: float, rate: int) -> bool:
        """Keep the numbers of the reports; return whether a packet is of the present stream."""
        if packet.ssrc != self.ssrc:
            if self.ssrc is not None and now_s - self.heard_s < _SWITCH_S:
                return False
            self._begin(packet)
        self.heard_s = now_s
        self.packets += 1
        self.bytes += len(packet.payload)
        sequence = unwrapped(packet.sequence, self._highest, 16)
        if sequence > self._highest:
            self._highest = sequence
            transit = now_s * rate - packet.timestamp
            if self._transit and abs(transit - self._transit) < rate:
                self._jitter += (abs(transit - self._transit) - self._jitter) / 16
            self._transit = transit
        return True

    def _begin(self, packet: Packet) -> None:
        """Begin with another source."""
        self.ssrc = packet.ssrc
        self._first = packet.sequence
        self._highest = packet.sequence - 1
        self._reported = (0, 0)
        self.packets = 0
        self._transit = 0.0

    @property
    def jitter_s(self) -> float:
        """Mean deviation of the packets' spacing, in seconds."""
        rates = [codec.clockRate for codec in self.codecs.values()]
        return self._jitter / rates[0]

    def sender_reported(self, report: RtcpSrPacket) -> None:
        """Take the sender's report."""
        if report.ssrc == self.ssrc:
            middle = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
            self._sender_report = middle, time.monotonic()

    def report(self) -> RtcpReceiverInfo | None:
        """Return what is reported to the sender now; None before the first packet."""
        if self.ssrc is None:
            return None
        expected = self._highest - self._first + 1
        expected_now = expected - self._reported[0]
        lost_now = expected_now - (self.packets - self._reported[1])
        self._reported = expected, self.packets
        middle, when_s = self._sender_report
        delay = round((time.monotonic() - when_s) * 65536) if middle else 0
        return RtcpReceiverInfo(
            ssrc=self.ssrc,
            fraction_lost=max(0, min(255, (lost_now << 8) // expected_now)) if expected_now else 0,
            packets_lost=clamp_packets_lost(expected - self.packets),
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            lsr=middle,
            dlsr=min(delay, 0xFFFFFFFF),
        )


class AudioReceiver(Receiver):
    """Audio, passed on as it came.

    Parameters
    ----------
    parameters : RTCRtpReceiveParameters
    on_audio : callable
        Takes each packet.
    """

    def __init__(
        self, parameters: RTCRtpReceiveParameters, on_audio: Callable[[AudioPacket], None]
    ) -> None:
        super().__init__(parameters)
        self._on_audio = on_audio

    def take(self, packet: Packet, now_s: float) -> None:
        """See `Receiver.take`."""
        codec = self.codecs[packet.payload_type]
        if codec.name.lower() != "opus" or not packet.payload:
            return
        if self._count(packet, now_s, codec.clockRate):
            self._on_audio(
                AudioPacket(
                    packet.payload,
                    packet.sequence,
                    packet.timestamp,
                    packet.marker,
                    packet.ssrc,
                    now_s,
                )
            )


class VideoReceiver(Receiver):
    """Video, put together to coded frames, with the feedback that its sender needs.

    Parameters
    ----------
    parameters : RTCRtpReceiveParameters
    on_frame : callable
        Takes each coded frame.
    feed_back : callable
        Sends an RTCP packet.
    own_ssrc : int
        Under which feedback is sent.
    bitrates : tuple of int
        The least, the first and the highest that the sender is told to keep to, in bits/s.
    """

    def __init__(
        self,
        parameters: RTCRtpReceiveParameters,
        on_frame: Callable[[EncodedFrame], None],
        feed_back: Callable[[bytes], object],
        *,
        own_ssrc: int,
        bitrates: tuple[int, int, int],
    ) -> None:
        super().__init__(parameters)
        self.assembler = Assembler()
        self.frames = 0
        self._on_frame = on_frame
        self._feed_back = feed_back
        self.own_ssrc = own_ssrc
        self._asked_s = 0.0
        self._estimator = BandwidthEstimator(bitrates)
        self._told = (0, 0)  # packets expected and received until the sender was told
        self._time_id = next(
            (one.id for one in parameters.headerExtensions if one.uri == ABS_SEND_TIME), 0
        )
        self._frame_bytes = 0
        # Retransmissions come with an SSRC of their own.
        self._again = {
            encoding.rtx.ssrc: encoding.ssrc for encoding in parameters.encodings if encoding.rtx
        }

    def take(self, packet: Packet, now_s: float) -> None:
        """See `Receiver.take`."""
        codec = self.codecs[packet.payload_type]
        if codec.name.lower() == "rtx":
            original = self._retransmitted(packet, codec)
            if original is None:
                return
            packet = original
            codec = self.codecs[packet.payload_type]
        elif self._count(packet, now_s, codec.clockRate):
            self._estimate(packet, now_s)
        else:
            return
        parse = _PARSERS.get(codec.name)
        if parse is None:
            return
        try:
            payload = parse(packet.payload) if packet.payload else _NOTHING
        except ValueError:
            self.assembler.dropped["damaged"] += 1
            return
        numbers = packet.sequence, packet.timestamp
        for frame in self.assembler.add(codec.name, numbers, payload, now_s, marker=packet.marker):
            self.frames += 1
            self._on_frame(frame)
        self._ask(now_s)

    def need_key(self) -> None:
        """Ask the sender for a key frame, unless that was done just now."""
        now_s = time.monotonic()
        if self.ssrc is not None and now_s - self._asked_s >= _KEY_INTERVAL_S:
            self._asked_s = now_s
            self._feed_back(
                bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self.own_ssrc, media_ssrc=self.ssrc))
            )

    def _begin(self, packet: Packet) -> None:
        super()._begin(packet)
        self.assembler.restart()
        self._told = (0, 0)

    def _ask(self, now_s: float) -> None:
        """Ask for lost packets, or for a key frame where they would not help."""
        if self.assembler.needs_key:
            self.need_key()
            return
        missing = self.assembler.missing(now_s)
        if missing and self.ssrc is not None:
            nack = RtcpRtpfbPacket(
                fmt=RTCP_RTPFB_NACK, ssrc=self.own_ssrc, media_ssrc=self.ssrc, lost=missing
            )
            self._feed_back(bytes(nack))

    def _retransmitted(self, packet: Packet, codec: RTCRtpCodecParameters) -> Packet | None:
        """Return the packet inside a retransmission (RFC 4588)."""
        original = codec.parameters.get("apt")
        if not isinstance(original, int) or original not in self.codecs or self.ssrc is None:
            return None
        if len(packet.payload) < 2 or self._again.get(packet.ssrc, self.ssrc) != self.ssrc:
            return None
        return packet._replace(
            payload_type=original,
            sequence=int.from_bytes(packet.payload[:2]),
            ssrc=self.ssrc,
            payload=packet.payload[2:],
        )

    def _estimate(self, packet: Packet, now_s: float) -> None:
        """Tell the sender what bit rate gets through: estimated once a frame, as it is dear."""
        self._frame_bytes += len(packet.payload)
        if not packet.marker or not self._time_id:
            return
        sent = abs_send_time(packet.extensions, self._time_id)
        if sent is None:
            return
        self._estimator.add(sent, self._frame_bytes, now_s)
        self._frame_bytes = 0
        if self._estimator.due(now_s):
            fci = pack_remb_fci(self._estimator.update(self._loss(), now_s), [packet.ssrc])
            remb = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=self.own_ssrc, media_ssrc=0, fci=fci)
            self._feed_back(bytes(remb))

    def _loss(self) -> float:
        """Return the share of the packets that were lost since this was called last."""
        expected = self._highest - self._first + 1
        expected_now, received_now = expected - self._told[0], self.packets - self._told[1]
        self._told = expected, self.packets
        return max(0.0, 1 - received_now / expected_now) if expected_now > 0 else 0.0
