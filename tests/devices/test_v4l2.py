"""Both camera libraries against a video device of Linux, which is pretended below them.

`v4l2_device.c` is preloaded into a process of its own: FFmpeg, OpenCV and greenroom's own ioctls
are the real ones, answered by the structures of the kernel's header.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from stream_server import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    Watch = Callable[..., dict[str, Any]]

SOURCE = Path(__file__).with_name("v4l2_device.c")
COMPILER = shutil.which("cc")
FRAME_S = 1 / 30
DEADLINE_S = 20

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Video4Linux2 is Linux's"),
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler (apt install gcc)"),
    pytest.mark.skipif(
        not Path("/usr/include/linux/videodev2.h").exists(),
        reason="needs the kernel's headers (apt install linux-libc-dev)",
    ),
]

# What runs beside the pretended device: it opens the camera and tells what came of it.
WATCH = """
import json, sys, time
from greenroom.errors import GreenroomError
from greenroom.media.clock import MonotonicClock
from greenroom.settings import Settings
from greenroom.sources.camera import camera_source
from greenroom.devices.cameras import CameraInfo
from greenroom.sources.opencv_camera import OpenCvCamera
from greenroom.devices.v4l2 import open_device

path, capture, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
with open_device(path) as device:
    card = device.capability().card
    formats = tuple(device.formats())
told = {"card": card, "formats": [[one.fourcc, *one.size, *map(int, one.rates)] for one in formats]}
told |= {"frames": [], "ages_s": [], "error": "", "damaged": 0}
make = OpenCvCamera if capture == "opencv" else camera_source
try:
    source = make(CameraInfo(0, path, card, formats), Settings(**asked), MonotonicClock())
    told["negotiated"] = source.info.negotiated
    print("open", flush=True)
    seen_s = time.monotonic()
    for frame in source:
        told["frames"].append([*frame.size, frame.format, round(float(frame.planes[0].mean()))])
        told["ages_s"].append(time.monotonic() - frame.time_s)
        seen_s = time.monotonic()
except GreenroomError as error:
    told["error"] = type(error).__name__ + ": " + str(error)
if "negotiated" in told:
    told |= {"damaged": source.damaged, "lost_after_s": time.monotonic() - seen_s}
print(json.dumps(told), flush=True)
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the pretended device."""
    path = tmp_path_factory.mktemp("v4l2") / "v4l2_device.so"
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-o", path, SOURCE, "-ldl"], check=True, timeout=60
    )
    return path


@pytest.fixture
def watch(library: Path, tmp_path: Path) -> Watch:
    """Return a function that has a camera watched, and what happens to it."""
    path = tmp_path / "video0"
    os.mkfifo(path)
    for number in range(3):
        data = jpeg(number, (1280, 720))
        (tmp_path / f"{number}.MJPG").write_bytes(data)
        (tmp_path / "9.MJPG").write_bytes(data[: len(data) // 2])
        raw = np.full((480, 640, 2), 128, np.uint8)
        raw[..., 0] = 50 + 50 * number
        (tmp_path / f"{number}.YUYV").write_bytes(raw.tobytes())
        (tmp_path / "9.YUYV").write_bytes(raw.tobytes()[:1000])

    def run(events: str, capture: str = "ffmpeg", fault: str = "", **asked: str) -> dict[str, Any]:
        environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "FAKE_V4L2_PATH": str(path),
            "FAKE_V4L2_FRAMES": str(tmp_path),
            "FAKE_V4L2_FAULT": fault,
        }
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        command = [sys.executable, "-c", WATCH, str(path), capture, json.dumps(asked)]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            try:
                for event in events:
                    os.write(pipe, event.encode())
                    time.sleep(FRAME_S)
                out, _ = process.communicate(timeout=DEADLINE_S)
            finally:
                process.kill()
                os.close(pipe)
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told

    return run


def test_the_kernels_structures_are_read(watch: Watch) -> None:
    """Name, formats, sizes and rates are what the kernel's header says at these places."""
    told = watch("0g", size="640x480")
    assert told["card"] == "Pretended Camera"
    assert told["formats"] == [
        ["YUYV", 640, 480, 30],
        ["YUYV", 1280, 720, 10],
        ["MJPG", 640, 480, 30],
        ["MJPG", 1280, 720, 30],
    ]


@pytest.mark.parametrize("capture", ["ffmpeg", "opencv"])
def test_mjpeg_is_taken_where_raw_is_slow(watch: Watch, capture: str) -> None:
    """At 1280x720 raw brings a third of the frames, so MJPEG is negotiated, planar at once."""
    told = watch("0120e190g", capture, size="1280x720")
    assert told["negotiated"] == "1280x720 MJPEG, 30 frames/s"
    assert {tuple(frame[:3]) for frame in told["frames"]} == {(1280, 720, "yuv420p")}
    # One was damaged on the wire, one lost its second half, and the first is for looking at.
    assert len(told["frames"]) == 5
    assert told["damaged"] == 2
    assert told["error"].startswith("CameraLostError")


@pytest.mark.parametrize("capture", ["ffmpeg", "opencv"])
def test_raw_is_taken_where_it_is_as_fast(watch: Watch, capture: str) -> None:
    """At 640x480 both bring 30 frames a second, and what is not compressed costs less."""
    told = watch("0012g", capture, size="640x480")
    assert told["negotiated"] == "640x480 YUYV, 30 frames/s"
    assert told["frames"] == [[640, 480, "yuv420p", level] for level in (50, 100, 150)]


@pytest.mark.parametrize("capture", ["ffmpeg", "opencv"])
def test_time_stamps_are_the_drivers(watch: Watch, capture: str) -> None:
    """A frame that took 20 ms to come is stamped with when it was captured."""
    ages_s = watch("01201201g", capture, size="640x480")["ages_s"]
    assert min(ages_s) >= 0.02
    assert np.median(ages_s) < 0.05


def test_an_unplugged_camera_is_lost_at_once(watch: Watch) -> None:
    """What FFmpeg says of a device that has gone is a loss, without waiting for frames."""
    told = watch("01g", size="640x480")
    assert told["error"].startswith("CameraLostError")
    assert told["lost_after_s"] < 0.5


def test_a_camera_that_hangs_is_lost_after_two_seconds(watch: Watch) -> None:
    """FFmpeg alone would wait for the next frame for ever."""
    told = watch("01", size="640x480")
    assert "no whole frame came for 2 s" in told["error"]
    assert 1.9 < told["lost_after_s"] < 3


@pytest.mark.parametrize("capture", ["ffmpeg", "opencv"])
def test_a_size_that_it_lacks_lists_what_it_has(watch: Watch, capture: str) -> None:
    """A wrong size is refused before the camera is opened, with the formats there are."""
    error = watch("", capture, size="800x600")["error"]
    assert error.startswith("CameraFormatError")
    assert "MJPG 1280x720 at 30" in error


@pytest.mark.parametrize("capture", ["ffmpeg", "opencv"])
def test_a_busy_camera_says_how_to_find_who_has_it(watch: Watch, capture: str) -> None:
    """EBUSY from the driver is told apart by both libraries."""
    error = watch("", capture, "busy", size="640x480")["error"]
    assert error.startswith("CameraBusyError")
    assert "fuser -v " in error


def test_a_full_bus_is_told(watch: Watch) -> None:
    """ENOSPC is the USB's lack of room, not the disk's."""
    error = watch("", "ffmpeg", "full", size="640x480")["error"]
    assert "USB" in error
