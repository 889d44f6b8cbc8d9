"""What --source can name, and what is said when it names nothing."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from stream_server import picture

from greenroom.devices.cameras import CameraInfo
from greenroom.errors import CameraForbiddenError, CameraMissingError, SourceError
from greenroom.live import sources as live
from greenroom.live.sources import create_live_source
from greenroom.media.clock import MonotonicClock
from greenroom.settings import Settings
from greenroom.sources.screen import screen_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.media.clock import Clock
    from greenroom.sources.source import Source

CAMERAS = [
    CameraInfo(0, "/dev/video0", "greenroom", is_virtual=True),
    CameraInfo(2, "/dev/video2", "Logitech C920"),
    CameraInfo(4, "/dev/video4", "Logitech BRIO"),
]


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[CameraInfo]:
    """Return a list of the cameras that are opened, instead of opening them."""
    opened: list[CameraInfo] = []

    def open_camera(camera: CameraInfo, settings: Settings, clock: Clock) -> Source | None:
        del settings, clock
        opened.append(camera)
        return None

    monkeypatch.setattr(live, "_camera_source", open_camera)
    return opened


@pytest.mark.parametrize(
    ("name", "number"), [("4", 4), ("c920", 2), ("/dev/video4", 4), ("0", 0), ("greenroom", 0)]
)
def test_a_camera_is_named_by_number_name_or_path(
    chosen: list[CameraInfo], name: str, number: int
) -> None:
    """Whatever is no file, address or word of its own is a camera."""
    create_live_source(Settings(source=name), cameras=lambda: CAMERAS)
    assert [camera.number for camera in chosen] == [number]


def test_by_default_a_real_camera_comes_before_a_virtual_one(chosen: list[CameraInfo]) -> None:
    """A virtual camera that was there first, such as greenroom's own, is not the default."""
    create_live_source(Settings(), cameras=lambda: CAMERAS)
    assert chosen[0].number == 2


def test_a_path_that_links_to_a_camera_is_that_camera(
    chosen: list[CameraInfo], tmp_path: Path
) -> None:
    """The stable names below /dev/v4l lead to the same camera."""
    device = CameraInfo(1, os.path.realpath("/dev/null"), "Null")
    link = tmp_path / "by-id"
    link.symlink_to("/dev/null")
    create_live_source(Settings(source=str(link)), cameras=lambda: [*CAMERAS, device])
    assert chosen == [device]


def test_a_name_of_nothing_lists_the_cameras() -> None:
    """Neither a file nor a camera: the message says so, and which cameras there are."""
    with pytest.raises(CameraMissingError, match=r"'clip\.mp4' is neither a file nor.*BRIO"):
        create_live_source(Settings(source="clip.mp4"), cameras=lambda: CAMERAS)


def test_a_number_is_a_camera_though_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits name a camera, whatever lies in the folder."""
    (tmp_path / "7").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CameraMissingError, match="number 7"):
        create_live_source(Settings(source="7"), cameras=lambda: CAMERAS)


def test_without_any_camera_nobody_is_told_of_a_number() -> None:
    """Who named no camera hears that there is none, and what to do."""
    with pytest.raises(CameraMissingError, match=r"^There is no camera at all.*--source demo"):
        create_live_source(Settings(), cameras=list)


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    """An existing file is read as one, and refused as one."""
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(SourceError, match="not an image or video"):
        create_live_source(Settings(source=str(path)))


def test_a_file_ends_without_loop_and_goes_on_with_it(make_video: Callable[..., Path]) -> None:
    """A file is played once, or over and over again without a pause at its end."""
    path = make_video([picture(number) for number in range(5)], [0, 20, 40, 60, 80], last=20)
    assert len(list(create_live_source(Settings(source=str(path))))) == 5
    source = create_live_source(Settings(source=str(path), loop=True))
    stamps_s = [frame.time_s or 0.0 for frame in itertools.islice(source, 16)]
    source.close()
    assert np.diff(stamps_s).mean() == pytest.approx(0.02, abs=0.006)


def test_a_picture_stands_still_for_ever(make_picture: Callable[..., Path]) -> None:
    """A single picture is shown at a constant rate, without end, in memory of each frame's own."""
    source = create_live_source(Settings(source=str(make_picture(picture(0)))))
    frames = list(itertools.islice(source, 6))
    source.close()
    assert len({frame.pts for frame in frames}) == 6
    assert all(np.array_equal(frame.planes[0], frames[0].planes[0]) for frame in frames)
    assert not np.shares_memory(frames[1].planes[0], frames[2].planes[0])


@pytest.mark.parametrize(
    ("environment", "error", "reason"),
    [
        ({}, CameraMissingError, "DISPLAY is not set"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, CameraForbiddenError, "Wayland"),
        ({"DISPLAY": ":4711"}, CameraMissingError, "cannot be grabbed"),
    ],
)
def test_a_screen_that_cannot_be_grabbed_says_why(
    environment: dict[str, str], error: type[SourceError], reason: str
) -> None:
    """No display, Wayland and a display that is not there are told apart."""
    with pytest.raises(error, match=reason):
        screen_source(Settings(), MonotonicClock(), "linux", environment)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb (apt install xvfb)")
def test_a_screen_is_grabbed_and_scaled() -> None:
    """The screen of an X server comes with its pixels, at the size that is asked for."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "320x240x24", "-br"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        try:
            os.close(write)
            display = f":{os.read(read, 16).decode().strip()}"
            source = screen_source(
                Settings(size="160x120", rate=20), MonotonicClock(), "linux", {"DISPLAY": display}
            )
            began_s = time.monotonic()
            frames = list(itertools.islice(source, 8))
            took_s = time.monotonic() - began_s
            source.close()
        finally:
            server.terminate()
            os.close(read)
    assert {(frame.size, frame.format) for frame in frames} == {((160, 120), "yuv420p")}
    assert frames[-1].to_rgb().mean() < 12  # black, but for the pointer
    assert took_s == pytest.approx(8 / 20, abs=0.25)


@pytest.mark.parametrize("extra", ["installed", "missing"])
def test_the_demonstration_needs_no_camera(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``demo`` shows a person in real time: a photograph where its extra is there, or drawn."""
    if extra == "missing":
        monkeypatch.setitem(sys.modules, "skimage.data", None)
    else:
        pytest.importorskip("skimage.data", reason="the photograph comes with scikit-image")
    source = create_live_source(Settings(source="demo"))
    frames = list(itertools.islice(source, 2))
    source.close()
    assert {frame.size for frame in frames} == {(1280, 720)}
