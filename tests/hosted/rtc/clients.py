"""A client of the tests: aiortc as it is, on the loopback interface."""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from aioice.ice import StunProtocol
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError

from greenroom.hosted.rtc import Peer, PeerOptions, ice, internals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LOCAL = PeerOptions(loopback=True)
DEADLINE_S = 10.0


def picture(number: int, size: tuple[int, int] = (320, 240)) -> av.VideoFrame:
    """Return a frame of one grey that tells its number, with a moving edge."""
    width, height = size
    luma = np.full((height, width), 40 + number % 10 * 20, np.uint8)
    luma[:, : 8 + 4 * (number % 16)] = 235
    planes = np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])
    frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
    frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
    return frame


class Drawn(MediaStreamTrack):
    """A video of drawn pictures; the size may be changed while it runs."""

    kind = "video"

    def __init__(self, size: tuple[int, int] = (320, 240), rate: float = 30) -> None:
        super().__init__()
        self.size = size
        self.number = 0
        self._rate = rate

    async def recv(self) -> av.VideoFrame:
        """Return the next frame, at the rate."""
        await asyncio.sleep(1 / self._rate)
        if self.readyState != "live":
            raise MediaStreamError
        self.number += 1
        return picture(self.number, self.size)


class Tone(MediaStreamTrack):
    """A tone of 20 ms frames."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._samples = 0

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms."""
        await asyncio.sleep(0.02)
        times = (np.arange(960) + self._samples) / 48_000
        wave = (8000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None], "s16", "stereo")
        frame.sample_rate, frame.pts = 48_000, self._samples
        frame.time_base = Fraction(1, 48_000)
        self._samples += 960
        return frame


class Client:
    """An aiortc peer connection that offers."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.received: dict[str, list[Any]] = {"video": [], "audio": []}
        self.messages: list[str] = []
        self.channel: Any = None
        self.answer = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self.connection.on("track", self._take)

    def video(
        self, direction: str = "sendrecv", codec: str = "VP8", track: Drawn | None = None
    ) -> Drawn:
        """Offer video of one codec."""
        drawn = track or Drawn()
        sends = direction.startswith("send")
        transceiver = self.connection.addTransceiver(drawn if sends else "video", direction)
        known = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([one for one in known if one.name == codec])
        return drawn

    def audio(self) -> None:
        """Offer audio."""
        self.connection.addTransceiver(Tone(), "sendrecv")

    def messaging(self) -> None:
        """Offer a data channel."""
        self.channel = self.connection.createDataChannel("messages")
        self.channel.on("message", self.messages.append)

    def has_seen(self, size: tuple[int, int]) -> bool:
        """Return whether a picture of a size came."""
        return any((one.width, one.height) == size for one in self.received["video"])

    def _take(self, track: MediaStreamTrack) -> None:
        task = asyncio.ensure_future(self._read(track))
        self._tasks.add(task)

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                self.received[track.kind].append(await track.recv())
        except MediaStreamError:
            return

    async def offer(self) -> str:
        """Return the offer, with candidates of the loopback interface."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    def use_loopback(self) -> None:
        """Gather loopback candidates, which aiortc does not by itself."""
        transceivers = self.connection.getTransceivers()
        sctp = self.connection.sctp
        if transceivers:
            dtls = transceivers[0].receiver.transport
        else:
            assert sctp is not None
            dtls = sctp.transport
        connection = internals.connection_of(dtls)
        make: Callable[[], StunProtocol] = functools.partial(StunProtocol, connection)
        gather = functools.partial(ice.gather, connection, LOCAL, make)
        internals.replace_gathering(connection, gather, connection.query_consent)

    async def connect(self, peer: Peer, **options: Any) -> str:
        """Offer to a peer, take its answer, and return that."""
        self.use_loopback()
        self.answer = await peer.answer(await self.offer(), **options)
        await self.connection.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return self.answer

    async def close(self) -> None:
        """End it."""
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def client_of(peer: Peer) -> AsyncIterator[Client]:
    """Give a client, and close it and the peer in the end."""
    client = Client()
    try:
        yield client
    finally:
        await peer.close()
        await client.close()


async def until(condition: Callable[[], object], timeout_s: float = DEADLINE_S) -> None:
    """Wait for a condition; fail with it when the time is over."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    while not condition():
        assert loop.time() < end_s, "the time is over"
        await asyncio.sleep(0.01)
