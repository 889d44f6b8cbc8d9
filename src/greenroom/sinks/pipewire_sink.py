"""Virtual camera in PipeWire, for browsers and the camera portal, without a kernel module.

A separate process (`greenroom.devices.pipewire.feeder`) makes the node and gets the frames through
a pipe: if PipeWire's library crashes, greenroom continues and can start the process again.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.devices.pipewire import feeder as program
from greenroom.devices.pipewire.graph import GraphWatch
from greenroom.devices.pipewire.process import NODE, FeederProcess
from greenroom.errors import SinkError, VirtualCameraError
from greenroom.sinks.packing import Packer
from greenroom.sinks.sink import LiveSink

if TYPE_CHECKING:
    from fractions import Fraction

    from greenroom.media.frame import Frame

__all__ = ["NODE", "PipeWireSink", "daemon_socket"]

logger = logging.getLogger(__name__)

# Programs that ignore the line size need widths whose rows have no padding: GStreamer pads rows to
# multiples of 4, those of chroma too.
_MULTIPLE: Final = (8, 2)
_INSTALL: Final = "sudo apt install pipewire wireplumber"


class PipeWireSink(LiveSink):
    """Sends frames to a node ``greenroom`` of media class ``Video/Source``, at a constant rate.

    Frames are sent as I420 in limited range, as by `VirtualCameraSink`; widths are made multiples
    of 8 by repeating the last column.

    Parameters
    ----------
    rate : Fraction
        Frames a second.

    Notes
    -----
    The node appears with the first frame, and again with the first one after `abort` or an error,
    as when PipeWire was restarted. Consumers that pause or are too slow miss frames, and delay
    nothing. State: the feeder's process and the watch on the graph.
    """

    name = "pipewire"
    paced = True
    always = False

    def __init__(self, rate: Fraction) -> None:
        self.device = ""
        self._rate = rate
        self._packer: Packer | None = None
        self._feeder: FeederProcess | None = None
        self._graph: GraphWatch | None = None
        self._was_tried = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`.

        Raises
        ------
        VirtualCameraError
            If PipeWire does not run, or its library is missing.
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
            self._feeder.send(self._packer.pack(frame).data)
        except OSError as error:
            reason = self._feeder.last_words or error.strerror or str(error)
            self.abort()
            message = f"PipeWire does not take the picture: {reason}."
            raise SinkError(message, self.name) from error
        except BaseException:  # the pipe may hold part of a frame
            self.abort()
            raise

    def close(self) -> None:
        """See `Sink.close`."""
        feeder, graph = self._feeder, self._graph
        self._feeder = self._graph = self._packer = None
        if feeder is not None:
            feeder.end()
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

    def _started(self, packer: Packer) -> FeederProcess:
        """Start the feeder and wait until the camera exists.

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
                f"  {_INSTALL}"
            )
            raise VirtualCameraError(message, self.name)
        token = secrets.token_hex(8)
        feeder = FeederProcess((packer.width, packer.height), packer.matrix, self._rate, token)
        if not feeder.is_ready:
            reason = feeder.last_words or "it did not say that it is ready"
            message = _not_started(feeder.process.poll(), reason)
            feeder.end()
            raise VirtualCameraError(message, self.name)
        try:
            self._graph = GraphWatch(token, self.on_readers)
        except BaseException:
            feeder.end()
            raise
        self.device = f"{NODE} (PipeWire)"
        logger.info("PipeWire camera: %s", NODE)
        return feeder


def daemon_socket() -> Path:
    """Return the path of PipeWire's socket, by PipeWire's own rules."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/run"
    return Path(folder) / (os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")


def _not_started(status: int | None, reason: str) -> str:
    if status == program.MISSING:
        return f"PipeWire's library is missing: {reason}. Install it:\n  {_INSTALL}"
    return (
        f"PipeWire shows no camera: {reason}. Look whether it runs:\n"
        f"  systemctl --user status pipewire wireplumber"
    )
