"""Frames in a decoder's memory: on a device without the host, and the host's for all else."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from host_device import HostDevice, LazyDevice, compiler, read
from numpy.testing import assert_array_equal

from greenroom.cuda import surfaces
from greenroom.cuda.surfaces import Surface
from greenroom.errors import DeviceError
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.surface_frame import EncoderFrame, SurfaceFrame

if TYPE_CHECKING:
    from host_device import WatchedDevice

SIZES = [(64, 48), (70, 50), (33, 17), (1, 1), (2, 3)]


def picture(size: tuple[int, int], name: str = "nv12") -> av.VideoFrame:
    """Make a picture as a GPU's decoder does, in memory that is the device's of these tests."""
    made = av.VideoFrame(*size, name)
    rng = np.random.default_rng(size[0])
    for plane in cast("Any", made.planes):
        samples = np.frombuffer(plane, np.uint8)
        samples[:] = rng.integers(0, 256, samples.shape, np.uint8)
        if name == "p010le":
            samples.view("<u2")[:] &= 0xFFC0
    made.pts, made.time_base, made.duration = 7, Fraction(1, 30), 2
    made.colorspace, made.color_range = 1, 2
    return made


@pytest.mark.parametrize("size", SIZES)
def test_planes_on_the_device_are_those_of_the_host(
    size: tuple[int, int], device: WatchedDevice
) -> None:
    """Chroma in pairs becomes two planes, sample by sample, for sizes of every kind."""
    if not isinstance(device, HostDevice):
        pytest.skip("the picture is in the host's memory")
    surface = SurfaceFrame.of(picture(size))
    there = surface.uploaded(device)
    host = Frame.from_av(picture(size), "yuv420p")
    assert device.launched == ["take_samples"] * 3
    assert not device.moved
    assert there.layout == surface.layout == host.layout
    assert (there.pts, there.time_base, there.duration) == (7, Fraction(1, 30), 2)
    for plane, other, expected in zip(there.planes, surface.planes, host.planes, strict=True):
        assert_array_equal(read(plane), expected)  # type: ignore[arg-type]
        assert_array_equal(other, expected)


@pytest.mark.parametrize("range_", [0, 1, 2])
def test_ten_bits_are_dithered_as_by_ffmpeg(range_: int, device: WatchedDevice) -> None:
    """Of ten bits eight are left, sample by sample as of what the processor decodes."""
    if not isinstance(device, HostDevice):
        pytest.skip("the picture is in the host's memory")
    deep = picture((70, 50), "p010le")
    deep.color_range = range_
    decoded = deep.reformat(format="yuv420p10le", threads=1)
    host = Frame.from_av(decoded, "yuv420p")
    surface = SurfaceFrame.of(deep)
    there = surface.uploaded(device)
    assert there.layout == surface.layout == host.layout
    for plane, other, expected in zip(there.planes, surface.planes, host.planes, strict=True):
        assert_array_equal(read(plane), expected)  # type: ignore[arg-type]
        assert_array_equal(other, expected)


def test_another_device_gets_it_through_the_host(device: WatchedDevice) -> None:
    """A device that the memory is not of has the samples uploaded."""
    device.place = "cuda", 77
    there = SurfaceFrame.of(picture((64, 48))).uploaded(device)
    assert "take_samples" not in device.launched
    for plane, expected in zip(
        there.planes, Frame.from_av(picture((64, 48)), "yuv420p").planes, strict=True
    ):
        assert_array_equal(read(plane), expected)  # type: ignore[arg-type]


def test_time_changes_without_a_look_at_the_samples() -> None:
    """Another time, or no alpha, leaves the samples where they are."""
    surface = SurfaceFrame.of(picture((64, 48)))
    moved = surface.shown_at(3, Fraction(1, 5), 1).at(surface).opaque()
    assert isinstance(moved, SurfaceFrame)
    assert (moved.pts, moved.duration, moved.device) == (7, 2, None)
    assert "planes" not in vars(moved)


def test_it_is_a_frame_of_the_host_to_all_else() -> None:
    """Parts, conversions and FFmpeg's view are those of an ordinary frame."""
    surface = SurfaceFrame.of(picture((640, 640)))
    host = Frame.from_av(picture((640, 640)), "yuv420p")
    assert_array_equal(surface.to_rgb(), host.to_rgb())
    assert_array_equal(surface.to_av().to_ndarray(), host.to_av().to_ndarray())
    box = (0, 0, 64, 64)
    for one, other in zip(surface.part(box).planes, host.part(box).planes, strict=True):
        assert_array_equal(one, other)
    layout = Layout(320, 320, "yuv444p", host.layout.colour)
    assert_array_equal(surface.converted(layout).to_rgb(), host.converted(layout).to_rgb())
    shown = surface.part(box).shown_at(1, Fraction(1, 2))
    assert shown.pts == 1


