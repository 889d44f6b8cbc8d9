"""Frames: planes of samples with their layout, colour and time.

A frame stays in the planar format that cameras, codecs and virtual cameras carry, from
source to sink. Three formats pass through the engine unchanged; libswscale converts all others on
entry.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np

from greenroom.cuda import calls
from greenroom.errors import FormatError
from greenroom.media.colour import BT709, FULL, FULL_RANGE_RGB, LIMITED, RGB, UNSPECIFIED, Colour
from greenroom.media.layout import WITH_ALPHA, Format, Layout
from greenroom.media.pyramid import Pyramid, crop, halved, halvings_to, pyramid
from greenroom.media.resizing import resized

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from greenroom.cuda import Device

    Plane = NDArray[np.uint8]
    # pts, time base and duration
    Time = tuple[int | None, Fraction | None, int | None]

__all__ = [
    "ONE_THREAD",
    "Frame",
    "Memory",
    "colour_of",
    "fraction",
    "is_hdr",
]


# With more threads, libswscale sometimes corrupts a row of a frame of odd width.
ONE_THREAD: Final = 1
# libswscale: bicubic, with chroma interpolated at full resolution and accurate rounding.
_INTERPOLATION: Final = 0x4 | 0x2000 | 0x4000 | 0x40000

# Number of layouts of parts of frames that are remembered.
_CACHED_LAYOUTS: Final = 64

_WITHOUT_ALPHA: Final = {alpha: opaque for opaque, alpha in WITH_ALPHA.items()}
# Formats whose names imply full range.
_FULL_RANGE_NAMES: Final = {"yuvj420p": "yuv420p", "yuvj444p": "yuv444p"}
# Chroma that is stored at half the width and half the height, or less.
_QUARTER_CHROMA: Final = ("420p", "nv12", "nv21", "410p", "p010", "p012", "p016")


@dataclass(eq=False, slots=True)
class Memory:
    """An FFmpeg frame that owns samples, and the time with which it was handed out.

    It stores one time only, which the receiver may still read. libswscale modifies the frame
    that it reads: only one thread at a time may convert it or hand it out.
    """

    frame: av.VideoFrame
    sent_time: Time | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False, slots=True)
class Origin:
    """The frame that another one is a part of.

    Attributes
    ----------
    whole : Frame
    box : (int, int, int, int)
        The part, see `Frame.part`.
    is_flipped : bool
        Whether the part is shown in a mirror.
    """

    whole: Frame
    box: tuple[int, int, int, int]
    is_flipped: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: planes, their layout, and a presentation time.

    Attributes
    ----------
    planes : tuple of (H, W) uint8
        Y, U, V or G, B, R, or one of gray, with the shapes of ``layout.plane_shapes``.
        Samples of a row lie side by side; rows may be padded. Whoever made the frame owns
        the memory; readers do not write to it, and it may be read-only. All are arrays of
        NumPy's, or all are arrays of one device (`greenroom.cuda.DeviceArray`): then what is
        made of them is on that device, too, and FFmpeg gets a copy.
    layout : Layout
        Size, format and colour.
    pts, time_base : int and Fraction, optional
        Presentation time is ``pts * time_base`` seconds.
    duration : int, optional
        Display duration in ``time_base``.
    alpha : (H, W) uint8, optional
        Coverage, 0 to 255; colours are straight, not premultiplied.
    """

    planes: tuple[Plane, ...]
    layout: Layout
    pts: int | None = None
    time_base: Fraction | None = None
    duration: int | None = None
    alpha: Plane | None = None
    # FFmpeg's memory that the planes view, if any.
    _memory: Memory | None = field(default=None, repr=False)
    _origin: Origin | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if len(self.planes) != len(self.layout.plane_shapes):
            message = (
                f"expected {len(self.layout.plane_shapes)} planes for {self.format}, "
                f"not {len(self.planes)}"
            )
            raise FormatError(message)
        for plane, shape in zip(self.planes, self.layout.plane_shapes, strict=True):
            _check_plane(plane, shape)
        if self.alpha is not None:
            _check_plane(self.alpha, self.layout.plane_shapes[0])
        planes = self.all_planes
        if calls.on_device(*planes) and len({calls.device_of(plane) for plane in planes}) > 1:
            message = "expected planes that are all the host's, or all on one device"
            raise FormatError(message)

    @property
    def device(self) -> Device | None:
        """The device that the planes are on; None if they are NumPy's."""
        return calls.device_of(self.planes[0])

    def uploaded(self, device: Device) -> Frame:
        """Return the frame with its planes on a device; itself if they are there.

        The frame may be changed at once.
        """
        if self.device is device:
            return self
        if self.device is not None:
            return self.downloaded().uploaded(device)
        return self._with_planes(device.upload(*self.all_planes))

    def downloaded(self, into: Frame | None = None) -> Frame:
        """Return the frame with its planes in the host's memory; itself if they are there.

        Memory that they are put into may be given: of a frame of this layout. What it is a part
        of (`origin`) stays where it is.
        """
        device = self.device
        if device is None:
            return self
        packed = [calls.packed(plane) for plane in self.all_planes]
        frame = into or Frame.empty(self.layout, alpha=self.alpha is not None)
        device.start_download(*packed).into(frame.all_planes)
        frame = frame.at(self)
        vars(frame)["_origin"] = self._origin
        return frame

    def _with_planes(self, planes: tuple[Any, ...]) -> Frame:
        """Return a frame of this layout and time with other planes, alpha the last if there is."""
        alpha = planes[-1] if self.alpha is not None else None
        samples = planes[: len(self.planes)]
        return Frame(samples, self.layout, self.pts, self.time_base, self.duration, alpha)

    @property
    def small_planes(self) -> tuple[Plane, ...]:
        """The planes on the working grid, for analysis.

        See `greenroom.media.pyramid`. A small frame returns its own planes. Contiguous, computed
        once, read only.
        """
        return self._pyramid.small

    @property
    def half_planes(self) -> NDArray[np.uint8]:
        """All planes at half the size of the first of `small_planes`: (planes, h, w) uint8.

        Odd sizes round up. Computed once, read only.
        """
        return self._pyramid.halves

    @property
    def glance(self) -> Plane:
        """The first plane at an eighth of the size of the first of `small_planes`.

        Enough to detect changes. Computed once, read only.
        """
        return self._pyramid.glance

    @property
    def halved_size(self) -> tuple[int, int]:
        """(width, height) of the frame after the halvings of `small_planes`."""
        width, height = self.layout.size
        halvings = self._pyramid.halvings
        return -(-width >> halvings), -(-height >> halvings)

    @cached_property
    def _pyramid(self) -> Pyramid:
        return pyramid(self.planes)

    def take_small_planes(self, there: Frame) -> None:
        """Take the small planes of the same frame on a device, rather than make them again.

        They are downloaded together. A frame that has its own keeps them.
        """
        if "_pyramid" in self.__dict__:
            return
        made = there._pyramid
        *small, halves, glance = calls.on_host(*made.small, made.halves, made.glance)
        taken = Pyramid(tuple(small), halves, glance, made.halvings)
        self.__dict__["_pyramid"] = taken  # as `cached_property` does

    def part(self, box: tuple[int, int, int, int]) -> Frame:
        """Return a part of the picture as a frame, halved while it stays large enough.

        Parameters
        ----------
        box : (int, int, int, int)
            Left, top, right and bottom in samples of the first of `small_planes`; even, but for
            a right or bottom that is the picture's own.

        Returns
        -------
        Frame
            Has this frame's format and time, and no alpha. It shares memory with this frame or
            its small planes unless it had to be halved. Its shorter side has at least 256 pixels
            if the part of this frame has.
        """
        views = crop(self.planes, self._pyramid, box)
        layout = _part_layout(self.layout, views[0].shape)
        part = self._showing(views, layout, self.pts, self.time_base, self.duration)
        vars(part)["_origin"] = Origin(self, box)
        return part

    @property
    def origin(self) -> Origin | None:
        """The frame that this was made a part of by `part`; None for others."""
        return self._origin

    def flipped(self) -> Frame:
        """Return the mirror image of a frame, without alpha, where that is."""
        planes = tuple([_mirrored(plane) for plane in self.planes])
        flipped = Frame(planes, self.layout).at(self)
        if (origin := self._origin) is not None:
            vars(flipped)["_origin"] = replace(origin, is_flipped=not origin.is_flipped)
        return flipped

    def reduced(self, shape: tuple[int, int]) -> tuple[Plane, ...]:
        """Return all planes resized to one shape, not much larger than the frame.

        They are halved while they stay larger, then filtered and interpolated, so every sample
        of the frame contributes.

        Parameters
        ----------
        shape : (int, int)
            Height and width, such as those of a model's input.

        Returns
        -------
        tuple of (height, width) uint8
            Computed once for each shape; read only.
        """
        if shape not in self._reduced:
            planes = halved(self.planes, halvings_to(self.size, shape[::-1]))
            self._reduced[shape] = tuple(resized(plane, shape) for plane in planes)
        return self._reduced[shape]

    @cached_property
    def _reduced(self) -> dict[tuple[int, int], tuple[Plane, ...]]:
        return {}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.layout.size

    @property
    def format(self) -> Format:
        """The pixel format, by FFmpeg's name."""
        return self.layout.format

    @cached_property
    def time_s(self) -> float | None:
        """Presentation time in seconds."""
        if self.pts is None or self.time_base is None:
            return None
        numerator, denominator = self.time_base.as_integer_ratio()
        return self.pts * numerator / denominator

    @classmethod
    def empty(cls, layout: Layout, *, alpha: bool = False, device: Device | None = None) -> Frame:
        """Allocate a frame with undefined samples, in memory that encoders use without a copy.

        With a device, in its memory.
        """
        if device is not None:
            shapes = layout.plane_shapes
            made: Any = device.empties([*shapes, shapes[0]] if alpha else shapes)
            return cls(made[: len(shapes)], layout, alpha=made[-1] if alpha else None)
        name = layout.name(alpha=alpha)
        return cls._view(av.VideoFrame(layout.width, layout.height, name), layout)

    @property
    def memory(self) -> Memory | None:
        """FFmpeg's memory that the planes view; None if it is not FFmpeg's."""
        return self._memory

    @classmethod
    def filled(
        cls, layout: Layout, rgb: tuple[int, int, int], *, alpha: int | None = None
    ) -> Frame:
        """Allocate a frame of one sRGB colour, in the host's memory."""
        frame = cls.empty(layout, alpha=alpha is not None)
        for plane, sample in zip(frame.planes, layout.samples(*rgb), strict=True):
            plane[:] = sample
        if frame.alpha is not None and alpha is not None:
            frame.alpha[:] = alpha
        return frame

    @classmethod
    def from_av(cls, frame: av.VideoFrame, format: Format | None = None) -> Frame:
        """Wrap a decoded frame, without a copy if the engine supports its format.

        Parameters
        ----------
        frame : av.VideoFrame
            Any pixel format and bit depth. The result keeps it alive and shares its
            memory where no conversion was needed.
        format : str, optional
            Convert to this format. None selects the nearest format: RGB becomes ``gbrp``,
            4:2:0 ``yuv420p``, other YUV ``yuv444p``.

        Notes
        -----
        High dynamic range (PQ and HLG) is tone-mapped to BT.709 by libswscale.
        """
        name = _FULL_RANGE_NAMES.get(frame.format.name, frame.format.name)
        wanted = format or _nearest_format(frame)
        colour = colour_of(frame)
        if is_hdr(colour):
            frame = _tone_mapped(frame, wanted)
            return cls._view(frame, Layout(frame.width, frame.height, wanted, colour_of(frame)))
        if wanted == _WITHOUT_ALPHA.get(name, name):
            return cls._view(frame, Layout(frame.width, frame.height, wanted, colour))
        layout = Layout(frame.width, frame.height, wanted, _converted_colour(colour, wanted))
        return cls._view(_reformat(frame, layout.size, wanted, colour, layout.colour), layout)

    @classmethod
    def from_rgb(cls, array: NDArray[np.uint8]) -> Frame:
        """Copy an (H, W, 3) uint8 array of full-range sRGB into a ``gbrp`` frame."""
        if array.shape[2:] != (3,) or array.dtype != np.uint8:
            message = (
                f"expected an RGB array of shape (height, width, 3) and type uint8, "
                f"not {array.shape} and {array.dtype}"
            )
            raise FormatError(message)
        height, width = array.shape[:2]
        frame = cls.empty(Layout(width, height, "gbrp", FULL_RANGE_RGB))
        for plane, channel in zip(frame.planes, (1, 2, 0), strict=True):
            plane[:] = array[:, :, channel]
        return frame

    def to_av(self, name: str | None = None, colour: Colour | None = None) -> av.VideoFrame:
        """Return the frame as FFmpeg's, without a copy if the memory is FFmpeg's.

        Of frames that share memory but differ in time, only the first is not copied.

        Parameters
        ----------
        name : str, optional
            Any pixel format of FFmpeg; the frame's own if it is not given.
        colour : Colour, optional
            Colour to convert to; the frame's own if it is not given. The matrix of an RGB format
            is `RGB`.
        """
        if self.device is not None:
            return self.downloaded().to_av(name, colour)
        name = name or self._name
        own = self.layout.colour
        colour = colour or own
        with self._av_lock:
            if name == self._name and colour.means(own, self.size):
                frame = self._samples_in_av(sent_time=(self.pts, self.time_base, self.duration))
            else:
                frame = _reformat(self._samples_in_av(), self.size, name, own, colour)
            frame.colorspace, frame.color_range = colour.matrix, colour.range
            frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
            frame.pts = self.pts
            if self.time_base is not None:
                frame.time_base = self.time_base
            frame.duration = self.duration or 0
            return frame

    def to_rgb(self) -> NDArray[np.uint8]:
        """Copy to an (H, W, 3) uint8 array of full-range sRGB, without alpha."""
        if self.device is not None:
            return self.downloaded().to_rgb()
        if self.format == "gbrp":
            green, blue, red = self.planes
            return np.stack([red, green, blue], axis=2)
        return self.converted(Layout(*self.size, "gbrp", FULL_RANGE_RGB)).to_rgb()

    def converted(self, layout: Layout) -> Frame:
        """Convert size, format and colour by libswscale, without alpha.

        If nothing changes, the result shares the frame's memory. Frames of a device are converted
        by the host, and uploaded again.
        """
        if self.device is not None:
            if layout == self.layout:
                return self.opaque()
            return self.downloaded().converted(layout).uploaded(self.device)
        if self.alpha is not None:
            return self.opaque().converted(layout)
        with self._av_lock:
            samples = self._samples_in_av()
            converted = _reformat(
                samples, layout.size, layout.format, self.layout.colour, layout.colour
            )
        if converted is samples:  # nothing changes
            return replace(self, layout=layout)
        return Frame._view(converted, layout).at(self)

    def opaque(self) -> Frame:
        """Return the same samples without alpha."""
        return self if self.alpha is None else replace(self, alpha=None, _memory=None)

    def shown_at(
        self, pts: int | None, time_base: Fraction | None, duration: int | None = None
    ) -> Frame:
        """Return a frame with the same samples and another time."""
        return self._showing(
            self.planes, self.layout, pts, time_base, duration, self.alpha, self._memory
        )

    @classmethod
    def _showing(  # noqa: PLR0917 - the fields, in their order
        cls,
        planes: tuple[Plane, ...],
        layout: Layout,
        pts: int | None,
        time_base: Fraction | None,
        duration: int | None,
        alpha: Plane | None = None,
        memory: Memory | None = None,
    ) -> Frame:
        """Make a frame of planes that were checked, or are parts of such: no check is repeated."""
        frame = object.__new__(cls)
        vars(frame).update(
            planes=planes,
            layout=layout,
            pts=pts,
            time_base=time_base,
            duration=duration,
            alpha=alpha,
            _memory=memory,
            _origin=None,
        )
        return frame

    def at(self, other: Frame) -> Frame:
        """Return a frame with the same samples and the time of another frame."""
        return self.shown_at(other.pts, other.time_base, other.duration)

    def copy(self) -> Frame:
        """Copy the samples into new memory, on the same device."""
        if self.device is not None:
            return self._with_planes(tuple([calls.copied(plane) for plane in self.all_planes]))
        frame = Frame.empty(self.layout, alpha=self.alpha is not None)
        for target, plane in zip(frame.all_planes, self.all_planes, strict=True):
            target[:] = plane
        return frame.at(self)

    @property
    def _av_lock(self) -> AbstractContextManager[object]:
        """Lock to hold while FFmpeg's frame is converted or handed out."""
        return nullcontext() if self._memory is None else self._memory.lock

    def _samples_in_av(self, sent_time: Time | None = None) -> av.VideoFrame:
        """Return an FFmpeg frame with the samples: the memory's own if possible, else a copy.

        It is for reading only, unless a time is given with which it will be handed out.
        """
        name = self._name
        memory = self._memory
        if memory is not None and memory.frame.format.name == name:
            if sent_time is None:
                return memory.frame
            if memory.sent_time in (None, sent_time):
                memory.sent_time = sent_time
                return memory.frame
        frame = av.VideoFrame(*self.size, name)
        for plane, view in zip(self.all_planes, _planes(frame), strict=True):
            view[:] = plane
        return frame

    @property
    def _name(self) -> str:
        """FFmpeg's name of the format, alpha included."""
        return self.layout.name(alpha=self.alpha is not None)

    @property
    def all_planes(self) -> tuple[Plane, ...]:
        """The planes, followed by alpha if there is one."""
        return self.planes if self.alpha is None else (*self.planes, self.alpha)

    @classmethod
    def _view(cls, frame: av.VideoFrame, layout: Layout) -> Frame:
        """Wrap an FFmpeg frame that has the layout's format, with or without alpha."""
        planes = _planes(frame)
        return cls(
            planes=planes[: len(layout.plane_shapes)],
            layout=layout,
            pts=frame.pts,
            time_base=fraction(frame.time_base) if frame.time_base else None,
            duration=frame.duration or None,
            alpha=planes[-1] if len(planes) > len(layout.plane_shapes) else None,
            _memory=Memory(frame),
        )


