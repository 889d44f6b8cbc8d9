"""Live sources: one suite that all pass, and how cameras are asked and refused."""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from stream_server import StreamServer, jpeg, picture

from greenroom.devices.cameras import CameraFormat, CameraInfo
from greenroom.errors import (
    CameraBusyError,
    CameraError,
    CameraForbiddenError,
    CameraFormatError,
    CameraLostError,
    CameraMissingError,
)
from greenroom.live.sources import create_live_source
from greenroom.media.clock import MonotonicClock
from greenroom.settings import Settings
from greenroom.sources import camera as camera_module
from greenroom.sources.camera import CameraRequest, best_format, camera_source, input_options
from greenroom.sources.camera_errors import opening_error
from greenroom.sources.opencv_camera import OpenCvCamera

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.sources.source import Source

    Open = Callable[[str], Source]

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.usefixtures("no_thread_left"),
]

KINDS = (
    "ffmpeg",
    "opencv-mjpeg",
    "opencv-yuyv",
    "opencv-bgr",
    "lavfi",
    "file",
    "picture",
    "stream",
)
CAMERA = CameraInfo(0, "/dev/video0", "C920")


class FakeCapture:
    """What ``cv2.VideoCapture`` is of a camera: 160x120, 30 frames a second.

    Parameters
    ----------
    kind : str
        ``mjpeg``, ``yuyv`` or ``bgr``: what it hands over.
    """

    def __init__(
        self, kind: str, script: dict[int, NDArray[np.uint8] | None] | None = None
    ) -> None:
        self.kind = kind
        self.script = script or {}
        self.values: dict[int, float] = {}
        self.number = 0
        self.released = False
        self.most = 10**9

    def __call__(self, *_: object) -> FakeCapture:
        """Be opened."""
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """See OpenCV."""
        return True

    def set(self, name: int, value: float) -> bool:
        """See OpenCV."""
        self.values[name] = value
        return True

    def get(self, name: int) -> float:
        """See OpenCV."""
        code = {"mjpeg": "MJPG", "yuyv": "YUYV", "bgr": "MJPG"}[self.kind]
        known = {
            cv2.CAP_PROP_FRAME_WIDTH: 160.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 120.0,
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(int.from_bytes(code.encode(), "little")),
        }
        return known.get(name, 0.0)

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """See OpenCV."""
        time.sleep(1 / 30)
        number, self.number = self.number, self.number + 1
        if self.released or number >= self.most:
            return False, None
        if number in self.script:
            samples = self.script[number]
            return samples is not None, samples
        if self.kind == "mjpeg":
            return True, np.frombuffer(jpeg(number), np.uint8)[None]
        if self.kind == "yuyv":
            raw = np.full((120, 160, 2), 128, np.uint8)
            raw[..., 0] = picture(number)[..., 0]
            return True, raw
        return True, picture(number)[..., ::-1]

    def release(self) -> None:
        """See OpenCV."""
        self.released = True


@pytest.fixture
def open_live(
    make_video: Callable[..., Path],
    make_picture: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Open]:
    """Return a function that opens a live source of a kind."""
    servers: list[StreamServer] = []

    def make(kind: str) -> Source:
        test = "testsrc2=size=160x120:rate=30"
        if kind == "ffmpeg":
            monkeypatch.setattr(
                camera_module, "input_options", lambda *_: (f"{test},realtime", "lavfi", {})
            )
            return camera_source(CAMERA, Settings(), MonotonicClock(), "linux")
        if kind.startswith("opencv"):
            return opencv(FakeCapture(kind.partition("-")[2]))
        if kind == "lavfi":
            return create_live_source(Settings(source=f"lavfi:{test}"))
        if kind == "stream":
            server = StreamServer()
            server.__enter__()
            servers.append(server)
            return create_live_source(Settings(source=server.address("mjpeg")))
        path = make_picture(picture(0))
        if kind == "file":
            times = [33 * number for number in range(6)]
            path = make_video([picture(number) for number in range(6)], times, last=33)
        return create_live_source(Settings(source=str(path), loop=True))

    yield make
    for server in servers:
        server.__exit__(None, None, None)


