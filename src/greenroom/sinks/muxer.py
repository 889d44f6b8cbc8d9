"""Muxer that guards against crashes of FFmpeg when a header cannot be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.media.scheduling import keeping_scheduling
from greenroom.sinks.staging import check_free_space

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import OutputContainer

__all__ = ["HEADER_BYTES", "Muxer"]

HEADER_BYTES: Final = 1 << 16
"""More than the header of any file that is written here."""


class Muxer:
    """Writes packets into a container, and its header at most once.

    When FFmpeg cannot write a header it frees the container's state, but PyAV does not notice:
    it tries again with the next packet, even in a flush, and the process ends with a
    segmentation fault. So nothing is passed to a container whose header failed. A full disk is
    detected before FFmpeg writes, because PyAV never closes the file after a failed header.

    Parameters
    ----------
    container : OutputContainer
        Open for writing; streams are added to it before the first packet.
    path : Path
        Its file, which exists.

    State: whether the header is written, or its error, and whether a packet follows it.
    """

    def __init__(self, container: OutputContainer, path: Path) -> None:
        self.container = container
        self._path = path
        self._has_begun = False
        self._is_empty = True
        self._failure: BaseException | None = None

    def begin(self) -> None:
        """Write the header, unless it is written.

        Raises
        ------
        OSError, ValueError, FFmpegError
            If it cannot be written, also on every later call.
        """
        if self._failure is not None:
            raise self._failure
        if self._has_begun:
            return
        try:
            check_free_space(self._path, HEADER_BYTES)
            with keeping_scheduling():
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
            If it cannot be written. After a failed header every packet fails.
        """
        self.begin()
        self.container.mux(packet)
        self._is_empty = False

    def close(self) -> None:
        """Write the trailer, if there is a header, and close the file; may be called again.

        The trailer of a fragmented MP4 without packets crashes the process, also when the
        garbage collector closes the container: so it is given an empty packet first.

        Raises
        ------
        OSError, ValueError, FFmpegError
            If the trailer cannot be written.
        """
        if self._has_begun and self._is_empty:
            self._is_empty = False
            self.container.mux(self._empty_packet())
        self.container.close()

    def _empty_packet(self) -> av.Packet[Any]:
        packet = av.Packet(b"\0")
        packet.stream = self.container.streams[0]
        packet.pts = packet.dts = 0
        return packet
