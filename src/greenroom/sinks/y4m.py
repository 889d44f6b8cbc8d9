"""Y4M on standard output, for pipes.

The format has no time stamps and no alpha: every frame is written once, at the source's
average rate.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, BinaryIO

from greenroom.errors import SettingsError, SinkError
from greenroom.media.colour import Colour
from greenroom.media.layout import Layout
from greenroom.sinks.sink import Sink, check_layout
from greenroom.sinks.staging import writing

if TYPE_CHECKING:
    from greenroom.media.frame import Frame
    from greenroom.media.source_info import SourceInfo

__all__ = ["Y4MSink"]

_CHROMA = {"yuv420p": "420mpeg2", "yuv444p": "444", "gray": "mono"}


class Y4MSink(Sink):
    """Writes uncompressed frames to a stream of bytes.

    Parameters
    ----------
    info : SourceInfo
        Rate and pixel aspect.
    stream : binary file, optional
        Standard output by default. It is flushed, not closed.

    Raises
    ------
    SinkError
        If there is no standard output.
    """

    def __init__(self, info: SourceInfo, stream: BinaryIO | None = None) -> None:
        self._info = info
        if stream is None and sys.stdout is None:
            message = "output '-' cannot be written: standard output is closed."
            raise SinkError(message)
        self._stream = stream or sys.stdout.buffer
        self._layout: Layout | None = None

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        if frame.alpha is not None:
            message = "standard output carries no transparency. Write a .mov, a .webm or pictures."
            raise SettingsError(message, "background")
        if frame.format not in _CHROMA:
            frame = frame.converted(Layout(*frame.size, "yuv444p", Colour(range=1)))
        if self._layout is None:
            self._layout = frame.layout
            with writing("-"):
                self._stream.write(self._header(frame.layout))
        check_layout(frame, self._layout, "-")
        with writing("-"):
            self._stream.write(b"FRAME\n")
            for plane in frame.planes:
                self._stream.write(plane.tobytes())

    def close(self) -> None:
        """See `Sink.close`."""
        with writing("-"):
            self._stream.flush()

    def abort(self) -> None:
        """See `Sink.abort`: what is written is written, and the reader sees it end."""

    def _header(self, layout: Layout) -> bytes:
        rate, aspect = self._info.rate, self._info.sample_aspect_ratio
        levels = "FULL" if layout.colour.is_full_range else "LIMITED"
        return (
            f"YUV4MPEG2 W{layout.width} H{layout.height} "
            f"F{rate.numerator}:{rate.denominator} Ip A{aspect.numerator}:{aspect.denominator} "
            f"C{_CHROMA[layout.format]} XCOLORRANGE={levels}\n"
        ).encode()
