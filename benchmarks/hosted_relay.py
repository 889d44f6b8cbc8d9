"""The hosted service's connection as a bare relay, beside a stock aiortc relay.

A client sends VP8 at 640x480 and 30 frames a second, encoded beforehand, over the loopback
interface to a relay, which decodes each frame, encodes it again and sends it back. Measured are
the CPU time of the relay's process for a frame that came back, and how long a frame was on its
way there and back. Both relays are processes of their own; they have their turns one after the
other, and the median of the neighbours' ratios counts.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
from aioice.ice import StunProtocol
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from greenroom.hosted.rtc import CodedFrame, Peer, PeerOptions, VideoEncoder, ice, internals
from greenroom.hosted.rtc.decoding import Decoding
from greenroom.hosted.rtc.media import Media
from greenroom.hosted.rtc.receiving import VideoReceiver
from greenroom.hosted.rtc.sending import VideoStream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiortc import MediaStreamTrack
    from numpy.typing import NDArray

RATE: Final = 30
SIZE: Final = (640, 480)
WARM_UP_S: Final = 3.0
BITRATE: Final = 1_000_000
OPTIONS: Final = PeerOptions(loopback=True, bitrates=(BITRATE, BITRATE, BITRATE))

_BLOCK: Final = 32  # side of one bit of a frame's number, in pixels
_BITS: Final = 16


def main() -> None:
    """Measure, and print a table; or be one of the relays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--codec", choices=("VP8", "H264"), default="VP8")
    parser.add_argument("--relay", choices=("ours", "stock"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.relay:
        asyncio.run(RELAYS[given.relay]())
        return
    clip = coded_clip(given.codec, given.seconds + WARM_UP_S)
    turns: dict[str, list[Turn]] = {"ours": [], "stock": []}
    for _ in range(given.turns):
        for relay, measured in turns.items():
            measured.append(asyncio.run(turn(relay, given.codec, clip)))
    print(f"| {given.codec} 640x480 at 30/s | CPU ms a frame | p50 ms | p95 ms | frames back |")
    print("|---|---:|---:|---:|---:|")
    for relay, measured in turns.items():
        cells = (
            statistics.median(one.cpu_ms for one in measured),
            *(statistics.median(one.round_trip(share) for one in measured) for share in (50, 95)),
        )
        back = statistics.median(len(one.round_trips_ms) / one.sent for one in measured)
        print(f"| {relay} | {' | '.join(f'{cell:.1f}' for cell in cells)} | {back:.0%} |")
    ratios = [o.cpu_ms / s.cpu_ms for o, s in zip(turns["ours"], turns["stock"], strict=True)]
    print(f"\nCPU a frame, ours beside stock: {statistics.median(ratios):.2f}")


@dataclass
class Turn:
    """Measurements of one relay in one turn."""

    sent: int = 0
    cpu_ms: float = 0.0
    round_trips_ms: list[float] = field(default_factory=list)

    def round_trip(self, share: int) -> float:
        """Return a percentile of the round trips, in ms."""
        return float(np.percentile(self.round_trips_ms, share))


async def turn(relay: str, codec: str, clip: Sequence[CodedFrame]) -> Turn:
    """Send the clip to a relay, and measure what comes back after the warm-up."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--relay", relay),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    questions, answers = process.stdin, process.stdout
    assert questions is not None
    assert answers is not None

    async def ask(text: str) -> Any:
        questions.write(json.dumps(text).encode() + b"\n")
        return json.loads(await answers.readline())

    client = Client(codec)
    try:
        await client.take(await ask(await client.offer()))
        return await client.play(clip, lambda: ask("cpu"))
    finally:
        await client.close()
        questions.close()
        await process.wait()


class Client:
    """The other side: sends coded frames, and reads the numbers of those that come back."""

    def __init__(self, codec: str) -> None:
        self._connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        transceiver = self._connection.addTransceiver("video", "sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([one for one in codecs if one.name == codec])
        dtls = transceiver.receiver.transport
        self._media = Media(internals.SecureRtp(dtls))
        gather_here(dtls, self._media)
        self._ssrc = internals.ssrc_of(transceiver.sender)
        internals.replace_sender(transceiver.sender, self._send, nothing)
        internals.replace_receiver(transceiver.receiver, self._receive, nothing)
        self._ready = asyncio.Event()
        self._decoding = Decoding(
            self._see, lambda: None, lambda _: None, max_size=SIZE, name="client"
        )
        self._sent_s: dict[int, float] = {}
        self._back: dict[int, float] = {}

    async def offer(self) -> str:
        """Return the offer."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._connection.localDescription.sdp

    async def take(self, answer: str) -> None:
        """Take the answer; returns when frames can be sent."""
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await asyncio.wait_for(self._ready.wait(), 10)

    async def _send(self, parameters: Any) -> None:
        self._media.video_out = VideoStream(
            parameters, self._ssrc, self._media.secure.send, retransmission=0
        )

    async def _receive(self, parameters: Any) -> None:
        receiver = self._media.video_in = VideoReceiver(
            parameters,
            self._decoding.put,
            functools.partial(self._media.secure.send, is_rtcp=True),
            own_ssrc=self._ssrc,
            bitrates=OPTIONS.bitrates,
        )
        self._media.route(receiver)
        self._ready.set()

    def _see(self, frame: av.VideoFrame, arrived_s: float) -> None:
        self._back.setdefault(number_in(frame), arrived_s)

    async def play(self, clip: Sequence[CodedFrame], cpu: Any) -> Turn:
        """Send a clip at its rate, and measure."""
        stream = self._media.video_out
        assert stream is not None
        warm = int(WARM_UP_S * RATE)
        began_s, cpu_began_s, report_s = time.monotonic(), 0.0, 0.0
        for number, frame in enumerate(clip):
            if number == warm:
                cpu_began_s = await cpu()
            await asyncio.sleep(began_s + number / RATE - time.monotonic())
            self._sent_s[number] = time.monotonic()
            stream.put(frame)
            stream.flush()
            if time.monotonic() - report_s > 1:
                report_s = time.monotonic()
                self._media.send_reports()
        await asyncio.sleep(0.3)
        cpu_s = await cpu() - cpu_began_s
        back = {number: at_s for number, at_s in self._back.items() if number >= warm}
        if not back:
            message = "nothing came back: is the machine overloaded?"
            raise SystemExit(message)
        trips = [(at_s - self._sent_s[number]) * 1000 for number, at_s in back.items()]
        return Turn(len(clip) - warm, cpu_s * 1000 / len(trips), trips)

    async def close(self) -> None:
        """End it all."""
        self._decoding.close()
        await self._connection.close()


async def relay_ours() -> None:
    """Be a relay on our own connection."""
    encoders: dict[str, VideoEncoder] = {}

    def back(frame: av.VideoFrame, _arrived_s: float) -> None:
        if not encoders:
            encoders["one"] = VideoEncoder(peer.codec, RATE, peer.target_bitrate)
        key = peer.wants_key_frame()
        coded = encoders["one"].encode(frame, key=key, bitrate=peer.target_bitrate)
        peer.send_video(coded)

    peer = Peer(OPTIONS, on_video=back, name="relay")
    await serve(peer.answer)
    await peer.close()


async def relay_stock() -> None:
    """Be a relay as aiortc's documentation shows it; only the loopback interface is added."""
    connection = RTCPeerConnection(
        RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )

    def back(track: MediaStreamTrack) -> None:
        connection.addTrack(track)

    connection.on("track", back)

    async def answer(offer: str) -> str:
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        gather_here(connection.getTransceivers()[0].receiver.transport)
        await connection.setLocalDescription(await connection.createAnswer())
        return connection.localDescription.sdp

    await serve(answer)
    await connection.close()


def gather_here(dtls: Any, media: Media | None = None) -> None:
    """Have a connection use the loopback interface, too."""
    connection = internals.connection_of(dtls)
    make: Callable[[], StunProtocol] = functools.partial(StunProtocol, connection)
    if media is not None:
        make = functools.partial(
            internals.GuardedStunProtocol, connection, media.received, lambda *_: True
        )
    gather = functools.partial(ice.gather, connection, OPTIONS, make)
    internals.replace_gathering(connection, gather, connection.query_consent)


async def serve(answer: Any) -> None:
    """Answer an offer on standard input, then every question for the CPU time so far."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        text = json.loads(line)
        result = time.process_time() if text == "cpu" else await answer(text)
        print(json.dumps(result), flush=True)


async def nothing() -> None:
    """Stop nothing."""


RELAYS: Final = {"ours": relay_ours, "stock": relay_stock}


def coded_clip(codec: str, seconds: float) -> list[CodedFrame]:
    """Return coded frames of a call: noise, a third that moves, and each frame's number."""
    width, height = SIZE
    random = np.random.default_rng(1)
    coarse = random.integers(30, 220, (height // 16, width // 16)).astype(np.float32)
    smooth = np.kron(coarse, np.ones((16, 16), np.float32))
    for axis in (0, 1):
        smooth = np.mean([np.roll(smooth, shift, axis) for shift in range(-8, 9)], axis=0)
    noises = [random.normal(0, 2.5, smooth.shape).astype(np.float32) for _ in range(8)]
    encoder = VideoEncoder(codec, RATE, BITRATE)
    clip = []
    for number in range(round(seconds * RATE)):
        luma = smooth + noises[number % len(noises)]
        left = round(width * (1 + 0.3 * np.sin(number / 15)) / 3)
        luma[height // 4 :, left : left + width // 3] = np.roll(smooth, 2 * number, 0)[
            : height - height // 4, : width // 3
        ]
        picture = numbered(luma.clip(0, 255).astype(np.uint8), number)
        # Nobody is asked for them when a relay lacks one.
        key = number % (2 * RATE) == 0
        clip.append(encoder.encode(picture, key=key, bitrate=BITRATE))
    return clip


def numbered(luma: NDArray[np.uint8], number: int) -> av.VideoFrame:
    """Return a frame with its number in the uppermost rows."""
    for bit in range(_BITS):
        left = bit * _BLOCK
        luma[:_BLOCK, left : left + _BLOCK] = 235 if number >> bit & 1 else 16
    grey = np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma, grey]), "yuv420p")
    frame.pts, frame.time_base = number * 90_000 // RATE, Fraction(1, 90_000)
    return frame


def number_in(frame: av.VideoFrame) -> int:
    """Return the number that a frame carries."""
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    middles = luma[_BLOCK // 2, _BLOCK // 2 : _BITS * _BLOCK : _BLOCK]
    return sum(1 << bit for bit, level in enumerate(middles) if level > 125)


if __name__ == "__main__":
    main()
