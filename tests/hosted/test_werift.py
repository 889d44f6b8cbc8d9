"""A third client: werift sends and watches over WebRTC, which it has in JavaScript of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import av
import httpx
import numpy as np
import pytest

from greenroom.media.frame import Frame
from hosted.browser_rig import SIZE, marked_clip
from hosted.client import DEADLINE_S, until
from hosted.service import asynchronous
from hosted.test_server import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from numpy.typing import NDArray

    from hosted.browser_rig import Clip

CLIENTS: Final = Path(__file__).with_name("clients")
NODE: Final = shutil.which("node")
RATE: Final = 30
FIRST: Final = (100, 120, 160)
SECOND: Final = (170, 120, 110)
START: Final = quote(json.dumps({"settings": {"background": "color:#6478a0"}}))
# A line with a frame is longer than what asyncio takes by default.
LINE_BYTES: Final = 1 << 22

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(NODE is None, reason="there is no Node.js"),
    pytest.mark.skipif(
        not (CLIENTS / "node_modules" / "werift").is_dir(),
        reason="werift is not installed: `make test-clients` does it",
    ),
]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Make a film of a person before a wall with marks."""
    return marked_clip(tmp_path_factory.mktemp("camera") / "person.mjpeg")


@pytest.fixture(scope="module")
def sent(person: Clip) -> Path:
    """Code the film as VP8, with a key frame each second."""
    path = person.path.with_suffix(".ivf")
    with av.open(str(person.path)) as film, av.open(str(path), "w", format="ivf") as container:
        stream = container.add_stream("libvpx", rate=RATE, options={"deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.bit_rate, stream.gop_size = 2_000_000, RATE
        for number, frame in enumerate(film.decode(video=0)):
            picture = frame.reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def room_pixels(rgb: NDArray[np.int16]) -> int:
    """Count the pixels of the marks: a trace of green is enough where they are in the film."""
    excess = rgb[..., 1] - rgb[..., [0, 2]].max(axis=2)
    height, width = excess.shape
    is_side = abs(np.arange(width) / width - 0.5) > 0.35
    is_marked = is_side & (np.arange(height)[:, None] < 0.4 * height)
    return int(np.count_nonzero(excess > np.where(is_marked, 20, 80)))


class Werift:
    """A connection of werift's, in a process of its own.

    Attributes
    ----------
    count : int
        Frames that came back and were decoded.
    last : (H, W, 3) int16
        The newest of them, RGB.
    room_pixels : int
        Pixels of the room in all of them.
    messages : list of dict
        What came on the data channel.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.count = 0
        self.last = np.zeros((*SIZE[::-1], 3), np.int16)
        self.room_pixels = 0
        self.messages: list[dict[str, Any]] = []
        self._process = process
        self._decoder = av.CodecContext.create("vp8", "r")

    def send(self, **message: Any) -> None:
        """Send a message on the data channel."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(message)}\n".encode())

    def told(self, name: str) -> list[Any]:
        """Return what came under a name on the data channel."""
        return [message[name] for message in self.messages if name in message]

    def shows(self, background: tuple[int, ...]) -> bool:
        """Whether the newest frame has a background, at the corner where the person never is."""
        corner = self.last[:40, :40].mean(axis=(0, 1))
        return bool(abs(corner - background).max() < 12)

    def foreground(self, background: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return where the newest frame has something else than the background."""
        return np.asarray(abs(self.last - background).max(axis=2) > 24)

    async def leave(self) -> None:
        """Have the process end its session, and then itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await asyncio.wait_for(self._process.wait(), DEADLINE_S) == 0

    async def listen(self) -> None:
        """Take what the process tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            if "frame" in news:
                self._decode(base64.b64decode(news["frame"]))
            else:
                self.messages.append(json.loads(news["message"]))

    def _decode(self, coded: bytes) -> None:
        for decoded in self._decoder.decode(av.Packet(coded)):
            self.last = _rgb(decoded)
            self.count += 1
            self.room_pixels += room_pixels(self.last)


def _rgb(frame: av.VideoFrame) -> NDArray[np.int16]:
    return Frame.from_av(frame, "yuv420p").to_rgb().astype(np.int16)


@asynccontextmanager
async def werift(address: str, *sent: Path) -> AsyncIterator[Werift]:
    """Have werift connect, with a film if it sends one; it ends its session itself."""
    assert NODE is not None
    process = await asyncio.create_subprocess_exec(
        NODE,
        str(CLIENTS / "werift_client.js"),
        address,
        *map(str, sent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
    )
    client = Werift(process)
    listening = asyncio.ensure_future(client.listen())
    try:
        yield client
        await client.leave()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await listening


def test_counter_sees_the_room(sent: Path) -> None:
    """The count is no mistake: the marks are in what is sent."""
    with av.open(str(sent)) as film:
        counts = [room_pixels(_rgb(frame)) for frame in film.decode(video=0)]
    assert min(counts) > 15_000


@asynchronous
async def test_own_picture_comes_back(sent: Path, person: Clip) -> None:
    """The person comes back before a background, which a message changes; the room never does."""
    with running("--max-sessions", "1") as service:
        async with werift(f"{service.url}sessions?start={START}", sent) as client:
            await until(lambda: client.count > 0 and client.shows(FIRST), "the background")
            assert client.told("settings")[0]["background"] == "color:#6478a0"
            client.send(settings={"background": "none"})
            client.send(settings={"background": "color:#aa786e"})
            await until(lambda: client.shows(SECOND), "the other background")
            assert client.told("error")[0]["name"] == "background"
            before = client.count
            await until(lambda: client.count > before + 60, "frames after the change")
            assert person.overlap(client.foreground(SECOND)) >= 0.9
            assert client.room_pixels == 0
        async with httpx.AsyncClient(base_url=service.url) as http:
            assert "greenroom_sessions 0.0" in (await http.get("/metrics")).text


@asynchronous
async def test_published_stream_is_watched(sent: Path, person: Clip) -> None:
    """What one publishes by WHIP another watches by WHEP, without the room."""
    with running("--max-sessions", "1") as service:
        async with werift(f"{service.url}whip/talk?start={START}", sent) as publisher:
            await until(lambda: bool(publisher.told("status")), "a status")
            async with werift(f"{service.url}whep/talk") as viewer:
                await until(lambda: viewer.count > 30 and viewer.shows(FIRST), "the background")
                assert person.overlap(viewer.foreground(FIRST)) >= 0.9
                assert viewer.room_pixels == 0
            assert publisher.count == 0
