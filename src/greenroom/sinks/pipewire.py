"""A camera in PipeWire: no kernel module, and it is found by browsers and the camera portal.

The node is made by a program of its own (`greenroom.pipewire.feeder`), to which frames go through a
pipe: whatever happens in PipeWire's library, greenroom goes on and can start it again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import select
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError, VirtualCameraError
from greenroom.pipewire import feeder as program
from greenroom.pipewire.graph import GraphWatch
from greenroom.sinks.packing import Packer

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from greenroom.frames import Frame

__all__ = ["NODE", "PipeWireSink", "daemon_socket"]

logger = logging.getLogger(__name__)

NODE: Final = "greenroom"
"""What the camera is called."""

# How long the feeder may take to start, which waits for PipeWire itself.
_START_S: Final = 15.0
# How long the feeder may leave a frame in the pipe. It never waits for a consumer.
_WRITE_S: Final = 2.0
_END_S: Final = 2.0
# Programs that read frames without looking at the length of rows need such widths, with which
# rows have nothing behind them: GStreamer's are multiples of 4, and so are those of chroma.
_MULTIPLE: Final = (8, 2)
_INSTALL: Final = "sudo apt install pipewire wireplumber"
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

    Notes
    -----
    The node appears with the first frame, and again with the first one after `abort` or an error,
    as when PipeWire was restarted. Consumers that pause, or do not keep up, hold up nothing: they
    miss frames. State: the feeder's process and the watch on the graph.
    """

    name = "pipewire"
    paced = True
    always = False

    def __init__(self, rate: Fraction) -> None:
        self.device = ""
        self._rate = rate
        self.on_readers: Callable[[], None] | None = None
        """See `TellsReaders`."""
        self._packer: Packer | None = None
        self._feeder: _Feeder | None = None
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

    def _started(self, packer: Packer) -> _Feeder:
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
                f"  {_INSTALL}"
            )
            raise VirtualCameraError(message, self.name)
        token = secrets.token_hex(8)
        feeder = _Feeder(packer, self._rate, token)
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
    """Return where PipeWire listens, by its own rules."""
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/run"
    return Path(folder) / (os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")


class _Feeder:
    """The program, and the pipes to and from it.

    Parameters
    ----------
    packer : Packer
        Knows the size and the matrix.
    rate : Fraction
        Frames a second.
    token : str
        By which the node is found in the graph.
    """

    def __init__(self, packer: Packer, rate: Fraction, token: str) -> None:
        properties = {
            "media.type": "Video",
            "media.class": "Video/Source",
            "media.role": "Camera",
            "node.name": NODE,
            "node.description": NODE,
            "node.nick": NODE,
            "greenroom.token": token,
        }
        self.process = subprocess.Popen(  # noqa: S603 - a program of greenroom's own
            [
                *(sys.executable, "-P", "-m", program.__name__),
                *(str(packer.width), str(packer.height)),
                f"{rate.numerator}/{rate.denominator}",
                str(packer.matrix),
                json.dumps(properties),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # not ended by the terminal's Ctrl-C before the last frame is sent
        )
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        self._frames = self.process.stdin.fileno()
        _enlarge(self._frames)
        os.set_blocking(self._frames, False)
        self._said: deque[str] = deque(maxlen=1)
        # What nobody reads fills its pipe, and then the program would wait.
        self._listening = threading.Thread(
            target=self._listen, name="greenroom-pipewire-log", daemon=True
        )
        self._listening.start()

    @property
    def is_ready(self) -> bool:
        """Wait until it says that the camera is there; False if it does not."""
        output = self.process.stdout
        assert output is not None  # noqa: S101 - it is a pipe
        return _is_ready(output.fileno(), select.POLLIN, _START_S) and (
            output.readline().strip() == b"ready"
        )

    @property
    def last_words(self) -> str:
        """The last line that it wrote, if it has ended or is about to."""
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return ""
        self._listening.join(_END_S)
        return self._said[-1].rstrip(".") if self._said else ""

    def send(self, samples: memoryview) -> None:
        """Write a whole frame.

        Raises
        ------
        OSError
            If the program has ended, or does not take it in time.
        """
        end_s = time.monotonic() + _WRITE_S
        while samples:
            if not _is_ready(self._frames, select.POLLOUT, end_s - time.monotonic()):
                message = "it hangs"
                raise TimeoutError(message)
            samples = samples[os.write(self._frames, samples) :]

    def end(self) -> None:
        """End it: it does so by itself when its input ends."""
        process = self.process
        pipes = [pipe for pipe in (process.stdin, process.stdout) if pipe is not None]
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in pipes:
            pipe.close()
        self._listening.join()

    def _listen(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it is a pipe
        with self.process.stderr as output:
            for line in output:
                self._said.append(line.decode(errors="replace").strip())
                logger.debug("PipeWire: %s", self._said[-1])


def _enlarge(pipe: int) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows

    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError as error:  # many pipes of this user's are that large already
        logger.debug("the pipe stays small: %s", error)


def _is_ready(descriptor: int, event: int, seconds: float) -> bool:
    """Wait until a pipe can be read or written, or has lost its other end."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, 1000 * seconds)))


def _not_started(status: int | None, reason: str) -> str:
    if status == program.MISSING:
        return f"PipeWire's library is missing: {reason}. Install it:\n  {_INSTALL}"
    return (
        f"PipeWire shows no camera: {reason}. Look whether it runs:\n"
        f"  systemctl --user status pipewire wireplumber"
    )
