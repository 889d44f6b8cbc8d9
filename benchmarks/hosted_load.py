"""Load for the hosted service: clients of recorded video, and what they call.

A client sends VP8 at 640x480 and 30 frames a second, encoded beforehand, over the loopback
interface, and counts what comes back; a probe also decodes it, to read how long each frame was on
its way. The clients of a benchmark are one process; the service, or the bare relay beside it, are
others.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

import av
import numpy as np
from hosted_relay import BITRATE, OPTIONS, RATE, SIZE, Client

from greenroom.engine.demo import demo_source
from greenroom.hosted.rtc import CodedFrame, Peer, VideoEncoder
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

CLIP_S: Final = 20
WINDOW_S: Final = 5.0
BACKGROUND: Final = "office"
# The bits of a frame's number: side of their squares, and where these are, in pixels.
_SQUARE: Final = 32
_SQUARES: Final = [(400 + 32 * row, 240 + 32 * column) for row in range(2) for column in range(5)]
_MIB: Final = 2**20
_CLOCK: Final = 90_000
_START_S: Final = 120.0


class Clips(NamedTuple):
    """Two clips of a person who talks: as it is, and with its number written into each frame."""

    plain: Sequence[CodedFrame]
    numbered: Sequence[CodedFrame]


class RefusedError(Exception):
    """The server takes no further session."""


def _ignore(_frame: object) -> None:
    """Decode nothing."""


class Caller(Client):
    """A client that plays a clip over and over, and counts what comes back.

    Parameters
    ----------
    clips : Clips
    probe : bool
        Whether to decode what comes back, for the round trips.
    """

    def __init__(self, clips: Clips, *, probe: bool) -> None:
        super().__init__("VP8")
        self.clip = clips.numbered if probe else clips.plain
        self.location = ""
        self.trips_ms: deque[float] = deque(maxlen=100_000)
        self._probe = probe
        self._playing: asyncio.Task[None] | None = None

    @property
    def frames(self) -> int:
        """Frames that came back."""
        receiver = self._media.video_in
        return 0 if receiver is None else receiver.frames

    async def _receive(self, parameters: Any) -> None:
        if not self._probe:
            self._decoding.put = _ignore  # type: ignore[method-assign,assignment]
        await super()._receive(parameters)

    def _see(self, frame: av.VideoFrame, arrived_s: float) -> None:
        sent_s = self._sent_s.pop(_number_in(frame), None)
        if sent_s is not None:
            self.trips_ms.append((arrived_s - sent_s) * 1000)

    def begin(self) -> None:
        """Begin to play."""
        self._playing = asyncio.create_task(self._play())

    async def _play(self) -> None:
        stream = self._media.video_out
        assert stream is not None
        began_s = report_s = time.monotonic()
        for number, frame in enumerate(cycle(self.clip)):
            await asyncio.sleep(began_s + number / RATE - time.monotonic())
            if self._probe:
                self._sent_s[number % len(self.clip)] = time.monotonic()
            stream.put(replace(frame, timestamp=number * _CLOCK // RATE))
            stream.flush()
            if time.monotonic() - report_s > 1:
                report_s = time.monotonic()
                self._media.send_reports()

    async def close(self) -> None:
        """End it."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        await super().close()


async def calling(server: Server, clips: Clips, number: int, *, probe: bool = True) -> list[Caller]:
    """Return some clients that play; the first is a probe."""
    callers: list[Caller] = []
    for place in range(number):
        caller = Caller(clips, probe=probe and place == 0)
        try:
            answer, caller.location = await server.answer(await caller.offer())
            await caller.take(answer)
        except BaseException:
            await caller.close()
            raise
        caller.begin()
        callers.append(caller)
    return callers


async def leave(callers: Iterable[Caller]) -> None:
    """End some clients."""
    for caller in callers:
        await caller.close()


@dataclass(frozen=True)
class Seen:
    """What clients saw in a while: frames/s of each, and the first one's round trips."""

    rates: tuple[float, ...]
    p95_ms: float

    def __str__(self) -> str:
        """For whoever waits."""
        return (
            f"{' '.join(f'{rate:.1f}' for rate in self.rates)} frames/s, p95 {self.p95_ms:.0f} ms"
        )


async def window(callers: Sequence[Caller], seconds: float = WINDOW_S) -> Seen:
    """Count for a while."""
    began_s = time.monotonic()
    before = [caller.frames for caller in callers]
    callers[0].trips_ms.clear()
    await asyncio.sleep(seconds)
    passed_s = time.monotonic() - began_s
    rates = tuple(
        (caller.frames - count) / passed_s for caller, count in zip(callers, before, strict=True)
    )
    trips = list(callers[0].trips_ms)
    return Seen(rates, float(np.percentile(trips, 95)) if trips else float("inf"))


Some = TypeVar("Some", bound="Server")


