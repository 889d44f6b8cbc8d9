"""The virtual camera: against a backend of its own in pyvirtualcam that keeps what it is sent."""

from __future__ import annotations

import sys
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import pyvirtualcam
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.devices.video_nodes import VideoNode
from greenroom.errors import SinkError, VirtualCameraError
from greenroom.media.colour import COVER_RGB, FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.sinks import virtual_camera
from greenroom.sinks.packing import Packer, over_cover_colour
from greenroom.sinks.virtual_camera import VirtualCameraSink, advice
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

RATE = Fraction(30)
BACKEND = "greenroom-test"


class KeepingBackend:
    """Keeps frames; fails or stalls when told to."""

    made: ClassVar[list[KeepingBackend]] = []
    failing: ClassVar[str] = ""
    stall: ClassVar[threading.Event | None] = None

    def __init__(self, **arguments: Any) -> None:
        if self.failing == "open":
            message = "no such device"
            raise RuntimeError(message)
        self.arguments = arguments
        self.frames: list[NDArray[np.uint8]] = []
        self.closed = False
        self.made.append(self)

    def close(self) -> None:
        """Close it."""
        self.closed = True

    def send(self, frame: NDArray[np.uint8]) -> None:
        """Keep a frame."""
        if self.failing == "send":
            message = "the device is gone"
            raise RuntimeError(message)
        if self.stall is not None:
            self.stall.wait()
        self.frames.append(frame.copy())

    def device(self) -> str:
        """Name the device."""
        return self.arguments["device"] or "Test Camera"

    def native_fourcc(self) -> int | None:
        """Say nothing of a native format."""
        return None


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[KeepingBackend]]:
    """Register the backend for one test."""
    monkeypatch.setattr(KeepingBackend, "made", [])
    pyvirtualcam.register_backend(BACKEND, KeepingBackend)
    yield KeepingBackend
    del pyvirtualcam.camera.BACKENDS[BACKEND]


