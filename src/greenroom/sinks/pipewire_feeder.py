"""A program of its own that shows frames from its standard input as a camera of PipeWire.

It is run as a file, imports nothing of greenroom, and calls GStreamer's C libraries by ctypes::

    appsrc ! pipewiresink mode=provide

In a process of its own neither library can take greenroom down with it. It is not ``gst-launch``
because ``pipewiresink`` up to PipeWire 0.3 takes the size of its buffers only from elements that
ask it for them, and crashes when a consumer comes if none did; here it is told. Frames are stamped
on arrival, and ``appsrc`` throws old ones away while nobody takes them, so that the pipe never
fills up.

The arguments are width, height, rate (``30/1``), colorimetry (``bt709``), and the properties of
the stream in GStreamer's notation. It says ``ready`` on standard output when the camera is there,
and ends with its input. Exit status: 3 if GStreamer or a part of it is missing, 1 if anything else
went wrong; the reason is on standard error.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from typing import Any, Final, NoReturn

MISSING: Final = 3
FAILED: Final = 1

# How often errors of the pipeline are looked for while no frames come.
_LOOK_S: Final = 0.5
# How long the pipeline may take to end before the process does so anyway.
_END_S: Final = 1
# GstState, GstStateChangeReturn, GstMessageType of GStreamer's API.
_NULL: Final = 1
_PLAYING: Final = 4
_CHANGE_FAILED: Final = 0
_EOS_OR_ERROR: Final = 1 << 0 | 1 << 1
# prctl(2): be told when the parent is gone.
_PR_SET_PDEATHSIG: Final = 1


class _Error(ctypes.Structure):
    """``GError``."""

    _fields_ = (
        ("domain", ctypes.c_uint32),
        ("code", ctypes.c_int),
        ("message", ctypes.c_char_p),
    )


def _end(status: int, reason: str = "") -> NoReturn:
    """End at once: a pipeline that hangs cannot hold it up."""
    if reason:
        print(reason, file=sys.stderr, flush=True)  # noqa: T201 - a program's own output
    os._exit(status)


def _library(name: str, functions: dict[str, str]) -> Any:  # noqa: ANN401 - functions by name
    """Load a library; its functions are described by what they give and take.

    ``p`` is a pointer, ``i`` a 32-bit integer, ``n`` one of 64 bits, ``s`` a string, ``v`` nothing.
    """
    kinds = {
        "p": ctypes.c_void_p,
        "i": ctypes.c_int,
        "n": ctypes.c_uint64,
        "s": ctypes.c_char_p,
        "v": None,
    }
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        _end(MISSING, str(error))
    for function, types in functions.items():
        getattr(library, function).restype = kinds[types[0]]
        getattr(library, function).argtypes = [kinds[kind] for kind in types[1:]]
    return library


class Feeder:
    """The pipeline."""

    def __init__(self, width: int, height: int, rate: str, colorimetry: str, stream: str) -> None:
        self.size = width * height * 3 // 2
        self._gst = _library(
            "libgstreamer-1.0.so.0",
            {
                "gst_init": "vpp",
                "gst_parse_launch": "psp",
                "gst_bin_get_by_name": "pps",
                "gst_element_get_bus": "pp",
                "gst_element_get_static_pad": "pps",
                "gst_element_set_state": "ipi",
                "gst_caps_from_string": "ps",
                "gst_query_new_allocation": "ppi",
                "gst_query_parse_nth_allocation_pool": "vpipppp",
                "gst_pad_query": "ipp",
                "gst_buffer_pool_get_config": "pp",
                "gst_buffer_pool_config_set_params": "vppiii",
                "gst_buffer_pool_set_config": "ipp",
                "gst_buffer_new_allocate": "ppnp",
                "gst_buffer_fill": "npnpn",
                "gst_bus_pop_filtered": "ppi",
                "gst_message_parse_error": "vppp",
            },
        )
        self._app = _library("libgstapp-1.0.so.0", {"gst_app_src_push_buffer": "ipp"})
        self._gst.gst_init(None, None)
        caps = (
            f"video/x-raw,format=I420,width={width},height={height},framerate={rate},"
            f"colorimetry={colorimetry}"
        )
        self._pipeline = self._parsed(
            f'appsrc name=in caps="{caps}" is-live=true format=time do-timestamp=true '
            f"max-buffers=2 max-bytes=0 leaky-type=downstream ! identity drop-allocation=true ! "
            f'pipewiresink name=out mode=provide sync=false stream-properties="{stream}"'
        )
        self._source = self._gst.gst_bin_get_by_name(self._pipeline, b"in")
        self._bus = self._gst.gst_element_get_bus(self._pipeline)
        self._say_size(self._gst.gst_caps_from_string(caps.encode()))

    def play(self) -> None:
        """Show the camera."""
        if self._gst.gst_element_set_state(self._pipeline, _PLAYING) == _CHANGE_FAILED:
            self.check()
            _end(FAILED, "the pipeline does not start")

    def push(self, frame: bytearray) -> None:
        """Give a frame; it is copied."""
        buffer = self._gst.gst_buffer_new_allocate(None, self.size, None)
        samples = (ctypes.c_char * self.size).from_buffer(frame)
        self._gst.gst_buffer_fill(buffer, 0, samples, self.size)
        self._app.gst_app_src_push_buffer(self._source, buffer)

    def check(self) -> None:
        """End with what went wrong, if anything did."""
        message = self._gst.gst_bus_pop_filtered(self._bus, _EOS_OR_ERROR)
        if message:
            error = ctypes.c_void_p()
            self._gst.gst_message_parse_error(message, ctypes.byref(error), None)
            _end(FAILED, _said(error))

    def stop(self) -> None:
        """Take the camera away."""
        self._gst.gst_element_set_state(self._pipeline, _NULL)

    def _parsed(self, description: str) -> int:
        error = ctypes.c_void_p()
        pipeline = self._gst.gst_parse_launch(description.encode(), ctypes.byref(error))
        if error.value or not pipeline:
            _end(MISSING, _said(error))
        return int(pipeline)

    def _say_size(self, caps: int) -> None:
        """Tell the sink's pool of buffers how large these are to be."""
        sink = self._gst.gst_bin_get_by_name(self._pipeline, b"out")
        pad = self._gst.gst_element_get_static_pad(sink, b"sink")
        query = self._gst.gst_query_new_allocation(caps, 1)
        pool = ctypes.c_void_p()
        if not self._gst.gst_pad_query(pad, query):
            return
        self._gst.gst_query_parse_nth_allocation_pool(
            query, 0, ctypes.byref(pool), None, None, None
        )
        if pool.value:
            config = self._gst.gst_buffer_pool_get_config(pool)
            self._gst.gst_buffer_pool_config_set_params(config, caps, self.size, 0, 0)
            self._gst.gst_buffer_pool_set_config(pool, config)


def _said(error: ctypes.c_void_p) -> str:
    """Return the message of a ``GError``."""
    if not error.value:
        return "it ended"
    message = _Error.from_address(error.value).message
    return str(message.decode(errors="replace"))


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
    width, height, rate, colorimetry, stream = arguments
    feeder = Feeder(int(width), int(height), rate, colorimetry, stream)
    feeder.play()
    print("ready", flush=True)  # noqa: T201 - a program's own output
    frame = bytearray(feeder.size)
    while _read(frame, feeder):
        feeder.push(frame)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_END_S)
    feeder.stop()
    _end(0)


if __name__ == "__main__":
    main(sys.argv[1:])
