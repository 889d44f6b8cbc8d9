"""Decoders of NVIDIA's GPUs (NVDEC), as FFmpeg opens them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import av
from av.codec.hwaccel import HWAccel

from greenroom.cuda import has_cupy, make_context_current
from greenroom.errors import GreenroomError
from greenroom.media.decoding import MEDIA_ERRORS, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.video.stream import VideoStream

__all__ = ["WAYS", "GpuError", "Way", "ways_here"]


class GpuError(ValueError):
    """The GPU cannot decode a stream, or did not do so as expected."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to open the GPU's decoder.

    Attributes
    ----------
    name : str
        What distinguishes it, for the log.
    options : tuple of pairs
        FFmpeg's, for its CUDA context.
    stays : bool
        Whether pictures stay in the GPU's memory; if not, FFmpeg downloads them.
    prepare : callable, optional
        Called first, on the thread that opens the decoder.
    """

    name: str
    options: tuple[tuple[str, str], ...]
    stays: bool
    prepare: Callable[[], None] | None = None

    def open(self, stream: VideoStream) -> Any:
        """Return a decoder for a stream's packets.

        Raises
        ------
        GpuError
            If there is none.
        """
        own: Any = stream.codec_context
        try:
            if self.prepare is not None:
                self.prepare()
            return self._opened(own)
        except (*MEDIA_ERRORS, NotImplementedError, GreenroomError) as error:
            message = f"{self.name}: {reason_of(error)}"
            raise GpuError(message) from error

    def _opened(self, own: Any) -> Any:
        accelerator = HWAccel(
            "cuda",
            allow_software_fallback=False,
            options=dict(self.options),
            is_hw_owned=self.stays,
        )
        context: Any = av.CodecContext.create(own.codec.canonical_name, "r", accelerator)
        if not context.is_hwaccel:
            message = "this FFmpeg has no decoder of NVIDIA's for the codec"
            raise ValueError(message)
        context.extradata = own.extradata
        context.reorder_depth = own.reorder_depth  # which FFmpeg found when it opened the file
        context.thread_count = 1  # the GPU has its own
        return context


# FFmpeg refuses the process's own (primary) context with error 95 if another library opened it with
# other flags: then it can be told to take the one that the thread has. With a context of its own it
# shares no memory with the engine, so pictures go through the host.
WAYS: Final = (
    Way("the process's CUDA context", (("primary_ctx", "1"),), stays=True),
    Way(
        "the thread's CUDA context",
        (("primary_ctx", "0"), ("current_ctx", "1")),
        stays=True,
        prepare=make_context_current,
    ),
    Way("a CUDA context of FFmpeg's, with downloads", (), stays=False),
)
"""In the order in which they are tried."""


def ways_here() -> tuple[Way, ...]:
    """Return the ways that are of use: without CuPy nothing takes pictures from a GPU's memory."""
    return WAYS if has_cupy() else tuple(way for way in WAYS if not way.stays)
