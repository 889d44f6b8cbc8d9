"""RTP streams that are sent: numbering, extensions, retransmission, reports."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from aiortc.rtp import RtcpReceiverInfo, RtcpSenderInfo

from greenroom.hosted.rtc.packets import ABS_SEND_TIME, MID, build_packet, ntp_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiortc.rtcrtpparameters import RTCRtpSendParameters

    from greenroom.hosted.rtc.audio import AudioPacket
    from greenroom.hosted.rtc.encoding import CodedFrame

__all__ = ["AudioStream", "OutgoingStream", "VideoStream"]

_HISTORY: Final = 512  # packets that can be sent once more
_MOST_WAITING: Final = 8  # coded frames
_RTT_WEIGHT: Final = 0.15  # of a new round trip in the average
_KEY_INTERVAL_S: Final = 0.5  # a key frame is dear: no more than this often on request


class OutgoingStream:
    """One RTP stream that is sent; used on the loop.

    Parameters
    ----------
    parameters : RTCRtpSendParameters
        As negotiated. The first codec is used.
    ssrc : int
    send : callable
        Encrypts and sends a packet; returns the bytes, 0 if there is no connection.

    Attributes
    ----------
    packets, bytes : int
        What was sent.
    rtt_s, loss : float
        By the last report of the receiver: round trip in seconds, lost share of the packets.
    """

    def __init__(
        self, parameters: RTCRtpSendParameters, ssrc: int, send: Callable[[bytes], int]
    ) -> None:
        self.ssrc = ssrc
        self.packets = 0
        self.bytes = 0
        self.rtt_s = 0.0
        self.loss = 0.0
        self._send = send
        # In the lower half, as a number that wraps soon would trouble SRTP.
        self._sequence = random.randrange(1 << 15)  # noqa: S311 - no secret
        self._offset = random.randrange(1 << 32)  # noqa: S311 - no secret
        self.payload_type = int(parameters.codecs[0].payloadType or 0)
        identifiers = {extension.uri: extension.id for extension in parameters.headerExtensions}
        self._mid = _element(identifiers.get(MID, 0), parameters.muxId.encode())
        self._time_id = identifiers.get(ABS_SEND_TIME, 0)
        self._timestamp = 0
        self._sent_ntp = 0
        self._payload_bytes = 0
        self._reported: tuple[int, float] = (0, 0.0)  # middle of the NTP time, and when

    def report(self) -> RtcpSenderInfo | None:
        """Return what a sender report says now; None before the first packet."""
        if not self.packets:
            return None
        self._reported = self._sent_ntp >> 16 & 0xFFFFFFFF, time.monotonic()
        return RtcpSenderInfo(
            ntp_timestamp=self._sent_ntp,
            rtp_timestamp=self._timestamp,
            packet_count=self.packets & 0xFFFFFFFF,
            octet_count=self._payload_bytes & 0xFFFFFFFF,
        )

    def reported(self, report: RtcpReceiverInfo) -> None:
        """Take a report of the receiver."""
        self.loss = report.fraction_lost / 256
        middle, when_s = self._reported
        if report.dlsr and report.lsr == middle:
            rtt_s = max(0.0, time.monotonic() - when_s - report.dlsr / 65536)
            self.rtt_s += (_RTT_WEIGHT if self.rtt_s else 1.0) * (rtt_s - self.rtt_s)

    def _extensions(self) -> bytes:
        """Return the header extensions of a packet that is sent now, padded to words."""
        extensions = self._mid
        if self._time_id:
            moment = (ntp_time() >> 14 & 0xFFFFFF).to_bytes(3)
            extensions += bytes([self._time_id << 4 | 2]) + moment
        return extensions + bytes(-len(extensions) % 4)

    def _sent(self, packet: bytes, payload_size: int, timestamp: int) -> None:
        if not self._send(packet):
            return
        self.packets += 1
        self.bytes += len(packet)
        self._payload_bytes += payload_size
        self._timestamp = timestamp
        self._sent_ntp = ntp_time()


class AudioStream(OutgoingStream):
    """Audio that is passed on with the gaps that it came with."""

    _source: int | None = None
    _step = (0, 0)  # from a packet's numbers to ours

    def send(self, packet: AudioPacket) -> None:
        """Send a packet."""
        if packet.ssrc != self._source:  # continue where the last one ended
            self._source = packet.ssrc
            self._step = (
                self._sequence + 1 - packet.sequence,
                self._timestamp + 960 - packet.timestamp,
            )
        self._sequence = packet.sequence + self._step[0] & 0xFFFF
        timestamp = packet.timestamp + self._step[1] & 0xFFFFFFFF
        data = build_packet(
            packet.payload,
            self.payload_type,
            (self._sequence, timestamp, self.ssrc),
            self._extensions(),
            marker=packet.marker,
        )
        self._sent(data, len(packet.payload), timestamp)


class VideoStream(OutgoingStream):
    """Video that is sent frame by frame.

    Parameters
    ----------
    parameters, ssrc, send
        As of `OutgoingStream`.
    retransmission : int
        SSRC of packets that are sent once more, if that was negotiated.

    Attributes
    ----------
    dropped : Counter
        Frames that were not sent, by reason.
    frames : int
        Frames that were sent.
    """

    def __init__(
        self,
        parameters: RTCRtpSendParameters,
        ssrc: int,
        send: Callable[[bytes], int],
        *,
        retransmission: int,
    ) -> None:
        super().__init__(parameters, ssrc, send)
        self.codec = parameters.codecs[0].name
        self.frames = 0
        self.dropped: Counter[str] = Counter()
        self._waits_for_key = True
        self._asked = True
        self._asked_last_s = -_KEY_INTERVAL_S
        self._waiting: deque[CodedFrame] = deque()
        self._history: dict[int, tuple[int, bytes]] = {}
        again = (
            codec.payloadType
            for codec in parameters.codecs
            if codec.name.lower() == "rtx" and codec.parameters.get("apt") == self.payload_type
        )
        self._again_type = next(again, None)
        self._again_ssrc = retransmission
        self._again_sequence = random.randrange(1 << 15)  # noqa: S311 - no secret

    def ask_for_key(self) -> None:
        """Note that the receiver needs a key frame."""
        self._asked = True

    def take_key_request(self) -> bool:
        """Return whether a key frame is wanted, and forget it. May be called on any thread."""
        now_s = time.monotonic()
        if not self._asked or now_s - self._asked_last_s < _KEY_INTERVAL_S:
            return False
        self._asked = False
        self._asked_last_s = now_s
        return True

    def put(self, frame: CodedFrame) -> bool:
        """Queue a frame, on any thread; return whether `flush` has to be called."""
        if frame.codec != self.codec:
            self.dropped["codec"] += 1
            return False
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped["slow"] += len(self._waiting)
            self._waiting.clear()
            self._waits_for_key = True
        self._waiting.append(frame)
        return len(self._waiting) == 1

    def flush(self) -> None:
        """Send the frames that wait."""
        while self._waiting:
            frame = self._waiting.popleft()
            if frame.key:
                self._waits_for_key = self._asked = False
            elif self._waits_for_key:
                self.dropped["no key frame"] += 1
                self._asked = True
                continue
            self._send_frame(frame)

    def _send_frame(self, frame: CodedFrame) -> None:
        timestamp = frame.timestamp + self._offset & 0xFFFFFFFF
        extensions = self._extensions()
        last = len(frame.payloads) - 1
        for index, payload in enumerate(frame.payloads):
            self._sequence = self._sequence + 1 & 0xFFFF
            numbers = (self._sequence, timestamp, self.ssrc)
            packet = build_packet(
                payload, self.payload_type, numbers, extensions, marker=index == last
            )
            self._history[self._sequence % _HISTORY] = self._sequence, packet
            self._sent(packet, len(payload), timestamp)
        self.frames += 1

    def send_again(self, sequence: int) -> None:
        """Send a packet once more, as its receiver lacks it."""
        number, packet = self._history.get(sequence % _HISTORY, (-1, b""))
        if number != sequence:
            return
        if self._again_type is not None:
            packet = self._retransmission(packet)
        self.bytes += self._send(packet)

    def _retransmission(self, packet: bytes) -> bytes:
        """Wrap a packet for the stream of retransmissions (RFC 4588)."""
        assert self._again_type is not None
        self._again_sequence = self._again_sequence + 1 & 0xFFFF
        header = 12
        if packet[0] & 0x10:
            header += 4 + 4 * int.from_bytes(packet[14:16])
        return b"".join(
            (
                packet[:1],
                bytes([packet[1] & 0x80 | self._again_type]),
                self._again_sequence.to_bytes(2),
                packet[4:8],
                self._again_ssrc.to_bytes(4),
                packet[12:header],
                packet[2:4],
                packet[header:],
            )
        )


def _element(identifier: int, value: bytes) -> bytes:
    """Return a one-byte header extension; empty if it has no identifier."""
    if not 1 <= identifier <= 14 or not 1 <= len(value) <= 16:
        return b""
    return bytes([identifier << 4 | len(value) - 1]) + value