def planes(sent: NDArray[np.uint8], width: int, height: int) -> tuple[NDArray[np.uint8], ...]:
    """Take I420 apart, by its definition."""
    luma, chroma = width * height, width * height // 4
    return (
        sent[:luma].reshape(height, width),
        sent[luma : luma + chroma].reshape(height // 2, width // 2),
        sent[luma + chroma :].reshape(height // 2, width // 2),
    )


def random_frame(layout: Layout, rng: np.random.Generator) -> Frame:
    """Make a frame of noise, in memory with padded rows."""
    frame = Frame.empty(layout)
    for plane in frame.planes:
        plane[:] = rng.integers(16, 236, plane.shape)
    return frame


class TestVirtualCamera:
    """What arrives at the device."""

    @pytest.mark.parametrize("size", [(64, 36), (63, 35), (322, 182)])
    def test_samples_arrive_as_they_are(self, size: tuple[int, int]) -> None:
        """All three planes are passed on exactly; odd sizes repeat the last column and row."""
        rng = np.random.default_rng(1)
        layout = Layout(*size, "yuv420p", Colour(1, 1))
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        frames = [random_frame(layout, rng) for _ in range(3)]
        for frame in frames:
            sink.write(frame)
        (camera,) = KeepingBackend.made
        width, height = size[0] + size[0] % 2, size[1] + size[1] % 2
        assert (camera.arguments["width"], camera.arguments["height"]) == (width, height)
        assert camera.arguments["fps"] == 30.0
        for frame, sent in zip(frames, camera.frames, strict=True):
            for plane, arrived in zip(frame.planes, planes(sent, width, height), strict=True):
                pad = [
                    (0, large - small)
                    for large, small in zip(arrived.shape, plane.shape, strict=True)
                ]
                assert_array_equal(arrived, np.pad(plane, pad, "edge"))
        sink.close()
        assert camera.closed

    @pytest.mark.parametrize("full", [False, True])
    @pytest.mark.parametrize("matrix", [1, 5])
    def test_colours_are_those_of_limited_range(self, matrix: int, *, full: bool) -> None:
        """A reader that takes the samples for limited range sees the right colour."""
        rgb = (200, 90, 40)
        layout = Layout(64, 36, "yuv420p", Colour(matrix, 2 if full else 1))
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        sink.write(Frame.filled(layout, rgb))
        sent = [float(plane[3, 3]) for plane in planes(KeepingBackend.made[0].frames[0], 64, 36)]
        k_r, k_b = (0.2126, 0.0722) if matrix == 1 else (0.299, 0.114)
        luma = (sent[0] - 16) / 219 * 255
        blue = luma + 2 * (1 - k_b) * (sent[1] - 128) / 224 * 255
        red = luma + 2 * (1 - k_r) * (sent[2] - 128) / 224 * 255
        green = (luma - k_r * red - k_b * blue) / (1 - k_r - k_b)
        assert_allclose((red, green, blue), rgb, atol=3)
        sink.close()

    def test_other_formats_are_converted(self) -> None:
        """RGB comes out as 4:2:0 of limited range."""
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        sink.write(Frame.filled(Layout(64, 36, "gbrp", FULL_RANGE_RGB), (255, 255, 255)))
        y, u, v = planes(KeepingBackend.made[0].frames[0], 64, 36)
        assert set(np.unique(y)) <= {234, 235}
        assert_allclose(u, 128, atol=1)
        assert_allclose(v, 128, atol=1)
        sink.close()

    def test_what_is_behind_alpha_is_not_shown(self) -> None:
        """A frame that can be seen through is put before the cover's colour, not shown opaque."""
        layout = Layout(64, 36, "yuv420p", Colour(1, 1))
        frame = Frame.filled(layout, (255, 0, 255), alpha=0)
        shown = over_cover_colour(frame)
        assert shown.alpha is None
        assert_allclose(shown.to_rgb().reshape(-1, 3), np.tile(COVER_RGB, (64 * 36, 1)), atol=3)
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        sink.write(frame)
        for plane, sample in zip(
            planes(KeepingBackend.made[0].frames[0], 64, 36),
            layout.samples(*COVER_RGB),
            strict=True,
        ):
            assert_allclose(plane, sample, atol=1)
        sink.close()

    def test_is_paced_and_not_always_wanted(self) -> None:
        """It wants a constant rate, and no frames while nobody looks."""
        sink = VirtualCameraSink(RATE, "/dev/video10", backend=BACKEND)
        assert sink.paced
        assert not sink.always
        assert sink.name == "camera:/dev/video10"
        assert sink.device == ""
        assert sink.readers() is None

    def test_another_layout_is_refused(self) -> None:
        """A frame of another size is an error, not a broken picture."""
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        sink.write(PersonSource((64, 36)).frame(0))
        with pytest.raises(SinkError, match="64x36"):
            sink.write(PersonSource((32, 36)).frame(0))
        sink.close()

    def test_stalled_device_stalls_its_own_thread_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`readers` answers while a write hangs, and the write goes on when the device does."""
        stall = threading.Event()
        monkeypatch.setattr(KeepingBackend, "stall", stall)
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        thread = threading.Thread(target=sink.write, args=(PersonSource().frame(0),))
        thread.start()
        assert sink.readers() is None or sink.readers() == 0
        stall.set()
        thread.join(timeout=10)
        assert not thread.is_alive()
        sink.close()


class TestErrors:
    """What is said when there is no camera, or it goes away."""

    def test_missing_camera_says_what_was_tried_and_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The message has the backend's reason, and the commands for this system."""
        monkeypatch.setattr(KeepingBackend, "failing", "open")
        sink = VirtualCameraSink(RATE, "/dev/video10", backend=BACKEND)
        with pytest.raises(VirtualCameraError) as caught:
            sink.write(PersonSource().frame(0))
        assert "'/dev/video10'" in str(caught.value)
        assert f"'{BACKEND}' backend: no such device" in str(caught.value)
        assert advice() in str(caught.value)
        assert caught.value.path == "/dev/video10"
        assert sink.readers() == 0
        sink.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is Linux's")
    def test_real_backend_that_finds_nothing(self, tmp_path: Path) -> None:
        """The real backend, asked for a device that is none, ends in the same error."""
        sink = VirtualCameraSink(RATE, str(tmp_path / "video10"), backend="v4l2loopback")
        with pytest.raises(VirtualCameraError, match="sudo modprobe v4l2loopback exclusive_caps=1"):
            sink.write(PersonSource().frame(0))

    def test_unknown_backend(self) -> None:
        """A backend that pyvirtualcam does not have is the same kind of error."""
        with pytest.raises(VirtualCameraError, match="no such backend"):
            VirtualCameraSink(RATE, backend="nothing").write(PersonSource().frame(0))

    @pytest.mark.parametrize(
        ("platform", "command"),
        [
            ("linux", "sudo apt install v4l2loopback-dkms"),
            ("linux", "sudo modprobe v4l2loopback exclusive_caps=1 card_label=greenroom"),
            ("linux", "--to pipewire,page"),
            ("darwin", "brew install --cask obs"),
            ("win32", "winget install -e --id OBSProject.OBSStudio"),
            ("win32", "Unity Capture"),
            ("freebsd14", "--to window,page"),
        ],
    )
    def test_advice_is_the_systems_own(self, platform: str, command: str) -> None:
        """Every system gets commands that work there."""
        assert command in advice(platform)

    def test_is_opened_again_after_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A device that fails is closed; the next frame opens it again."""
        sink = VirtualCameraSink(RATE, backend=BACKEND)
        frame = PersonSource().frame(0)
        sink.write(frame)
        monkeypatch.setattr(KeepingBackend, "failing", "send")
        with pytest.raises(VirtualCameraError, match="the device is gone"):
            sink.write(frame)
        assert KeepingBackend.made[0].closed
        assert sink.readers() == 0
        sink.abort()
        monkeypatch.setattr(KeepingBackend, "failing", "")
        sink.write(frame)
        assert len(KeepingBackend.made) == 2
        assert len(KeepingBackend.made[1].frames) == 1
        sink.close()
        sink.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="devices are files on Linux only")
    @pytest.mark.usefixtures("no_thread_left")
    def test_device_that_goes_away_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An unloaded driver is no error of writing, so the device is looked for."""
        node = tmp_path / "video10"
        node.touch()
        monkeypatch.setattr(virtual_camera, "_CHECK_INTERVAL_S", 0.0)
        sink = VirtualCameraSink(RATE, str(node), backend=BACKEND)
        sink.write(PersonSource().frame(0))
        assert sink.readers() == 0
        with node.open():
            sink.write(PersonSource().frame(1))
        node.unlink()
        with pytest.raises(VirtualCameraError, match="went away"):
            sink.write(PersonSource().frame(2))
        assert KeepingBackend.made[0].closed


class TestLabels:
    """Devices selected by their names."""

    @pytest.mark.skipif(sys.platform != "linux", reason="names are v4l2loopback's")
    @pytest.mark.parametrize(
        ("wanted", "opened"),
        [
            (None, "/dev/video10"),
            ("other", "/dev/video11"),
            ("/dev/video2", "/dev/video2"),
        ],
    )
    def test_choose_the_device(
        self, wanted: str | None, opened: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one called greenroom is taken by default; a name or a path selects another."""
        names = {2: "Integrated Camera", 3: None, 10: "greenroom", 11: "other"}
        nodes = [
            VideoNode(number, f"/dev/video{number}", name, 0, is_virtual=number >= 10)
            for number, name in names.items()
        ]
        monkeypatch.setattr(virtual_camera, "video_nodes", lambda: nodes)
        for name in list(pyvirtualcam.camera.BACKENDS):
            monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, name, KeepingBackend)
        sink = VirtualCameraSink(RATE, wanted)
        sink.write(PersonSource().frame(0))
        assert KeepingBackend.made[0].arguments["device"] == opened
        assert sink.device == f"{names[int(opened.removeprefix('/dev/video'))]} ({opened})"
        sink.close()


@given(width=st.integers(1, 40), height=st.integers(1, 40), unit=st.sampled_from([2, 8]))
def test_packing_keeps_every_sample(width: int, height: int, unit: int) -> None:
    """Whatever the size, the frame is in the corner, and beyond it is its edge."""
    frame = random_frame(Layout(width, height, "yuv420p", Colour(5, 1)), np.random.default_rng(3))
    packer = Packer(frame.layout, "test", (unit, 2))
    packed = planes(packer.pack(frame), packer.width, packer.height)
    assert packer.width % unit == packer.height % 2 == 0
    for plane, arrived in zip(frame.planes, packed, strict=True):
        pad = [(0, large - small) for large, small in zip(arrived.shape, plane.shape, strict=True)]
        assert_array_equal(arrived, np.pad(plane, pad, "edge"))