@lru_cache(maxsize=_CACHED_LAYOUTS)
def _part_layout(layout: Layout, shape: tuple[int, int]) -> Layout:
    """Return the layout of a part of a picture, whose matrix is said: players guess it by size."""
    colour = layout.colour
    if colour.matrix != RGB and colour.matrix != (matrix := colour.resolved_matrix(layout.size)):
        colour = replace(colour, matrix=matrix)
    return Layout(shape[1], shape[0], layout.format, colour)


def _mirrored(plane: Plane) -> Plane:
    """Return a plane with left and right exchanged, in new memory."""
    if not calls.on_device(plane):
        return np.ascontiguousarray(plane[:, ::-1])
    out: Plane = calls.empty(plane.shape, plane)
    calls.mirror(plane, out)
    return out


def _check_plane(plane: Plane, shape: tuple[int, int]) -> None:
    if plane.shape != shape or plane.dtype != np.uint8:
        message = (
            f"expected a plane of shape {shape} and type uint8, not {plane.shape} and {plane.dtype}"
        )
        raise FormatError(message)
    down, across = plane.strides
    if down < 0 or (across != 1 and shape[1] > 1):
        message = (
            "expected a plane in which samples of a row lie side by side and rows one below the "
            f"other, not strides of {plane.strides}: copy it with numpy.ascontiguousarray"
        )
        raise FormatError(message)


