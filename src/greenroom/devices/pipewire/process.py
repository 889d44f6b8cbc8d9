"""Process of the PipeWire feeder, with the pipes to and from it."""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.devices.pipewire import feeder
from greenroom.media.workers import Worker

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from fractions import Fraction


__all__ = ["NODE", "FeederProcess"]

logger = logging.getLogger(__name__)

NODE: Final = "greenroom"
"""Name of the camera."""

# Time limit for the start, longer than the feeder's own for the connection.
_START_TIMEOUT_S: Final = 15.0
# Time limit for writing one frame; the feeder never waits for consumers.
_WRITE_TIMEOUT_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 2.0
# F_SETPIPE_SZ of Linux's fcntl.h, and the largest pipe for unprivileged users.
_F_SETPIPE_SZ: Final = 1031
_PIPE_BYTES: Final = 1 << 20


class FeederProcess:
    """A running feeder.

    Parameters
    ----------
    size : (int, int)
        Width and height of the packed picture in pixels.
    matrix : int
        Matrix coefficients of its samples: 1 BT.709, 5 BT.601, 9 BT.2020.
    rate : Fraction
        Frames a second.
    token : str
        Value of the node's property ``greenroom.token``, to find it in the graph.
    """

    def __init__(self, size: tuple[int, int], matrix: int, rate: Fraction, token: str) -> None:
        properties = {
            "media.type": "Video",
            "media.class": "Video/Source",
            "media.role": "Camera",
            "node.name": NODE,
            "node.description": NODE,
            "node.nick": NODE,
            "greenroom.token": token,
        }
        self.process = subprocess.Popen(  # noqa: S603 - greenroom's own program
            [
                *(sys.executable, "-P", "-m", feeder.__name__),
                *map(str, size),
                f"{rate.numerator}/{rate.denominator}",
                str(matrix),
                json.dumps(properties),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(_python_path())},
            process_group=0,  # not ended by the terminal's Ctrl-C before the last frame is sent
        )
        assert self.process.stdin is not None
        self._frames = self.process.stdin.fileno()
        _enlarge(self._frames)
        os.set_blocking(self._frames, False)
        self._log: deque[str] = deque(maxlen=1)
        # Drain standard error: a full pipe would block the program.
        self._log_reader = Worker(self._read_log, "pipewire-log", attempts=1)
        self._log_reader.start()

    @property
    def is_ready(self) -> bool:
        """Whether the camera exists; waits for the feeder's message."""
        output = self.process.stdout
        assert output is not None
        return _is_ready(output.fileno(), select.POLLIN, _START_TIMEOUT_S) and (
            output.readline().strip() == b"ready"
        )

    @property
    def last_words(self) -> str:
        """The last line of its log if it ends within the time limit, or else an empty string."""
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return ""
        self._log_reader.join(_STOP_TIMEOUT_S)
        return self._log[-1].rstrip(".") if self._log else ""

    def send(self, samples: memoryview) -> None:
        """Write a whole frame.

        Raises
        ------
        OSError
            If the program has ended, or does not read it in time.
        """
        end_s = time.monotonic() + _WRITE_TIMEOUT_S
        while samples:
            if not _is_ready(self._frames, select.POLLOUT, end_s - time.monotonic()):
                message = "it hangs"
                raise TimeoutError(message)
            samples = samples[os.write(self._frames, samples) :]

    def end(self) -> None:
        """End the program by closing its input; kill it if it hangs."""
        process = self.process
        pipes = [pipe for pipe in (process.stdin, process.stdout) if pipe is not None]
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in pipes:
            pipe.close()
        self._log_reader.join(_STOP_TIMEOUT_S)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as output:
            for line in output:
                self._log.append(line.decode(errors="replace").strip())
                logger.debug("PipeWire: %s", self._log[-1])


def _python_path() -> list[str]:
    """Return the search path for the program, as greenroom may not be installed."""
    package = Path(feeder.__file__).parents[3]
    return [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError as error:  # the user's limit for large pipes is reached
        logger.debug("the pipe keeps its size: %s", error)


def _is_ready(descriptor: int, event: int, seconds: float) -> bool:
    """Wait until a pipe can be read or written, or its other end is closed."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(max(0.0, 1000 * seconds)))
