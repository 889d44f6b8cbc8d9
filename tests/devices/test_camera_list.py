"""Cameras as the system lists them, with a device layer made for the test."""

from __future__ import annotations

import errno
import json
import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
import typer
from typer.testing import CliRunner

import greenroom.devices.cameras as devices_module
from greenroom.cli.devices import devices as devices_command
from greenroom.devices.cameras import (
    CameraFormat,
    CameraInfo,
    find_camera,
    list_cameras,
    list_virtual_cameras,
)
from greenroom.devices.v4l2 import Ioctl, open_device
from greenroom.devices.video_nodes import video_nodes
from greenroom.errors import CameraError, CameraMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

CAPTURE, OUTPUT, META, STREAMING = 0x1, 0x2, 0x800000, 0x4000000
# The numbers as videodev2.h has them on x86-64 and ARM64.
QUERYCAP, ENUM_FMT, G_FMT, S_FMT = 0x80685600, 0xC0405602, 0xC0D05604, 0xC0D05605
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B

Rates = list[tuple[int, int]]


@dataclass
class FakeNode:
    """A video device: what it is, and its formats with sizes and intervals (seconds)."""

    card: str
    driver: str = "uvcvideo"
    bits: int = CAPTURE
    formats: dict[str, dict[tuple[int, ...], Rates]] = field(default_factory=dict)
    error: int = 0
    busy: bool = False


class FakeIoctl(Ioctl):
    """Answers ioctls as the kernel does, by the layouts of videodev2.h."""

    def __init__(self, nodes: dict[str, FakeNode]) -> None:
        self.nodes = nodes
        self.open_now: dict[int, FakeNode] = {}

    def open(self, path: str, access: int = os.O_RDWR) -> int:
        """See `Ioctl.open`."""
        assert access == os.O_RDWR
        node = self.nodes.get(path)
        number = errno.ENOENT if node is None else node.error
        if node is None or number:
            raise OSError(number, os.strerror(number))
        descriptor = 100 + len(self.open_now)
        self.open_now[descriptor] = node
        return descriptor

    def close(self, descriptor: int) -> None:
        """See `Ioctl.close`."""
        del self.open_now[descriptor]

    def call(self, descriptor: int, request: int, data: bytearray) -> None:
        """See `Ioctl.call`."""
        node = self.open_now[descriptor]
        if request == QUERYCAP:
            struct.pack_into("16s", data, 0, node.driver.encode())
            struct.pack_into("32s", data, 16, node.card.encode())
            struct.pack_into("II", data, 84, 0x80000000 | CAPTURE | META, node.bits)
            return
        if request in (G_FMT, S_FMT):
            if request == S_FMT and node.busy:
                raise OSError(errno.EBUSY, "busy")
            return
        (index,) = struct.unpack_from("I", data, 0)
        codes = list(node.formats)
        if request == ENUM_FMT:
            self._check(index < len(codes))
            struct.pack_into("4s", data, 44, codes[index].encode())
            return
        sizes = node.formats[bytes(data[4:8]).decode()]
        if request == ENUM_FRAMESIZES:
            self._check(index < len(sizes))
            size = list(sizes)[index]
            struct.pack_into(f"{1 + len(size)}I", data, 8, 1 if len(size) == 2 else 3, *size)
            return
        assert request == ENUM_FRAMEINTERVALS
        wanted = struct.unpack_from("II", data, 8)
        rates = next(
            rates for size, rates in sizes.items() if wanted in (size, (size[1:2] + size[4:5]))
        )
        self._check(index < len(rates))
        struct.pack_into("III", data, 16, 1, *rates[index])

    @staticmethod
    def _check(there_is: bool) -> None:
        if not there_is:
            raise OSError(errno.EINVAL, "no more")


C920 = FakeNode(
    "HD Pro Webcam C920",
    formats={
        "YUYV": {(640, 480): [(1, 30), (1, 15)], (1280, 720): [(1, 10)]},
        "MJPG": {(640, 480): [(1, 30)], (1280, 720): [(1, 60), (1, 30)]},
    },
)
LOOPBACK = FakeNode(
    "greenroom",
    "v4l2 loopback",
    CAPTURE | OUTPUT,
    {"YU12": {(2, 8192, 1, 2, 8192, 1): [(1, 30)]}},
)


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """Return a folder as /sys/class/video4linux is."""
    root = tmp_path / "video4linux"
    root.mkdir()
    for name, title, index in (
        ("video0", "HD Pro Webcam C920", 0),
        ("video1", "HD Pro Webcam C920", 1),
        ("video2", "Integrated Camera: Integrated C", 0),
        ("video10", "greenroom", 0),
    ):
        kind = "virtual" if name == "video10" else "pci0000"
        real = tmp_path / "devices" / kind / name
        real.mkdir(parents=True)
        (real / "name").write_text(f"{title}\n")
        (real / "index").write_text(f"{index}\n")
        (root / name).symlink_to(real)
    (root / "v4l-subdev0").mkdir()
    return root