class Owner:
    """What keeps a decoder's memory."""


@pytest.mark.skipif(compiler() is None, reason="the kernels need a compiler of C++")
def test_order_between_decoder_and_kernels() -> None:
    """Kernels wait for what the decoder gave to the default stream, and it keeps the memory."""
    device = LazyDevice()
    memory, owner = np.zeros((3, 8), np.uint8), Owner()
    start = memory.ctypes.data
    given = Surface(
        place=("cpu", 0),
        format="nv12",
        size=(8, 2),
        addresses=(start, start + 16),
        line_sizes=(8, 8),
        is_full_range=False,
        owner=None,
    )
    surface = replace(given, owner=owner)
    device.default_stream.copy_in(start, np.full(24, 9, np.uint8))
    luma, *_ = surface.planes(device)
    alive = weakref.ref(owner)
    del owner, surface
    gc.collect()
    assert alive() is not None
    assert (read(luma) == 9).all()
    replace(given, owner=Owner()).planes(device)
    gc.collect()
    assert alive() is None


def test_a_device_that_fails_is_an_error(device: WatchedDevice) -> None:
    """What a device raises reaches whoever uploads, so that the engine covers the frame."""
    if not isinstance(device, HostDevice):
        pytest.skip("the picture is in the host's memory")
    device.fails_at = "take_samples"
    with pytest.raises(DeviceError, match="lost"):
        SurfaceFrame.of(picture((64, 48))).uploaded(device)


@pytest.mark.parametrize("size", [(64, 48), (70, 50), (2, 2), (33, 18)])
def test_an_encoder_reads_what_a_device_made(
    size: tuple[int, int], device: WatchedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planes become NV12 in one block, sample by sample, without a transfer; not of odd sizes."""
    monkeypatch.setattr(surfaces, "_MAX_ROWS", 100)
    host = Frame.from_av(picture(size), "yuv420p")
    there = host.uploaded(device)
    if isinstance(device, HostDevice):
        device.moved.clear()
    made = EncoderFrame.left(there)
    device.finish_kernels()
    assert (made.layout, made.pts, made.device) == (host.layout, 7, None)
    assert isinstance(made, EncoderFrame) == (size[0] % 2 == 0)
    if not isinstance(made, EncoderFrame):
        return
    if isinstance(device, HostDevice):
        assert not device.moved
    moved = made.shown_at(9, Fraction(1, 5), 3)
    assert isinstance(moved, EncoderFrame)
    frame = moved.encoded_as()
    assert frame is not None
    luma, chroma = cast("Any", frame.planes)
    assert chroma.buffer_ptr == luma.buffer_ptr + luma.line_size * size[1]
    assert (luma.line_size, chroma.line_size) == (256, 256)
    assert (frame.pts, frame.time_base, frame.duration) == (9, Fraction(1, 5), 3)
    assert (frame.colorspace, frame.color_range) == (1, 2)
    del there, luma, chroma
    gc.collect()
    device.empties([(48, 64)] * 8)  # memory that FFmpeg has is not used again
    for plane, expected in zip(made.planes, host.planes, strict=True):
        assert_array_equal(plane, expected)
