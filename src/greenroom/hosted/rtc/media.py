"""The streams of one connection: packets find theirs, and reports are sent and read."""

from __future__ import annotations

import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSourceInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)

from greenroom.hosted.rtc.packets import parse_packet
from greenroom.hosted.rtc.rates import Allowance

if TYPE_CHECKING:
    from aiortc.rtp import AnyRtcpPacket

    from greenroom.hosted.rtc.internals import SecureRtp
    from greenroom.hosted.rtc.receiving import AudioReceiver, Receiver, VideoReceiver
    from greenroom.hosted.rtc.sending import AudioStream, VideoStream

__all__ = ["Media"]

_PACKETS_PER_S: Final = 3000  # RTP and RTCP of one peer: 25 Mbit/s
_AGAIN_PER_S: Final = 1000  # retransmissions
# What aiortc's parsers raise over reports that are cut off or false.
_DAMAGED: Final = (IndexError, ValueError, struct.error)
_CNAME: Final = b"greenroom"


class Media:
    """The streams of one connection; used on the loop.

    Parameters
    ----------
    secure : SecureRtp

    Attributes
    ----------
    video_in, audio_in, video_out, audio_out
        None until they are negotiated and the connection is encrypted.
    audio_ssrc : int
        Under which audio is reported of.
    remb : int or None
        What the receiver estimates that gets through, in bits/s.
    left : bool
        Whether the other side has said goodbye.
    """

    def __init__(self, secure: SecureRtp) -> None:
        self.secure = secure
        self.video_in: VideoReceiver | None = None
        self.audio_in: AudioReceiver | None = None
        self.video_out: VideoStream | None = None
        self.audio_out: AudioStream | None = None
        self.audio_ssrc = 0
        self.remb: int | None = None
        self.left = False
        self._routes: dict[int, Receiver] = {}
        self._heard_s = 0.0
        self._allowance = Allowance(_PACKETS_PER_S)
        self._again = Allowance(_AGAIN_PER_S)
        self._refused: Counter[str] = Counter()

    def route(self, receiver: Receiver) -> None:
        """Have a receiver get the packets of its payload types."""
        for payload_type in receiver.codecs:
            self._routes.setdefault(payload_type, receiver)

    def received(self, data: bytes) -> None:
        """Take an encrypted packet."""
        now_s = time.monotonic()
        if not self._allowance.take(now_s):
            return
        opened = self.secure.unprotect(data)
        if opened is None:
            self._refused["not of the peer"] += 1
            return
        self._heard_s = now_s
        packet, is_rtcp = opened
        try:
            if is_rtcp:
                self._take_reports(packet)
                return
            parsed = parse_packet(packet)
        except _DAMAGED:
            self._refused["damaged"] += 1
            return
        receiver = self._routes.get(parsed.payload_type)
        if receiver is not None:
            receiver.take(parsed, now_s)

    def consented(self) -> None:
        """Note that the other side still agrees to be sent to."""
        self._heard_s = time.monotonic()

    def last_heard(self, now_s: float) -> float:
        """Return when media or consent last came; the first call counts as such."""
        if not self._heard_s:
            self._heard_s = now_s
        return self._heard_s

    def _take_reports(self, data: bytes) -> None:
        for packet in RtcpPacket.parse(data):
            if isinstance(packet, (RtcpSrPacket, RtcpRrPacket)):
                self._take_report(packet)
            elif isinstance(packet, RtcpPsfbPacket):
                self._take_video_feedback(packet)
            elif isinstance(packet, RtcpRtpfbPacket):
                if packet.fmt == RTCP_RTPFB_NACK and self.video_out is not None:
                    self._send_again(packet)
            elif isinstance(packet, RtcpByePacket):
                heard = self.video_in or self.audio_in
                self.left |= heard is not None and heard.ssrc in packet.sources

    def _take_report(self, packet: RtcpSrPacket | RtcpRrPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            for receiver in (self.video_in, self.audio_in):
                if receiver is not None:
                    receiver.sender_reported(packet)
        for report in packet.reports:
            for stream in (self.video_out, self.audio_out):
                if stream is not None and report.ssrc == stream.ssrc:
                    stream.reported(report)

    def _take_video_feedback(self, packet: RtcpPsfbPacket) -> None:
        if self.video_out is None:
            return
        if packet.fmt in {RTCP_PSFB_PLI, RTCP_PSFB_FIR}:
            self.video_out.ask_for_key()
        elif packet.fmt == RTCP_PSFB_APP:
            bitrate, ssrcs = unpack_remb_fci(packet.fci)
            if self.video_out.ssrc in ssrcs:
                self.remb = bitrate

    def _send_again(self, packet: RtcpRtpfbPacket) -> None:
        assert self.video_out is not None
        now_s = time.monotonic()
        for sequence in packet.lost:
            if self._again.take(now_s):
                self.video_out.send_again(sequence)

    def send_reports(self) -> None:
        """Send what RFC 3550 asks for about once a second."""
        receivers = [one for one in (self.video_in, self.audio_in) if one is not None]
        blocks = [block for one in receivers if (block := one.report()) is not None]
        packets: list[AnyRtcpPacket] = []
        sources = []
        for stream in (self.video_out, self.audio_out):
            info = None if stream is None else stream.report()
            if stream is not None and info is not None:
                packets.append(RtcpSrPacket(stream.ssrc, info, [] if packets else blocks))
                sources.append(RtcpSourceInfo(stream.ssrc, [(1, _CNAME)]))
        if not packets and blocks:
            packets.append(RtcpRrPacket(self._own_ssrc(), blocks))
        if sources:
            packets.append(RtcpSdesPacket(sources))
        if packets:
            self.secure.send(b"".join(bytes(packet) for packet in packets), is_rtcp=True)

    def _own_ssrc(self) -> int:
        return self.video_in.own_ssrc if self.video_in is not None else self.audio_ssrc

    def say_goodbye(self) -> None:
        """Tell the other side that our streams end."""
        sources = [one.ssrc for one in (self.video_out, self.audio_out) if one is not None]
        if sources:
            self.secure.send(bytes(RtcpByePacket(sources)), is_rtcp=True)

    def stats(self) -> dict[str, float]:
        """See `greenroom.hosted.rtc.peer.Peer.stats`."""
        stats: dict[str, float] = {}
        if self.video_in is not None:
            stats["frames_in"] = self.video_in.frames
            stats["jitter_s"] = self.video_in.jitter_s
            for reason, count in self.video_in.assembler.dropped.items():
                stats[f"dropped_in_{reason}"] = count
        if self.video_out is not None:
            stats["frames_out"] = self.video_out.frames
            stats["rtt_s"] = self.video_out.rtt_s
            stats["loss"] = self.video_out.loss
            for reason, count in self.video_out.dropped.items():
                stats[f"dropped_out_{reason.replace(' ', '_')}"] = count
        stats["bytes_in"] = sum(one.bytes for one in (self.video_in, self.audio_in) if one)
        stats["bytes_out"] = sum(one.bytes for one in (self.video_out, self.audio_out) if one)
        refused = Counter(self._refused)
        refused["flood"] = self._allowance.refused
        for reason, count in refused.items():
            stats[f"refused_{reason.replace(' ', '_')}"] = count
        return stats