@pytest.fixture
def ioctl() -> FakeIoctl:
    """Return four nodes: a camera, its metadata, one that is forbidden, and a loopback."""
    return FakeIoctl(
        {
            "/dev/video0": C920,
            "/dev/video1": FakeNode("HD Pro Webcam C920", bits=META),
            "/dev/video2": FakeNode("Integrated", error=errno.EACCES),
            "/dev/video10": LOOPBACK,
        }
    )


def test_cameras_are_listed_with_their_formats(sysfs: Path, ioctl: FakeIoctl) -> None:
    """Every node that captures is there by number, with formats, sizes and rates."""
    cameras = list_cameras(platform="linux", sysfs=sysfs, ioctl=ioctl)
    assert [camera.number for camera in cameras] == [0, 2, 10]
    first = cameras[0]
    assert (first.path, first.name, first.is_virtual) == (
        "/dev/video0",
        "HD Pro Webcam C920",
        False,
    )
    assert first.formats == (
        CameraFormat("YUYV", (640, 480), (Fraction(30), Fraction(15))),
        CameraFormat("YUYV", (1280, 720), (Fraction(10),)),
        CameraFormat("MJPG", (640, 480), (Fraction(30),)),
        CameraFormat("MJPG", (1280, 720), (Fraction(60), Fraction(30))),
    )
    assert not ioctl.open_now


def test_a_node_for_metadata_is_no_camera(sysfs: Path, ioctl: FakeIoctl) -> None:
    """Of the two nodes of one webcam only the one with pictures is listed."""
    paths = [camera.path for camera in list_cameras(platform="linux", sysfs=sysfs, ioctl=ioctl)]
    assert "/dev/video1" not in paths


def test_a_forbidden_camera_is_listed_with_its_problem(sysfs: Path, ioctl: FakeIoctl) -> None:
    """A camera that may not be opened is there all the same, by the name the kernel tells."""
    camera = list_cameras(platform="linux", sysfs=sysfs, ioctl=ioctl)[1]
    assert camera.name == "Integrated Camera: Integrated C"
    assert camera.problem == "permission denied"
    assert camera.formats == ()


def test_a_range_of_sizes_has_a_least_and_a_most(sysfs: Path, ioctl: FakeIoctl) -> None:
    """A driver that scales says so as one format with its smallest and largest size."""
    loopback = list_cameras(platform="linux", sysfs=sysfs, ioctl=ioctl)[2]
    assert loopback.formats == (CameraFormat("YU12", (8192, 8192), (Fraction(30),), (2, 2)),)


def test_virtual_cameras_are_told_by_their_driver(sysfs: Path, ioctl: FakeIoctl) -> None:
    """v4l2loopback is a virtual camera, also while it has nobody who writes to it."""
    found = list_virtual_cameras(platform="linux", sysfs=sysfs, ioctl=ioctl)
    assert [camera.path for camera in found] == ["/dev/video10"]
    waiting = FakeIoctl({"/dev/video10": FakeNode("greenroom", "v4l2 loopback", OUTPUT)})
    found = list_virtual_cameras(platform="linux", sysfs=sysfs, ioctl=waiting)
    assert "/dev/video10" in [camera.path for camera in found]
    assert "/dev/video10" not in [
        camera.path for camera in list_cameras(platform="linux", sysfs=sysfs, ioctl=waiting)
    ]


def test_nodes_are_listed_by_number(sysfs: Path) -> None:
    """Every node has its number, name, index and kind; a name that cannot be read is None."""
    (sysfs / "video3").mkdir()
    nodes = [(each.number, each.name, each.index, each.is_virtual) for each in video_nodes(sysfs)]
    assert nodes == [
        (0, "HD Pro Webcam C920", 0, False),
        (1, "HD Pro Webcam C920", 1, False),
        (2, "Integrated Camera: Integrated C", 0, False),
        (3, None, 0, False),
        (10, "greenroom", 0, True),
    ]


def test_without_video4linux_there_are_no_cameras(tmp_path: Path) -> None:
    """A kernel without video devices is no error."""
    assert list_cameras(platform="linux", sysfs=tmp_path / "none") == []
    assert list_virtual_cameras(platform="linux", sysfs=tmp_path / "none") == []


def test_a_busy_camera_is_told_from_a_free_one() -> None:
    """A device whose format cannot be set is streaming for somebody else."""
    ioctl = FakeIoctl({"/dev/video0": FakeNode("a", busy=True), "/dev/video1": FakeNode("b")})
    with open_device("/dev/video0", ioctl) as busy, open_device("/dev/video1", ioctl) as free:
        assert busy.is_busy()
        assert not free.is_busy()


@dataclass
class FakeDevice:
    """One of PyAV's ``DeviceInfo``."""

    name: str
    description: str
    media_types: list[str]


