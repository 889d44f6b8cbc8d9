"""Calls of kernels, with checked arguments.

Each does for arrays of a device what the function of the core with its name does for those of the
host, and is called by that one's wrapper, which describes its arguments. All arrays are on one
device, but for tables and matrices, which may be the host's and are uploaded once. Nothing is
waited for. What they return is a `DeviceArray`; where planes are planes of either kind, their
type is that of NumPy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.cuda.checks import check_smaller as _check_smaller
from greenroom.cuda.checks import contiguous as _contiguous
from greenroom.cuda.checks import device_of_all as _device
from greenroom.cuda.checks import launch as _launch
from greenroom.cuda.checks import plane as _plane
from greenroom.cuda.checks import strided as _strided
from greenroom.cuda.checks import table as _table
from greenroom.cuda.checks import tables as _tables
from greenroom.cuda.device import DeviceArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from greenroom.cuda.device import Array, Device

    Shape = tuple[int, ...]

__all__ = [
    "add_enlarged",
    "blend",
    "copied",
    "copy_bytes",
    "copy_plane",
    "coverage_bytes",
    "device_of",
    "difference",
    "edge_maps",
    "empty",
    "enlarge",
    "every",
    "fill",
    "fill_plane",
    "guide",
    "guided_matte",
    "halve",
    "look_up",
    "margin",
    "mirror",
    "mix",
    "multiply",
    "on_device",
    "on_host",
    "over",
    "packed",
    "picked",
    "resize",
    "samples",
    "scale_chroma",
    "shrink",
    "shrunk",
    "spill",
    "take_coverage",
    "tone_rgb",
    "two_thirds",
    "upsample",
    "zeros",
]

_LEVELS = (256,)


def on_device(*arrays: object) -> bool:
    """Whether any of these is an array of a device, so that a kernel is to be called."""
    for array in arrays:  # noqa: SIM110 - any() takes twice as long, many times a frame
        if type(array) is DeviceArray:
            return True
    return False


def on_host(*arrays: Array) -> tuple[Any, ...]:
    """Return arrays as NumPy's, downloaded together where they are a device's."""
    if not on_device(*arrays):
        return arrays
    return _device(*arrays).download(*(packed(one) for one in arrays))


def empty(shape: Shape, like: Array, dtype: DTypeLike = np.uint8) -> Any:
    """Return an array with undefined values in the memory that another array is in."""
    if isinstance(like, DeviceArray):
        return like.device.empty(shape, dtype)
    return np.empty(shape, dtype)


def zeros(shape: Shape, like: Array, dtype: DTypeLike = np.uint8) -> Any:
    """Return an array of zeros in the memory that another array is in."""
    made = np.zeros(shape, dtype)
    return like.device.upload(made)[0] if isinstance(like, DeviceArray) else made


def device_of(array: object) -> Device | None:
    """Return the device that an array is on; None for the host's."""
    return array.device if isinstance(array, DeviceArray) else None


def halve(plane: Array, out: Array) -> None:
    """See `greenroom.media.resampling.halve`."""
    height, width = plane.shape
    half = (height + 1) // 2, (width + 1) // 2
    target = _contiguous(out, "B", half)
    _launch("halve", half[::-1], *_plane(plane), height, width, target)


def two_thirds(plane: Array, out: Array) -> None:
    """Reduce a plane to about two thirds, of even size: the step of `greenroom.media.pyramid`."""
    height, width = out.shape
    source, target = _plane(plane), _contiguous(out, "B", out.shape)
    if height % 2 or width % 2 or min(plane.shape) < 3:
        message = f"a plane of {plane.shape} cannot be reduced to {out.shape}"
        raise TypeError(message)
    arguments = (*source, *plane.shape, target, height, width)
    _launch("two_thirds", (width, height), *arguments)


def upsample(coarse: Array, out: Array) -> None:
    """See `greenroom.media.resampling.upsample`; rows of ``out`` may be padded."""
    source = _contiguous(coarse, "f")
    arguments = (source, *coarse.shape, *_plane(out), *out.shape)
    _launch("upsample", out.shape[::-1], *arguments)


def shrink(plane: Array, out: Array) -> None:
    """See `greenroom.media.resampling.shrink`."""
    _check_smaller(plane.shape, out.shape)
    arguments = (*_plane(plane), *plane.shape, _contiguous(out, "f"), *out.shape)
    _launch("shrink", out.shape[::-1], *arguments)


def shrunk(plane: Array, shape: tuple[int, int]) -> Any:
    """See `greenroom.media.resampling.shrunk`."""
    _check_smaller(plane.shape, shape)
    out = _device(plane).empty(shape)
    arguments = (*_plane(plane), *plane.shape, out, *shape)
    _launch("shrink_to_bytes", shape[::-1], *arguments)
    return out


