"""Feeder program: frames from standard input become a PipeWire camera.

It calls PipeWire's C library through ctypes, in a process of its own so that a crash there leaves
greenroom alive.

GStreamer's ``pipewiresink`` is no substitute: it keeps frames for hung consumers, delivers them to
the next consumer a second late, and stops after a few consumers. Here a frame that is not consumed
in time is replaced by the next one.

Arguments: width, height, rate (``30/1``), colour matrix (number of ITU-T H.273), and stream
properties as JSON. It prints ``ready`` when the camera exists, and ends with its input. Exit
status: 3 if PipeWire's library is missing, 1 after any other failure, with the reason on standard
error.
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

from greenroom.devices.pipewire import bindings
from greenroom.devices.pipewire.pods import (
    META_BUSY,
    META_HEADER,
    PARAM_FORMAT,
    buffer_param,
    header_param,
    offered_format,
)

__all__ = ["FAILED", "MISSING", "Feeder"]

MISSING: Final = 3
FAILED: Final = 1

# Time limit for the connection to PipeWire.
_CONNECT_TIMEOUT_S: Final = 10.0
# Interval of checking the connection while no frames arrive.
_CHECK_INTERVAL_S: Final = 0.5
# Time limit for disconnecting.
_STOP_TIMEOUT_S: Final = 1
# Frames without a free buffer after which all buffers are reclaimed.
_RECLAIM_AFTER_FRAMES: Final = 15
# A higher reference count has wrapped below zero.
_MAX_REFERENCES: Final = 1 << 31
# prctl(2): signal at the parent's death.
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
    """A PipeWire camera stream.

    PipeWire's thread calls back about states, formats and buffers. Frames are pushed from another
    thread under PipeWire's lock.

    Parameters
    ----------
    size : (int, int)
        Width and height.
    rate : (int, int)
        Frames a second, as numerator and denominator.
    matrix : int
        Colour matrix, a number of ITU-T H.273.
    properties : str
        Stream properties as JSON.
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
        self._queued: int | None = None  # buffer queued and not yet consumed
        self._has_process_events = False  # whether the library reports consumption
        self._format = offered_format(size, rate, matrix)
        try:
            self._pw = bindings.load()
        except (OSError, AttributeError) as error:
            _end(MISSING, str(error))
        self._pw.pw_init(None, None)
        self._loop = self._pw.pw_thread_loop_new(b"greenroom", None)
        self._events = bindings.Events(
            version=_EVENTS_VERSION,
            state_changed=bindings.StateChanged(self._on_state_changed),
            param_changed=bindings.ParamChanged(self._on_param_changed),
            add_buffer=bindings.BufferChanged(lambda _, buffer: self._buffers.add(buffer)),
            remove_buffer=bindings.BufferChanged(self._on_remove_buffer),
            process=bindings.Process(self._on_process),
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
        """Connect the stream; end the process if that fails."""
        result = self._pw.pw_stream_connect(
            self._stream, _OUTPUT, _ANY, _DRIVER | _MAP_BUFFERS, *_pod_array(self._format)
        )
        if result < 0:
            _end(FAILED, os.strerror(-result).lower())
        self._pw.pw_thread_loop_start(self._loop)
        if not self._settled.wait(_CONNECT_TIMEOUT_S):
            _end(FAILED, "it does not answer")
        self.check()

    def push(self, frame: bytearray) -> None:
        """Send a copy of a frame to the consumers."""
        self._pw.pw_thread_loop_lock(self._loop)
        try:
            if self._state == _STREAMING:
                if self._queued is not None and self._has_process_events:  # replace the stale frame
                    self._fill(self._queued, frame)
                else:
                    self._queue(frame)
                # Even without a buffer: only another graph cycle returns one.
                self._pw.pw_stream_trigger_process(self._stream)
        finally:
            self._pw.pw_thread_loop_unlock(self._loop)

    def check(self) -> None:
        """End the process with the reason if the stream has failed."""
        if self._failure:
            _end(FAILED, self._failure)

    def stop(self) -> None:
        """Disconnect the stream."""
        self._pw.pw_thread_loop_lock(self._loop)
        self._pw.pw_stream_disconnect(self._stream)
        self._pw.pw_thread_loop_unlock(self._loop)
        self._pw.pw_thread_loop_stop(self._loop)

    def _queue(self, frame: bytearray) -> None:
        buffer = self._free_buffer()
        if buffer is not None:
            self._fill(buffer, frame)
            self._pw.pw_stream_queue_buffer(self._stream, buffer)
            self._queued = buffer

    def _free_buffer(self) -> int | None:
        """Return a buffer free of consumers, if there is one."""
        for _ in self._buffers:
            buffer: int | None = self._pw.pw_stream_dequeue_buffer(self._stream)
            if buffer:  # the library skips buffers still held by consumers
                self._missed = 0
                return buffer
        self._missed += 1
        self._reclaim(_MAX_REFERENCES)  # a reclaimed buffer may still be returned
        if self._missed == _RECLAIM_AFTER_FRAMES:
            self._missed = 0
            self._reclaim()
        return None

    def _reclaim(self, above: int = 0) -> None:
        """Reclaim buffers with a reference count over ``above``: killed consumers return none."""
        for buffer in self._buffers:
            address = bindings.meta_of(buffer, META_BUSY)
            busy = bindings.Busy.from_address(address) if address else None
            if busy is not None and busy.count > above:
                busy.count = 0

    def _fill(self, buffer: int, frame: bytearray) -> None:
        data = bindings.Buffer.from_address(buffer).buffer.contents.datas[0]
        chunk = data.chunk.contents
        chunk.offset, chunk.stride, chunk.flags = 0, self._stride, 0
        chunk.size = self.length if data.data and data.maxsize >= self.length else 0
        ctypes.memmove(data.data, (ctypes.c_char * self.length).from_buffer(frame), chunk.size)
        self._sequence += 1
        address = bindings.meta_of(buffer, META_HEADER)
        if address:
            header = bindings.Header.from_address(address)
            header.flags = header.offset = header.dts_offset = 0
            header.pts, header.seq = time.monotonic_ns(), self._sequence

    def _on_state_changed(self, _: int, old: int, new: int, error: bytes | None) -> None:
        # Some errors are reported without ending the stream.
        failed = new == _ERROR and self._pw.pw_stream_get_state(self._stream, None) == _ERROR
        if failed or (new == _UNCONNECTED and old > _UNCONNECTED):
            self._failure = (error or b"it ended").decode(errors="replace")
        if new == _STREAMING:  # there were no consumers before
            self._missed = 0
            self._reclaim()
        self._state, self._queued = new, None
        if self._failure or new >= _PAUSED:
            self._settled.set()

    def _on_process(self, _: int) -> None:
        """Record that the graph consumed the queued buffer."""
        self._queued, self._has_process_events = None, True

    def _on_remove_buffer(self, _: int, buffer: int) -> None:
        self._buffers.discard(buffer)
        if buffer == self._queued:
            self._queued = None

    def _on_param_changed(self, _: int, number: int, param: int | None) -> None:
        if number == PARAM_FORMAT and param:
            buffers = buffer_param(self.length, self._stride)
            header = header_param(ctypes.sizeof(bindings.Header))
            self._pw.pw_stream_update_params(self._stream, *_pod_array(buffers, header))


def _pod_array(*pods: bytes) -> tuple[Any, int]:
    """Return a C array of PODs, which the callee copies, and its length."""
    return (ctypes.c_char_p * len(pods))(*pods), len(pods)


def _end(status: int, reason: str = "") -> NoReturn:
    """Exit immediately, even with a hung connection."""
    if reason:
        sys.stderr.write(f"{reason}\n")
        sys.stderr.flush()
    os._exit(status)


def _read(frame: bytearray, feeder: Feeder) -> bool:
    """Read one frame from standard input; return False at its end."""
    done, view = 0, memoryview(frame)
    while done < len(frame):
        ready, _, _ = select.select([0], [], [], _CHECK_INTERVAL_S)
        feeder.check()
        if ready:
            count = os.readv(0, [view[done:]])
            if not count:
                return False
            done += count
    return True


def main(arguments: list[str]) -> None:
    """Run until the input ends."""
    # If the parent is killed the camera has to go, too.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # the parent ends this program
        signal.signal(number, signal.SIG_IGN)
    width, height, rate, matrix, properties = arguments
    frames, _, seconds = rate.partition("/")
    feeder = Feeder((int(width), int(height)), (int(frames), int(seconds)), int(matrix), properties)
    feeder.play()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    frame = bytearray(feeder.length)
    while _read(frame, feeder):
        feeder.push(frame)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_STOP_TIMEOUT_S)
    feeder.stop()
    _end(0)


if __name__ == "__main__":
    main(sys.argv[1:])
