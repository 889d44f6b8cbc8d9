"""ctypes bindings of PipeWire's C library: functions, events, and buffer structures.

From PipeWire's headers ``pipewire/stream.h``, ``spa/buffer/buffer.h`` and ``spa/buffer/meta.h``,
whose layout has been stable since 0.3; later versions only append fields, unused here.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

__all__ = [
    "Buffer",
    "BufferChanged",
    "Busy",
    "Events",
    "Header",
    "ParamChanged",
    "Process",
    "StateChanged",
    "load",
    "meta_of",
]

_NAME: Final = "libpipewire-0.3.so.0"
# Return and parameter types: ``p`` pointer, ``i`` 32-bit integer, ``s`` string, ``v`` void.
_FUNCTIONS: Final = {
    "pw_init": "vpp",
    "pw_thread_loop_new": "psp",
    "pw_thread_loop_get_loop": "pp",
    "pw_thread_loop_start": "ip",
    "pw_thread_loop_stop": "vp",
    "pw_thread_loop_lock": "vp",
    "pw_thread_loop_unlock": "vp",
    "pw_properties_new_string": "ps",
    "pw_stream_new_simple": "ppsppp",
    "pw_stream_connect": "ipiiipi",
    "pw_stream_update_params": "ippi",
    "pw_stream_dequeue_buffer": "pp",
    "pw_stream_queue_buffer": "ipp",
    "pw_stream_trigger_process": "ip",
    "pw_stream_get_state": "ipp",
    "pw_stream_disconnect": "ip",
}
_TYPES: Final = {"p": ctypes.c_void_p, "i": ctypes.c_int, "s": ctypes.c_char_p, "v": None}

StateChanged = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_char_p)
ParamChanged = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
Process = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
BufferChanged = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class Events(ctypes.Structure):
    """``pw_stream_events``, version 2."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("destroy", ctypes.c_void_p),
        ("state_changed", StateChanged),
        ("control_info", ctypes.c_void_p),
        ("io_changed", ctypes.c_void_p),
        ("param_changed", ParamChanged),
        ("add_buffer", BufferChanged),
        ("remove_buffer", BufferChanged),
        ("process", Process),
        ("drained", ctypes.c_void_p),
        ("command", ctypes.c_void_p),
        ("trigger_done", ctypes.c_void_p),
    )


class Header(ctypes.Structure):
    """``spa_meta_header``; ``pts`` is in nanoseconds."""

    _fields_ = (
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
        ("pts", ctypes.c_int64),
        ("dts_offset", ctypes.c_int64),
        ("seq", ctypes.c_uint64),
    )


class Busy(ctypes.Structure):
    """``spa_meta_busy``: number of consumers that hold a buffer."""

    _fields_ = (("flags", ctypes.c_uint32), ("count", ctypes.c_uint32))


class _Meta(ctypes.Structure):
    """``spa_meta``."""

    _fields_ = (("type", ctypes.c_uint32), ("size", ctypes.c_uint32), ("data", ctypes.c_void_p))


class _Chunk(ctypes.Structure):
    """``spa_chunk``."""

    _fields_ = (
        ("offset", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("stride", ctypes.c_int32),
        ("flags", ctypes.c_int32),
    )


class _Data(ctypes.Structure):
    """``spa_data``."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("fd", ctypes.c_int64),
        ("mapoffset", ctypes.c_uint32),
        ("maxsize", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("chunk", ctypes.POINTER(_Chunk)),
    )


class _Spa(ctypes.Structure):
    """``spa_buffer``."""

    _fields_ = (
        ("n_metas", ctypes.c_uint32),
        ("n_datas", ctypes.c_uint32),
        ("metas", ctypes.POINTER(_Meta)),
        ("datas", ctypes.POINTER(_Data)),
    )


class Buffer(ctypes.Structure):
    """``pw_buffer``, its first field."""

    _fields_ = (("buffer", ctypes.POINTER(_Spa)),)


def load() -> Any:
    """Load the library.

    Raises
    ------
    OSError
        If it is not installed.
    AttributeError
        If it is too old.
    """
    library = ctypes.CDLL(_NAME, use_errno=True)
    for name, types in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = _TYPES[types[0]]
        function.argtypes = [_TYPES[kind] for kind in types[1:]]
    return library


def meta_of(buffer: int, kind: int) -> int | None:
    """Return the address of a buffer's metadata of one type; None if it has none."""
    spa = Buffer.from_address(buffer).buffer.contents
    return next((meta.data for meta in spa.metas[: spa.n_metas] if meta.type == kind), None)
