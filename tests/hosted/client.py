"""A WebRTC client for tests: aiortc's, which sends the drawn person and keeps what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamError

from greenroom.media.frame import Frame
from greenroom.testing import ROOM_RGB, PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable

    import av
    import httpx

DEADLINE_S = 15.0
SIZE = (320, 240)
# How far coding may move a colour.
_CODED = 30


class PersonTrack(VideoStreamTrack):
    """The drawn person in the drawn room, 30 frames a second, of a size that may change."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        super().__init__()
        self.size = size
        self.speaks = asyncio.Event()
        self.speaks.set()
        self._number = 0
        self._drawn: dict[tuple[tuple[int, int], int], Frame] = {}

    async def recv(self) -> av.VideoFrame:
        """Return the next frame when it is due."""
        pts, time_base = await self.next_timestamp()
        await self.speaks.wait()
        self._number += 1
        key = (self.size, self._number % 30)
        if key not in self._drawn:
            self._drawn[key] = PersonSource(self.size).frame(key[1])
        frame = self._drawn[key].to_av()
        frame.pts, frame.time_base = pts, Fraction(time_base)
        return frame


class Client:
    """One connection to the service.

    Attributes
    ----------
    frames : list of (float, Frame)
        What came back, the last 200, with their times.
    room_pixels : int
        Pixels of the drawn room in all that came back, but for the outermost of its patches: coding
        mixes colours at the person's edge.
    messages : list
        What came on the data channel.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        track: PersonTrack | None = None,
        configuration: RTCConfiguration | None = None,
    ) -> None:
        self.http = http
        self.track = track
        # By default aiortc asks a public server.
        self.pc = RTCPeerConnection(configuration or RTCConfiguration(iceServers=[]))
        self.channel = self.pc.createDataChannel("greenroom")
        self.frames: list[tuple[float, Frame]] = []
        self.count = 0
        self.room_pixels = 0
        self.messages: list[dict[str, Any]] = []
        self.location = ""
        self.etag = ""
        self._tasks: list[asyncio.Task[None]] = []
        self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.pc.on("track", self._follow)

    async def connect(
        self, path: str = "/sessions", *, codec: str = "", direction: str = "sendrecv", **query: str
    ) -> httpx.Response:
        """Make the offer, and take the answer if there is one."""
        kind = self.track if self.track is not None else "video"
        transceiver = self.pc.addTransceiver(kind, direction=direction)
        if codec:
            known = RTCRtpSender.getCapabilities("video").codecs
            transceiver.setCodecPreferences(
                [one for one in known if codec.lower() in one.mimeType.lower()]
            )
        await self.pc.setLocalDescription(await self.pc.createOffer())
        response = await self.http.post(
            path,
            content=self.pc.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
            params=query,
        )
        if response.status_code == 201:
            self.location = response.headers["location"]
            self.etag = response.headers["etag"]
            await self.pc.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        return response

    def send(self, **message: Any) -> None:
        """Send a message on the data channel."""
        self.channel.send(json.dumps(message))

    def told(self, name: str) -> list[Any]:
        """Return what came under a name on the data channel."""
        return [message[name] for message in self.messages if name in message]

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait for something."""
        await until(condition, what)

    async def close(self) -> None:
        """End the connection, without a word to the server."""
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _follow(self, track: Any) -> None:
        if track.kind == "video":
            self._tasks.append(asyncio.ensure_future(self._take(track)))

    async def _take(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = Frame.from_av(await track.recv(), "yuv420p")
                self.count += 1
                self.room_pixels += _count_room(frame)
                self.frames.append((time.monotonic(), frame))
                del self.frames[:-200]


def _count_room(frame: Frame) -> int:
    """Count the pixels of the room that lie within others."""
    off = np.abs(frame.to_rgb().astype(np.int16) - ROOM_RGB).max(axis=2)
    return int(np.count_nonzero(cv2.erode((off < _CODED).astype(np.uint8), np.ones((3, 3)))))


async def until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for something, with a deadline."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s, f"it did not come to be: {what}"
        await asyncio.sleep(0.02)
