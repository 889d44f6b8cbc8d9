"""A camera in PipeWire: no kernel module, and it is found by browsers and the camera portal.

The node is made by GStreamer's ``pipewiresink`` in a program of its own
(`greenroom.sinks.pipewire_feeder`), to which frames go through a pipe: whatever happens in those
libraries, greenroom goes on and can start them again.
"""

from __future__ import annotations

import logging
import os
import secrets
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError, VirtualCameraError
from greenroom.sinks import pipewire_feeder
from greenroom.sinks.packing import Packer
from greenroom.sinks.pipewire_graph import GraphWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from greenroom.frames import Frame

__all__ = ["NODE", "PipeWireSink", "daemon_socket"]

logger = logging.getLogger(__name__)

NODE: Final = "greenroom"
"""What the camera is called."""

# How long GStreamer may take to start: the first time it looks through all its plugins.
_START_S: Final = 15.0
# How long the feeder may leave a frame in the pipe. It never waits for a consumer.
_WRITE_S: Final = 2.0
_END_S: Final = 2.0
# Programs that read frames without looking at the length of rows need such widths, with which
# rows have nothing behind them: GStreamer's are multiples of 4, and so are those of chroma.
_MULTIPLE: Final = (8, 2)
_COLORIMETRY: Final = {1: "bt709", 9: "bt2020"}
_INSTALL: Final = "sudo apt install gstreamer1.0-pipewire gstreamer1.0-tools"
# What Linux calls the size of a pipe (fcntl.h), and the largest that everybody may ask for.
_F_SETPIPE_SZ: Final = 1031
_PIPE_BYTES: Final = 1 << 20