@pytest.mark.parametrize(("platform", "backend"), [("darwin", "avfoundation"), ("win32", "dshow")])
def test_other_systems_are_asked_by_ffmpeg(platform: str, backend: str) -> None:
    """On macOS and Windows names come from FFmpeg, without microphones and screens."""

    def enumerate_devices(name: str) -> list[FakeDevice]:
        assert name == backend
        return [
            FakeDevice("0", "FaceTime HD Camera", ["video"]),
            FakeDevice("1", "OBS Virtual Camera", ["video"]),
            FakeDevice("2", "Capture screen 0", ["video"]),
            FakeDevice("0", "Microphone", ["audio"]),
        ]

    cameras = list_cameras(platform=platform, enumerate_devices=enumerate_devices)
    assert [(camera.number, camera.name) for camera in cameras] == [
        (0, "FaceTime HD Camera"),
        (1, "OBS Virtual Camera"),
    ]
    virtual = list_virtual_cameras(platform=platform, enumerate_devices=enumerate_devices)
    assert [camera.name for camera in virtual] == ["OBS Virtual Camera"]


def test_a_system_that_does_not_tell_has_no_cameras(caplog: pytest.LogCaptureFixture) -> None:
    """If FFmpeg cannot list devices the error is logged, and the list is empty."""

    def enumerate_devices(_: str) -> list[FakeDevice]:
        raise OSError(errno.EIO, "no")

    assert list_cameras(platform="win32", enumerate_devices=enumerate_devices) == []
    assert "cannot be listed" in caplog.text


CAMERAS = [
    CameraInfo(0, "/dev/video0", "Logitech C920"),
    CameraInfo(2, "/dev/video2", "Logitech BRIO"),
    CameraInfo(4, "/dev/video4", "Logitech C920 Pro"),
]


@pytest.mark.parametrize(
    ("name", "number"),
    [("2", 2), ("/dev/video4", 4), ("brio", 2), ("C920 PRO", 4), ("logitech c920", 0)],
)
def test_a_camera_is_found_by_number_path_and_part_of_its_name(name: str, number: int) -> None:
    """Case does not matter, and a whole name comes before one that it is a part of."""
    assert find_camera(name, CAMERAS).number == number


def test_a_name_that_matches_two_lists_both() -> None:
    """Which camera is meant is never guessed."""
    with pytest.raises(CameraError, match="2 cameras") as caught:
        find_camera("c920", CAMERAS)
    assert "/dev/video0" in str(caught.value)
    assert "/dev/video4" in str(caught.value)
    assert "/dev/video2" not in str(caught.value)


def test_a_missing_camera_lists_those_that_are_there() -> None:
    """The message says which cameras there are, or what to do if there is none."""
    with pytest.raises(CameraMissingError, match=r"number 7.*Logitech BRIO"):
        find_camera("7", CAMERAS)
    with pytest.raises(CameraMissingError, match=r"no camera at all.*--source demo"):
        find_camera("0", [])


def test_the_command_prints_cameras_with_their_formats(
    sysfs: Path, ioctl: FakeIoctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``greenroom devices`` shows numbers, names, formats and rates, and virtual cameras."""
    patch_devices(monkeypatch, sysfs, ioctl)
    result = run_devices()
    assert result.exit_code == 0
    assert "  0    /dev/video0    HD Pro Webcam C920" in result.output
    assert "MJPG 640x480 at 30, 1280x720 at 60/30" in result.output
    assert "sudo usermod -aG video $USER" in result.output
    assert "2x2 to 8192x8192" in result.output
    assert result.output.rstrip().endswith("  10   /dev/video10   greenroom")


def test_the_command_prints_json(
    sysfs: Path, ioctl: FakeIoctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --json everything is there as values."""
    patch_devices(monkeypatch, sysfs, ioctl)
    found = json.loads(run_devices("--json").output)
    assert found["cameras"][0]["formats"][0] == {
        "format": "YUYV",
        "size": [640, 480],
        "smallest": None,
        "rates": [30.0, 15.0],
    }
    assert [camera["name"] for camera in found["virtual_cameras"]] == ["greenroom"]


def test_the_command_says_what_to_do_without_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing found is no error: the status is 0, with advice."""
    patch_devices(monkeypatch, tmp_path / "none", FakeIoctl({}))
    result = run_devices()
    assert result.exit_code == 0
    assert "No camera was found" in result.output
    assert "--source demo" in result.output
    assert "greenroom doctor" in result.output


def patch_devices(monkeypatch: pytest.MonkeyPatch, sysfs: Path, ioctl: FakeIoctl) -> None:
    """Have the command see other devices."""
    for name in ("list_cameras", "list_virtual_cameras"):
        listed = getattr(devices_module, name)(platform="linux", sysfs=sysfs, ioctl=ioctl)
        monkeypatch.setattr(f"greenroom.cli.devices.{name}", lambda listed=listed: listed)


def run_devices(*arguments: str) -> Result:
    """Run the command."""
    app = typer.Typer()
    app.command()(devices_command)
    return CliRunner().invoke(app, arguments)