def fraction(value: Any) -> Fraction:
    """Convert PyAV's rational number: a `Fraction` up to PyAV 18, then an ``AVRational``."""
    return Fraction(value)


def _planes(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Return views of the planes of an FFmpeg frame in one of the engine's formats."""
    planes: Any = frame.planes  # which have the buffer protocol, not seen by type checkers
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in planes
    )


def _nearest_format(frame: av.VideoFrame) -> Format:
    """Return the engine's format that loses least."""
    if frame.format.is_rgb or frame.format.has_palette:
        return "gbrp"
    return "yuv420p" if any(part in frame.format.name for part in _QUARTER_CHROMA) else "yuv444p"


def colour_of(frame: av.VideoFrame) -> Colour:
    """Read the colour description of an FFmpeg frame."""
    full_name = frame.format.name in _FULL_RANGE_NAMES or frame.format.name.startswith("yuvj")
    is_rgb = frame.format.is_rgb or frame.format.has_palette
    return Colour(
        matrix=RGB if is_rgb else frame.colorspace,
        range=FULL if full_name or is_rgb else frame.color_range,
        primaries=frame.color_primaries,
        transfer=frame.color_trc,
    )


def is_hdr(colour: Colour) -> bool:
    """Whether the transfer is PQ (16) or HLG (18)."""
    return colour.transfer in (16, 18)


