"""A decoder that stands in for a GPU's: FFmpeg's own, with pictures as NVIDIA's GPUs give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import av

from greenroom.media.gpu_contexts import GpuError, Way
from greenroom.media.gpu_decoder import GpuDecoder

if TYPE_CHECKING:
    import pytest

__all__ = ["FakeGpu", "FakeWay", "use_fake_gpu"]

Change = Callable[[int, list[av.VideoFrame]], list[av.VideoFrame]]
_FORMATS = {"yuv420p10le": "p010le"}


class FakeGpu:
    """Decodes as a GPU does.

    Parameters
    ----------
    stream : av.VideoStream
        Whose packets it decodes.
    change : callable
        Gets the number of the packet and its pictures, and returns those that come instead.
    """

    def __init__(self, stream: Any, change: Change | None = None) -> None:
        own = stream.codec_context
        self._context: Any = av.CodecContext.create(own.codec.canonical_name, "r")
        self._context.extradata = own.extradata
        self.reorder_depth = own.reorder_depth
        self._context.reorder_depth = own.reorder_depth
        self._change = change
        self.packets = 0

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        """Return the pictures of a packet, with luma in a plane and chroma in pairs."""
        self.packets += 1
        pictures = [_like_a_gpus(picture) for picture in self._context.decode(packet)]
        return pictures if self._change is None else self._change(self.packets, pictures)

    def flush_buffers(self) -> None:
        """Forget all."""
        self._context.flush_buffers()


def _like_a_gpus(picture: av.VideoFrame) -> av.VideoFrame:
    return picture.reformat(format=_FORMATS.get(picture.format.name, "nv12"), threads=1)


@dataclass(frozen=True, slots=True)
class FakeWay(Way):
    """A way that opens `FakeGpu`, or fails."""

    change: Change | None = None
    reason: str | None = None

    def open(self, stream: Any) -> FakeGpu:
        """See `Way.open`."""
        if self.reason is not None:
            message = f"{self.name}: {self.reason}"
            raise GpuError(message)
        return FakeGpu(stream, self.change)


def use_fake_gpu(patch: pytest.MonkeyPatch, change: Change | None = None) -> None:
    """Have sources decode with `FakeGpu` where the device is a GPU."""
    ways = (FakeWay("fake", (), stays=False, change=change),)
    patch.setattr("greenroom.sources.video_source.GpuDecoder", partial(GpuDecoder, ways=ways))
