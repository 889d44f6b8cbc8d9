"""Checked addresses of arrays for the core."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["address", "contiguous", "plane", "planes"]

# NumPy's ABI: an array object holds its data address right after the object header.
_PLACE: Final = object.__basicsize__
_number_at: Final = ctypes.c_size_t.from_address
# The types that arrays nearly always share, by their codes: as objects they are compared fastest.
_TYPES: Final = {code: np.dtype(code) for code in "?bBhHiIlLqQefd"}


def _asked(array: NDArray[Any]) -> int:
    return array.ctypes.data


def _read(array: NDArray[Any]) -> int:
    return _number_at(id(array) + _PLACE).value


def _is_readable() -> bool:
    """Whether addresses can be read this way: only CPython's id is a memory address."""
    array = np.empty((2, 3), np.uint8)
    return sys.implementation.name == "cpython" and all(
        _read(one) == _asked(one) for one in (array, array[1:, 2:])
    )


_IS_READABLE: Final = _is_readable()

address = _read if _IS_READABLE else _asked
"""Return an array's address, unchecked: ten times as fast as NumPy, for dozens of calls a frame."""


def plane(
    array: NDArray[Any],
    shape: tuple[int, ...] | None = None,
    *,
    kind: str = "B",
    writable: bool = False,
) -> int:
    """Return the address of a plane (h, w), whose rows may be padded.

    Parameters
    ----------
    array : (h, w)
        Samples of a row lie side by side.
    shape : (int, int), optional
        Required shape; any that is not empty by default.
    kind : str
        NumPy's one-letter code of its type; uint8 by default.
    writable : bool
        Whether the core writes to it.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    strides, flags = array.strides, array.flags
    if (
        (array.dtype is not _TYPES[kind] and not _is_like(array.dtype, kind))
        or len(strides) != 2
        or (strides[1] != array.itemsize and array.shape[1] > 1)
        or strides[0] < 0
        or not (flags.behaved if writable else flags.aligned)
        or (not array.size if shape is None else array.shape != shape)
    ):
        access = " to write to" if writable else ""
        raise _error(array, f"a plane of type '{kind}'{access}", shape)
    # `address`, without a call: this runs a hundred times a frame.
    return _number_at(id(array) + _PLACE).value if _IS_READABLE else _asked(array)


def planes(
    arrays: Sequence[NDArray[Any]], shapes: Sequence[tuple[int, ...]], *, writable: bool = False
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the addresses of planes of bytes and the distances of their rows: `plane`, at once."""
    addresses, distances, kind = [], [], _TYPES["B"]
    for array, shape in zip(arrays, shapes, strict=True):
        strides = array.strides
        if (
            array.dtype is kind
            and array.shape == shape
            and len(strides) == 2
            and strides[1] == 1
            and strides[0] >= 0
            and (not writable or array.flags.writeable)
            and _IS_READABLE
        ):
            addresses.append(_number_at(id(array) + _PLACE).value)
        else:  # a single column, or an error
            addresses.append(plane(array, shape, writable=writable))
        distances.append(strides[0])
    return tuple(addresses), tuple(distances)


def contiguous(
    array: NDArray[Any], kind: str, shape: tuple[int, ...] | None = None, *, writable: bool = False
) -> int:
    """Return the address of a contiguous array.

    Parameters
    ----------
    array : any shape
    kind : str
        NumPy's one-letter code of its type: ``f`` float32, ``B`` uint8, ``H`` uint16, ``i`` int32.
    shape : tuple of int, optional
        Required shape; any of two dimensions that is not empty by default.
    writable : bool
        Whether the core writes to it.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    flags = array.flags
    if (
        (array.dtype is not _TYPES[kind] and not _is_like(array.dtype, kind))
        or not (flags.carray if writable else flags.c_contiguous and flags.aligned)
        or (not array.size or array.ndim != 2 if shape is None else array.shape != shape)
    ):
        raise _error(array, f"a contiguous array of type '{kind}'", shape)
    return _number_at(id(array) + _PLACE).value if _IS_READABLE else _asked(array)


def _is_like(dtype: np.dtype[Any], kind: str) -> bool:
    return dtype.char == kind and dtype.isnative


def _error(array: NDArray[Any], what: str, shape: tuple[int, ...] | None) -> TypeError:
    of = " that has height and width" if shape is None else f" of shape {shape}"
    access = "" if array.flags.writeable else ", read only"
    message = (
        f"the core expected {what}{of}, "
        f"not {array.dtype} of shape {array.shape} and strides {array.strides}{access}"
    )
    return TypeError(message)
