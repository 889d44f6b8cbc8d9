"""Frames in the memory of a GPU's decoder, or in memory that its encoder reads."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import av
from av.video.frame import CudaContext

from greenroom.cuda.surfaces import SURFACE_FORMATS, Surface, joined
from greenroom.media.decoding import MEDIA_ERRORS, reason_of
from greenroom.media.deferred_frame import HostFrame
from greenroom.media.frame import ONE_THREAD, Frame, colour_of, fraction
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from fractions import Fraction

    from greenroom.cuda import Device

__all__ = ["EncoderFrame", "SurfaceFrame", "downloaded", "planar", "surface_format"]

logger = logging.getLogger(__name__)

# DLPack's numbers of kinds of devices (DLDeviceType), by what `Device.place` calls them.
_KINDS: Final = {1: "cpu", 2: "cuda"}


class SurfaceFrame(HostFrame):
    """A ``yuv420p`` frame whose samples a decoder left in a GPU's memory.

    `uploaded` makes planes there, without a copy through the host. Whoever looks at its planes
    gets the host's: they are downloaded by FFmpeg when that is first done. It is a frame of the
    host's in all else, so stages need not know of it.
    """

    # None in frames that were made of this one's planes, such as a part.
    _picture: av.VideoFrame | None = None

    @classmethod
    def of(cls, picture: av.VideoFrame) -> SurfaceFrame:
        """Wrap a decoded picture, which nobody writes to any more.

        Parameters
        ----------
        picture : av.VideoFrame
            Of `SURFACE_FORMATS`, on a GPU. High dynamic range is not for this kind of frame.
        """
        layout = Layout(picture.width, picture.height, "yuv420p", colour_of(picture))
        time_base = fraction(picture.time_base) if picture.time_base else None
        return cls._of(picture, layout, picture.pts, time_base, picture.duration or None)

    @classmethod
    def _of(
        cls,
        picture: av.VideoFrame,
        layout: Layout,
        pts: int | None,
        time_base: Fraction | None,
        duration: int | None,
    ) -> SurfaceFrame:
        """Make a frame without planes."""
        frame = object.__new__(cls)
        vars(frame).update(
            _picture=picture,
            layout=layout,
            pts=pts,
            time_base=time_base,
            duration=duration,
            alpha=None,
        )
        return frame

    def _downloaded(self) -> Frame:
        assert self._picture is not None
        return Frame.from_av(planar(downloaded(self._picture)), "yuv420p")

    def uploaded(self, device: Device) -> Frame:
        """Return the frame with planes on a device, made there if the decoder's memory is its."""
        picture, full = self._picture, self.layout.colour.is_full_range
        surface = None if picture is None else _surface_of(picture, is_full_range=full)
        if surface is None or surface.place != device.place:
            return super().uploaded(device)
        planes: Any = surface.planes(device)
        return Frame(planes, self.layout, self.pts, self.time_base, self.duration)

    def shown_at(
        self, pts: int | None, time_base: Fraction | None, duration: int | None = None
    ) -> Frame:
        """Return a frame with the same samples, where they are, and another time."""
        if self._picture is None:
            return super().shown_at(pts, time_base, duration)
        return self._of(self._picture, self.layout, pts, time_base, duration)


class EncoderFrame(SurfaceFrame):
    """A ``yuv420p`` frame that a device made, in memory that an encoder there reads.

    For all else it is a frame of the host's, as any `SurfaceFrame`.
    """

    @classmethod
    def left(cls, frame: Frame) -> Frame:
        """Return a frame on a device so, or downloaded where encoders take none of its kind.

        To be called on the thread that uses the device. Encoders may read it once the kernels have
        finished (`greenroom.cuda.Device.finish_kernels`).

        Raises
        ------
        DeviceError
            If the device fails.
        """
        device, (width, height) = frame.device, frame.size
        is_fit = frame.format == "yuv420p" and frame.alpha is None and not (width % 2 or height % 2)
        if device is None or not is_fit:
            return frame.downloaded()
        planes: Any = frame.planes
        exported = tuple([device.exported(plane) for plane in joined(planes)])
        kind, number = device.place
        try:
            context = _context(number) if kind == "cuda" else None
            picture = av.VideoFrame.from_dlpack(exported, "nv12", cuda_context=context)
        except (*MEDIA_ERRORS, NotImplementedError) as error:
            logger.info("a frame is downloaded to be encoded: %s", reason_of(error))
            return frame.downloaded()
        return cls._of(picture, frame.layout, frame.pts, frame.time_base, frame.duration)

    def encoded_as(self) -> av.VideoFrame | None:
        """Return FFmpeg's frame, with this one's time and colour, for an encoder that takes NV12.

        None if this was made of a frame's planes, such as a part.
        """
        picture, colour = self._picture, self.layout.colour
        if picture is None:
            return None
        picture.colorspace, picture.color_range = colour.matrix, colour.range
        picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer
        picture.pts = self.pts
        if self.time_base is not None:
            picture.time_base = self.time_base
        picture.duration = self.duration or 0
        return picture


@lru_cache(maxsize=8)
def _context(number: int) -> CudaContext:
    """Return FFmpeg's view of a GPU's primary context, in which CuPy works, too."""
    return CudaContext(device_id=number, primary_ctx=True)


def surface_format(picture: av.VideoFrame) -> str | None:
    """Return the format of a picture's samples in a GPU's memory; None if they are not there."""
    return None if picture.sw_format is None else picture.sw_format.name


def downloaded(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture in the host's memory: itself, or a copy of one on a GPU (see `planar`).

    Raises
    ------
    av.error.FFmpegError
        If the GPU fails.
    """
    name = surface_format(picture)
    return picture if name is None else planar(picture.reformat(format=name, threads=ONE_THREAD))


def planar(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a picture of 10 bits as a processor's decoder gives it; any other is unchanged.

    libswscale dithers it in another way otherwise.
    """
    if picture.format.name != "p010le":
        return picture
    return picture.reformat(format="yuv420p10le", threads=ONE_THREAD)


def _surface_of(picture: av.VideoFrame, *, is_full_range: bool) -> Surface:
    """Describe a picture's memory."""
    planes: Any = picture.planes
    luma, chroma = planes
    kind, number = luma.__dlpack_device__()
    name = surface_format(picture) or picture.format.name
    assert name in SURFACE_FORMATS
    return Surface(
        (_KINDS.get(kind, ""), number),
        name,
        (picture.width, picture.height),
        (luma.buffer_ptr, chroma.buffer_ptr),
        (luma.line_size, chroma.line_size),
        is_full_range,
        picture,
    )
