"""The program that shows frames as a camera of PipeWire: a process, and pipes to and from it."""

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

if TYPE_CHECKING:
    from fractions import Fraction


__all__ = ["NODE", "FeederProcess"]

logger = logging.getLogger(__name__)

NODE: Final = "greenroom"
"""What the camera is called."""

# How long the feeder may take to start, which waits for PipeWire itself.
_START_S: Final = 15.0
# How long the feeder may leave a frame in the pipe. It never waits for a consumer.
_WRITE_S: Final = 2.0
_END_S: Final = 2.0
# What Linux calls the size of a pipe (fcntl.h), and the largest that everybody may ask for.
_F_SETPIPE_SZ: Final = 1031
_PIPE_BYTES: Final = 1 << 20


class FeederProcess:
    """The program, and the pipes to and from it.

    Parameters
    ----------
    size : (int, int)
        Width and height of the packed picture in pixels.
    matrix : int
        Matrix coefficients of its samples: 1 BT.709, 5 BT.601, 9 BT.2020.
    rate : Fraction
        Frames a second.
    token : str
        By which the node is found in the graph.
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
        self.process = subprocess.Popen(  # noqa: S603 - a program of greenroom's own
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
            env=os.environ | {"PYTHONPATH": os.pathsep.join(_path())},
            process_group=0,  # not ended by the terminal's Ctrl-C before the last frame is sent
        )
        assert self.process.stdin is not None
        self._frames = self.process.stdin.fileno()
        _enlarge(self._frames)
        os.set_blocking(self._frames, False)
        self._said: deque[str] = deque(maxlen=1)
        # What nobody reads fills its pipe, and then the program would wait.
        self._listening = Worker(self._listen, "pipewire-log", attempts=1)
        self._listening.start()

    @property
    def is_ready(self) -> bool:
        """Wait until it says that the camera is there; False if it does not."""
        output = self.process.stdout
        assert output is not None
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
        self._listening.join(_END_S)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as output:
            for line in output:
                self._said.append(line.decode(errors="replace").strip())
                logger.debug("PipeWire: %s", self._said[-1])


def _path() -> list[str]:
    """Return where the program finds greenroom, which may not be installed."""
    package = Path(feeder.__file__).parents[3]
    return [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]


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
