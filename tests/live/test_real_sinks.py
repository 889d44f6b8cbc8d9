"""The room does not get into what others really see: a virtual camera, a recording, a stream."""

from __future__ import annotations

import threading
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import av
import cv2
import pytest
import pyvirtualcam

from greenroom.live.sources import create_live_source
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sinks.live_recording import RecordingSink
from greenroom.sinks.virtual_camera import VirtualCameraSink
from greenroom.testing import Fault, FaultySegmenter, PersonSource, count_room_pixels
from live.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from greenroom.sinks.sink import LiveSink

pytestmark = pytest.mark.usefixtures("no_thread_left")

BACKEND = "greenroom-watched"


class WatchedCamera:
    """A backend of pyvirtualcam that counts room pixels in what it is sent."""

    made: ClassVar[list[WatchedCamera]] = []

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, **_: Any) -> None:
        assert (fps, fourcc) == (30, pyvirtualcam.camera.encode_fourcc("I420"))
        self.layout = Layout(width, height, "yuv420p", Colour(1, 1))
        self.frames = self.room_pixels = 0
        self.made.append(self)

    def device(self) -> str:
        """Return its name."""
        return "watched"

    def native_fourcc(self) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""

    def send(self, samples: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        """Look at a frame."""
        planes, start = [], 0
        for height, width in self.layout.plane_shapes:
            planes.append(samples[start : start + height * width].reshape(height, width).copy())
            start += height * width
        self.frames += 1
        self.room_pixels += count_room_pixels(Frame(tuple(planes), self.layout))


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the backend."""
    monkeypatch.setattr(WatchedCamera, "made", [])
    pyvirtualcam.register_backend(BACKEND, WatchedCamera)
    yield
    del pyvirtualcam.camera.BACKENDS[BACKEND]


def room_pixels_in(path: Path) -> tuple[int, int]:
    """Return how many frames a file has, and how many room pixels they have."""
    with av.open(str(path)) as container:
        frames = [Frame.from_av(picture) for picture in container.decode(video=0)]
    return len(frames), sum(count_room_pixels(frame) for frame in frames)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("background", ["color:teal", "none"])
def test_virtual_camera_and_recording(background: str, tmp_path: Path) -> None:
    """Through every fault there is no room in either; with ``none`` it is in both."""
    path = tmp_path / "out.mkv"
    rate = Fraction(30)
    sinks: list[LiveSink] = [
        VirtualCameraSink(rate, backend=BACKEND),
        RecordingSink(path, Settings(codec="ffv1"), rate),
    ]
    segmenter = FaultySegmenter({8: Fault.NAN, 12: Fault.RAISE, 20: Fault.HANG})
    with Rig(segmenter, background=background, sinks=sinks, timeout_s=0.3) as rig:
        rig.until(lambda: rig.session.gate.current().reason == "")
        rig.camera.unplug()
        rig.until_covered("camera")
        rig.until_sent()
        rig.camera.plug()
        rig.until(lambda: rig.session.gate.current().reason == "")
        rig.session.cover(on=True)
        rig.until_sent()
        rig.session.cover(on=False)
        rig.until_sent(10)
        segmenter.released.set()
    (camera,) = WatchedCamera.made
    frames, pixels = room_pixels_in(path)
    assert frames > 10
    assert camera.frames > 10
    if background == "none":
        assert camera.room_pixels > 0
        assert pixels > 0
    else:
        assert (camera.room_pixels, pixels) == (0, 0)


class Handler(BaseHTTPRequestHandler):
    """Sends the synthetic person as an IP camera does, every fifth picture damaged."""

    server: Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send pictures until the end."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        with suppress(BrokenPipeError, ConnectionResetError):
            while not self.server.ended.wait(0.03):
                data = self.server.jpeg(number)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                number += 1


class Server(ThreadingHTTPServer):
    """Serves until it is ended."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ended = threading.Event()
        self._person = PersonSource((160, 96))

    def jpeg(self, number: int) -> bytes:
        """Return a picture; every fifth one lacks what is between a fifth and a half of it."""
        rgb = self._person.frame(number).to_rgb()
        done, coded = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert done
        data = coded.tobytes()
        if number % 5 == 3:
            data = data[: len(data) // 5] + data[len(data) // 2 :]
        return data


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve on this machine."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_damaged_pictures(server: Server) -> None:
    """They are left out and counted; what is shown meanwhile has no room in it."""
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    with Rig(open_source=create_live_source, source=address) as rig:
        rig.until_shown()
        rig.until(lambda: rig.session.status().drops.get("damaged", 0) >= 3, "damaged")
        rig.until_sent(5)
        assert rig.room_pixels == 0