def opencv(capture: FakeCapture, **values: Any) -> OpenCvCamera:
    """Open a camera by a fake of OpenCV."""
    return OpenCvCamera(CAMERA, Settings(**values), MonotonicClock(), "test", capture)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_planar_of_one_size_and_stamped(open_live: Open, kind: str) -> None:
    """Frames are yuv420p of one layout, stamped in microseconds of the monotonic clock."""
    source = open_live(kind)
    stamps, layouts = [], set()
    for frame in itertools.islice(source, 10):
        age_s = time.monotonic() - (frame.time_s or 0)
        assert 0 <= age_s < 0.5
        stamps.append(frame.pts or 0)
        layouts.add(frame.layout)
    source.close()
    assert source.info.time_base == Fraction(1, 1_000_000)
    assert stamps == sorted(set(stamps))
    (layout,) = layouts
    assert (layout.format, layout.size) == ("yuv420p", (160, 120))


@pytest.mark.parametrize("kind", KINDS)
def test_frames_keep_their_samples(open_live: Open, kind: str) -> None:
    """A frame is not overwritten by those that come after it."""
    source = open_live(kind)
    frames, copies = [], []
    for frame in itertools.islice(source, 8):
        frames.append(frame)
        copies.append([plane.copy() for plane in frame.planes])
    source.close()
    for frame, copied in zip(frames, copies, strict=True):
        assert all(np.array_equal(*both) for both in zip(frame.planes, copied, strict=True))
    assert not np.shares_memory(frames[0].planes[0], frames[1].planes[0])


@pytest.mark.parametrize("kind", KINDS)
def test_closing_on_another_thread_ends_it(open_live: Open, kind: str) -> None:
    """Whoever reads stops within a second of `close`, which may be called more than once."""
    source = open_live(kind)
    began = threading.Event()

    def read() -> None:
        for _ in source:
            began.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert began.wait(5)
    source.close()
    source.close()
    thread.join(timeout=1)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_that_nobody_reads_can_be_closed(open_live: Open, kind: str) -> None:
    """Opening and closing alone leaves nothing behind."""
    source = open_live(kind)
    source.close()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ffmpeg", "160x120 YUV420P, 30 frames/s"),
        ("opencv-mjpeg", "160x120 MJPEG, 30 frames/s"),
        ("opencv-yuyv", "160x120 YUYV, 30 frames/s"),
        ("stream", "160x120 MJPEG, 25 frames/s"),
    ],
)
def test_what_was_negotiated_is_told(open_live: Open, kind: str, said: str) -> None:
    """Size, format and rate are those that the camera really gives."""
    source = open_live(kind)
    assert source.info.negotiated == said
    source.close()


def test_opencv_skips_damaged_frames() -> None:
    """A JPEG of which half is missing is counted, and not shown."""
    half = np.frombuffer(jpeg(2)[:900], np.uint8)[None]
    source = opencv(FakeCapture("mjpeg", {2: half}))
    frames = list(itertools.islice(source, 4))
    source.close()
    assert source.damaged == 1
    assert len(frames) == 4


def test_opencv_loses_a_camera_that_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera whose reads fail is lost after its time, and released."""
    monkeypatch.setattr("greenroom.sources.opencv_camera._SILENCE_S", 0.2)
    capture = FakeCapture("bgr")
    capture.most = 3
    source = opencv(capture)
    with pytest.raises(CameraLostError, match="no whole frame"):
        list(source)
    assert capture.released


def test_a_change_of_size_is_scaled_back_and_told(caplog: pytest.LogCaptureFixture) -> None:
    """Frames of another size in mid-stream keep the first size."""
    large = np.frombuffer(jpeg(2, (320, 240)), np.uint8)[None]
    source = opencv(FakeCapture("mjpeg", {2: large, 3: large}))
    sizes = {frame.size for frame in itertools.islice(source, 6)}
    source.close()
    assert sizes == {(160, 120)}
    assert caplog.text.count("the size changes from 160x120 to 320x240") == 1


def test_what_differs_from_what_was_asked_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A camera that gives another size or rate is used, with a warning for each."""
    opencv(FakeCapture("yuyv"), size="1280x720", rate=60).close()
    assert "gives 160x120, not 1280x720" in caplog.text
    assert "gives 30 frames/s, not 60" in caplog.text


