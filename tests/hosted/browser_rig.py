"""What the page's tests need: a camera's clip, the service in a process, a look at each frame."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Self

import av
import cv2
import numpy as np
import pytest
import requests
from e2e.test_run import environment

from greenroom.engine.demo import portrait_photograph
from greenroom.engine.engine import VirtualBackground
from greenroom.media.frame import Frame
from greenroom.sources.demo_source import DemoSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

DEADLINE_S: Final = 20.0
SIZE: Final = (640, 480)
_FRAMES: Final = 30
_WALL: Final = (150, 145, 140)
# On the wall, above the person's shoulders: neither the person nor a background has anything green.
_MARK: Final = (0, 255, 0)
_MARKS: Final = (np.s_[10:160, 10:80], np.s_[10:160, 560:630])

BROWSER: Final = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
)

# watch(track) looks at each frame of a track: how many pixels have the colour of the marks, and
# what colour is between them.
WATCH: Final = """
window.watch = (track) => {
  const seen = { frames: 0, room: 0, corners: [] };
  let last = null;
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const look = (frame) => {
    const { displayWidth: width, displayHeight: height } = frame;
    Object.assign(canvas, { width, height });
    context.drawImage(frame, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    let room = 0;
    for (let y = 0, at = 0; y < height; y++)
      for (let x = 0; x < width; x++, at += 4) {
        // A trace is enough where the marks are; at the person's edges the codec tints pixels.
        const isMarked = y < 0.4 * height && Math.abs(x / width - 0.5) > 0.35;
        if (data[at + 1] - Math.max(data[at], data[at + 2]) > (isMarked ? 20 : 80)) room++;
      }
    seen.frames++;
    seen.room = Math.max(seen.room, room);
    const corner = 4 * (Math.round(height / 8) * width + Math.round(width / 12));
    seen.corners.push({ at: performance.now(), rgb: [...data.slice(corner, corner + 3)] });
    last = { width, height, data };
  };
  const read = async () => {
    const reader = new MediaStreamTrackProcessor({ track: track.clone() }).readable.getReader();
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      look(value);
      value.close();
    }
  };
  read();
  const near = (one, rgb) => one.rgb.every((value, index) => Math.abs(value - rgb[index]) < 12);
  seen.is = (rgb) => seen.corners.length > 0 && near(seen.corners.at(-1), rgb);
  seen.first = (rgb, after) => seen.corners.find((one) => one.at > after && near(one, rgb)).at;
  seen.picture = () => {
    const text = Array.from(last.data, (byte) => String.fromCharCode(byte)).join("");
    return [last.width, last.height, btoa(text)];
  };
  return seen;
};
"""


class Clip:
    """What the browser's camera sees.

    Parameters
    ----------
    path : Path
        Where it is written, as Motion JPEG, which Chromium reads.
    frames : iterable of Frame
    masks : list of (H, W) bool
        Where the person is, of each frame.
    """

    def __init__(self, path: Path, frames: Iterable[Frame], masks: list[Mask]) -> None:
        self.path = path
        self.masks = masks
        with av.open(str(path), "w", format="mjpeg") as container:
            stream = container.add_stream("mjpeg", rate=25, options={"qmin": "2", "qmax": "2"})
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuvj420p"
            for number, frame in enumerate(frames):
                picture = frame.to_av().reformat(threads=1, format="yuvj420p")
                picture.pts, picture.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))

    @contextmanager
    def replaced_by(self, other: Clip) -> Iterator[None]:
        """Have the camera see another clip: Chromium reads the file when it opens the camera."""
        own = self.path.read_bytes()
        self.path.write_bytes(other.path.read_bytes())
        yield
        self.path.write_bytes(own)

    def overlap(self, mask: Mask) -> float:
        """Return the intersection over union with the mask of the frame that fits best."""
        return max(float((mask & one).sum() / (mask | one).sum()) for one in self.masks)


def marked_clip(path: Path) -> Clip:
    """Make a clip of a person who sways before a wall with green marks."""
    portrait = portrait_photograph()
    if portrait is None:
        pytest.skip("the person is the photograph that scikit-image carries")
    with VirtualBackground(background="transparent", edge_shift=-0.4) as engine:
        engine.process_rgb(portrait)
        matte = engine.matte
    assert matte is not None
    room = np.full((SIZE[1], SIZE[0], 3), _WALL, np.uint8)
    for mark in _MARKS:
        room[mark] = _MARK
    # The same before black and before white: what differs is not the person.
    dark, light = (
        DemoSource(portrait, matte, SIZE, _FRAMES, np.full_like(room, value)) for value in (0, 255)
    )
    masks = [
        one.to_rgb().mean(2) - other.to_rgb().mean(2) < 128
        for one, other in zip(light, dark, strict=True)
    ]
    return Clip(path, DemoSource(portrait, matte, SIZE, _FRAMES, room), masks)


def filmed_clip(path: Path, film: Path) -> Clip:
    """Make a clip of a film whose mattes lie beside it, cut to the camera's shape."""
    if not film.exists():
        pytest.skip(f"there is no film {film.name}")
    frames = [Frame.from_rgb(_cut(frame.to_rgb())) for frame in _frames(film)]
    mattes = [_cut(frame.to_rgb()) for frame in _frames(film.with_suffix(".alpha.mkv"))]
    return Clip(path, frames, [matte[..., 0] >= 128 for matte in mattes])


def _frames(film: Path) -> list[Frame]:
    with av.open(str(film)) as container:
        decoded = container.decode(video=0)
        return [Frame.from_av(frame) for frame, _ in zip(decoded, range(_FRAMES), strict=False)]


def _cut(picture: Picture) -> Picture:
    """Cut the middle of a picture to the camera's shape, and scale it."""
    height, width = picture.shape[:2]
    wide = min(width, height * SIZE[0] // SIZE[1])
    left = (width - wide) // 2
    cut = picture[:, left : left + wide]
    tall = wide * SIZE[1] // SIZE[0]
    top = (height - tall) // 2
    return np.asarray(
        cv2.resize(cut[top : top + tall], SIZE, interpolation=cv2.INTER_AREA), np.uint8
    )


class Service:
    """``greenroom serve`` in a process of its own, on a port that stays the same."""

    def __init__(self, home: Path, *arguments: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._home = home
        self._command = [sys.executable, "-m", "greenroom", "serve", "--port", str(self.port)]
        self._command += [*arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it takes sessions."""
        with (self._home / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._home, env=environment(self._home), stdout=log, stderr=log
            )
        end = time.monotonic() + DEADLINE_S
        while not self._is_ready():
            assert time.monotonic() < end, (self._home / "serve.log").read_text()
            assert self._process.poll() is None, (self._home / "serve.log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self.wait()

    def shut_down(self) -> None:
        """End it as an operator does: it tells its clients."""
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended."""
        assert self._process is not None
        self._process.wait(DEADLINE_S)

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}readyz", timeout=5).ok
        except requests.RequestException:
            return False