class Server:
    """Processes that are measured."""

    processes: tuple[int, ...] = ()

    async def answer(self, offer: str) -> tuple[str, str]:
        """Return the answer to an offer, and the address of the session.

        Raises
        ------
        RefusedError
            If there is no room.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """End it."""
        raise NotImplementedError

    def memory_mib(self) -> float:
        """Return the memory of all its processes, without the pages of files."""
        return sum(_memory_mib(pid) for pid in self.pids())

    def pids(self) -> list[int]:
        """Return its processes."""
        raise NotImplementedError


class Service(Server):
    """``greenroom serve``."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, config: Path) -> None:
        self._process = process
        self._url = url
        self._config = config

    @classmethod
    async def start(cls, workers: int, *options: str) -> Self:
        """Start it."""
        descriptor, config = tempfile.mkstemp(suffix=".toml")
        with os.fdopen(descriptor, "w") as file:
            file.write(f'background = "{BACKGROUND}"\n')
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "greenroom", "serve", "--port=0", f"--workers={workers}"),
            *(f"--config={config}", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        told = await asyncio.wait_for(process.stdout.readline(), _START_S)
        return cls(process, told.decode().split()[-1].rstrip("/"), Path(config))

    async def answer(self, offer: str) -> tuple[str, str]:
        """See `Server.answer`."""
        status, headers, body = await self.ask("POST", "/sessions", offer)
        if status != 201:
            message = f"{status}: {body}"
            raise RefusedError(message)
        return body, headers["Location"]

    async def ask(self, method: str, path: str, body: str = "") -> tuple[int, Any, str]:
        """Return status, headers and body of an answer."""
        request = urllib.request.Request(  # noqa: S310 - its own address
            f"{self._url}{path}",
            body.encode() or None,
            {"Content-Type": "application/sdp"},
            method=method,
        )
        return await asyncio.to_thread(_answered, request)

    async def metric(self, name: str) -> float:
        """Return a metric without labels."""
        _, _, text = await self.ask("GET", "/metrics")
        return next(
            float(row.split()[1]) for row in text.splitlines() if row.startswith(f"{name} ")
        )

    async def close(self) -> None:
        """End it."""
        self._process.terminate()
        await self._process.wait()
        self._config.unlink()

    def pids(self) -> list[int]:
        """Return its processes."""
        return [self._process.pid, *_children(self._process.pid)]


class Relays(Server):
    """Bare relays: as many processes as the service has workers."""

    def __init__(self, processes: Sequence[asyncio.subprocess.Process]) -> None:
        self._processes = processes
        self._next = cycle(processes)

    @classmethod
    async def start(cls, count: int) -> Self:
        """Start them."""
        command = (sys.executable, __file__)
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return cls([await asyncio.create_subprocess_exec(*command, **pipes) for _ in range(count)])

    async def answer(self, offer: str) -> tuple[str, str]:
        """See `Server.answer`; there is nothing to set."""
        process = next(self._next)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(offer).encode() + b"\n")
        return json.loads(await process.stdout.readline()), ""

    async def close(self) -> None:
        """End them."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    def pids(self) -> list[int]:
        """Return its processes."""
        return [process.pid for process in self._processes]


@contextlib.asynccontextmanager
async def serving(start: Callable[[], Awaitable[Some]]) -> AsyncIterator[Some]:
    """Run a server, and end it."""
    server = await start()
    try:
        yield server
    finally:
        await server.close()


async def be_relay() -> None:
    """Answer offers on standard input, and send back what comes, decoded and encoded again."""
    loop = asyncio.get_running_loop()
    peers: list[Peer] = []
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        peers.append(_relaying())
        print(json.dumps(await peers[-1].answer(json.loads(text))), flush=True)
    for peer in peers:
        await peer.close()


def _relaying() -> Peer:
    encoders: list[VideoEncoder] = []

    def back(frame: av.VideoFrame, _arrived_s: float) -> None:
        if not encoders:
            encoders.append(VideoEncoder(peer.codec, RATE, peer.target_bitrate))
        key = peer.wants_key_frame()
        peer.send_video(encoders[0].encode(frame, key=key, bitrate=peer.target_bitrate))

    peer = Peer(OPTIONS, on_video=back, name="relay")
    return peer


def coded_clips() -> Clips:
    """Return the demonstration's person, who moves as one who talks, in front of a room."""
    frames = CLIP_S * RATE
    pictures = [
        frame.to_av() for frame in demo_source(Settings(), frames, size=SIZE, period=frames)
    ]
    return Clips(_coded(pictures), _coded(map(_numbered, pictures, count())))


def _coded(pictures: Iterable[av.VideoFrame]) -> list[CodedFrame]:
    encoder = VideoEncoder("VP8", RATE, BITRATE)
    clip = []
    for number, picture in enumerate(pictures):
        picture.pts, picture.time_base = number * _CLOCK // RATE, Fraction(1, _CLOCK)
        # Nobody is asked for key frames: one a second has to do.
        clip.append(encoder.encode(picture, key=number % RATE == 0, bitrate=BITRATE))
    encoder.close()
    return clip


def _numbered(frame: av.VideoFrame, number: int) -> av.VideoFrame:
    """Write a frame's number on the person's chest, in squares that outlast the encoders.

    In Gray code: between two frames one square changes, so that nearly nothing has moved.
    """
    planes = frame.to_ndarray().astype(np.uint8)
    for bit, (top, left) in enumerate(_SQUARES):
        is_set = (number ^ number >> 1) >> bit & 1
        planes[top : top + _SQUARE, left : left + _SQUARE] = 235 if is_set else 16
    return av.VideoFrame.from_ndarray(planes, "yuv420p")


def _number_in(frame: av.VideoFrame) -> int:
    """Read a frame's number."""
    plane = frame.planes[0]
    luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    half = _SQUARE // 2
    number = 0
    for bit, (top, left) in reversed(list(enumerate(_SQUARES))):
        middle = luma[top + half - 8 : top + half + 8, left + half - 8 : left + half + 8]
        number |= ((middle.mean() > 125) ^ (number >> bit + 1 & 1)) << bit
    return number


def _memory_mib(pid: int) -> float:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("Pss_Anon:")) * 1024 / _MIB


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _answered(request: urllib.request.Request) -> tuple[int, Any, str]:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - its own address
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


if __name__ == "__main__":
    asyncio.run(be_relay())