class PipeWireSink:
    """Sends frames to a node ``greenroom`` of media class ``Video/Source``, at a constant rate.

    What is sent is I420 of limited range, as by `VirtualCameraSink`; widths are made multiples
    of 8 by repeating the last column.

    Parameters
    ----------
    rate : Fraction
        Frames a second.
    on_readers : callable, optional
        Called, on another thread, when somebody begins or ends to look.

    Notes
    -----
    The node appears with the first frame, and again with the first one after `abort` or an error,
    as when PipeWire was restarted. Consumers that pause, or do not keep up, hold up nothing: they
    miss frames. State: the feeder's process and the watch on the graph.
    """

    name = "pipewire"
    paced = True
    always = False

    def __init__(self, rate: Fraction, on_readers: Callable[[], None] | None = None) -> None:
        self.device = ""
        self._rate = rate
        self._on_readers = on_readers
        self._packer: Packer | None = None
        self._feeder: subprocess.Popen[bytes] | None = None
        self._graph: GraphWatch | None = None
        self._was_tried = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`.

        Raises
        ------
        VirtualCameraError
            If PipeWire does not run, or GStreamer's part of it is missing.
        SinkError
            If it ended.
        """
        self._was_tried = True
        if self._graph is not None and self._graph.lost.is_set():
            self.abort()
            message = "PipeWire ended. greenroom's camera comes back with it."
            raise SinkError(message, self.name)
        if self._feeder is None or self._packer is None:
            self._packer = Packer(frame.layout, self.name, _MULTIPLE)
            self._feeder = self._started(self._packer)
        try:
            _send(self._feeder, self._packer.pack(frame).data)
        except OSError as error:
            reason = _last_words(self._feeder) or error.strerror or str(error)
            self.abort()
            message = f"PipeWire does not take the picture: {reason}."
            raise SinkError(message, self.name) from error

    def close(self) -> None:
        """See `Sink.close`."""
        feeder, graph = self._feeder, self._graph
        self._feeder = self._graph = self._packer = None
        if feeder is not None:
            _ended(feeder)
        if graph is not None:
            graph.close()

    def abort(self) -> None:
        """See `Sink.abort`. The next frame shows the camera again."""
        self.close()

    def readers(self) -> int | None:
        """See `LiveSink.readers`."""
        graph = self._graph
        if graph is not None:
            return graph.readers
        return 0 if self._was_tried and self._feeder is None else None

    def _started(self, packer: Packer) -> subprocess.Popen[bytes]:
        """Start the feeder and wait until the camera is there.

        Raises
        ------
        VirtualCameraError
            If it does not start.
        """
        if sys.platform != "linux":
            message = "PipeWire is for Linux only. Use --to camera,page instead."
            raise VirtualCameraError(message, self.name)
        socket = daemon_socket()
        if not socket.is_socket():
            message = (
                f"PipeWire does not run: there is no '{socket}'. Start it:\n"
                f"  systemctl --user start pipewire wireplumber\nor install it:\n"
                f"  sudo apt install pipewire wireplumber gstreamer1.0-pipewire"
            )
            raise VirtualCameraError(message, self.name)
        token = secrets.token_hex(8)
        feeder = _popen(packer, self._rate, token)
        if not _said_ready(feeder):
            reason = _last_words(feeder) or "it did not say that it is ready"
            _ended(feeder)
            raise VirtualCameraError(_not_started(feeder.returncode, reason), self.name)
        self._graph = GraphWatch(token, self._on_readers)
        self.device = f"{NODE} (PipeWire)"
        logger.info("PipeWire camera: %s", NODE)
        return feeder


def daemon_socket() -> Path:
    """Return where PipeWire listens, by its own rules."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/run"
    return Path(folder) / (os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")


def _popen(packer: Packer, rate: Fraction, token: str) -> subprocess.Popen[bytes]:
    properties = (
        f"properties,media.class=Video/Source,media.role=Camera,node.name={NODE},"
        f"node.description={NODE},node.nick={NODE},greenroom.token={token}"
    )
    import fcntl  # noqa: PLC0415 - there is none on Windows

    feeder = subprocess.Popen(  # noqa: S603 - a program of greenroom's own
        [
            sys.executable,
            "-I",
            str(pipewire_feeder.__file__),
            str(packer.width),
            str(packer.height),
            f"{rate.numerator}/{rate.denominator}",
            _COLORIMETRY.get(packer.matrix, "bt601"),
            properties,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        process_group=0,  # not ended by the terminal's Ctrl-C before the last frame is sent
    )
    assert feeder.stdin is not None  # noqa: S101 - it is a pipe
    try:
        fcntl.fcntl(feeder.stdin, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError as error:  # many pipes of this user's are that large already
        logger.debug("the pipe stays small: %s", error)
    os.set_blocking(feeder.stdin.fileno(), False)
    return feeder


def _said_ready(feeder: subprocess.Popen[bytes]) -> bool:
    assert feeder.stdout is not None  # noqa: S101 - it is a pipe
    ready, _, _ = select.select([feeder.stdout], [], [], _START_S)
    return bool(ready) and feeder.stdout.readline().strip() == b"ready"


def _send(feeder: subprocess.Popen[bytes], samples: memoryview) -> None:
    """Write a whole frame.

    Raises
    ------
    OSError
        If the feeder has ended, or does not take it in time.
    """
    assert feeder.stdin is not None  # noqa: S101 - it is a pipe
    file, end_s = feeder.stdin.fileno(), time.monotonic() + _WRITE_S
    while samples:
        _, ready, _ = select.select([], [file], [], max(0.0, end_s - time.monotonic()))
        if not ready:
            message = "it hangs"
            raise TimeoutError(message)
        samples = samples[os.write(file, samples) :]


def _last_words(feeder: subprocess.Popen[bytes]) -> str:
    """Return the last line of a feeder that has ended, or is about to."""
    assert feeder.stderr is not None  # noqa: S101 - it is a pipe
    try:
        feeder.wait(_END_S)
    except subprocess.TimeoutExpired:
        return ""
    lines = feeder.stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else ""


def _not_started(status: int | None, reason: str) -> str:
    if status == pipewire_feeder.MISSING:
        return f"GStreamer's part of PipeWire is missing: {reason}. Install it:\n  {_INSTALL}"
    return (
        f"PipeWire shows no camera: {reason}. Look whether it runs:\n"
        f"  systemctl --user status pipewire wireplumber"
    )


def _ended(feeder: subprocess.Popen[bytes]) -> None:
    """End the feeder: it does so by itself when its input ends."""
    pipes = [pipe for pipe in (feeder.stdin, feeder.stdout, feeder.stderr) if pipe is not None]
    if feeder.stdin is not None:
        feeder.stdin.close()
    try:
        feeder.wait(_END_S)
    except subprocess.TimeoutExpired:
        feeder.kill()
        feeder.wait()
    for pipe in pipes:
        pipe.close()