def picked(plane: Array, shape: tuple[int, int]) -> Any:
    """Return evenly spaced samples of a plane, in new memory."""
    out = _device(plane).empty(shape)
    arguments = (*_plane(plane), *plane.shape, out, *shape)
    _launch("pick_samples", shape[::-1], *arguments)
    return out


def samples(plane: Array, step: int) -> Any:
    """Return one sample of every ``step`` in each direction of a plane, in new memory."""
    out = _device(plane).empty(tuple([-(-length // step) for length in plane.shape]))
    first, stride = _plane(plane)
    read = first, stride * step, step, 0, 0
    _launch("take_samples", out.shape[::-1], *read, *_plane(out), *out.shape)
    return out


def copy_plane(plane: Array, out: Array) -> None:
    """Copy a plane; rows of both may be padded."""
    arguments = (*_plane(plane, out.shape), *_plane(out), *out.shape)
    _launch("copy_plane", out.shape[::-1], *arguments)


def copied(plane: Array) -> Any:
    """Return a contiguous copy of a plane."""
    out = _device(plane).empty(plane.shape)
    copy_plane(plane, out)
    return out


def copy_bytes(array: Array, out: Array) -> None:
    """Copy a contiguous array to another of its size, of any type; both may be others' memory."""
    size = array.nbytes
    if not size or size != out.nbytes:
        message = f"{size} bytes cannot be copied to {out.nbytes}"
        raise TypeError(message)
    device = _device(out)
    views = [
        device.adopt(_contiguous(each, each.dtype.char, each.shape).address, (1, size), "B", each)
        for each in (array, out)
    ]
    copy_plane(*views)


def packed(plane: Array) -> Any:
    """Return a plane itself, or a contiguous copy of one whose rows are apart."""
    return plane if isinstance(plane, DeviceArray) and plane.is_contiguous else copied(plane)


def fill_plane(sample: int, out: Array) -> None:
    """Fill a plane with one sample."""
    _launch("fill_plane", out.shape[::-1], sample, *_plane(out), *out.shape)


def resize(plane: Array, down: Array, across: Array, out: Array) -> None:
    """Resize a plane by the tables of `greenroom.media.resizing`, (n,) int32."""
    target = _contiguous(out, "B", out.shape)
    tables = _tables(plane.shape, out.shape, down, across)
    _launch("resize", out.shape[::-1], *_plane(plane), *tables, target)


def fill(
    planes: Sequence[Array],
    tables: Sequence[tuple[Array, ...]],
    matrix: Array,
    limits: Array,
    out: Array,
) -> None:
    """See `greenroom.media.resizing.fill`; with the two tables of each plane."""
    height, width, _ = out.shape
    arguments: list[Any] = []
    for plane, (down, across) in zip(planes, tables, strict=True):
        arguments += _plane(plane)
        arguments += _tables(plane.shape, (height, width), down, across)
    by = _table(matrix, "f", (3, 4)), _table(limits, "f", (3, 2))
    target = _contiguous(out, "f", (height, width, 3))
    _launch("fill", (width, height), *arguments, *by, target)


def mix(planes: Sequence[Array], matrix: Array, limits: Array, out: Array, *, planar: bool) -> None:
    """See `greenroom.segmenters.tensor_kernels.mix`."""
    first, second, third = planes
    shape = first.shape
    is_whole = out.dtype == np.uint8
    wanted = (3, *shape) if planar else (*shape, 3)
    _launch(
        "mix",
        (first.size,),
        *(_contiguous(plane, "B", shape) for plane in (first, second, third)),
        first.size,
        _table(matrix, "f", (3, 4)),
        _table(limits, "f", (3, 2)),
        planar,
        is_whole,
        _contiguous(out, "B" if is_whole else "f", wanted),
    )


def margin(logits: Array, handicaps: Array, out: Array) -> None:
    """See `greenroom.segmenters.tensor_kernels.margin`."""
    height, width, channels = logits.shape
    _launch(
        "margin",
        (width, height),
        *_strided(logits, (height, width, channels)),
        *logits.shape,
        _table(handicaps, "f", (2, channels)),
        _contiguous(out, "f", (height, width)),
    )


def take_coverage(
    values: Array, out: Array, wrong: Array, *, least: float, tolerance: float
) -> None:
    """Copy coverage (h, w) float32 of any strides; what is not over ``least`` becomes 0.

    ``wrong`` (1,) int32 becomes 1 if any value is further than ``tolerance`` from 0..1, or is no
    number; otherwise it stays.
    """
    shape = values.shape
    _launch(
        "take_coverage",
        shape[::-1],
        *_strided(values, shape),
        *shape,
        least,
        tolerance,
        _contiguous(out, "f", shape),
        _contiguous(wrong, "i", (1,)),
    )


def every(values: Array, step: int) -> Any:
    """Return one value of every ``step`` in each direction of (h, w) float32, in new memory."""
    height, width = (-(-length // step) for length in values.shape)
    out = _device(values).empty((height, width), np.float32)
    arguments = (*_strided(values, values.shape), step, out, height, width)
    _launch("pick_values", (width, height), *arguments)
    return out


def difference(
    foreground: Array,
    planes: Sequence[Array],
    matrix: Array,
    out: Array,
    wrong: Array,
) -> None:
    """See `greenroom.segmenters.tensor_kernels.difference`.

    ``wrong`` (1,) int32 becomes 1 if any difference is not a finite number; otherwise it stays.
    """
    shape = planes[0].shape
    _launch(
        "difference",
        shape[::-1],
        *_strided(foreground, (*shape, 3)),
        *shape,
        *(_contiguous(plane, "B", shape) for plane in planes),
        _table(matrix, "f", (3, 4)),
        _contiguous(out, "f", (3, *shape)),
        _contiguous(wrong, "i", (1,)),
    )


def add_enlarged(plane: Array, change: Array, out: Array) -> None:
    """Add a change (h, w) float32, resized bilinearly, to a plane; rounded, and within 0..255."""
    arguments = (_contiguous(change, "f"), *change.shape, *_plane(out), *out.shape)
    _launch("add_enlarged", out.shape[::-1], *_plane(plane, out.shape), *arguments)


def guided_matte(maps: Sequence[Array], kinds: Array, luma: Array, noise: float) -> Any:
    """Return the matte of `greenroom.compositing.tiles.Guide` at the size of a frame."""
    base, slope, reference = maps
    if any(low > own for low, own in zip(base.shape, luma.shape, strict=True)):
        message = f"a matte of {base.shape} cannot be enlarged to {luma.shape}"
        raise TypeError(message)
    out = _device(luma).empty(luma.shape)
    _launch(
        "guided_matte",
        luma.shape[::-1],
        *(_contiguous(one, "f", base.shape) for one in (base, slope, reference)),
        *base.shape,
        _contiguous(kinds, "B"),
        *kinds.shape,
        *_plane(luma),
        noise,
        out,
        *luma.shape,
    )
    return out


def coverage_bytes(values: Array) -> Any:
    """Return coverage (h, w) float32 as bytes."""
    out = _device(values).empty(values.shape)
    arguments = _contiguous(values, "f"), values.size, out
    _launch("coverage_bytes", (values.size,), *arguments)
    return out


def blend(
    front: Array,
    back: Array,
    coverage: Array,
    out: Array,
    *,
    maps: Array | None = None,
    side: int = 1,
    straight: bool = False,
) -> None:
    """Blend one plane as `greenroom.compositing.tiles.make` does.

    Parameters
    ----------
    front, back, out : (h, w) uint8
    coverage : (h, w) uint8, contiguous
        At the plane's resolution.
    maps : (3, rows, columns) float32, contiguous, optional
        The plane's own of `Composition.maps`.
    side : int
        Width of a cell in samples of the plane.
    straight : bool
        See `Composition.straight`.
    """
    shape = height, width = out.shape
    rows, columns = (2, 2) if maps is None else maps.shape[1:]
    if maps is not None:
        _contiguous(maps, "f", (3, rows, columns))
        if side < 1 or (rows - 1) * side < height or (columns - 1) * side < width:
            message = f"maps of {maps.shape} in cells of {side} do not cover {shape}"
            raise TypeError(message)
    _launch(
        "blend",
        shape[::-1],
        *_plane(front, shape),
        *_plane(back, shape),
        _contiguous(coverage, "B", shape),
        maps,
        rows,
        columns,
        side,
        straight,
        *_plane(out),
        *shape,
    )


def over(front: Array, back: Array, matte: Array, out: Array) -> None:
    """See `greenroom.compositing.blend_kernels.over`."""
    shape = matte.shape
    arguments = (*_plane(front, shape), *_plane(back, shape), _contiguous(matte, "B", shape))
    _launch("over_plane", shape[::-1], *arguments, *_plane(out, shape), *shape)


def spill(
    light: Array,
    weight: Array,
    background: Array,
    matte: Array,
    out: Array,
    *,
    only_lighter: bool,
) -> None:
    """See `greenroom.compositing.blend_kernels.spill`."""
    shape = matte.shape
    _launch(
        "spill",
        shape[::-1],
        _contiguous(light, "f"),
        _contiguous(weight, "f", light.shape),
        *light.shape,
        *_plane(background, shape),
        _contiguous(matte, "B", shape),
        only_lighter,
        *_plane(out, shape),
        *shape,
    )


def multiply(one: Array, other: Array) -> Any:
    """Return the product of two mattes of 0 to 255, in new memory."""
    out = _device(one).empty(one.shape)
    arguments = _contiguous(one, "B"), _contiguous(other, "B", one.shape), out, one.size
    _launch("multiply", (one.size,), *arguments)
    return out


def edge_maps(planes: Array, matte: Array) -> Any:
    """Return the maps of `greenroom.matting.decontamination` of small planes (n, h, w)."""
    device = _device(planes)
    count, height, width = planes.shape
    rows, columns, channels = (height + 1) // 2, (width + 1) // 2, 2 * (count + 2)
    sums = device.empty((channels, rows, columns), np.float32)
    arguments = _contiguous(planes, "B", planes.shape), _contiguous(matte, "B", (height, width))
    _launch("edge_cells", (columns, rows, 2), *arguments, *planes.shape, sums)
    totals, whole = device.empties([(channels, columns), (channels,)], np.float32)
    _launch("edge_columns", (columns, channels), sums, channels, rows, columns, totals)
    _launch("edge_totals", (channels,), totals, channels, columns, whole)
    near = device.empty((channels, rows + 1, columns + 1), np.float32)
    _launch("edge_corners", (columns + 1, rows + 1, channels), sums, rows, columns, near)
    maps = device.empty((count, 3, rows + 1, columns + 1), np.float32)
    _launch("edge_maps", (columns + 1, rows + 1), near, whole, count, rows, columns, maps)
    return maps


def guide(
    reference: Array,
    matte: Array,
    picture: Array,
    kinds: Array,
    maps: Array,
    coverage: Array,
    *,
    flat: float,
    largest: float,
    middle: float,
    gain: float,
) -> None:
    """See `greenroom.matting.guided_kernels.guide`; the maps are written everywhere.

    ``largest`` is the largest value of the reference.
    """
    shape = height, width = picture.shape
    half = (height + 1) // 2, (width + 1) // 2
    fitted = _contiguous(reference, "f", half), _contiguous(matte, "f", half)
    written = _contiguous(maps, "f", (3, *shape)), _contiguous(coverage, "B", shape)
    joined = _contiguous(kinds, "B", half)
    device = _device(reference)
    slopes, offsets, mean_slopes, mean_offsets = device.empties([half] * 4, np.float32)
    own = device.empty(half)
    _launch("guide_fit", half[::-1], *fitted, flat, slopes, offsets, *half)
    models = slopes, offsets, largest, middle, gain, mean_slopes, mean_offsets, own
    _launch("guide_mean", half[::-1], *models, *half)
    _launch("guide_kinds", half[::-1], own, joined, *half)
    applied = mean_slopes, mean_offsets, _contiguous(picture, "h", shape), middle, gain
    _launch("guide_apply", shape[::-1], *applied, *written, *shape)


def look_up(plane: Array, table: Array, out: Array) -> None:
    """Look samples up in a table (256,) uint8."""
    found = _table(table, "B", _LEVELS)
    arguments = (*_plane(plane, out.shape), found, *_plane(out), *out.shape)
    _launch("look_up", out.shape[::-1], *arguments)


def mirror(plane: Array, out: Array, *, paired: bool = False) -> None:
    """Exchange left and right; with ``paired`` of the means of a sample and the one before it."""
    arguments = (*_plane(plane, out.shape), paired, *_plane(out), *out.shape)
    _launch("mirror", out.shape[::-1], *arguments)


def scale_chroma(plane: Array, gain: Array, out: Array) -> None:
    """See `greenroom.effects.effect_kernels.scale_chroma`."""
    shape = out.shape
    arguments = (*_plane(plane, shape), _contiguous(gain, "B", shape), *_plane(out), *shape)
    _launch("scale_chroma", shape[::-1], *arguments)


def tone_rgb(
    planes: Sequence[Array],
    tables: tuple[Array, Array, Array],
    targets: Sequence[Array],
) -> None:
    """See `greenroom.effects.effect_kernels.tone_rgb`; tables: coefficients, curve and gain."""
    shape = planes[0].shape
    lengths: tuple[Shape, ...] = ((3,), _LEVELS, _LEVELS)
    _launch(
        "tone_rgb",
        shape[::-1],
        *(number for plane in planes for number in _plane(plane, shape)),
        *shape,
        *(_table(one, "f", of) for one, of in zip(tables, lengths, strict=True)),
        *(number for plane in targets for number in _plane(plane, shape)),
    )


def enlarge(
    plane: Array, left: float, top: float, scale: float, out: Array, *, sharp: bool
) -> None:
    """See `greenroom.effects.effect_kernels.enlarge`."""
    arguments = (*_plane(plane), *plane.shape, left, top, scale, sharp, *_plane(out), *out.shape)
    _launch("enlarge", out.shape[::-1], *arguments)
