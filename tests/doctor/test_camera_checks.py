"""Cameras: there, allowed, and of which kind."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from doctor.conftest import only
from greenroom.devices.cameras import CameraFormat, CameraInfo
from greenroom.doctor import Answer
from greenroom.doctor.camera_checks import check_cameras
from greenroom.settings import Settings

if TYPE_CHECKING:
    from doctor.conftest import Machine

FORMATS = (
    CameraFormat("YUYV", (640, 480), (Fraction(30),)),
    CameraFormat("MJPG", (1920, 1080), (Fraction(30),)),
    CameraFormat("MJPG", (1280, 720), (Fraction(30),)),
)
WEBCAM = CameraInfo(0, "/dev/video0", "C920", FORMATS)
LOOPBACK = CameraInfo(10, "/dev/video10", "greenroom", (), is_virtual=True)


@pytest.fixture
def webcam(machine: Machine) -> Machine:
    """Return a machine with the nodes of a webcam and of a virtual camera."""
    machine.write(
        {
            "/dev/video0": "",
            "/dev/video10": "",
            "/sys/devices/pci0000/usb1/video4linux/video0/name": "C920",
            "/sys/devices/virtual/video4linux/video10/name": "greenroom",
            "/sys/class/video4linux/": "",
        }
    )
    folder = machine.root / "sys/class/video4linux"
    (folder / "video0").symlink_to("../../devices/pci0000/usb1/video4linux/video0")
    (folder / "video10").symlink_to("../../devices/virtual/video4linux/video10")
    return machine


class TestLinux:
    """Video4Linux."""

    def test_webcam(self, webcam: Machine) -> None:
        """Each camera is named with the most that it can; virtual ones are none."""
        finding = only(check_cameras(webcam.context(cameras=lambda: [WEBCAM, LOOPBACK])))
        assert finding.status == "ok"
        assert finding.message == "0: C920 (/dev/video0), up to 1920x1080, YUYV, MJPG"

    @pytest.mark.parametrize(
        ("own", "listed", "words", "fix"),
        [
            ((), (), "not in the group video", "sudo usermod -aG video $USER"),
            ((), ("video",), "only from your next login on", "Log out and in again."),
            (("video",), ("video",), "although you are in the group video", "ls -l /dev/video0"),
        ],
    )
    def test_permission(
        self, webcam: Machine, own: tuple[str, ...], listed: tuple[str, ...], words: str, fix: str
    ) -> None:
        """A camera that may not be used is told once, with what the group says about it."""
        context = webcam.context(
            can_use=lambda path: path.name == "video10",
            own_groups=lambda: frozenset(own),
            listed_groups=lambda: frozenset(listed),
            cameras=lambda: [CameraInfo(0, "/dev/video0", "C920", problem="permission denied")],
        )
        finding = only(check_cameras(context))
        assert (finding.name, finding.status, finding.blocks) == ("permission", "problem", False)
        assert words in finding.message
        assert finding.fix.splitlines()[0] == fix

    def test_group_of_the_device(self, webcam: Machine) -> None:
        """The group is the one that the device has."""
        context = webcam.context(can_use=lambda _: False, group_of=lambda _: "camera")
        assert "sudo usermod -aG camera $USER" in only(check_cameras(context)).fix

    def test_does_not_answer(self, webcam: Machine) -> None:
        """A camera that cannot be asked is a warning."""
        busy = CameraInfo(0, "/dev/video0", "C920", problem="device or resource busy")
        finding = only(check_cameras(webcam.context(cameras=lambda: [busy])))
        assert finding.status == "warning"
        assert "device or resource busy" in finding.message

    @pytest.mark.parametrize(
        ("files", "words"),
        [
            ({}, "no camera was found"),
            ({"/.dockerenv": ""}, "container"),
            ({"/run/.containerenv": ""}, "container"),
            ({"/proc/version": "Linux version 5.15.90-microsoft-standard-WSL2"}, "Windows"),
        ],
    )
    def test_none(self, machine: Machine, files: dict[str, str], words: str) -> None:
        """Why there may be none is said."""
        machine.write(files)
        finding = only(check_cameras(machine.context()))
        assert finding.status == "problem"
        assert words in finding.message
        assert finding.fix

    @pytest.mark.parametrize(
        ("source", "status"),
        [
            ("0", "problem"),
            ("C920", "problem"),
            ("/dev/video2", "problem"),
            ("demo", "warning"),
            ("screen", "warning"),
            ("talk.mp4", "warning"),
            ("rtsp://camera/", "warning"),
        ],
    )
    def test_none_is_needed(self, machine: Machine, source: str, status: str) -> None:
        """Without a camera only what asks for one does not work."""
        finding = only(check_cameras(machine.context(Settings(source=source))))
        assert finding.status == status


def test_mac(machine: Machine) -> None:
    """A Mac shows no cameras to those who may not use them."""
    finding = only(check_cameras(machine.context(platform="darwin")))
    assert finding.fix.startswith("open 'x-apple.systempreferences:")


class TestWindows:
    """The privacy settings of Windows."""

    @pytest.mark.parametrize(
        ("key", "who"), [(r"webcam /v", "apps"), (r"NonPackaged /v", "desktop programs")]
    )
    def test_denied(self, machine: Machine, key: str, who: str) -> None:
        """Blocked cameras are reported first."""
        machine.answers = {
            key: Answer(0, "    Value    REG_SZ    Deny"),
            "reg query": Answer(0, "    Value    REG_SZ    Allow"),
        }
        denied, none = check_cameras(machine.context(platform="win32"))
        assert denied.message == f"Windows lets no {who} use a camera"
        assert denied.fix == "start ms-settings:privacy-webcam"
        assert none.status == "problem"

    def test_allowed(self, machine: Machine) -> None:
        """With access allowed the cameras are listed by name."""
        machine.answers = {"reg query": Answer(0, "    Value    REG_SZ    Allow")}
        camera = CameraInfo(0, "Integrated Webcam", "Integrated Webcam")
        context = machine.context(platform="win32", cameras=lambda: [camera])
        assert only(check_cameras(context)).message == "0: Integrated Webcam"
