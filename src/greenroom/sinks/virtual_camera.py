"""Virtual cameras: v4l2loopback on Linux, OBS on macOS and Windows, Unity Capture on Windows."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyvirtualcam

from greenroom.devices.reader_count import ReaderCount
from greenroom.devices.video_nodes import video_nodes
from greenroom.errors import VirtualCameraError
from greenroom.sinks.packing import Packer
from greenroom.sinks.sink import LiveSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from greenroom.media.frame import Frame

__all__ = ["LABEL", "VirtualCameraSink", "advice"]

logger = logging.getLogger(__name__)

LABEL: Final = "greenroom"
"""Preferred label of a virtual camera."""

# Interval of checks that the device still exists: v4l2loopback's driver can be unloaded, and
# pyvirtualcam does not report failed writes.
_CHECK_INTERVAL_S: Final = 1.0
_ADVICE: Final = {
    "linux": (
        "Make one (needs a kernel module):\n"
        "  sudo apt install v4l2loopback-dkms\n"
        "  sudo modprobe v4l2loopback exclusive_caps=1 card_label=greenroom video_nr=10\n"
        "or do without a kernel module, which also works under Secure Boot:\n"
        "  greenroom run --to pipewire,page"
    ),
    "darwin": (
        "Install OBS (30 or later), start it once, press 'Start Virtual Camera' and then 'Stop "
        "Virtual Camera', and allow its camera extension in System Settings:\n"
        "  brew install --cask obs"
    ),
    "win32": (
        "Install OBS, which brings a virtual camera:\n"
        "  winget install -e --id OBSProject.OBSStudio\n"
        "or Unity Capture (github.com/schellingb/UnityCapture): run Install.bat in its folder "
        "Install."
    ),
}


class VirtualCameraSink(LiveSink):
    """Sends frames to a virtual camera through pyvirtualcam, at a constant rate.

    Frames are sent as I420 in limited range with their own matrix, as programs expect of a camera.
    Samples of such frames are passed on unchanged; full range is converted. Width and height are
    made even.

    Parameters
    ----------
    rate : Fraction
        Frames a second.
    device : str, optional
        The device: a path such as ``/dev/video10``, a label, or on Windows and macOS the camera's
        name. By default the one labelled *greenroom*, or else the first.
    backend : str, optional
        pyvirtualcam's backend; by default all are tried.

    Notes
    -----
    The device is opened by the first frame, and again by the first one after `abort` or an error.
    State: the open device and the time of the last check.
    """

    paced = True
    always = False

    def __init__(
        self,
        rate: Fraction,
        device: str | None = None,
        backend: str | None = None,
    ) -> None:
        self.name = "camera" if device is None else f"camera:{device}"
        self.device = ""
        self._rate = rate
        self._wanted = device
        self._backend = backend
        self._camera: pyvirtualcam.Camera | None = None
        self._packer: Packer | None = None
        self._readers: ReaderCount | None = None
        self._node: Path | None = None
        self._identity: int | None = None
        self._checked_s = 0.0
        self._was_tried = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`.

        Raises
        ------
        VirtualCameraError
            If there is no virtual camera, it is used by another program, or it went away.
        """
        if self._camera is None or self._packer is None:
            self._was_tried = True
            self._packer = Packer(frame.layout, self.name)
            self._camera = self._open(self._packer)
        self._check_still_there()
        try:
            self._camera.send(self._packer.pack(frame))
        except (OSError, RuntimeError, ValueError) as error:
            message = f"virtual camera '{self.device}' does not take the picture: {error}."
            self.abort()
            raise VirtualCameraError(message, self._wanted) from error

    def close(self) -> None:
        """See `Sink.close`."""
        camera, readers = self._camera, self._readers
        self._camera = self._packer = self._readers = self._node = None
        if readers is not None:
            readers.close()
        if camera is not None:
            camera.close()

    def abort(self) -> None:
        """See `Sink.abort`. The next frame opens the device again."""
        try:
            self.close()
        except (OSError, RuntimeError) as error:
            logger.debug("closing virtual camera '%s': %s", self.device, error)

    def readers(self) -> int | None:
        """See `LiveSink.readers`. 0 for a camera that could not be opened."""
        readers = self._readers
        if readers is not None:
            return readers.count()
        return 0 if self._was_tried and self._camera is None else None

    def _open(self, packer: Packer) -> pyvirtualcam.Camera:
        """Open the device."""
        wanted = self._chosen()
        known = pyvirtualcam.camera.BACKENDS
        if self._backend is not None and self._backend not in known:
            tried = [f"'{self._backend}', which is no such backend of {', '.join(known)}"]
            raise VirtualCameraError(_missing(wanted, tried), self._wanted)
        try:
            camera = pyvirtualcam.Camera(
                packer.width,
                packer.height,
                float(self._rate),
                fmt=pyvirtualcam.PixelFormat.I420,
                device=wanted,
                backend=self._backend,
            )
        except RuntimeError as error:
            tried = [line.strip().rstrip(".") for line in str(error).splitlines()]
            raise VirtualCameraError(_missing(wanted, tried), self._wanted) from error
        node = Path(camera.device)
        label = next((each.name for each in video_nodes() if each.path == str(node)), None)
        self.device = f"{label} ({node})" if label else camera.device
        self._checked_s = time.monotonic()
        if sys.platform == "linux" and node.is_absolute():
            self._node, self._identity = node, _identity(node)
            self._readers = ReaderCount(node, on_change=self.on_readers)
        logger.info("virtual camera: %s", self.device)
        return camera

    def _chosen(self) -> str | None:
        """Return the device to open; None leaves the choice to pyvirtualcam."""
        if sys.platform != "linux" or self._backend is not None:
            return self._wanted
        label = self._wanted or LABEL
        named = [node.path for node in video_nodes() if node.name == label]
        return named[0] if named else self._wanted

    def _check_still_there(self) -> None:
        now_s = time.monotonic()
        if self._node is None or now_s - self._checked_s < _CHECK_INTERVAL_S:
            return
        self._checked_s = now_s
        if _identity(self._node) != self._identity:
            message = f"virtual camera '{self.device}' went away. {advice()}"
            self.abort()
            raise VirtualCameraError(message, self._wanted)


def advice(platform: str = sys.platform) -> str:
    """Return instructions for installing a virtual camera on an operating system."""
    return _ADVICE.get(platform, "Use another output, such as --to window,page.")


def _missing(wanted: str | None, tried: Sequence[str]) -> str:
    which = "there is no virtual camera" if wanted is None else f"no virtual camera '{wanted}'"
    return f"{which} that could be opened. Tried: {'; '.join(tried)}. {advice()}"


def _identity(node: Path) -> int | None:
    """Return the inode of a device node, to notice a replacement; None if it is gone."""
    try:
        return node.stat().st_ino
    except OSError:
        return None
