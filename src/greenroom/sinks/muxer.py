"""An output file of FFmpeg's that cannot take the process with it when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.sinks.staging import check_free_space

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import OutputContainer

__all__ = ["HEADER_BYTES", "Muxer"]

HEADER_BYTES: Final = 1 << 16
"""More than the header of any file that is written here."""


class Muxer:
    """Writes packets into a container whose header is tried once.

    When FFmpeg cannot write a header it frees what the container needs, but PyAV takes it for
    one that has not begun: it tries again with the next packet, be it the last of a flush, and
    the process ends with a segmentation fault. Here nothing reaches a container that failed so.
    A disk that is full already is noticed before FFmpeg is asked, because PyAV never closes the
    file of a header that failed.

    Parameters
    ----------
    container : OutputContainer
        Open for writing; streams are added to it before the first packet.
    path : Path
        Its file, which is there.

    State: whether there is a header, or why there is none, and whether a packet follows it.
    """

    def __init__(self, container: OutputContainer, path: Path) -> None:
        self.container = container
        self._path = path
        self._has_begun = False
        self._is_empty = True
        self._failure: BaseException | None = None

    def begin(self) -> None:
        """Write the header, unless that was done.

        Raises
        ------
        OSError, ValueError, FFmpegError
            If that cannot be done, and each time after that.
        """
        if self._failure is not None:
            raise self._failure
        if self._has_begun:
            return
        try:
            check_free_space(self._path, HEADER_BYTES)
            self.container.start_encoding()
        except BaseException as error:
            self._failure = error
            raise
        self._has_begun = True

    def mux(self, packet: av.Packet[Any]) -> None:
        """Write a packet, after the header if it is the first.

        Raises
        ------
        OSError, ValueError, FFmpegError
            If that cannot be done. A header that failed fails every packet after it.
        """
        self.begin()
        self.container.mux(packet)
        self._is_empty = False

    def close(self) -> None:
        """Write the end of a file that was begun, and let go of it; may be called again.

        The end of an MP4 in pieces ends the process where there is no packet, also when the
        garbage collector reaches the container: it is given one, of nothing that can be shown.

        Raises
        ------
        OSError, ValueError, FFmpegError
            If the end cannot be written.
        """
        if self._has_begun and self._is_empty:
            self._is_empty = False
            self.container.mux(self._nothing())
        self.container.close()

    def _nothing(self) -> av.Packet[Any]:
        packet = av.Packet(b"\0")
        packet.stream = self.container.streams[0]
        packet.pts = packet.dts = 0
        return packet
