"""A program of its own that shows frames from its standard input as a camera of PipeWire.

It calls PipeWire's C library by ctypes, and is a process of its own so that this library cannot
take greenroom down with it.

It is not GStreamer's ``pipewiresink``: that one keeps frames for consumers that hang, gives them to
the next one a second later, and after a few consumers that came and went gives none at all. Here a
frame that nobody takes is replaced by the next one.

The arguments are width, height, rate (``30/1``), the number of the colour matrix in ITU-T H.273,
and the properties of the stream as JSON. It says ``ready`` on standard output when the camera is
there, and ends with its input. Exit status: 3 if PipeWire's library is missing, 1 if anything else
went wrong; the reason is on standard error.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
from typing import Any, Final, NoReturn

from greenroom.devices.pipewire import library
from greenroom.devices.pipewire.pods import (
    META_BUSY,
    META_HEADER,
    PARAM_FORMAT,
    buffer_param,
    header_param,
    i420,
)

__all__ = ["FAILED", "MISSING", "Feeder"]

MISSING: Final = 3
FAILED: Final = 1

# How long PipeWire may take to take the camera in.
_START_S: Final = 10.0
# How often the connection is looked at while no frames come.
_LOOK_S: Final = 0.5
# How long the end may take before the process ends anyway.
_END_S: Final = 1
# After so many frames without a free buffer consumers do not keep theirs any longer.
_MOST_MISSED: Final = 15
# A count above this went below zero.
_MOST_COUNTED: Final = 1 << 31
# prctl(2): be told when the parent is gone.
_PR_SET_PDEATHSIG: Final = 1

# pipewire/stream.h, pipewire/port.h
_ERROR: Final = -1
_UNCONNECTED: Final = 0
_PAUSED: Final = 2
_STREAMING: Final = 3
_OUTPUT: Final = 1
_ANY: Final = 0xFFFFFFFF
_MAP_BUFFERS: Final = 1 << 2
_DRIVER: Final = 1 << 3
_EVENTS_VERSION: Final = 2


class Feeder:
    """The camera.

    PipeWire's own thread calls what is told of states, formats and buffers; frames are pushed by
    another, with PipeWire's lock held.

    Parameters
    ----------
    size : (int, int)
        Width and height.
    rate : (int, int)
        Frames a second, as numerator and denominator.
    matrix : int
        Of the colours, by ITU-T H.273.
    properties : str
        Of the stream, as JSON.
    """

    def __init__(
        self, size: tuple[int, int], rate: tuple[int, int], matrix: int, properties: str
    ) -> None:
        self.length = size[0] * size[1] * 3 // 2
        self._stride = size[0]
        self._failure = ""
        self._state = 0
        self._settled = threading.Event()
        self._sequence = self._missed = 0
        self._buffers: set[int] = set()
        self._waiting: int | None = None  # the buffer that was queued and not taken yet
        self._asks = False  # whether the library tells that it was taken
        self._format = i420(size, rate, matrix)
        try:
            self._pw = library.load()
        except (OSError, AttributeError) as error:
            _end(MISSING, str(error))
        self._pw.pw_init(None, None)
        self._loop = self._pw.pw_thread_loop_new(b"greenroom", None)
        self._events = library.Events(
            version=_EVENTS_VERSION,
            state_changed=library.StateChanged(self._take_state),
            param_changed=library.ParamChanged(self._take_param),
            add_buffer=library.BufferChanged(lambda _, buffer: self._buffers.add(buffer)),
            remove_buffer=library.BufferChanged(self._lose_buffer),
            process=library.Process(self._take_turn),
        )
        self._stream = self._pw.pw_stream_new_simple(
            self._pw.pw_thread_loop_get_loop(self._loop),
            b"greenroom",
            self._pw.pw_properties_new_string(properties.encode()),
            ctypes.byref(self._events),
            None,
        )
        if not self._stream:
            _end(FAILED, os.strerror(ctypes.get_errno()).lower())

    def play(self) -> None:
        """Show the camera; ends the process if that fails."""
        result = self._pw.pw_stream_connect(
            self._stream, _OUTPUT, _ANY, _DRIVER | _MAP_BUFFERS, *_listed(self._format)
        )
        if result < 0:
            _end(FAILED, os.strerror(-result).lower())
        self._pw.pw_thread_loop_start(self._loop)
        if not self._settled.wait(_START_S):
            _end(FAILED, "it does not answer")
        self.check()

    def push(self, frame: bytearray) -> None:
        """Show a frame to whoever looks; it is copied."""
        self._pw.pw_thread_loop_lock(self._loop)
        try:
            if self._state == _STREAMING:
                if self._waiting is not None and self._asks:  # nothing old is ever sent on
                    self._fill(self._waiting, frame)
                else:
                    self._queue(frame)
                # Also without a buffer: only another turn of the graph brings one back.
                self._pw.pw_stream_trigger_process(self._stream)
        finally:
            self._pw.pw_thread_loop_unlock(self._loop)

    def check(self) -> None:
        """End with what went wrong, if anything did."""
        if self._failure:
            _end(FAILED, self._failure)

    def stop(self) -> None:
        """Take the camera away."""
        self._pw.pw_thread_loop_lock(self._loop)
        self._pw.pw_stream_disconnect(self._stream)
        self._pw.pw_thread_loop_unlock(self._loop)
        self._pw.pw_thread_loop_stop(self._loop)

    def _queue(self, frame: bytearray) -> None:
        buffer = self._free_buffer()
        if buffer is not None:
            self._fill(buffer, frame)
            self._pw.pw_stream_queue_buffer(self._stream, buffer)
            self._waiting = buffer

    def _free_buffer(self) -> int | None:
        """Return a buffer that nobody looks at, if there is one."""
        for _ in self._buffers:
            buffer: int | None = self._pw.pw_stream_dequeue_buffer(self._stream)
            if buffer:  # the library goes on to the next one where a consumer still has it
                self._missed = 0
                return buffer
        self._missed += 1
        self._take_back(_MOST_COUNTED)  # what was taken back may be given back all the same
        if self._missed == _MOST_MISSED:
            self._missed = 0
            self._take_back()
        return None

    def _take_back(self, above: int = 0) -> None:
        """Take from consumers what they have: one that was killed never gives it back.

        Only of the buffers that more than so many are said to have.
        """
        for buffer in self._buffers:
            address = library.meta_of(buffer, META_BUSY)
            busy = library.Busy.from_address(address) if address else None
            if busy is not None and busy.count > above:
                busy.count = 0

    def _fill(self, buffer: int, frame: bytearray) -> None:
        data = library.Buffer.from_address(buffer).buffer.contents.datas[0]
        chunk = data.chunk.contents
        chunk.offset, chunk.stride, chunk.flags = 0, self._stride, 0
        chunk.size = self.length if data.data and data.maxsize >= self.length else 0
        ctypes.memmove(data.data, (ctypes.c_char * self.length).from_buffer(frame), chunk.size)
        self._sequence += 1
        address = library.meta_of(buffer, META_HEADER)
        if address:
            header = library.Header.from_address(address)
            header.flags = header.offset = header.dts_offset = 0
            header.pts, header.seq = time.monotonic_ns(), self._sequence

    def _take_state(self, _: int, old: int, new: int, error: bytes | None) -> None:
        # Some errors are only told, and the stream goes on.
        failed = new == _ERROR and self._pw.pw_stream_get_state(self._stream, None) == _ERROR
        if failed or (new == _UNCONNECTED and old > _UNCONNECTED):
            self._failure = (error or b"it ended").decode(errors="replace")
        if new == _STREAMING:  # nobody was there until now
            self._missed = 0
            self._take_back()
        self._state, self._waiting = new, None
        if self._failure or new >= _PAUSED:
            self._settled.set()

    def _take_turn(self, _: int) -> None:
        """Notice that the graph took what was queued, and asks for more."""
        self._waiting, self._asks = None, True

    def _lose_buffer(self, _: int, buffer: int) -> None:
        self._buffers.discard(buffer)
        if buffer == self._waiting:
            self._waiting = None

    def _take_param(self, _: int, number: int, param: int | None) -> None:
        if number == PARAM_FORMAT and param:
            buffers = buffer_param(self.length, self._stride)
            header = header_param(ctypes.sizeof(library.Header))
            self._pw.pw_stream_update_params(self._stream, *_listed(buffers, header))


def _listed(*pods: bytes) -> tuple[Any, int]:
    """Return a C array of values, which the callee copies, and its length."""
    return (ctypes.c_char_p * len(pods))(*pods), len(pods)


def _end(status: int, reason: str = "") -> NoReturn:
    """End at once: a connection that hangs cannot hold it up."""
    if reason:
        print(reason, file=sys.stderr, flush=True)  # noqa: T201 - a program's own output
    os._exit(status)


def _read(frame: bytearray, feeder: Feeder) -> bool:
    """Read one frame from standard input; tell whether there was one."""
    done, view = 0, memoryview(frame)
    while done < len(frame):
        ready, _, _ = select.select([0], [], [], _LOOK_S)
        feeder.check()
        if ready:
            count = os.readv(0, [view[done:]])
            if not count:
                return False
            done += count
    return True


def main(arguments: list[str]) -> None:
    """Run until the input ends."""
    # Whoever started this may be killed, and is not to leave a camera behind.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # whoever started this ends it
        signal.signal(number, signal.SIG_IGN)
    width, height, rate, matrix, properties = arguments
    frames, _, seconds = rate.partition("/")
    feeder = Feeder((int(width), int(height)), (int(frames), int(seconds)), int(matrix), properties)
    feeder.play()
    print("ready", flush=True)  # noqa: T201 - a program's own output
    frame = bytearray(feeder.length)
    while _read(frame, feeder):
        feeder.push(frame)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_END_S)
    feeder.stop()
    _end(0)


if __name__ == "__main__":
    main(sys.argv[1:])