def _converted_colour(colour: Colour, wanted: Format) -> Colour:
    """Return the colour description after a change of format alone."""
    if wanted == "gbrp":
        return replace(colour, matrix=RGB, range=FULL)
    if colour.matrix == RGB:
        return replace(colour, matrix=UNSPECIFIED, range=LIMITED)
    return colour


def _tone_mapped(frame: av.VideoFrame, wanted: Format) -> av.VideoFrame:
    """Convert high dynamic range to BT.709 with libswscale's own tone mapping."""
    return frame.reformat(
        format=wanted,
        dst_colorspace=BT709,
        dst_color_range=LIMITED,
        dst_color_trc=BT709,
        dst_color_primaries=BT709,
        threads=ONE_THREAD,
    )


def _reformat(
    frame: av.VideoFrame, size: tuple[int, int], name: str, colour: Colour, wanted: Colour
) -> av.VideoFrame:
    """Convert an FFmpeg frame's size, format and colour, reading it as the given colour."""
    return frame.reformat(
        width=size[0],
        height=size[1],
        format=name,
        src_colorspace=colour.resolved_matrix((frame.width, frame.height)),
        dst_colorspace=wanted.resolved_matrix(size),
        src_color_range=FULL if colour.is_full_range else LIMITED,
        dst_color_range=FULL if wanted.is_full_range else LIMITED,
        interpolation=_INTERPOLATION,
        threads=ONE_THREAD,
    )