RATES = {30: (Fraction(30),), 10: (Fraction(10),), 60: (Fraction(60), Fraction(30))}
FORMATS = (
    CameraFormat("GREY", (640, 480), RATES[60]),
    CameraFormat("YUYV", (640, 480), RATES[30]),
    CameraFormat("YUYV", (1280, 720), RATES[10]),
    CameraFormat("MJPG", (640, 480), RATES[60]),
    CameraFormat("MJPG", (1280, 720), RATES[30]),
    CameraFormat("NV12", (320, 240), RATES[30], (16, 16)),
)


@pytest.mark.parametrize(
    ("asked", "fourcc", "size"),
    [
        ({"size": "640x480"}, "YUYV", (640, 480)),
        ({"size": "640x480", "rate": 60}, "MJPG", (640, 480)),
        ({"size": "1280x720"}, "MJPG", (1280, 720)),
        ({"size": "1280x720", "rate": 10}, "YUYV", (1280, 720)),
        ({}, "MJPG", (1280, 720)),
        ({"rate": 30}, "MJPG", (1280, 720)),
        ({"rate": 60}, "MJPG", (640, 480)),
        ({"size": "100x100"}, "NV12", (320, 240)),
    ],
)
def test_the_best_format_is_chosen(
    asked: dict[str, Any], fourcc: str, size: tuple[int, int]
) -> None:
    """What is not compressed, unless it is slower; never what the engine cannot use."""
    chosen = best_format(CameraInfo(0, "", "", FORMATS), CameraRequest(Settings(**asked)))
    assert chosen is not None
    assert (chosen.fourcc, chosen.size) == (fourcc, size)


def test_a_format_that_it_lacks_lists_those_that_it_has() -> None:
    """A size that no format has is an error before anything is opened."""
    with pytest.raises(CameraFormatError, match=r"1920x1080.*It has: .*MJPG 1280x720 at 30"):
        best_format(CameraInfo(0, "", "", FORMATS), CameraRequest(Settings(size="1920x1080")))


@pytest.mark.parametrize(
    ("platform", "address", "backend", "options"),
    [
        (
            "linux",
            "/dev/video0",
            "v4l2",
            {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"},
        ),
        (
            "darwin",
            "/dev/video0:none",
            "avfoundation",
            {"video_size": "1280x720", "framerate": "30", "pixel_format": "nv12"},
        ),
        (
            "win32",
            "video=/dev/video0",
            "dshow",
            {"video_size": "1280x720", "framerate": "30", "rtbufsize": "33554432"},
        ),
    ],
)
def test_each_system_is_asked_in_its_own_way(
    platform: str, address: str, backend: str, options: dict[str, str]
) -> None:
    """Address and options are those of FFmpeg's device of that system."""
    wanted = CameraRequest(Settings(size="1280x720", rate=30))
    chosen = CameraFormat("MJPG", (1280, 720), RATES[30]) if platform == "linux" else None
    assert input_options(CAMERA, wanted, chosen, platform) == (address, backend, options)


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOENT, CameraMissingError, "greenroom devices"),
        (errno.ENODEV, CameraMissingError, "greenroom devices"),
        (errno.EBUSY, CameraBusyError, "fuser -v /dev/video0"),
        (errno.EACCES, CameraForbiddenError, "sudo usermod -aG video $USER"),
        (errno.EPERM, CameraForbiddenError, "sudo usermod -aG video $USER"),
        (errno.EINVAL, CameraFormatError, "MJPG 1280x720 at 30"),
        (errno.ENOSPC, CameraBusyError, "USB"),
        (errno.EIO, CameraError, "--capture opencv"),
    ],
)
def test_each_reason_has_its_own_error_and_advice(
    number: int, kind: type[CameraError], advice: str
) -> None:
    """What the kernel says decides on the error, and the message says what to do."""
    camera = CameraInfo(0, "/dev/video0", "C920", FORMATS)
    error = opening_error(OSError(number, os.strerror(number)), camera, "1280x720", "linux")
    assert type(error) is kind
    assert advice in str(error)
    assert error.path == "/dev/video0"


@pytest.mark.parametrize(
    ("platform", "where"), [("darwin", "System Settings"), ("win32", "Settings")]
)
def test_other_systems_have_their_own_advice(platform: str, where: str) -> None:
    """A camera that is forbidden by privacy settings says where these are."""
    for number in (errno.EACCES, errno.EIO):
        error = opening_error(OSError(number, "no"), CAMERA, "", platform)
        assert f"{where} > Privacy & " in str(error) or f"{where} > Privacy &" in str(error)
