"""Checks of a kernel's arguments, and the launch with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.cuda.device import DeviceArray

if TYPE_CHECKING:
    from greenroom.cuda.device import Array, Device

    Shape = tuple[int, ...]

__all__ = [
    "check_smaller",
    "contiguous",
    "device_of_all",
    "launch",
    "plane",
    "strided",
    "table",
    "tables",
]


def device_of_all(*arrays: object) -> Device:
    """Return the device of the first array that is on one."""
    return next(one.device for one in arrays if isinstance(one, DeviceArray))


def launch(name: str, extent: tuple[int, ...], *arguments: Any) -> None:
    """Run a kernel on the device of its arrays, which were checked; upload what is the host's."""
    device = device_of_all(*arguments)
    values = (device.constant(one) if isinstance(one, np.ndarray) else one for one in arguments)
    device.launch(name, extent, *values)


def plane(array: Array, shape: Shape | None = None, kind: str = "B") -> tuple[DeviceArray, int]:
    """Return a plane whose rows may be padded, and its stride in samples; checked."""
    if (
        not isinstance(array, DeviceArray)
        or array.dtype.char != kind
        or array.ndim != 2
        or (array.strides[1] != array.itemsize and array.shape[1] > 1)
        or array.strides[0] % array.itemsize
        or (not array.size if shape is None else array.shape != shape)
    ):
        raise error(array, f"a plane of type '{kind}'", shape)
    return array, array.strides[0] // array.itemsize


def contiguous(array: Array, kind: str, shape: Shape | None = None) -> DeviceArray:
    """Return a contiguous array, checked; any of two dimensions without a shape."""
    if (
        not isinstance(array, DeviceArray)
        or array.dtype.char != kind
        or not array.is_contiguous
        or (not array.size or array.ndim != 2 if shape is None else array.shape != shape)
    ):
        raise error(array, f"a contiguous array of type '{kind}'", shape)
    return array


def strided(array: Array, shape: Shape) -> tuple[Any, ...]:
    """Return a float32 array of a shape and its strides in values, checked."""
    if (
        not isinstance(array, DeviceArray)
        or array.dtype.char != "f"
        or array.shape != shape
        or any(stride % array.itemsize for stride in array.strides)
    ):
        raise error(array, "an array of type 'f'", shape)
    return (array, *(stride // array.itemsize for stride in array.strides))


def table(array: Array, kind: str, shape: Shape) -> Array:
    """Return a small array, checked; if it is the host's, launching uploads it."""
    if isinstance(array, np.ndarray):
        if array.dtype.char != kind or array.shape != shape:
            raise error(array, f"a table of type '{kind}'", shape)
        return array
    return contiguous(array, kind, shape)


def tables(source: Shape, target: Shape, down: Array, across: Array) -> tuple[Array, Array]:
    """Return two tables of weights, checked to be for these shapes."""
    for one, length, wanted in zip((down, across), source, target, strict=True):
        if isinstance(one, np.ndarray):
            taps, count = one[:2].tolist()
            if count != wanted or one.shape != (2 + count * (taps + 1),) or taps > length:
                message = f"a table of {count} results does not resize {source} to {target}"
                raise TypeError(message)
    return table(down, "i", down.shape), table(across, "i", across.shape)


def check_smaller(source: Shape, target: Shape) -> None:
    """Check that a plane is only reduced."""
    if any(length > most for length, most in zip(target, source, strict=True)):
        message = f"a plane of {source} cannot be shrunk to {target}"
        raise TypeError(message)


def error(array: object, what: str, shape: Shape | None) -> TypeError:
    of = " that has height and width" if shape is None else f" of shape {shape}"
    message = f"expected {what}{of} on a device, not {array!r}"
    if isinstance(array, DeviceArray):
        message += f" with strides {array.strides}"
    return TypeError(message)
